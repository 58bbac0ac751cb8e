"""A mocked workflow as a `Program`: it closes as its mock says, at once or after some virtual time."""

from collections.abc import Callable, Sequence
from typing import Any

from perdure.core.command import CancelRun, Command, CompleteRun, FailRun, StartTimer
from perdure.core.errors import UnknownQuery
from perdure.core.failure import Failure, cancelled, to_failure
from perdure.core.ids import RunId
from perdure.core.message import CancelRequested, Message, Query, Started, TimerFired
from perdure.core.payload import Payload
from perdure.core.turn import Turn
from perdure.testing.kit.answers import Mock, Reply, completed
from perdure.testing.kit.errors import TestError

Note = Callable[[Started, RunId, tuple[Any, ...]], None]


class MockProgram:
    """Stands for a workflow."""

    def __init__(self, mock: "Mock[..., Any]", note: Note, report: Callable[[TestError], None]) -> None:
        """`note` hears of each start, `report` of what the mock cannot answer."""
        self.mock = mock
        self.note = note
        self.report = report
        self.replies: dict[RunId, Reply] = {}
        """What is still to be answered, by run."""

    @property
    def name(self) -> str:
        """See `Program`."""
        return self.mock.definition.name

    def open(self, run_id: RunId) -> "MockRun":
        """See `Program`."""
        return MockRun(self, run_id)


class MockRun:
    """One run of it."""

    def __init__(self, program: MockProgram, run_id: RunId) -> None:
        self._program = program
        self._run_id = run_id
        self._args: tuple[Any, ...] = ()

    def step(self, at_ms: int, messages: Sequence[Message]) -> Sequence[Command]:
        """See `ProgramRun`."""
        commands: list[Command] = []
        for message in messages:
            match message:
                case Started():
                    commands += self._begin(at_ms, message)
                case TimerFired():
                    commands.append(self._close(self._program.replies[self._run_id]))
                case CancelRequested(reason):
                    return [CancelRun(cancelled(reason))]
                case _:
                    pass
        return commands

    def _begin(self, at_ms: int, started: Started) -> list[Command]:
        program = self._program
        args = self._args = self._decoded(started)
        program.note(started, self._run_id, args)
        answers = program.mock.answers_for(args)
        try:
            reply = program.replies[self._run_id] = answers.next()
        except TestError as error:
            program.report(error)
            return [FailRun(to_failure(error))]
        if reply.hangs:
            return []
        if answers.takes_ms:
            return [StartTimer(1, at_ms + answers.takes_ms)]
        return [self._close(reply)]

    def _close(self, reply: Reply) -> Command:
        mock = self._program.mock
        try:
            if reply.error is not None:
                raise reply.error
            value = reply.value if reply.fn is None else mock.checked(reply.fn(*self._args))
            return CompleteRun(mock.definition.encode_result(value))
        except TestError as error:
            self._program.report(error)
            return FailRun(to_failure(error))
        except BaseException as error:  # what the test wants to be raised
            return FailRun(_without_traceback(to_failure(error)))

    def recall(self, turn: Turn) -> None:
        """See `ProgramRun`."""
        for message in turn.inputs:
            if isinstance(message, Started):
                self._args = self._decoded(message)

    def _decoded(self, started: Started) -> tuple[Any, ...]:
        definition = self._program.mock.definition
        return tuple(completed(definition, definition.decode_args(started.args), {}))

    def query(self, query: Query) -> Payload:
        """See `ProgramRun`."""
        raise UnknownQuery(workflow_id=self._run_id, name=query.name, known="none, it is a mock")

    def close(self) -> None:
        """See `ProgramRun`."""


def _without_traceback(failure: Failure) -> Failure:
    return Failure(failure.type, failure.message, retryable=failure.retryable, details=failure.details)
