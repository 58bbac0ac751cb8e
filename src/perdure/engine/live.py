"""A run in memory: it takes messages that it has not seen, steps its program, and knows what is open.

Pure: no clock, no store, no asyncio. What it becomes by a step is speculation until the turn's commit is durable;
a refused commit drops the live run.
"""

from collections.abc import Iterable, Sequence
from typing import TypeAlias

from perdure.core import codec
from perdure.core.command import (
    CancelActivity,
    CancelRun,
    CancelTimer,
    Closing,
    Command,
    CompleteRun,
    FailRun,
    RunActivity,
    StartChild,
    StartTimer,
    TerminateRun,
)
from perdure.core.ids import RunId, WorkflowId
from perdure.core.message import (
    ActivityClosed,
    CancelRequested,
    ChildClosed,
    ChildStarted,
    Completed,
    Message,
    Parent,
    Query,
    Resumed,
    Signaled,
    Started,
    TerminateRequested,
    TimerFired,
)
from perdure.core.payload import Payload
from perdure.core.program import ProgramRun
from perdure.core.turn import TURN_BYTES_MAX, Turn

INPUT_BYTES_MAX = TURN_BYTES_MAX // 2
"""What a turn takes in at most, of many messages; the rest waits for the next one: answers must never park a run."""
INPUTS_SURE = 4
"""So few messages are not looked at: each is about a payload."""

OpenCall: TypeAlias = RunActivity | StartTimer | StartChild


def _size_of(message: Message) -> int:
    """About how many bytes the message adds to a turn."""
    match message:
        case Signaled():
            return len(message.payload.data)
        case ActivityClosed(outcome=Completed(result)) | ChildClosed(outcome=Completed(result)):
            return len(result.data)
        case ActivityClosed() | ChildClosed() | Started():
            return len(codec.messages.encode(message))
        case _:
            return 0


class OpenCalls:
    """Which calls of a run await an answer, folded from its turns without any of its code."""

    __slots__ = ("calls", "closing", "requests", "started")

    def __init__(self) -> None:
        self.started: Started | None = None
        self.calls: dict[int, OpenCall] = {}
        self.requests: set[str] = set()
        """Ids of the messages that carry their sender's request id."""
        self.closing: Closing | None = None

    @property
    def queue(self) -> str:
        """The run's own task queue."""
        assert self.started is not None, "the first message of a run is its start"
        return self.started.queue

    # The kinds are compared by identity, the most frequent first: both methods are on the hot path.

    def awaits(self, message: Message) -> bool:
        """Whether the message is news to the run."""
        kind = type(message)
        if kind is ActivityClosed or kind is TimerFired or kind is ChildClosed:
            return message.call_id in self.calls  # type: ignore[union-attr]
        match message:
            case Signaled() | CancelRequested() | Resumed():
                return message.id not in self.requests
            case ChildStarted():
                return message.call_id in self.calls and message.id not in self.requests
            case Started():
                return self.started is None
            case _:
                return True

    def take(self, message: Message) -> None:
        """Note an input."""
        kind = type(message)
        if kind is ActivityClosed or kind is TimerFired or kind is ChildClosed:
            self.calls.pop(message.call_id, None)  # type: ignore[union-attr]
            return
        match message:
            case ChildStarted():
                self.requests.add(message.id)
                if message.refusal is not None:
                    self.calls.pop(message.call_id, None)
            case Signaled() | CancelRequested() | Resumed():
                self.requests.add(message.id)
            case Started():
                self.started = message
            case _:
                pass

    def give(self, command: Command) -> None:
        """Note an output."""
        kind = type(command)
        if kind is RunActivity or kind is StartTimer or kind is StartChild:
            self.calls[command.call_id] = command  # type: ignore[index, union-attr, assignment]
            return
        match command:
            case CancelActivity() | CancelTimer():
                self.calls.pop(command.call_id, None)
            case CompleteRun() | FailRun() | CancelRun() | TerminateRun():
                self.closing = command
            case _:
                pass

    def fold(self, turn: Turn) -> None:
        """Note a whole turn."""
        calls = self.calls
        for message in turn.inputs:
            if type(message) is ActivityClosed:
                calls.pop(message.call_id, None)
            else:
                self.take(message)
        for command in turn.outputs:
            if type(command) is RunActivity:
                calls[command.call_id] = command
            else:
                self.give(command)

    def children(self) -> list[StartChild]:
        """The child workflows that are open."""
        return [call for call in self.calls.values() if isinstance(call, StartChild)]


