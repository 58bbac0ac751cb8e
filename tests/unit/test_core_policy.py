"""Retry and timeout arithmetic, by example. What holds for all numbers is in tests/property."""

import pytest

from perdure.core.policy import (
    ActivityOptions,
    RetryPolicy,
    TimeoutKind,
    delay_ms,
    queue_deadline_ms,
    run_deadline,
)


def test_the_defaults_are_those_of_the_field() -> None:
    assert [delay_ms(RetryPolicy(), attempt) for attempt in range(2, 11)] == [
        1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 64_000, 100_000, 100_000,
    ]  # fmt: skip


def test_a_coefficient_of_one_keeps_the_wait() -> None:
    policy = RetryPolicy(initial_ms=300, coefficient=1.0)

    assert {delay_ms(policy, attempt) for attempt in (2, 3, 1_000_000_000)} == {300}


def test_the_first_wait_is_capped_too() -> None:
    assert delay_ms(RetryPolicy(initial_ms=5_000, interval_ms_max=1_000), 2) == 1_000
    assert delay_ms(RetryPolicy(initial_ms=5_000, interval_ms_max=1_000, coefficient=1.0), 2) == 1_000


def test_a_wait_that_no_float_can_hold_is_the_longest_one() -> None:
    assert delay_ms(RetryPolicy(), 10_000) == 100_000
    assert delay_ms(RetryPolicy(initial_ms=10**12, coefficient=1e9, interval_ms_max=10**13), 36) == 10**13


@pytest.mark.parametrize(
    ("options", "deadline"),
    [
        (ActivityOptions(), None),
        (ActivityOptions(start_to_close_ms=1, heartbeat_ms=1), None),
        (ActivityOptions(schedule_to_close_ms=500), 1_500),
        (ActivityOptions(schedule_to_start_ms=500), 2_500),
        (ActivityOptions(schedule_to_close_ms=2_000, schedule_to_start_ms=500), 2_500),
        (ActivityOptions(schedule_to_close_ms=1_200, schedule_to_start_ms=500), 2_200),
    ],
)
def test_a_wait_in_the_queue_ends_at_the_earlier_deadline(options: ActivityOptions, deadline: int | None) -> None:
    assert queue_deadline_ms(options, scheduled_at_ms=1_000, queued_at_ms=2_000) == deadline


@pytest.mark.parametrize(
    ("options", "deadline"),
    [
        (ActivityOptions(), None),
        (ActivityOptions(schedule_to_start_ms=1, heartbeat_ms=1), None),
        (ActivityOptions(start_to_close_ms=500), (2_500, TimeoutKind.START_TO_CLOSE)),
        (ActivityOptions(schedule_to_close_ms=5_000), (6_000, TimeoutKind.SCHEDULE_TO_CLOSE)),
        (ActivityOptions(start_to_close_ms=500, schedule_to_close_ms=5_000), (2_500, TimeoutKind.START_TO_CLOSE)),
        (ActivityOptions(start_to_close_ms=5_000, schedule_to_close_ms=1_100), (2_100, TimeoutKind.SCHEDULE_TO_CLOSE)),
    ],
)
def test_a_started_attempt_ends_at_the_earlier_deadline(
    options: ActivityOptions, deadline: tuple[int, TimeoutKind] | None
) -> None:
    assert run_deadline(options, scheduled_at_ms=1_000, started_at_ms=2_000) == deadline


def test_of_two_equal_deadlines_the_one_without_another_try_wins() -> None:
    options = ActivityOptions(start_to_close_ms=500, schedule_to_close_ms=1_500)

    assert run_deadline(options, scheduled_at_ms=1_000, started_at_ms=2_000) == (2_500, TimeoutKind.SCHEDULE_TO_CLOSE)
