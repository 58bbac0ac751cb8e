"""The invariants: what holds for the contents of every store at every moment, read through the port only.

Shared by the simulator, the tests and `perdure fsck`. It mends nothing. The store may be in use meanwhile: what looks
like a violation because something changed between two reads is read again.
"""

from collections import Counter
from collections.abc import AsyncIterator, Sequence

import msgspec

from perdure.core import codec
from perdure.core.command import (
    CancelActivity,
    CancelChild,
    CancelTimer,
    Closing,
    Command,
    RecordSideEffect,
    ResetRun,
    RunActivity,
    StartChild,
    StartTimer,
    TerminateRun,
)
from perdure.core.errors import PerdureError
from perdure.core.filter.tree import EVERYTHING
from perdure.core.ids import RunId, WorkerId
from perdure.core.message import (
    ActivityClosed,
    ChildClosed,
    ChildStarted,
    Message,
    Started,
    TerminateRequested,
    TimerFired,
)
from perdure.core.store import RunRecord, RunStatus, Store, Waiting, WaitingAttempt, WaitingMessage
from perdure.core.turn import Turn
from perdure.engine.commit import next_of, status_of
from perdure.engine.live import OpenCalls

RUNS_A_READ = 200
TURNS_A_READ = 500
READS_MAX = 5
"""How often a run that changes under the reader is read again before it is left to the next check."""


class Violation(msgspec.Struct, frozen=True):
    """One invariant that does not hold for one run."""

    run_id: RunId
    text: str

    def __str__(self) -> str:
        return f"run {self.run_id}: {self.text}"


class FsckReport(msgspec.Struct, frozen=True):
    """What a check found."""

    runs_count: int
    turns_count: int
    violations: tuple[Violation, ...]

    @property
    def clean(self) -> bool:
        """Whether every invariant holds."""
        return not self.violations


class _Read(msgspec.Struct, frozen=True):
    """One run as it was read: record, history and what waits belong to one moment."""

    record: RunRecord
    turns: tuple[Turn, ...]
    waiting: Waiting
    damage: tuple[str, ...]


async def fsck(store: Store) -> FsckReport:
    """Check every run of an open store."""
    runs_count = turns_count = 0
    violations: list[Violation] = []
    async for record in all_runs(store):
        runs_count += 1
        turns_count += record.turns_count
        found = await check_run(store, record.run_id)
        if found:
            # A change between two reads goes away when it is read again; a violation stays.
            again = set(await check_run(store, record.run_id))
            violations += [each for each in found if each in again]
    return FsckReport(runs_count, turns_count, tuple(violations))


async def all_runs(store: Store) -> AsyncIterator[RunRecord]:
    """Every run, newest first."""
    before: RunId | None = None
    while True:
        page = await store.list_runs(EVERYTHING, RUNS_A_READ, before)
        for record in page:
            yield record
        if len(page) < RUNS_A_READ:
            return
        before = page[-1].run_id


async def check_run(store: Store, run_id: RunId) -> list[Violation]:
    """The violations of one run; none if it does not exist, or changes too often to be read."""
    read = await _read(store, run_id)
    if read is None:
        return []
    texts = list(read.damage)
    texts += TurnsCheck(read.record, read.turns).texts()
    if not read.damage:
        texts += await _WaitingCheck(store, read).texts()
    return [Violation(run_id, text) for text in texts]


async def _read(store: Store, run_id: RunId) -> _Read | None:
    for _ in range(READS_MAX):
        before = await store.read_runs([run_id])
        if not before:
            return None
        turns, damage = await _read_turns(store, run_id)
        waiting = await store.read_waiting(run_id)
        after = await store.read_runs([run_id])
        if list(before) == list(after):
            return _Read(before[0], tuple(turns), waiting, tuple(damage))
    return None


async def _read_turns(store: Store, run_id: RunId) -> tuple[list[Turn], list[str]]:
    turns: list[Turn] = []
    damage: list[str] = []
    after = 0
    while True:
        (page,) = await store.read_turns([(run_id, after)], TURNS_A_READ)
        for data in page:
            after += 1
            try:
                turns.append(codec.turns.decode(data))
            except PerdureError as error:
                damage.append(f"turn {after}: {error}")
        if len(page) < TURNS_A_READ:
            return turns, damage


