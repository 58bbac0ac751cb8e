"""Retry and timeout arithmetic: pure functions on milliseconds."""

from enum import StrEnum

import msgspec

from perdure.core.rank import Rank


class RetryPolicy(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """How often and how soon an activity is tried again. Defaults: Temporal's, specs/temporal.md 1.1."""

    initial_ms: int = 1_000
    coefficient: float = 2.0
    interval_ms_max: int = 100_000
    attempts_max: int = 0
    """0 means no limit."""
    non_retryable: tuple[str, ...] = ()
    """Names of exception types that end the activity at once."""


class TimeoutKind(StrEnum):
    """Which deadline passed: one of an activity's four, or one of a workflow's two."""

    START_TO_CLOSE = "start_to_close"
    SCHEDULE_TO_CLOSE = "schedule_to_close"
    SCHEDULE_TO_START = "schedule_to_start"
    HEARTBEAT = "heartbeat"
    RUN = "run"
    EXECUTION = "execution"


class ActivityOptions(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What a workflow asks of one activity call beside its name and arguments; None means no limit."""

    retry: RetryPolicy = RetryPolicy()
    start_to_close_ms: int | None = None
    schedule_to_close_ms: int | None = None
    schedule_to_start_ms: int | None = None
    heartbeat_ms: int | None = None
    rank: Rank | None = None
    """None: that of the run."""


def delay_ms(policy: RetryPolicy, attempt: int) -> int:
    """Wait before try number `attempt` (2 is the first retry), at most `policy.interval_ms_max`.

    No jitter: claims already spread, and a fixed value replays.
    """
    if policy.coefficient == 1.0:
        return min(policy.initial_ms, policy.interval_ms_max)
    try:
        delay = policy.initial_ms * policy.coefficient ** (attempt - 2)
    except OverflowError:
        return policy.interval_ms_max
    return int(min(delay, policy.interval_ms_max))


DEATH_DELAY_MS = 1_000
"""Wait after the second death of a worker; each further one doubles it."""
DEATH_DELAY_MS_MAX = 60_000


def death_delay_ms(deaths_count: int) -> int:
    """Wait before work is handed out again under which so many workers died.

    The first death is hardly ever the fault of the work, and a machine that goes down takes much of it along.
    """
    if deaths_count < 2:
        return 0
    return min(DEATH_DELAY_MS << min(deaths_count - 2, 10), DEATH_DELAY_MS_MAX)


def queue_deadline_ms(options: ActivityOptions, *, scheduled_at_ms: int, queued_at_ms: int) -> int | None:
    """The moment at which an attempt that still waits in its queue must end; None if it may wait for ever."""
    deadlines: list[int] = []
    if options.schedule_to_close_ms is not None:
        deadlines.append(scheduled_at_ms + options.schedule_to_close_ms)
    if options.schedule_to_start_ms is not None:
        deadlines.append(queued_at_ms + options.schedule_to_start_ms)
    return min(deadlines, default=None)


def run_deadline(
    options: ActivityOptions, *, scheduled_at_ms: int, started_at_ms: int
) -> tuple[int, TimeoutKind] | None:
    """The moment at which a started attempt must end, and as which timeout; None if it may run for ever."""
    deadlines: list[tuple[int, TimeoutKind]] = []
    if options.start_to_close_ms is not None:
        deadlines.append((started_at_ms + options.start_to_close_ms, TimeoutKind.START_TO_CLOSE))
    if options.schedule_to_close_ms is not None:
        deadlines.append((scheduled_at_ms + options.schedule_to_close_ms, TimeoutKind.SCHEDULE_TO_CLOSE))
    return min(deadlines, default=None)
