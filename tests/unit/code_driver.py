"""Steps a function workflow by hand, and recalls its whole history in a fresh run after each step."""

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from perdure.core import codec
from perdure.core.command import (
    CancelActivity,
    CancelRun,
    CancelTimer,
    Command,
    CompleteRun,
    CompleteUpdate,
    FailRun,
    RejectUpdate,
    RunActivity,
    StartTimer,
)
from perdure.core.failure import Failure
from perdure.core.ids import RunId, WorkflowId
from perdure.core.message import (
    ActivityClosed,
    CancelRequested,
    Completed,
    Failed,
    Message,
    Query,
    Signaled,
    Started,
    TimerFired,
    UpdateRequested,
)
from perdure.core.payload import from_payload, to_payload, to_payloads
from perdure.core.turn import Turn
from perdure.programs.code.classes import workflow_of
from perdure.programs.code.definition import Activity
from perdure.programs.code.program import CodeProgram, OwnedRun

START_MS = 1_763_680_000_123
RUN_ID = RunId("0199f0a0-0000-7000-8000-000000000001")


def program_of(fn: Callable[..., Any], *activities: Activity[..., Any]) -> CodeProgram:
    """A program whose worker knows these activities."""
    return CodeProgram(workflow_of(fn), {each.name: each for each in activities}.get)


def plain(command: Command) -> Command:
    """A command without the traceback of its failure, which names addresses of this process's frames."""
    if isinstance(command, FailRun):
        return FailRun(Failure(command.failure.type, command.failure.message))
    if isinstance(command, CompleteUpdate) and isinstance(command.outcome, Failed):
        failure = Failure(command.outcome.failure.type, command.outcome.failure.message)
        return CompleteUpdate(command.update_id, Failed(failure))
    return command


class Driver:
    """One run and its recorded turns."""

    def __init__(
        self,
        fn: Callable[..., Any],
        *activities: Activity[..., Any],
        args: Sequence[Any] = (),
        run_id: RunId = RUN_ID,
        recalls: bool = True,
    ) -> None:
        """`recalls` False: steps only, without a look back after each."""
        self.program = program_of(fn, *activities)
        self.run_id = run_id
        self._owner = self.program.open(run_id)
        self.run = self._owner.inner
        self.turns: list[Turn] = []
        self.at_ms = START_MS
        self.started = Started(self.program.name, WorkflowId("w-1"), "default", to_payloads(args))
        self._signals_count = 0
        self._recalls = recalls

    def start(self, *more: Message) -> list[Command]:
        """The first step."""
        return self.step(self.started, *more)

    def step(self, *messages: Message, after_ms: int = 0) -> list[Command]:
        """One step, recorded and recalled."""
        self.at_ms += after_ms
        outputs = tuple(self.run.step(self.at_ms, messages))
        turn = Turn(len(self.turns) + 1, self.at_ms, messages, outputs)
        self.turns.append(codec.turns.decode(codec.turns.encode(turn)))
        if self._recalls:
            self.recalled().close()
        return list(outputs)

    def recalled(self, program: CodeProgram | None = None) -> OwnedRun:
        """A fresh run that recalled the history; asserts that it asks for exactly what is recorded."""
        twin = (program or self.program).open(self.run_id)
        for turn in self.turns:
            twin.recall(turn)
        if program is None:
            again = self.program.open(self.run_id)
            for turn in self.turns:
                decided = [plain(each) for each in turn.outputs if not isinstance(each, RejectUpdate)]
                assert [plain(each) for each in again.inner.repeat(turn)] == decided
            again.close()
        return twin

    def finish(self, call_id: int, value: Any = None) -> list[Command]:
        """An activity completes."""
        return self.step(done(call_id, value))

    def signal(self, name: str, value: Any = None) -> Signaled:
        """A signal as a message."""
        self._signals_count += 1
        return Signaled(name, to_payload(value), f"s{self._signals_count}")

    def update(self, name: str, *args: Any, id: str = "u1") -> UpdateRequested:
        """An update as a message."""
        return UpdateRequested(name, to_payloads(args), id)

    def query(self, name: str, *args: Any) -> Any:
        """Ask the live run."""
        return from_payload(self.run.query(Query(name, to_payloads(args))))

    def play(self, work: Callable[..., Any] = lambda *args: args[0] if args else None) -> Any:
        """Start, then answer activities with `work(*args)` and fire timers as they are due; return the result."""
        open_activities: dict[int, RunActivity] = {}
        open_timers: dict[int, StartTimer] = {}
        commands = self.start()
        while True:
            for command in commands:
                match command:
                    case RunActivity():
                        open_activities[command.call_id] = command
                    case CancelActivity():
                        del open_activities[command.call_id]
                    case StartTimer():
                        open_timers[command.call_id] = command
                    case CancelTimer():
                        del open_timers[command.call_id]
                    case CompleteRun(result):
                        return from_payload(result)
                    case FailRun(failure) | CancelRun(failure):
                        raise AssertionError(failure)
                    case _:
                        raise AssertionError(command)
            if open_activities:
                call = open_activities.pop(min(open_activities))
                commands = self.step(done(call.call_id, work(*[from_payload(arg) for arg in call.args])))
            else:
                timer = min(open_timers.values(), key=lambda each: (each.due_at_ms, each.call_id))
                del open_timers[timer.call_id]
                commands = self.step(TimerFired(timer.call_id), after_ms=timer.due_at_ms - self.at_ms)


def done(call_id: int, value: Any = None) -> ActivityClosed:
    """An activity's result as a message."""
    return ActivityClosed(call_id, Completed(to_payload(value)))


def failed(call_id: int, message: str = "no", *, kind: str = "ValueError", **facts: Any) -> ActivityClosed:
    """An activity's failure as a message."""
    return ActivityClosed(call_id, Failed(msgspec.structs.replace(Failure(kind, message), **facts)), attempt=3)


def cancel(reason: str = "enough") -> CancelRequested:
    """A cancel request as a message."""
    return CancelRequested(reason, "x1")


def result_of(commands: list[Command]) -> Any:
    """The result with which the run completed."""
    closing = commands[-1]
    assert isinstance(closing, CompleteRun), closing
    return from_payload(closing.result)


def names(commands: list[Command]) -> list[str]:
    """What was asked for, in short."""
    return [each.name if isinstance(each, RunActivity) else type(each).__name__ for each in commands]