class TurnsCheck:
    """Checks a history on its own: pure."""

    def __init__(self, record: RunRecord, turns: Sequence[Turn]) -> None:
        self._record = record
        self._turns = turns
        self._found: list[str] = []
        self._open = OpenCalls()
        self._asked: dict[int, Command] = {}
        self._heard: Counter[str] = Counter()
        self._children_started: set[int] = set()

    def texts(self) -> list[str]:
        """What does not hold."""
        if [turn.number for turn in self._turns] != list(range(1, self._record.turns_count + 1)):
            numbers = [turn.number for turn in self._turns]
            self._found.append(f"its turns are numbered {numbers[:20]}, not 1 to {self._record.turns_count}")
        at_ms = 0
        for turn in self._turns:
            if turn.at_ms < at_ms:
                self._found.append(f"turn {turn.number} is at {turn.at_ms}, before the turn that precedes it ({at_ms})")
            at_ms = turn.at_ms
            self._check_turn(turn)
        self._check_closing()
        return self._found

    def _check_turn(self, turn: Turn) -> None:
        if self._open.closing is not None:
            self._found.append(f"turn {turn.number} follows the turn that closed the run")
        for index, message in enumerate(turn.inputs):
            if isinstance(message, Started) != (turn.number == 1 and index == 0):
                self._found.append(f"turn {turn.number} has {type(message).__name__} as input {index + 1}")
            self._check_input(turn, message)
            self._open.take(message)
        if turn.number == 1 and not turn.inputs:
            self._found.append("turn 1 has no start")
        for index, command in enumerate(turn.outputs):
            if isinstance(command, Closing) and index + 1 < len(turn.outputs):
                self._found.append(f"turn {turn.number} goes on after its closing command")
            self._check_output(turn, command)
            self._open.give(command)

    def _check_input(self, turn: Turn, message: Message) -> None:
        self._heard[message.id] += 1
        if self._heard[message.id] > 1:
            self._found.append(f"turn {turn.number} hears message {message.id} again")
        match message:
            case ActivityClosed(call_id):
                self._check_answer(turn, message, call_id, RunActivity)
            case TimerFired(call_id):
                self._check_answer(turn, message, call_id, StartTimer)
                timer = self._asked.get(call_id)
                if isinstance(timer, StartTimer) and turn.at_ms < timer.due_at_ms:
                    self._found.append(
                        f"turn {turn.number} at {turn.at_ms} has timer {call_id}, due at {timer.due_at_ms}"
                    )
            case ChildStarted(call_id):
                self._check_answer(turn, message, call_id, StartChild)
                self._children_started.add(call_id)
            case ChildClosed(call_id):
                self._check_answer(turn, message, call_id, StartChild)
            case TerminateRequested():
                if not (turn.outputs and isinstance(turn.outputs[-1], TerminateRun)):
                    self._found.append(f"turn {turn.number} hears a termination and does not terminate")
            case _:
                pass

    def _check_answer(self, turn: Turn, message: Message, call_id: int, kind: type[Command]) -> None:
        if not isinstance(self._open.calls.get(call_id), kind):
            self._found.append(f"turn {turn.number} has {type(message).__name__} for call {call_id}, which is not open")

    def _check_output(self, turn: Turn, command: Command) -> None:
        match command:
            case RunActivity(call_id) | StartTimer(call_id) | StartChild(call_id) | RecordSideEffect(call_id):
                if call_id in self._asked:
                    self._found.append(f"turn {turn.number} asks again as call {call_id}")
                self._asked[call_id] = command
            case CancelActivity(call_id):
                self._check_cancel(turn, call_id, RunActivity)
            case CancelTimer(call_id):
                self._check_cancel(turn, call_id, StartTimer)
            case CancelChild(call_id):
                self._check_cancel(turn, call_id, StartChild)
            case _:
                pass

    def _check_cancel(self, turn: Turn, call_id: int, kind: type[Command]) -> None:
        if not isinstance(self._open.calls.get(call_id), kind):
            self._found.append(f"turn {turn.number} cancels call {call_id}, which is not open")

    def _check_closing(self) -> None:
        record, closing = self._record, self._open.closing
        expected = RunStatus.RUNNING if closing is None else status_of(closing)
        if record.status is not expected:
            self._found.append(f"it is {record.status}, its history says {expected}")
        following = None if closing is None else next_of(closing)
        named = closing.run_id if isinstance(closing, ResetRun) else None if following is None else following.run_id
        if named is not None and record.successor != named:
            self._found.append(f"its successor is {record.successor}, its history says {named}")
        if self._turns and dict(self._open.attributes) != {each.name: each for each in record.attributes}:
            self._found.append(f"its search attributes are {record.attributes}, not as its history says")
        if (record.closed_at_ms is None) != (record.status is RunStatus.RUNNING):
            self._found.append(f"it is {record.status} and closed at {record.closed_at_ms}")
        started = self._open.started
        # Until it hears that it was forked off, the copied turns tell how another run was started.
        if started is not None and (record.origin_run_id is None or f"fork/{record.run_id}" in self._open.requests):
            facts = (started.workflow_id, started.workflow_type, started.queue)
            if facts != (record.workflow_id, record.workflow_type, record.queue):
                self._found.append("its record and its start name different workflows or queues")
            parent = None if started.parent is None else started.parent.run_id
            if parent != record.parent_run_id:
                self._found.append(f"its record has parent {record.parent_run_id}, its start {parent}")


