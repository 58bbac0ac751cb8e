"""The one seam for every way to write a workflow: a definition makes runs, a run steps and recalls."""

from collections.abc import Sequence
from typing import Protocol

from perdure.core.command import Command
from perdure.core.ids import RunId
from perdure.core.message import Message, Query
from perdure.core.payload import Payload
from perdure.core.turn import Turn


class ProgramRun(Protocol):
    """One run of a program, in memory. Not thread-safe; never called again after it raised or after `close`."""

    def step(self, at_ms: int, messages: Sequence[Message]) -> Sequence[Command]:
        """Take the messages, in their order, at the run's time `at_ms`; return what the program asks for.

        The first message of a run is `Started`. A closing command, if any, is the last one. Raises `ParkedError`
        if the run cannot go on; any other exception is a bug of the program's interpreter.
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
