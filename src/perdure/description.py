"""What users are told of a run: plain values with `datetime`s."""

from datetime import UTC, datetime

import msgspec

from perdure.core import codec
from perdure.core.ids import RunId, WorkflowId
from perdure.core.store import RunRecord, RunStatus
from perdure.engine.engine import Description


class RunSummary(msgspec.Struct, frozen=True):
    """One line of a list of runs."""

    workflow_id: WorkflowId
    run_id: RunId
    workflow_type: str
    queue: str
    status: RunStatus
    started_at: datetime
    closed_at: datetime | None
    turns_count: int
    parked: str | None
    """Why a parked run cannot go on."""


class PendingActivity(msgspec.Struct, frozen=True):
    """An activity that has no outcome yet."""

    call_id: int
    name: str
    attempt: int
    running: bool
    next_try_at: datetime | None
    last_failure: str | None


class PendingTimer(msgspec.Struct, frozen=True):
    """A timer that has not fired yet."""

    call_id: int
    due_at: datetime


class PendingChild(msgspec.Struct, frozen=True):
    """A child workflow that has not closed yet."""

    call_id: int
    workflow_id: WorkflowId
    workflow_type: str


class RunDescription(msgspec.Struct, frozen=True):
    """A run and what it waits for."""

    run: RunSummary
    activities: tuple[PendingActivity, ...]
    timers: tuple[PendingTimer, ...]
    children: tuple[PendingChild, ...]
    messages_waiting_count: int
    """Signals and answers that the run has not taken yet."""


def moment(at_ms: int) -> datetime:
    """A moment of the store as an aware `datetime`."""
    return datetime.fromtimestamp(at_ms / 1_000, UTC)


def summarize(record: RunRecord) -> RunSummary:
    """One run for a list."""
    return RunSummary(
        workflow_id=record.workflow_id,
        run_id=record.run_id,
        workflow_type=record.workflow_type,
        queue=record.queue,
        status=record.status,
        started_at=moment(record.created_at_ms),
        closed_at=None if record.closed_at_ms is None else moment(record.closed_at_ms),
        turns_count=record.turns_count,
        parked=None if record.parked is None else codec.failures.decode(record.parked).message,
    )


def describe(found: Description, now: datetime) -> RunDescription:
    """One run with what it waits for."""
    attempts = {attempt.call_id: attempt for attempt in found.waiting.attempts}
    activities: list[PendingActivity] = []
    for call in found.activities:
        attempt = attempts.get(call.call_id)
        if attempt is None:
            continue
        waits = attempt.worker is None
        activities.append(
            PendingActivity(
                call_id=call.call_id,
                name=call.name,
                attempt=attempt.attempt,
                running=not waits,
                next_try_at=moment(attempt.due_at_ms) if waits else None,
                last_failure=None if attempt.failure is None else codec.failures.decode(attempt.failure).message,
            )
        )
    return RunDescription(
        run=summarize(found.record),
        activities=tuple(activities),
        timers=tuple(PendingTimer(timer.call_id, moment(timer.due_at_ms)) for timer in found.timers),
        children=tuple(PendingChild(child.call_id, child.workflow_id, child.workflow_type) for child in found.children),
        messages_waiting_count=sum(moment(each.visible_at_ms) <= now for each in found.waiting.messages),
    )