class _WaitingCheck:
    """Checks that whatever a run waits for has an owner, and that nothing waits in vain."""

    def __init__(self, store: Store, read: _Read) -> None:
        self._store = store
        self._read = read
        self._found: list[str] = []
        self._open = OpenCalls()
        self._activities: dict[int, int] = {}
        for turn in read.turns:
            self._open.fold(turn)
            self._activities.update({c.call_id: turn.number for c in turn.outputs if isinstance(c, RunActivity)})

    async def texts(self) -> list[str]:
        """What does not hold."""
        read = self._read
        messages = self._decoded(read.waiting.messages)
        if read.record.status is not RunStatus.RUNNING:
            self._check_closed()
        else:
            self._check_attempts(read.waiting.attempts)
            await self._check_owners(messages)
            await self._check_holders()
            if not read.turns and not any(isinstance(message, Started) for message in messages.values()):
                self._found.append("it has no turn, and no start waits for it")
        return self._found

    def _decoded(self, waiting: Sequence[WaitingMessage]) -> dict[str, Message]:
        messages: dict[str, Message] = {}
        for each in waiting:
            try:
                message = codec.messages.decode(each.data)
            except PerdureError as error:
                self._found.append(f"waiting message {each.message_id}: {error}")
                continue
            messages[message.id] = message
            if message.id != each.message_id:
                self._found.append(f"message {message.id} waits under the id {each.message_id}")
            if isinstance(message, TimerFired):
                timer = self._open.calls.get(message.call_id)
                if not isinstance(timer, StartTimer):
                    self._found.append(f"a timer waits for call {message.call_id}, which is not open")
                elif each.visible_at_ms < timer.due_at_ms:
                    self._found.append(f"timer {message.call_id} is visible before it is due")
        return messages

    def _check_closed(self) -> None:
        read = self._read
        if read.waiting.messages:
            self._found.append(f"it is closed and has messages: {[each.message_id for each in read.waiting.messages]}")
        if read.waiting.attempts:
            self._found.append(f"it is closed and has attempts: {[each.call_id for each in read.waiting.attempts]}")
        if read.record.worker is not None or read.record.parked is not None:
            self._found.append("it is closed, and held or parked")

    def _check_attempts(self, attempts: Sequence[WaitingAttempt]) -> None:
        for each in attempts:
            what = f"the attempt of call {each.call_id}"
            if self._activities.get(each.call_id) != each.turn_number:
                self._found.append(f"{what} names turn {each.turn_number}, which did not ask for it")
            if not each.cancelled and each.call_id not in self._open.calls:
                self._found.append(f"{what} goes on, but the call is not open")
            if each.cancelled and each.worker is None:
                self._found.append(f"{what} is cancelled and waits for a worker")
            if each.attempt < 1 or each.deaths_count < 0:
                self._found.append(f"{what} has number {each.attempt} after {each.deaths_count} deaths")

    async def _check_owners(self, messages: dict[str, Message]) -> None:
        attempts = {each.call_id: each for each in self._read.waiting.attempts}
        for call_id, call in self._open.calls.items():
            match call:
                case RunActivity():
                    answered = f"a{call_id}" in messages
                    attempt = attempts.get(call_id)
                    if attempt is not None and attempt.name != call.name:
                        self._found.append(f"call {call_id} is activity {call.name!r}, its attempt {attempt.name!r}")
                    if answered and attempt is not None:
                        self._found.append(f"activity {call_id} was answered and is still tried")
                    if not answered and attempt is None:
                        self._found.append(f"activity {call_id} has no attempt, and no answer waits")
                case StartTimer():
                    if f"t{call_id}" not in messages:
                        self._found.append(f"timer {call_id} does not wait")
                case StartChild():
                    await self._check_child(call, messages)

    async def _check_child(self, call: StartChild, messages: dict[str, Message]) -> None:
        started = messages.get(f"b{call.call_id}")
        refused = isinstance(started, ChildStarted) and started.refusal is not None
        if refused or f"c{call.call_id}" in messages:
            return
        options = None if self._open.started is None else self._open.started.options
        # A child that was handed over is the child of a run before, which may have heard that it started.
        handed_over = options is not None and options.chain is not None and call.call_id <= options.chain.calls_count
        # So is one of the run that it begins with, as long as it has not heard that it was forked off.
        record = self._read.record
        handed_over |= record.origin_run_id is not None and f"fork/{record.run_id}" not in self._open.requests
        if started is None and f"b{call.call_id}" not in self._open.requests and not handed_over:
            self._found.append(f"nobody said whether child {call.call_id} started")
        child = next(iter(await self._store.read_runs([call.run_id])), None)
        if child is None:
            self._found.append(f"child {call.call_id} is run {call.run_id}, which does not exist")
        elif child.workflow_id != call.workflow_id or (
            child.parent_run_id != self._read.record.run_id and not handed_over
        ):
            self._found.append(f"child {call.call_id} is run {call.run_id}, which is somebody else's")
        elif child.status is not RunStatus.RUNNING and child.successor is None:
            self._found.append(f"child {call.call_id} is {child.status}, and its answer does not wait")

    async def _check_holders(self) -> None:
        holders: dict[WorkerId, str] = {
            each.worker: f"the attempt of call {each.call_id}" for each in self._read.waiting.attempts if each.worker
        }
        if self._read.record.worker is not None:
            holders[self._read.record.worker] = "it"
            if self._read.record.parked is not None:
                self._found.append("it is held, and parked")
        if holders:
            leases = set(await self._store.leaseholders())
            self._found += [
                f"{what} is held by {who}, who has no lease" for who, what in holders.items() if who not in leases
            ]