class LiveRun:
    """One run: its program's state, what is open, and how many turns it has taken."""

    __slots__ = ("at_ms", "open", "program", "run_id", "turns_count", "workflow_id")

    def __init__(self, run_id: RunId, workflow_id: WorkflowId, program: ProgramRun | None) -> None:
        """`program` None serves only to terminate the run: its turns are folded, its code is not needed."""
        self.run_id = run_id
        self.workflow_id = workflow_id
        self.program = program
        self.open = OpenCalls()
        self.turns_count = 0
        self.at_ms: int = 0

    @property
    def parent(self) -> Parent | None:
        """The call that started the run, if it is a child."""
        return None if self.open.started is None else self.open.started.parent

    def recall(self, turns: Iterable[Turn]) -> None:
        """Become what the run was after these recorded turns; they follow the ones it has. Raises `ParkedError`."""
        for turn in turns:
            assert turn.number == self.turns_count + 1, (turn.number, self.turns_count)
            # A terminated run's last turn never reached its program.
            if self.program is not None and not (turn.outputs and isinstance(turn.outputs[-1], TerminateRun)):
                self.program.recall(turn)
            self.open.fold(turn)
            self.turns_count = turn.number
            self.at_ms = turn.at_ms

    def fresh(self, messages: Sequence[Message]) -> list[Message]:
        """Those of the messages that the run has not taken, each once, in order."""
        if len(messages) == 1:
            return [messages[0]] if self.open.awaits(messages[0]) else []
        ids: set[str] = set()
        fresh: list[Message] = []
        for message in messages:
            if message.id not in ids and self.open.awaits(message):
                ids.add(message.id)
                fresh.append(message)
        return fresh

    @staticmethod
    def fitting(messages: Sequence[Message]) -> int:
        """How many of the messages, from the first one on, a turn can take and leave room for what it asks for."""
        if len(messages) <= INPUTS_SURE:
            return len(messages)
        room = INPUT_BYTES_MAX
        for index, message in enumerate(messages):
            room -= _size_of(message)
            if room < 0 and index:
                return index
        return len(messages)

    def take_turn(self, now_ms: int, messages: Sequence[Message]) -> Turn:
        """Step the program with `fresh` messages. Raises `ParkedError`; the live run is of no use afterwards."""
        at_ms = max(now_ms, self.at_ms)
        outputs: tuple[Command, ...]
        for message in messages:
            if type(message) is TimerFired:
                timer = self.open.calls[message.call_id]
                assert type(timer) is StartTimer
                # The clock may have gone back since it said that the timer was due.
                at_ms = max(at_ms, timer.due_at_ms)
            elif type(message) is TerminateRequested:
                messages = [*(each for each in messages if isinstance(each, Started)), message]
                outputs = (TerminateRun(message.reason),)
                break
        else:
            assert self.program is not None, "only a termination needs no program"
            outputs = tuple(self.program.step(at_ms, messages))
        turn = Turn(self.turns_count + 1, at_ms, tuple(messages), outputs)
        self.open.fold(turn)
        self.turns_count = turn.number
        self.at_ms = at_ms
        return turn

    def query(self, query: Query) -> Payload:
        """Answer from the program's state."""
        assert self.program is not None
        return self.program.query(query)

    def close(self) -> None:
        """Let go of the program."""
        if self.program is not None:
            self.program.close()
