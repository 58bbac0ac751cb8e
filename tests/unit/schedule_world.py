"""One schedule on a live run in a time of its own: timers fire in turn, workflows end when a test says so.

After every turn a fresh run recalls the history and must know what the first one knows.
"""

from datetime import UTC, datetime
from typing import Any

import msgspec
from msgspec.structs import replace

from perdure.core.command import CancelChild, ContinueRun, StartChild, StartTimer, TerminateChild
from perdure.core.failure import Failure
from perdure.core.ids import RunId, WorkflowId
from perdure.core.message import (
    Cancelled,
    ChildClosed,
    ChildStarted,
    Completed,
    Failed,
    Message,
    Outcome,
    Query,
    Signaled,
    Started,
    Terminated,
    TimerFired,
)
from perdure.core.payload import NULL, from_payload, to_payload
from perdure.core.turn import Turn
from perdure.engine.live import LiveRun
from perdure.programs.schedule.program import ScheduleProgram
from perdure.programs.schedule.spec import ScheduleSpec
from perdure.programs.schedule.state import Action, Described, Overlap, Plan, State

HOUR_MS = 3_600_000
START_MS = round(datetime(2026, 11, 20, tzinfo=UTC).timestamp() * 1_000)
"""A Friday at midnight."""


def hour(number: float) -> int:
    """A moment so many hours after the schedule was made."""
    return START_MS + round(number * HOUR_MS)


def plan_of(spec: ScheduleSpec | None = None, **others: Any) -> Plan:
    """A plan; hourly if nothing else is said."""
    spec = ScheduleSpec(crons=["@hourly"]) if spec is None else spec
    return Plan("s", spec.recorded(), Action("report", "report"), **others)


class Bench:
    """One schedule."""

    def __init__(self, plan: Plan, state: State | None = None, *, turns_max: int = 500) -> None:
        self.at_ms = START_MS
        self.program = ScheduleProgram(turns_max=turns_max)
        self.children: list[StartChild] = []
        """All that were started, in order."""
        self.open: set[int] = set()
        """Call ids of those that run."""
        self.asked: list[CancelChild | TerminateChild] = []
        self.turns_count = 0
        self.runs_count = 0
        self._requests_count = 0
        started = Started("perdure.schedule", WorkflowId("w"), "q", (to_payload(plan), to_payload(state or State())))
        self._begin(RunId("run"), started)

    def _begin(self, run_id: RunId, started: Started) -> None:
        self.runs_count += 1
        self.live = LiveRun(run_id, started.workflow_id, self.program.open(run_id))
        self.turns: list[Turn] = []
        self.timers: dict[int, int] = {}
        self.tell(started)

    @property
    def state(self) -> State:
        """What the schedule remembers."""
        return self.described.state

    @property
    def described(self) -> Described:
        """What it answers."""
        answer = self.live.query(Query("describe", (to_payload(self.at_ms),)))
        described: Described = from_payload(answer, Described)
        return described

    def tell(self, *messages: Message) -> None:
        """Take one turn."""
        turn = self.live.take_turn(self.at_ms, self.live.fresh(messages))
        self.turns.append(msgspec.msgpack.decode(msgspec.msgpack.encode(turn), type=Turn))
        self.turns_count += 1
        self.timers = {id: due for id, due in self.timers.items() if id in self.live.open.calls}
        for command in turn.outputs:
            match command:
                case StartTimer(call_id, due_at_ms):
                    self.timers[call_id] = due_at_ms
                case StartChild():
                    self.children.append(command)
                    self.open.add(command.call_id)
                case CancelChild() | TerminateChild():
                    self.asked.append(command)
                case ContinueRun(following):
                    assert following is not None
                    self._begin(following.run_id, following.started)
                    return
                case _:
                    pass
        self._check_recall()

    def _check_recall(self) -> None:
        again = LiveRun(self.live.run_id, self.live.workflow_id, self.program.open(self.live.run_id))
        again.recall(self.turns)
        question = Query("describe", (to_payload(self.at_ms),))
        assert again.query(question) == self.live.query(question)

    def until(self, at_ms: int) -> None:
        """Let time pass; timers fire one by one."""
        while self.timers and min(self.timers.values()) <= at_ms:
            call_id = min(self.timers, key=lambda id: self.timers[id])
            self.at_ms = max(self.at_ms, self.timers[call_id])
            self.tell(TimerFired(call_id))
        self.at_ms = at_ms

    def sleep(self, at_ms: int) -> None:
        """Nobody works until then; what was due comes at once."""
        self.at_ms = at_ms
        due = sorted((due, id) for id, due in self.timers.items() if due <= at_ms)
        self.tell(*(TimerFired(id) for _, id in due))
        self.until(at_ms)

    def end(self, call_id: int, outcome: Outcome | None = None) -> None:
        """A workflow ends."""
        self.open.discard(call_id)
        self.tell(ChildClosed(call_id, Completed(NULL) if outcome is None else outcome))

    def end_all(self) -> None:
        """Whatever runs now completes."""
        for call_id in sorted(self.open):
            self.end(call_id)

    def refuse(self, call_id: int) -> None:
        """A workflow could not start."""
        self.open.discard(call_id)
        self.tell(ChildStarted(call_id, Failure("AlreadyRunning", "it has an open run")))

    def signal(self, name: str, value: object, request_id: str | None = None) -> None:
        """Send a request."""
        self._requests_count += 1
        self.tell(Signaled(name, to_payload(value), request_id or f"r{self._requests_count}"))

    @property
    def hours(self) -> list[float]:
        """For which moments workflows were started, in hours after the schedule was made."""
        found: list[float] = []
        for child in self.children:
            moment = datetime.fromisoformat(child.workflow_id.removeprefix("report-"))
            found.append((moment.timestamp() * 1_000 - START_MS) / HOUR_MS)
        return found


def failed(text: str = "no") -> Failed:
    """An outcome."""
    return Failed(Failure("ValueError", text))


def cancelled() -> Cancelled:
    """An outcome."""
    return Cancelled(Failure("CancelledError", ""))


def terminated() -> Terminated:
    """An outcome."""
    return Terminated("")


def with_overlap(overlap: Overlap, **others: Any) -> Plan:
    """An hourly plan with an overlap policy."""
    return replace(plan_of(**others), overlap=overlap)
