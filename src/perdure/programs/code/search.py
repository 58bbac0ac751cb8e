"""Search attributes as users write them: a key with a name and a type, checked values. Public from `perdure`."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from math import isfinite
from typing import Any, Generic, TypeAlias, TypeVar, cast

from perdure.core.attributes import Attribute, AttributeKind, AttributeValue
from perdure.core.errors import InvalidAttribute
from perdure.core.filter.parser import is_reserved
from perdure.core.filter.terms import INT_MAX, INT_MIN

T = TypeVar("T")

ATTRIBUTES_MAX = 100
"""Most search attributes of one run."""
NAME_CHARS_MAX = 200
"""Longest name of a search attribute."""
KEYWORD_CHARS_MAX = 1_000
"""Longest keyword, in characters."""
TEXT_CHARS_MAX = 2_000
"""Longest text, in characters: each of its words is a row of an index."""
LIST_MAX = 100
"""Most elements of a keyword list."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_Int: TypeAlias = int
_Bool: TypeAlias = bool
_Datetime: TypeAlias = datetime


class SearchKey(Generic[T]):
    """The name of a search attribute and the type of its values: `SearchKey.keyword("CustomerId").set("c-17")`."""

    __slots__ = ("kind", "name")

    def __init__(self, name: str, kind: AttributeKind) -> None:
        """Keys come from `keyword`, `text`, `int` and the others. Raises `InvalidAttribute`."""
        self.name = _checked_name(name)
        self.kind = kind

    def __repr__(self) -> str:
        return f"<SearchKey {self.name!r}: {self.kind}>"

    @staticmethod
    def keyword(name: str) -> "SearchKey[str]":
        """Text that is compared as a whole: an id, a state."""
        return SearchKey(name, AttributeKind.KEYWORD)

    @staticmethod
    def text(name: str) -> "SearchKey[str]":
        """Text that is found by its words."""
        return SearchKey(name, AttributeKind.TEXT)

    @staticmethod
    def keyword_list(name: str) -> "SearchKey[Sequence[str]]":
        """Several keywords: tags."""
        return SearchKey(name, AttributeKind.KEYWORD_LIST)

    @staticmethod
    def double(name: str) -> "SearchKey[float]":
        """A number with a fraction."""
        return SearchKey(name, AttributeKind.DOUBLE)

    @staticmethod
    def int(name: str) -> "SearchKey[_Int]":
        """A whole number of 64 bits."""
        return SearchKey(name, AttributeKind.INT)

    @staticmethod
    def bool(name: str) -> "SearchKey[_Bool]":
        """True or false."""
        return SearchKey(name, AttributeKind.BOOL)

    @staticmethod
    def datetime(name: str) -> "SearchKey[_Datetime]":
        """A moment: an aware `datetime` from 1678 to 2262."""
        return SearchKey(name, AttributeKind.DATETIME)

    def set(self, value: T) -> Attribute:
        """The attribute with a value. Raises `InvalidAttribute`."""
        return Attribute(self.name, self.kind, _CHECKS[self.kind](self.name, value))

    def unset(self) -> Attribute:
        """The attribute taken away."""
        return Attribute(self.name, self.kind, None)

    def value_in(self, attributes: Mapping[str, object]) -> T | None:
        """The value among the `search_attributes` of a run; None if it has none, or one of another kind."""
        value = attributes.get(self.name)
        return cast(T, value) if isinstance(value, _TYPES[self.kind]) and self._is_own(value) else None

    def _is_own(self, value: object) -> _Bool:
        return not isinstance(value, bool) or self.kind is AttributeKind.BOOL


def checked_attributes(attributes: Iterable[Attribute]) -> tuple[Attribute, ...]:
    """The attributes, each name once: the last one counts. Raises `InvalidAttribute`."""
    given = cast(object, attributes)
    if isinstance(given, Mapping) or not isinstance(given, Iterable):
        fact, remedy = "is no list of attributes", "give a list of what SearchKey.set returns"
        raise InvalidAttribute(name=repr(cast(object, attributes))[:80], fact=fact, remedy=remedy)
    found: dict[str, Attribute] = {}
    for each in attributes:
        if not isinstance(cast(object, each), Attribute):
            remedy = "give what SearchKey.set or unset returns"
            raise InvalidAttribute(name=repr(each)[:80], fact=f"is a {type(each).__name__}", remedy=remedy)
        found[each.name] = each
    return tuple(found.values())


def check_count(names: Iterable[str]) -> None:
    """Refuse more attributes than a run may have. Raises `InvalidAttribute`."""
    all_names = list(names)
    if len(all_names) > ATTRIBUTES_MAX:
        fact = f"is one of {len(all_names)}, more than {ATTRIBUTES_MAX}"
        raise InvalidAttribute(name=repr(all_names[-1]), fact=fact, remedy="unset others first, or keep it in the memo")


