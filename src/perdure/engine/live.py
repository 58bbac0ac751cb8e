"""A run in memory: it takes messages that it has not seen, steps its program, and knows what is open.

Pure: no clock, no store, no asyncio. What it becomes by a step is speculation until the turn's commit is durable;
a refused commit drops the live run.
"""

from collections.abc import Iterable, Sequence
from typing import Any, TypeAlias, cast

from msgspec.structs import replace

from perdure.core import chain, codec
from perdure.core.attributes import Attribute
from perdure.core.command import (
    CLOSINGS,
    OUTSIDE,
    CancelActivity,
    CancelRun,
    CancelTimer,
    Closing,
    Command,
    CompleteRun,
    ContinueRun,
    FailRun,
    NextRun,
    ParentClosePolicy,
    RecordLocalActivity,
    ResetRun,
    RunActivity,
    SetProgress,
    SetStatus,
    SkipMessage,
    StartChild,
    StartTimer,
    TerminateRun,
    TimeOutRun,
    UpsertAttributes,
    UpsertMemo,
)
from perdure.core.failure import Failure, timed_out
from perdure.core.ids import RunId, WorkflowId
from perdure.core.limits import TOGETHER_BYTES_MAX
from perdure.core.message import (
    ActivityClosed,
    CancelRequested,
    ChildClosed,
    ChildStarted,
    Completed,
    DeadlinePassed,
    Forked,
    Message,
    Parent,
    PauseRequested,
    Query,
    Resumed,
    Signaled,
    Started,
    TerminateRequested,
    TimerFired,
    UpdateRequested,
)
from perdure.core.note import Progress, RunNote
from perdure.core.payload import Payload
from perdure.core.program import OpenTurn, ProgramRun
from perdure.core.turn import Turn
from perdure.programs.schedule.cron import next_after

INPUT_BYTES_MAX = TOGETHER_BYTES_MAX
"""What a turn takes in at most, of many messages; the rest waits for the next one: answers must never park a run."""
CHILD_STARTED = ChildStarted(0).id[0]
"""How the ids of such messages begin; all others that are remembered carry their sender's request id."""
INPUTS_SURE = 4
"""So few messages are not looked at: each is about a payload."""

OpenCall: TypeAlias = RunActivity | StartTimer | StartChild


def _size_of(message: Message) -> int:
    """About how many bytes the message adds to a turn."""
    match message:
        case Signaled():
            return len(message.payload.data)
        case UpdateRequested():
            return sum(len(arg.data) for arg in message.args)
        case ActivityClosed(outcome=Completed(result)) | ChildClosed(outcome=Completed(result)):
            return len(result.data)
        case ActivityClosed() | ChildClosed() | Started():
            return len(codec.messages.encode(message))
        case _:
            return 0


def changed_note(note: RunNote, command: UpsertMemo | SetProgress | SetStatus) -> RunNote:
    """What a run tells of itself after a command."""
    match command:
        case UpsertMemo(entries):
            memo = {**(note.memo or {}), **entries}
            return replace(note, memo={name: entry for name, entry in memo.items() if entry is not None})
        case SetProgress(done, total, text):
            return replace(note, progress=Progress(done, total, text))
        case SetStatus(text):
            return replace(note, status=text)


def changed_attributes(before: dict[str, Attribute], changes: Iterable[Attribute]) -> dict[str, Attribute]:
    """Search attributes after changes."""
    after = before | {each.name: each for each in changes}
    return {name: each for name, each in after.items() if each.value is not None}


