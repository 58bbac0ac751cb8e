"""What follows the end of an attempt: an answer to the run, or the next attempt. Pure arithmetic."""

from typing import TypeAlias

from perdure.core import codec
from perdure.core.command import RunActivity
from perdure.core.failure import Failure
from perdure.core.message import Failed, Outcome
from perdure.core.policy import delay_ms, queue_deadline_ms
from perdure.core.store import Retry

DEATHS_MAX = 3
"""An activity under which so many workers died is quarantined: it fails and is not tried again."""

Ending: TypeAlias = Outcome | Retry


def ending(call: RunActivity, *, attempt: int, scheduled_at_ms: int, outcome: Outcome, now_ms: int) -> Ending:
    """The outcome that the run gets of attempt number `attempt`, or the `Retry` that comes instead."""
    if type(outcome) is not Failed:
        return outcome
    delay = retry_delay_ms(call, attempt=attempt, failure=outcome.failure)
    if delay is None:
        return outcome
    due_at_ms = now_ms + delay
    limit_ms = call.options.schedule_to_close_ms
    if limit_ms is not None and due_at_ms >= scheduled_at_ms + limit_ms:
        return outcome
    expires_at_ms = queue_deadline_ms(call.options, scheduled_at_ms=scheduled_at_ms, queued_at_ms=due_at_ms)
    return Retry(attempt + 1, due_at_ms, expires_at_ms, codec.failures.encode(outcome.failure))


def retry_delay_ms(call: RunActivity, *, attempt: int, failure: Failure) -> int | None:
    """How long to wait before the try after number `attempt`; None if there is none."""
    policy = call.options.retry
    if not failure.retryable or failure.type in policy.non_retryable:
        return None
    if policy.attempts_max and attempt >= policy.attempts_max:
        return None
    return delay_ms(policy, attempt + 1) if failure.next_retry_ms is None else failure.next_retry_ms


def death(call: RunActivity, *, attempt: int, deaths_count: int) -> Failure | None:
    """The failure of a call whose workers died once too often; None if it may be tried as number `attempt`."""
    if deaths_count >= DEATHS_MAX:
        message = f"quarantined: {deaths_count} workers died while they ran activity {call.name!r}"
    elif deaths_count and call.options.retry.attempts_max and attempt > call.options.retry.attempts_max:
        message = f"the worker died during the last of {call.options.retry.attempts_max} attempts"
    else:
        return None
    return Failure("WorkerDied", message, retryable=False)