def shown_attributes(attributes: Iterable[Attribute]) -> dict[str, Any]:
    """Plain values by name: str, int, float, bool, `datetime`, or a list of str."""
    return {each.name: _shown(each) for each in attributes}


def _shown(attribute: Attribute) -> object:
    value = attribute.value
    if attribute.kind is AttributeKind.DATETIME:
        assert isinstance(value, int)
        return _EPOCH + timedelta(microseconds=value // 1_000)
    return list(value) if isinstance(value, tuple) else value


def _checked_name(name: object) -> str:
    if not isinstance(name, str):
        raise InvalidAttribute(name=repr(name)[:80], fact="has no text as its name", remedy="give it a name")
    shown = repr(name[:80])
    if not 1 <= len(name) <= NAME_CHARS_MAX:
        fact = f"has a name of {len(name)} characters"
        raise InvalidAttribute(name=shown, fact=fact, remedy=f"give 1 to {NAME_CHARS_MAX}")
    _check_text(shown, name)
    if is_reserved(name):
        raise InvalidAttribute(name=shown, fact="is what every run has", remedy="give it another name")
    return name


def _check_text(name: str, text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        fact = "holds a lone surrogate"
        raise InvalidAttribute(name=name, fact=fact, remedy="give valid Unicode text") from error
    if "\0" in text:
        raise InvalidAttribute(name=name, fact="holds a NUL character", remedy="leave it out")


def _keyword(name: str, value: object) -> str:
    return _text_of(name, value, KEYWORD_CHARS_MAX)


def _text(name: str, value: object) -> str:
    return _text_of(name, value, TEXT_CHARS_MAX)


def _text_of(name: str, value: object, most: int) -> str:
    if not isinstance(value, str):
        raise _unfit(name, value, "give text")
    if len(value) > most:
        fact = f"has {len(value)} characters, more than {most}"
        raise InvalidAttribute(name=repr(name), fact=fact, remedy="shorten it, or keep it in the memo")
    _check_text(repr(name), value)
    return value


def _keyword_list(name: str, value: object) -> tuple[str, ...]:
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise _unfit(name, value, "give a list of texts")
    elements = cast(Sequence[object], value)
    if not 1 <= len(elements) <= LIST_MAX:
        fact = f"has {len(elements)} elements"
        raise InvalidAttribute(name=repr(name), fact=fact, remedy=f"give 1 to {LIST_MAX}, or unset it")
    return tuple(_keyword(name, each) for each in elements)


def _int(name: str, value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise _unfit(name, value, "give a whole number")
    if not INT_MIN <= value <= INT_MAX:
        raise InvalidAttribute(name=repr(name), fact="is beyond 64 bits", remedy="make it a double or a keyword")
    return value


def _double(name: str, value: object) -> float:
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        raise _unfit(name, value, "give a number")
    try:
        number = float(value)
    except OverflowError:
        number = float("inf")
    if not isfinite(number):
        raise InvalidAttribute(name=repr(name), fact="is no finite number", remedy="give one below 1e308")
    return number


def _bool(name: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise _unfit(name, value, "give True or False")
    return value


def _moment(name: str, value: object) -> int:
    if not isinstance(value, datetime):
        raise _unfit(name, value, "give a datetime")
    if value.utcoffset() is None:
        remedy = "give datetime(..., tzinfo=UTC)"
        raise InvalidAttribute(name=repr(name), fact="is a datetime without a time zone", remedy=remedy)
    moment_ns = (value - _EPOCH) // timedelta(microseconds=1) * 1_000
    if not INT_MIN <= moment_ns <= INT_MAX:
        fact = f"is in the year {value.year}"
        raise InvalidAttribute(name=repr(name), fact=fact, remedy="give a moment from 1678 to 2262, or unset it")
    return moment_ns


def _unfit(name: str, value: object, remedy: str) -> InvalidAttribute:
    return InvalidAttribute(name=repr(name), fact=f"is given a {type(value).__name__}", remedy=remedy)


_CHECKS: dict[AttributeKind, Callable[[str, object], AttributeValue]] = {
    AttributeKind.KEYWORD: _keyword,
    AttributeKind.TEXT: _text,
    AttributeKind.INT: _int,
    AttributeKind.DOUBLE: _double,
    AttributeKind.BOOL: _bool,
    AttributeKind.DATETIME: _moment,
    AttributeKind.KEYWORD_LIST: _keyword_list,
}
_TYPES: dict[AttributeKind, type[object]] = {
    AttributeKind.KEYWORD: str,
    AttributeKind.TEXT: str,
    AttributeKind.INT: int,
    AttributeKind.DOUBLE: float,
    AttributeKind.BOOL: bool,
    AttributeKind.DATETIME: datetime,
    AttributeKind.KEYWORD_LIST: list,
}
