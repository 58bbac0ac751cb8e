"""A schedule as a program: it decides once, and a recall reads what was recorded.

Each turn that changes something records the whole state as a side effect, so that the history tells what the schedule
knew, and neither a mended interpreter nor new zone data can change what has happened.
"""

from collections.abc import Sequence
from itertools import islice

from msgspec.structs import replace

from perdure.core.chain import next_run
from perdure.core.command import CancelRun, Command, ContinueRun, RecordSideEffect
from perdure.core.errors import UnknownQuery
from perdure.core.failure import Failure
from perdure.core.ids import RunId
from perdure.core.message import CancelRequested, Message, OpenChild, Query, Signaled, Started
from perdure.core.payload import Payload, from_payload, to_payload
from perdure.core.turn import Turn
from perdure.programs.schedule.decide import Decision
from perdure.programs.schedule.state import NAME, RECENT_MAX, Described, Plan, State, Update

TURNS_MAX = 500
"""A run with so many turns goes on as a new one."""


class ScheduleProgram:
    """Makes runs of schedules."""

    def __init__(self, *, turns_max: int = TURNS_MAX) -> None:
        self._turns_max = turns_max

    @property
    def name(self) -> str:
        """The workflow type."""
        return NAME

    def open(self, run_id: RunId) -> "ScheduleRun":
        """A fresh run that has seen nothing yet."""
        return ScheduleRun(run_id, self._turns_max)


class ScheduleRun:
    """One run of a schedule; the runs of one schedule follow each other."""

    __slots__ = ("_run_id", "_turns_count", "_turns_max", "plan", "started", "state")

    def __init__(self, run_id: RunId, turns_max: int) -> None:
        self._run_id = run_id
        self._turns_max = turns_max
        self._turns_count = 0
        self.started: Started | None = None
        self.plan: Plan | None = None
        self.state = State()

    def step(self, at_ms: int, messages: Sequence[Message]) -> Sequence[Command]:
        """See `ProgramRun`."""
        # A turn that was told only what was known already has no messages.
        if messages and isinstance(messages[0], Started):
            self.begin(messages[0])
        assert self.started is not None, "the first message of a run is its start"
        assert self.plan is not None, "the first message of a run is its start"
        before = to_payload(self.state)
        decision = Decision(self._run_id, self.plan, self.state, at_ms)
        for message in messages:
            decision.take(message)
        cancelled = next((each for each in messages if isinstance(each, CancelRequested)), None)
        if cancelled is not None:
            self.plan = decision.plan
            return [CancelRun(Failure("CancelledError", cancelled.reason, retryable=False))]
        decision.go_on()
        self.plan = decision.plan
        self._turns_count += 1
        commands = decision.commands
        if self._turns_count >= self._turns_max:
            return [*commands, self._continued(at_ms)]
        if to_payload(self.state) == before:
            return commands
        self.state.calls_count += 1
        return [*commands, RecordSideEffect(self.state.calls_count, to_payload(self.state))]

    def begin(self, started: Started) -> None:
        """Know what it was started with."""
        self.started = started
        self.plan = from_payload(started.args[0], Plan, what="the plan of a schedule")
        self.state = from_payload(started.args[1], State, what="the state of a schedule")

    def _continued(self, at_ms: int) -> ContinueRun:
        """Go on with a fresh history; what runs is handed over."""
        assert self.started is not None, "the first message of a run is its start"
        assert self.plan is not None, "the first message of a run is its start"
        self.state.timer = None
        self.state.planned_by = ""
        kind = self.plan.action.workflow_type
        children = [OpenChild(each.call_id, each.run_id, each.workflow_id, kind) for each in self.state.running]
        calls_count = self.state.calls_count
        following = next_run(self.started, self._run_id, at_ms, calls_count=calls_count, children=children)
        args = to_payload(self.plan), to_payload(self.state)
        return ContinueRun(replace(following, started=replace(following.started, args=args)))

    def recall(self, turn: Turn) -> None:
        """See `ProgramRun`. Decides nothing: what was decided is recorded."""
        self._turns_count += 1
        for message in turn.inputs:
            if isinstance(message, Started):
                self.begin(message)
        planned_by = self.state.planned_by
        for command in turn.outputs:
            if isinstance(command, RecordSideEffect):
                self.state = from_payload(command.value, State, what="the state of a schedule")
        if self.state.planned_by not in ("", planned_by):
            for message in turn.inputs:
                if isinstance(message, Signaled) and message.request_id == self.state.planned_by:
                    self.plan = from_payload(message.payload, Update, what="an update of a schedule").plan

    def query(self, query: Query) -> Payload:
        """See `ProgramRun`. `describe` takes the moment of the question, in ms."""
        if query.name != "describe" or self.plan is None:
            workflow_id = self._run_id if self.started is None else self.started.workflow_id
            raise UnknownQuery(workflow_id=workflow_id, name=query.name, known="describe")
        now_ms = from_payload(query.args[0], int, what="the moment of a question") if query.args else 0
        state = self.state
        moments = () if state.paused or state.actions_left == 0 else self._next(max(now_ms, state.cursor_ms))
        return to_payload(Described(self.plan, state, tuple(moments)))

    def _next(self, after_ms: int) -> list[int]:
        assert self.plan is not None
        return list(islice(self.plan.spec.timetable().after(after_ms), RECENT_MAX))

    def close(self) -> None:
        """See `ProgramRun`."""
