"""Claimed attempts as jobs, and those that shall not run: their deadline has passed, or they killed their workers."""

from typing import Any

from perdure.core import codec
from perdure.core.command import RunActivity
from perdure.core.failure import timed_out
from perdure.core.message import Failed, Outcome
from perdure.core.policy import TimeoutKind
from perdure.core.store import ClaimedAttempt
from perdure.engine import later
from perdure.engine.attempts import death
from perdure.programs.code.definition import Activity
from perdure.worker.job import Job


def _elsewhere() -> None:
    raise AssertionError("an activity that is not registered here never runs here")


ELSEWHERE: "Activity[[], None]" = Activity(_elsewhere)
"""Stands for the activity of an attempt that only comes here to be ended."""


def claimed_job(each: ClaimedAttempt, call: RunActivity, definition: "Activity[..., Any]", scheduled_at_ms: int) -> Job:
    """What the attempt needs to run."""
    return Job(
        each.run_id,
        each.workflow_id,
        call,
        definition,
        attempt=each.attempt,
        scheduled_at_ms=scheduled_at_ms,
        heartbeat=() if each.heartbeat is None else codec.heartbeats.decode(each.heartbeat),
        last_failure=None if each.failure is None else codec.failures.decode(each.failure),
    )


def stillborn(each: ClaimedAttempt, job: Job, now_ms: int) -> Outcome | None:
    """The outcome of an attempt that shall not run; None if it shall."""
    if each.expired:
        return Failed(timed_out(_overdue(each, job, now_ms), job.last_failure, job.heartbeat))
    failure = death(job.call, attempt=each.attempt, deaths_count=each.deaths_count)
    return None if failure is None else Failed(failure)


def _overdue(each: ClaimedAttempt, job: Job, now_ms: int) -> TimeoutKind:
    options = job.call.options
    began_at_ms = later.started_at_ms(each.queued_at_ms)
    if began_at_ms is not None:
        job.started_at_ms = began_at_ms
        return later.overdue(options, scheduled_at_ms=job.scheduled_at_ms, started_at_ms=began_at_ms, now_ms=now_ms)
    limit_ms = options.schedule_to_close_ms
    late = limit_ms is not None and job.scheduled_at_ms + limit_ms <= now_ms
    return TimeoutKind.SCHEDULE_TO_CLOSE if late else TimeoutKind.SCHEDULE_TO_START