class OpenCalls:
    """Which calls of a run await an answer, folded from its turns without any of its code."""

    __slots__ = ("attributes", "calls", "children_calls_max", "closing", "note", "paused", "requests", "started")

    def __init__(self) -> None:
        self.started: Started | None = None
        self.calls: dict[int, OpenCall] = {}
        self.requests: dict[str, None] = {}
        """Ids of the messages that carry their sender's request id."""
        self.closing: Closing | None = None
        self.note: RunNote | None = None
        self.attributes: dict[str, Attribute] = {}
        self.paused: PauseRequested | None = None
        """Why the run shall take no turn."""
        self.children_calls_max = 0
        """The last call id of a child; a run that goes on counts from there."""

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
            case Signaled() | CancelRequested() | Resumed() | UpdateRequested() | PauseRequested() | Forked():
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
                self.requests[message.id] = None
                if message.refusal is not None:
                    self.calls.pop(message.call_id, None)
            case Signaled() | CancelRequested() | UpdateRequested():
                self.requests[message.id] = None
            case Resumed() | PauseRequested():
                self.requests[message.id] = None
                self.paused = message if isinstance(message, PauseRequested) else None
            case Started():
                self._start(message)
            case Forked():
                self.requests[message.id] = None
                self.paused = None
                assert self.started is not None, "a run is forked off one that has begun"
                self.started = chain.forked(self.started, message)
                self.children_calls_max = max(self.children_calls_max, message.chain.calls_count)
            case _:
                pass

    def _start(self, message: Started) -> None:
        self.started = message
        options = message.options
        if options is not None:
            self.note = None if options.memo is None else RunNote(options.memo)
            self.attributes = {each.name: each for each in options.attributes}
            if options.chain is not None:
                self.children_calls_max = options.chain.calls_count
                self.requests.update(dict.fromkeys(options.chain.requests))
                for each in options.chain.children:
                    # Whoever hands a child over has let it outlive its parent.
                    self.calls[each.call_id] = StartChild(
                        each.call_id, each.run_id, each.workflow_id, each.workflow_type, (), ParentClosePolicy.ABANDON
                    )

    def give(self, command: Command) -> None:
        """Note an output."""
        kind = type(command)
        if kind is RunActivity or kind is StartTimer:
            self.calls[command.call_id] = command  # type: ignore[index, union-attr, assignment]
            return
        match command:
            case StartChild():
                self.calls[command.call_id] = command
                self.children_calls_max = command.call_id
            case CancelActivity() | CancelTimer():
                self.calls.pop(command.call_id, None)
            case CompleteRun() | FailRun() | CancelRun() | TerminateRun() | ContinueRun() | TimeOutRun() | ResetRun():
                self.closing = command
            case SkipMessage(message_id):
                # Sent once more, it is still not wanted.
                self.requests[message_id] = None
            case UpsertAttributes(attributes):
                self.attributes = changed_attributes(self.attributes, attributes)
            case UpsertMemo() | SetProgress() | SetStatus():
                self.note = changed_note(self.note or RunNote(), command)
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


def _handed_over(messages: Sequence[Message]) -> frozenset[int]:
    """The call ids of the children that a start among the messages hands over."""
    starts = [each.options.chain for each in messages if isinstance(each, Started) and each.options is not None]
    return frozenset(child.call_id for chain in starts if chain is not None for child in chain.children)


