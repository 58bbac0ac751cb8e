"""The one seam for every way to write a workflow: a definition makes runs, a run steps and recalls."""

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import NamedTuple, Protocol

from perdure.core.command import Command, RecordLocalActivity, RunActivity
from perdure.core.failure import Failure
from perdure.core.ids import RunId
from perdure.core.message import Message, Query
from perdure.core.payload import Payload
from perdure.core.turn import Turn


class LocalCall(NamedTuple):
    """A try of an activity that runs while the turn is open."""

    call: RunActivity
    attempt: int
    scheduled_at_ms: int
    last_failure: Failure | None
    """Of the try before."""


class OpenTurn(list[Command]):
    """What `step` returns where the turn is not over: the commands so far.

    Each outcome of its local calls is given to `go_on`, one after the other, which returns what `step` does. Those that
    are not awaited any more are ended.
    """

    def __init__(
        self,
        commands: Iterable[Command],
        begun: Sequence[LocalCall],
        awaited: Collection[int],
        go_on: "Callable[[RecordLocalActivity], Sequence[Command]]",
    ) -> None:
        super().__init__(commands)
        self.begun = begun
        """Local calls that are to be run now."""
        self.awaited = awaited
        """Ids of all local calls that the turn waits for."""
        self.go_on = go_on


class ProgramRun(Protocol):
    """One run of a program, in memory. Not thread-safe; never called again after it raised or after `close`."""

    def step(self, at_ms: int, messages: Sequence[Message]) -> Sequence[Command]:
        """Take the messages, in their order, at the run's time `at_ms`; return what the program asks for.

        The first message of a run is `Started`. A closing command, if any, is the last one. An `OpenTurn` waits for
        local activities. Raises `ParkedError` if the run cannot go on; any other exception is a bug of the program's
        interpreter.
        """
        ...

    def recall(self, turn: Turn) -> None:
        """Become what the run was after the recorded `turn`; raises `NonDeterminism` where the program disagrees with
        it.

        Turns are recalled in order, from the first one on, before any `step`.
        """
        ...

    def query(self, query: Query) -> Payload:
        """Answer without changing the run. Raises `UnknownQuery` or `QueryFailed`."""
        ...

    def close(self) -> None:
        """Let go of everything; no user code that could have an effect outside the run runs on."""
        ...


class Program(Protocol):
    """A registered definition."""

    @property
    def name(self) -> str:
        """The workflow type."""
        ...

    def open(self, run_id: RunId) -> ProgramRun:
        """A fresh run that has seen nothing yet."""
        ...
