"""What a schedule decides in one step: what happens, what waits, what lapses, and when it looks again.

Pure: it changes the state that it is given and collects commands. A recall does not come here: it reads the record.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from random import Random
from typing import TypeVar

from msgspec.structs import replace

from perdure.core.command import (
    CancelChild,
    CancelTimer,
    Command,
    ParentClosePolicy,
    StartChild,
    StartTimer,
    TerminateChild,
)
from perdure.core.errors import PerdureError
from perdure.core.ids import RunId, WorkflowId, uuid7
from perdure.core.message import (
    Cancelled,
    ChildClosed,
    ChildStarted,
    Completed,
    Failed,
    Message,
    Signaled,
    TimerFired,
)
from perdure.core.payload import Payload, from_payload
from perdure.programs.schedule.state import (
    BACKFILLS_MAX,
    BUFFERED_MAX,
    RECENT_MAX,
    REQUESTS_MAX,
    RUNNING_MAX,
    Backfill,
    BackfillRequest,
    Handled,
    Overlap,
    Pause,
    Plan,
    Recent,
    Running,
    State,
    Timer,
    Trigger,
    Update,
    Wanted,
)
from perdure.programs.schedule.timetable import Timetable, jitter_ms

MOMENTS_A_STEP = 500
"""So many moments are decided upon in one step; what is left is taken at once in the next one."""
STARTS_A_STEP = 50
"""So many workflows are started by one step."""

T = TypeVar("T")


def stamp(moment_ms: int) -> str:
    """A moment as it is appended to workflow ids."""
    moment = datetime.fromtimestamp(moment_ms / 1_000, UTC)
    return moment.isoformat(timespec="milliseconds" if moment_ms % 1_000 else "seconds").replace("+00:00", "Z")


class Decision:
    """One step of a schedule."""

    def __init__(self, run_id: RunId, plan: Plan, state: State, at_ms: int) -> None:
        self._run_id = run_id
        self.plan = plan
        self.state = state
        self._at_ms = at_ms
        self._table: Timetable = plan.spec.timetable()
        self._starts_count = 0
        self.commands: list[Command] = []
        if state.cursor_ms < 0:
            state.cursor_ms = at_ms

    # What it is told

    def take(self, message: Message) -> None:
        """Note a message; what follows from it is decided by `go_on`."""
        match message:
            case Signaled():
                self._request(message)
            case TimerFired(call_id):
                if self.state.timer is not None and self.state.timer.call_id == call_id:
                    self.state.timer = None
            case ChildStarted(call_id, refusal):
                if refusal is not None:
                    self._refused(call_id)
            case ChildClosed():
                self._ended(message)
            case _:
                pass

    def _request(self, signal: Signaled) -> None:
        state = self.state
        if any(each.request_id == signal.request_id for each in state.handled):
            return
        refusal = ""
        requests: dict[str, Callable[[Payload, str], str]] = {
            "pause": self._pause,
            "unpause": self._unpause,
            "trigger": self._trigger,
            "backfill": self._backfill,
            "update": self._update,
        }
        handler = requests.get(signal.name)
        try:
            refusal = "unknown" if handler is None else handler(signal.payload, signal.request_id)
        except PerdureError as error:
            # Sent by hand, past the checks of the client: a schedule must outlive it.
            refusal = str(error)
        state.handled = [*state.handled, Handled(signal.request_id, refusal)][-REQUESTS_MAX:]

    def _pause(self, payload: Payload, _: str) -> str:
        self.state.note = _read(payload, Pause).note
        self.state.paused = True
        return ""

    def _unpause(self, payload: Payload, _: str) -> str:
        note = _read(payload, Pause).note
        # What was due while it was paused does not happen later.
        self._advance()
        self.state.note, self.state.paused = note, False
        return ""

    def _trigger(self, payload: Payload, _: str) -> str:
        overlap = _read(payload, Trigger).overlap
        self.state.asked_at_ms = max(self._at_ms, self.state.asked_at_ms + 1)
        self._want(Wanted(self.state.asked_at_ms, asked=True), overlap or self.plan.overlap)
        return ""

    def _backfill(self, payload: Payload, _: str) -> str:
        asked = _read(payload, BackfillRequest)
        if len(self.state.backfills) >= BACKFILLS_MAX:
            return f"{BACKFILLS_MAX} backfills are under way"
        self.state.backfills.append(Backfill(asked.start_ms - 1, min(asked.end_ms, self._at_ms), asked.overlap))
        return ""

    def _update(self, payload: Payload, request_id: str) -> str:
        asked = _read(payload, Update)
        if asked.version is not None and asked.version != self.state.version:
            return "changed"
        table = asked.plan.spec.timetable()
        self._advance()
        if asked.plan.actions_max != self.plan.actions_max:
            self.state.actions_left = asked.plan.actions_max
        self.plan, self._table = asked.plan, table
        self.state.planned_by = request_id
        self.state.version += 1
        self.state.cursor_ms = max(self.state.cursor_ms, self._at_ms)
        return ""

    def _refused(self, call_id: int) -> None:
        """A workflow could not start: its id has an open run."""
        for running in self._ending(call_id):
            self.state.actions_count -= 1
            if self.state.actions_left is not None and not running.asked:
                self.state.actions_left += 1
            self.state.recent = [each for each in self.state.recent if each.call_id != call_id]
            self._lapse(running.moment_ms, "refused", running.workflow_id)

    def _ended(self, message: ChildClosed) -> None:
        for running in self._ending(message.call_id):
            match message.outcome:
                case Completed():
                    status = "completed"
                case Failed(failure):
                    status = "failed" if failure.timeout is None else "timed_out"
                    if self.plan.pause_on_failure:
                        self.state.paused = True
                        self.state.note = f"{running.workflow_id} {status}: {failure.type}: {failure.message}"[:1_000]
                case Cancelled():
                    status = "cancelled"
                case _:
                    status = "terminated"
            self.state.recent = [
                replace(each, status=status) if each.call_id == message.call_id else each for each in self.state.recent
            ]

    def _ending(self, call_id: int) -> list[Running]:
        """Remove a workflow from those that run; none if it is not among them."""
        found = [each for each in self.state.running if each.call_id == call_id]
        self.state.running = [each for each in self.state.running if each.call_id != call_id]
        return found

    # What follows from it

    def go_on(self) -> None:
        """Do what is due, and set the timer for what comes next."""
        self._drain()
        due_at_ms = self._advance()
        again = self._make_up()
        self._drain()
        self._set_timer(self._at_ms if again else due_at_ms)

    def _advance(self) -> int | None:
        """Decide upon the moments that have come; return when the next one comes, None if none does."""
        state, spec, at_ms = self.state, self.plan.spec, self._at_ms
        if state.paused or state.actions_left == 0:
            state.cursor_ms = max(state.cursor_ms, at_ms)
            return None
        self._pass_over(at_ms - self.plan.catch_up_ms - spec.jitter_ms, "missed")
        for _ in range(MOMENTS_A_STEP):
            if self._lapses(self.plan.overlap):
                self._pass_over(at_ms - spec.jitter_ms, "skipped")
            moment = self._table.next_after(state.cursor_ms)
            if moment is None:
                return None
            following = self._table.next_after(moment) if spec.jitter_ms else None
            due_at_ms = moment + jitter_ms(self.plan.schedule_id, moment, following, spec.jitter_ms)
            if due_at_ms > at_ms:
                return due_at_ms
            if self._starts_count >= STARTS_A_STEP:
                return at_ms
            state.cursor_ms = moment
            if at_ms - due_at_ms > self.plan.catch_up_ms:
                self._lapse(moment, "missed")
            else:
                self._want(Wanted(moment), self.plan.overlap)
            if state.actions_left == 0:
                state.cursor_ms = max(state.cursor_ms, at_ms)
                return None
        return at_ms

    def _lapses(self, overlap: Overlap) -> bool:
        """Whether an action that is due now cannot happen, and changes nothing."""
        state = self.state
        match overlap:
            case Overlap.SKIP:
                return bool(state.running or state.buffered)
            case Overlap.BUFFER_ONE:
                return bool(state.buffered)
            case Overlap.BUFFER_ALL:
                return len(state.buffered) >= BUFFERED_MAX
            case Overlap.ALLOW_ALL:
                return len(state.running) >= RUNNING_MAX
            case Overlap.CANCEL_OTHER | Overlap.TERMINATE_OTHER:
                return False

    def _pass_over(self, until_ms: int, why: str) -> None:
        """Let all moments up to `until_ms` lapse."""
        if until_ms <= self.state.cursor_ms:
            return
        moments = self._table.between(self.state.cursor_ms, until_ms)
        for moment, _ in zip(moments, range(MOMENTS_A_STEP), strict=False):
            self._lapse(moment, why)
        self.state.cursor_ms = until_ms

    def _make_up(self) -> bool:
        """Go on with the backfills; whether there is more to do at once."""
        state = self.state
        while state.backfills:
            backfill = state.backfills[0]
            moment = self._table.next_after(backfill.after_ms)
            if moment is None or moment > backfill.until_ms:
                state.backfills.pop(0)
                continue
            if backfill.overlap is Overlap.BUFFER_ALL and (state.running or state.buffered):
                # The range itself is the buffer.
                return False
            if self._starts_count >= STARTS_A_STEP or len(state.running) >= RUNNING_MAX:
                return len(state.running) < RUNNING_MAX
            state.backfills[0] = replace(backfill, after_ms=moment)
            self._want(Wanted(moment, asked=True), backfill.overlap)
        return False

    def _want(self, wanted: Wanted, overlap: Overlap) -> None:
        """An action is due: let it happen, wait or lapse."""
        state = self.state
        if self._lapses(overlap):
            self._lapse(wanted.moment_ms, "skipped")
        elif overlap is Overlap.ALLOW_ALL or not (state.running or state.buffered):
            self._start(wanted)
        else:
            if overlap in (Overlap.CANCEL_OTHER, Overlap.TERMINATE_OTHER):
                self._end_others(terminate=overlap is Overlap.TERMINATE_OTHER)
            state.buffered.append(wanted)

    def _end_others(self, *, terminate: bool) -> None:
        state = self.state
        for waiting in state.buffered:
            self._lapse(waiting.moment_ms, "skipped")
        state.buffered = []
        for running in state.running:
            if terminate:
                self.commands.append(TerminateChild(running.call_id, "the schedule's next action is due"))
            elif not running.ending:
                self.commands.append(CancelChild(running.call_id, "the schedule's next action is due"))
        state.running = [replace(each, ending=True) for each in state.running]

    def _drain(self) -> None:
        """Let an action that waits happen, if nothing runs."""
        while self.state.buffered and not self.state.running:
            self._start(self.state.buffered.pop(0))

    def _start(self, wanted: Wanted) -> None:
        state, action = self.state, self.plan.action
        if not wanted.asked and (state.paused or state.actions_left == 0):
            self._lapse(wanted.moment_ms, "skipped")
            return
        call_id = self._new_call()
        workflow_id = WorkflowId(f"{action.workflow_id}-{stamp(wanted.moment_ms)}")
        run_id = RunId(uuid7(self._at_ms, Random(f"{self._run_id}/{call_id}")))
        policy = ParentClosePolicy.ABANDON
        kind, queue, options = action.workflow_type, action.queue, action.options
        self.commands.append(
            StartChild(call_id, run_id, workflow_id, kind, action.args, policy, queue, options=options)
        )
        self._starts_count += 1
        state.actions_count += 1
        if state.actions_left is not None and not wanted.asked:
            state.actions_left -= 1
        state.running.append(Running(call_id, workflow_id, run_id, wanted.moment_ms, asked=wanted.asked))
        recent = Recent(wanted.moment_ms, self._at_ms, "running", call_id, workflow_id, run_id)
        state.recent = [*state.recent, recent][-RECENT_MAX:]

    def _lapse(self, moment_ms: int, why: str, workflow_id: WorkflowId | None = None) -> None:
        state = self.state
        if why == "missed":
            state.missed_count += 1
        else:
            state.skipped_count += 1
        lapsed = Recent(moment_ms, self._at_ms, why, workflow_id=workflow_id)
        state.lapsed = [*state.lapsed, lapsed][-RECENT_MAX:]

    def _set_timer(self, due_at_ms: int | None) -> None:
        state = self.state
        if state.timer is not None and state.timer.due_at_ms == due_at_ms:
            return
        if state.timer is not None:
            self.commands.append(CancelTimer(state.timer.call_id))
            state.timer = None
        if due_at_ms is not None:
            state.timer = Timer(self._new_call(), due_at_ms)
            self.commands.append(StartTimer(state.timer.call_id, due_at_ms))

    def _new_call(self) -> int:
        self.state.calls_count += 1
        return self.state.calls_count


def _read(payload: Payload, kind: type[T]) -> T:
    value: T = from_payload(payload, kind, what="the request to a schedule")
    return value