class LiveRun:
    """One run: its program's state, what is open, and how many turns it has taken."""

    __slots__ = ("_begun", "at_ms", "open", "program", "route", "run_id", "turns_count", "workflow_id")

    def __init__(self, run_id: RunId, workflow_id: WorkflowId, program: ProgramRun | None) -> None:
        """`program` None serves only to terminate the run: its turns are folded, its code is not needed."""
        self.run_id = run_id
        self.workflow_id = workflow_id
        self.program = program
        self.open = OpenCalls()
        self.turns_count = 0
        self.at_ms: int = 0
        self._begun: tuple[int, Sequence[Message], OpenTurn] | None = None
        """A turn that waits for local activities."""
        self.route: str | None = None
        """What the run's first turn says of the workers that may take the others; None: nothing new."""

    @property
    def parent(self) -> Parent | None:
        """The call that started the run, if it is a child."""
        return None if self.open.started is None else self.open.started.parent

    def recall(self, turns: Iterable[Turn]) -> None:
        """Become what the run was after these recorded turns; they follow the ones it has. Raises `ParkedError`."""
        for turn in turns:
            assert turn.number == self.turns_count + 1, (turn.number, self.turns_count)
            # What was done to the run from outside never reached its program.
            if self.program is not None and not (turn.outputs and isinstance(turn.outputs[-1], OUTSIDE)):
                self.program.recall(turn)
            self.open.fold(turn)
            self.turns_count = turn.number
            self.at_ms = turn.at_ms

    def fresh(self, messages: Sequence[Message]) -> Sequence[Message]:
        """Those of the messages that the run has not taken, each once, in order."""
        if len(messages) == 1:
            return messages if self.open.awaits(messages[0]) else []
        ids: set[str] = set()
        fresh: list[Message] = []
        # What comes together with the start cannot know yet of the children that the start hands over.
        handed_over = _handed_over(messages) if self.open.started is None else frozenset[int]()
        for message in messages:
            if type(message) is Started and message.options is not None and message.options.chain is not None:
                # What runs before it took is no news to a run that takes it together with its start.
                ids.update(message.options.chain.requests)
            known = isinstance(message, ChildStarted | ChildClosed) and message.call_id in handed_over
            if message.id not in ids and (known or self.open.awaits(message)):
                ids.add(message.id)
                fresh.append(message)
        return fresh

    def pause(self, messages: Sequence[Message]) -> PauseRequested | None:
        """Why the run shall take no turn on these messages: the last word on it is a request to pause."""
        paused = self.open.paused
        for message in messages:
            if isinstance(message, TerminateRequested):
                return None
            if isinstance(message, PauseRequested | Resumed | Forked) and self.open.awaits(message):
                paused = message if isinstance(message, PauseRequested) else None
        return paused

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
        """As `begin_turn`, for a turn that is sure to need no local activities."""
        turn = self.begin_turn(now_ms, messages)
        assert type(turn) is Turn, "its local activities must run first"
        return turn

    def begin_turn(self, now_ms: int, messages: Sequence[Message]) -> Turn | OpenTurn:
        """Step the program with `fresh` messages. Raises `ParkedError`; the live run is of no use afterwards.

        An open turn goes on by `go_on`; before it is over, the run takes no other one.
        """
        at_ms = max(self.at_ms, now_ms)
        outputs: Sequence[Command] = ()
        for message in messages:
            if type(message) is ActivityClosed:
                continue
            if type(message) is TimerFired:
                timer = self.open.calls[message.call_id]
                assert type(timer) is StartTimer
                # The clock may have gone back since it said that the timer was due.
                at_ms = max(at_ms, timer.due_at_ms)
            elif type(message) is TerminateRequested:
                messages = [*(each for each in messages if isinstance(each, Started | Forked)), message]
                outputs = (TerminateRun(message.reason),)
                break
            elif type(message) is DeadlinePassed:
                messages = [*(each for each in messages if isinstance(each, Started | Forked)), message]
                outputs = (TimeOutRun(message.kind),)
                break
        else:
            if not self.turns_count:
                outputs = self._overdue(at_ms, messages)
            if not outputs:
                assert self.program is not None, "only a termination needs no program"
                outputs = self.program.step(at_ms, messages)
            if type(outputs) is OpenTurn:
                self._begun = at_ms, messages, outputs
                return outputs
        return self._end_turn(at_ms, messages, outputs)

    def go_on(self, record: RecordLocalActivity) -> Turn | OpenTurn:
        """Hand an open turn the outcome of one of its local activities."""
        assert self._begun is not None
        at_ms, messages, opened = self._begun
        outputs = opened.go_on(record)
        if type(outputs) is OpenTurn:
            self._begun = at_ms, messages, outputs
            return outputs
        self._begun = None
        return self._end_turn(at_ms, messages, outputs)

    def _end_turn(self, at_ms: int, messages: Sequence[Message], outputs: Sequence[Command]) -> Turn:
        turn = Turn(self.turns_count + 1, at_ms, tuple(messages), tuple(outputs))
        self.open.fold(turn)
        if outputs and type(outputs[-1]) in CLOSINGS:
            closing = self.open.closing = self._with_next(cast(Closing, outputs[-1]), at_ms)
            turn = replace(turn, outputs=(*outputs[:-1], closing))
        self.turns_count = turn.number
        self.at_ms = at_ms
        return turn

    def note(self, now_ms: int, commands: Sequence[Command], messages: Sequence[Message] = ()) -> Turn:
        """A turn of which the program hears nothing: what was done to the run from outside.

        `messages` tell how a run began that has not taken a turn of its own.
        """
        turn = Turn(self.turns_count + 1, max(now_ms, self.at_ms), tuple(messages), tuple(commands))
        self.open.fold(turn)
        self.turns_count, self.at_ms = turn.number, turn.at_ms
        return turn

    @staticmethod
    def _overdue(at_ms: int, messages: Sequence[Message]) -> Sequence[Command]:
        """How a run ends whose first turn nobody was there to take in time; nothing if it was not late."""
        due = chain.deadline(messages[0]) if isinstance(messages[0], Started) else None
        return () if due is None or due[0] > at_ms else (TimeOutRun(due[1]),)

    def _with_next(self, closing: Closing, at_ms: int) -> Closing:
        """The closing with the run that goes on for this one, if any does."""
        if isinstance(closing, ContinueRun):
            return replace(closing, next=self._inherited(closing.next))
        started = self.open.started
        if started is None or started.options is None or isinstance(closing, CancelRun | TerminateRun | ResetRun):
            return closing
        facts: dict[str, Any] = {"calls_count": self.open.children_calls_max}
        failure: Failure | None = None
        if isinstance(closing, CompleteRun):
            facts["last_result"] = closing.result
        else:
            failure = closing.failure if isinstance(closing, FailRun) else timed_out(closing.kind)
            facts["last_failure"] = failure
        again_at_ms = None if failure is None else chain.retry_at_ms(started, failure, at_ms)
        if again_at_ms is not None and started.options.chain is not None:
            facts["attempt"] = started.options.chain.attempt + 1
        elif started.options.cron is not None:
            again_at_ms = next_after(started.options.cron, at_ms)
        if again_at_ms is None:
            return closing
        following = chain.next_run(started, self.run_id, at_ms, starts_at_ms=again_at_ms, **facts)
        return replace(closing, next=self._inherited(following))

    def _inherited(self, following: NextRun) -> NextRun:
        now = self.open
        requests = [request for request in now.requests if not request.startswith(CHILD_STARTED)]
        memo = None if now.note is None else now.note.memo
        return chain.inheriting(following, memo, tuple(now.attributes.values()), requests)

    def query(self, query: Query) -> Payload:
        """Answer from the program's state."""
        assert self.program is not None
        return self.program.query(query)

    def close(self) -> None:
        """Let go of the program."""
        if self.program is not None:
            self.program.close()
