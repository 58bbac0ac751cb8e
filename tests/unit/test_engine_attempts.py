"""What follows the end of an attempt: the truth table of retries, timeouts and deaths."""

from typing import Any

import pytest

from perdure.core import codec
from perdure.core.failure import Failure, cancelled, timed_out
from perdure.core.message import Cancelled, Completed, Failed, Outcome
from perdure.core.payload import NULL
from perdure.core.policy import ActivityOptions, RetryPolicy, TimeoutKind
from perdure.core.store import SUSPECT_DEATHS, Retry
from perdure.engine.attempts import DEATHS_MAX, death, ending, retry_delay_ms
from tests.unit.engine_world import activity

SCHEDULED_AT_MS = 1_000_000
NOW_MS = 1_005_000
FAILURE = Failure("ValueError", "no")


def options(*, retry: RetryPolicy | None = None, **limits: Any) -> ActivityOptions:
    """Options of a call."""
    return ActivityOptions(retry=retry or RetryPolicy(), **limits)


def ended(outcome: Outcome, *, attempt: int = 1, **facts: Any) -> Outcome | Retry:
    """What follows `outcome` at `NOW_MS`."""
    return ending(
        activity(1, options=options(**facts)),
        attempt=attempt,
        scheduled_at_ms=SCHEDULED_AT_MS,
        outcome=outcome,
        now_ms=NOW_MS,
    )


@pytest.mark.parametrize("outcome", [Completed(NULL), Cancelled(cancelled("enough"))])
def test_what_is_no_failure_is_the_answer(outcome: Outcome) -> None:
    assert ended(outcome) is outcome


def test_a_failure_is_tried_again_after_the_policys_wait() -> None:
    assert ended(Failed(FAILURE), attempt=3) == Retry(
        4, NOW_MS + 4_000, None, codec.failures.encode(FAILURE), heartbeat=None
    )


@pytest.mark.parametrize("attempts_max", [0, 2, 3])
def test_tries_end_where_the_policy_says(attempts_max: int) -> None:
    answers = [
        ended(Failed(FAILURE), attempt=number, retry=RetryPolicy(attempts_max=attempts_max))
        for number in (1, 2, 3, 500)
    ]

    assert [isinstance(answer, Retry) for answer in answers] == [
        attempts_max == 0 or number < attempts_max for number in (1, 2, 3, 500)
    ]


@pytest.mark.parametrize(
    ("failure", "again"),
    [
        (FAILURE, True),
        (Failure("ValueError", "no", retryable=False), False),
        (Failure("Declined", "no"), False),
        (Failure("declined", "no"), True),
        (Failure("Error", "no", cause=Failure("Declined", "beneath")), True),
        (timed_out(TimeoutKind.START_TO_CLOSE, None), True),
        (timed_out(TimeoutKind.HEARTBEAT, None), True),
        (timed_out(TimeoutKind.SCHEDULE_TO_START, None), False),
        (timed_out(TimeoutKind.SCHEDULE_TO_CLOSE, None), False),
    ],
)
def test_some_failures_are_final(failure: Failure, *, again: bool) -> None:
    answer = ended(Failed(failure), retry=RetryPolicy(non_retryable=("Declined",)))

    assert isinstance(answer, Retry) is again
    assert again or answer == Failed(failure)


@pytest.mark.parametrize(
    ("failure", "attempt", "delay_ms"),
    [
        (FAILURE, 1, 1_000),
        (FAILURE, 2, 2_000),
        (Failure("E", "x", next_retry_ms=70), 2, 70),
        (Failure("E", "x", next_retry_ms=0), 2, 0),
        (Failure("E", "x", next_retry_ms=10**9), 1, 10**9),
        (Failure("E", "x", next_retry_ms=70, retryable=False), 1, None),
        (Failure("E", "x", next_retry_ms=70), 5, None),
    ],
)
def test_the_error_itself_may_say_how_soon(failure: Failure, attempt: int, delay_ms: int | None) -> None:
    call = activity(1, options=options(retry=RetryPolicy(attempts_max=5)))

    assert retry_delay_ms(call, attempt=attempt, failure=failure) == delay_ms


@pytest.mark.parametrize(("limit_ms", "again"), [(6_000, False), (6_001, True), (5_000, False), (1, False)])
def test_no_try_is_begun_that_would_come_too_late(limit_ms: int, *, again: bool) -> None:
    answer = ended(Failed(FAILURE), schedule_to_close_ms=limit_ms)

    assert isinstance(answer, Retry) is again
    assert again or answer == Failed(FAILURE)


def test_the_next_try_expires_by_both_limits() -> None:
    both = ended(Failed(FAILURE), schedule_to_close_ms=60_000, schedule_to_start_ms=500)
    one = ended(Failed(FAILURE), schedule_to_close_ms=60_000)

    assert isinstance(both, Retry)
    assert isinstance(one, Retry)
    assert both.expires_at_ms == NOW_MS + 1_000 + 500
    assert one.expires_at_ms == SCHEDULED_AT_MS + 60_000


def test_a_delay_of_the_longest_length_gives_a_moment_that_can_be_stored() -> None:
    answer = ended(Failed(Failure("E", "x", next_retry_ms=86_399_999_999_999_999)))

    assert isinstance(answer, Retry)
    assert answer.due_at_ms < 2**63


# Deaths


@pytest.mark.parametrize("deaths_count", range(DEATHS_MAX + 3))
def test_an_activity_that_kills_its_workers_is_quarantined(deaths_count: int) -> None:
    failure = death(activity(1), attempt=deaths_count + 1, deaths_count=deaths_count)

    assert (failure is not None) is (deaths_count >= DEATHS_MAX)
    if failure is not None:
        assert failure == Failure(
            "WorkerDied",
            f"quarantined: {deaths_count} workers died while they ran activity 'charge'",
            retryable=False,
        )


def test_an_activity_is_suspected_before_it_is_quarantined() -> None:
    assert 1 < SUSPECT_DEATHS < DEATHS_MAX


@pytest.mark.parametrize(
    ("attempt", "deaths_count", "attempts_max", "message"),
    [
        (1, 0, 1, None),
        (2, 1, 0, None),
        (2, 1, 2, None),
        (2, 1, 1, "the worker died during the last of 1 attempts"),
        (4, 2, 3, "the worker died during the last of 3 attempts"),
        (4, 3, 3, "quarantined: 3 workers died while they ran activity 'charge'"),
        # Without a death the tries are counted where they end, not where they begin.
        (4, 0, 3, None),
    ],
)
def test_a_death_counts_as_a_try(attempt: int, deaths_count: int, attempts_max: int, message: str | None) -> None:
    call = activity(1, options=options(retry=RetryPolicy(attempts_max=attempts_max)))

    failure = death(call, attempt=attempt, deaths_count=deaths_count)

    assert failure == (None if message is None else Failure("WorkerDied", message, retryable=False))


def test_a_death_is_the_answer_and_not_another_try() -> None:
    failure = death(activity(1), attempt=4, deaths_count=3)
    assert failure is not None

    assert ended(Failed(failure), attempt=4) == Failed(failure)
