"""A registered function workflow as a `Program`."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from perdure.core.command import Command
from perdure.core.ids import RunId
from perdure.core.message import Message, Query
from perdure.core.payload import DataConverter, Payload
from perdure.core.turn import Turn
from perdure.programs.code import guards, ordered, scan
from perdure.programs.code.definition import Activity, Workflow
from perdure.programs.code.run import CodeRun


class CodeProgram:
    """Makes runs of one workflow function. Made once its module is loaded: it looks into the function's helpers too."""

    def __init__(
        self,
        definition: Workflow[..., Any],
        knows_activity: Callable[[str], Activity[..., Any] | None],
        activity_names: Callable[[], Iterable[str]] = tuple,
    ) -> None:
        """Raises `ForbiddenInWorkflow` where the function reads a clock or randomness that nothing can replay."""
        guards.install()
        ordered.install()
        self.definition = definition
        self.knows_activity = knows_activity
        """Finds an activity that this process has registered."""
        self.function: Callable[..., Any] = definition.fn
        self.converter: DataConverter = definition.converter
        """The app's."""
        self.known_names: set[str] = set()
        """Activities that were found before."""
        self._activity_names = activity_names
        self.check()

    def check(self) -> None:
        """Look for what a replay could not repeat; helpers that are defined later are only seen when called again.

        Raises `ForbiddenInWorkflow`.
        """
        for function in self.definition.functions:
            scan.check(function)

    @property
    def name(self) -> str:
        """The workflow type."""
        return self.definition.name

    def open(self, run_id: RunId) -> "OwnedRun":
        """A fresh run that has seen nothing yet."""
        return OwnedRun(CodeRun(self, run_id))

    def activity_names(self) -> str:
        """The registered activities, for messages."""
        return ", ".join(sorted(self._activity_names())) or "none"


class OwnedRun:
    """A run as its owner holds it: dropped without `close`, it is closed then."""

    __slots__ = ("inner",)

    def __init__(self, inner: CodeRun) -> None:
        self.inner = inner

    def __del__(self) -> None:
        self.inner.close()

    def step(self, at_ms: int, messages: Sequence[Message]) -> Sequence[Command]:
        """See `ProgramRun`."""
        return self.inner.step(at_ms, messages)

    def recall(self, turn: Turn) -> None:
        """See `ProgramRun`."""
        self.inner.recall(turn)

    def query(self, query: Query) -> Payload:
        """See `ProgramRun`."""
        return self.inner.query(query)

    def close(self) -> None:
        """See `ProgramRun`."""
        self.inner.close()
