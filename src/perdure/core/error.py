"""The root of all errors, and how each of them tells its facts. The tree is in `core.errors`."""

from typing import Any, ClassVar


class PerdureError(Exception):
    """The root. Fields are keyword arguments, also attributes; the message is the class's template filled with them."""

    code: ClassVar[str] = "PDR0000"
    template: ClassVar[str] = "unknown error"

    def __init__(self, **facts: Any) -> None:
        self.facts = facts
        self.__dict__.update(facts)
        super().__init__(f"{self.code}: {self.template.format(**facts)}")

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self.facts)


def _rebuild(kind: type[PerdureError], facts: dict[str, Any]) -> PerdureError:
    return kind(**facts)
