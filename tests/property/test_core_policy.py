"""What holds of waits and deadlines for all numbers."""

from hypothesis import given
from hypothesis import strategies as st

from perdure.core.policy import ActivityOptions, RetryPolicy, delay_ms, queue_deadline_ms, run_deadline

CENTURY_MS = 100 * 366 * 24 * 3600 * 1000
LENGTHS = st.integers(1, CENTURY_MS)
POLICIES = st.builds(
    RetryPolicy,
    initial_ms=LENGTHS,
    coefficient=st.floats(1.0, 1e9),
    interval_ms_max=LENGTHS,
)
ATTEMPTS = st.integers(2, 1_000_000_000)
MOMENTS = st.integers(0, 2**45)
OPTIONS = st.builds(
    ActivityOptions,
    start_to_close_ms=st.none() | LENGTHS,
    schedule_to_close_ms=st.none() | LENGTHS,
    schedule_to_start_ms=st.none() | LENGTHS,
    heartbeat_ms=st.none() | LENGTHS,
)


@given(policy=POLICIES, attempt=ATTEMPTS)
def test_a_wait_is_a_whole_number_between_nothing_and_the_longest(policy: RetryPolicy, attempt: int) -> None:
    delay = delay_ms(policy, attempt)

    assert type(delay) is int
    assert min(policy.initial_ms, policy.interval_ms_max) <= delay <= policy.interval_ms_max


@given(policy=POLICIES, attempts=st.lists(ATTEMPTS | st.integers(2, 60), min_size=2, max_size=2))
def test_waits_never_get_shorter(policy: RetryPolicy, attempts: list[int]) -> None:
    earlier, later = sorted(attempts)

    assert delay_ms(policy, earlier) <= delay_ms(policy, later)


@given(policy=POLICIES, attempt=ATTEMPTS)
def test_the_same_policy_gives_the_same_wait(policy: RetryPolicy, attempt: int) -> None:
    assert delay_ms(policy, attempt) == delay_ms(policy, attempt)


@given(options=OPTIONS, scheduled_at_ms=MOMENTS, later_ms=LENGTHS)
def test_a_queue_deadline_is_the_first_of_its_two(
    options: ActivityOptions, scheduled_at_ms: int, later_ms: int
) -> None:
    queued_at_ms = scheduled_at_ms + later_ms

    deadline = queue_deadline_ms(options, scheduled_at_ms=scheduled_at_ms, queued_at_ms=queued_at_ms)

    limits = [
        start + length
        for start, length in (
            (scheduled_at_ms, options.schedule_to_close_ms),
            (queued_at_ms, options.schedule_to_start_ms),
        )
        if length is not None
    ]
    assert deadline == (min(limits) if limits else None)


@given(options=OPTIONS, scheduled_at_ms=MOMENTS, later_ms=LENGTHS)
def test_no_attempt_may_run_beyond_any_of_its_limits(
    options: ActivityOptions, scheduled_at_ms: int, later_ms: int
) -> None:
    started_at_ms = scheduled_at_ms + later_ms

    deadline = run_deadline(options, scheduled_at_ms=scheduled_at_ms, started_at_ms=started_at_ms)

    if deadline is None:
        assert options.start_to_close_ms is options.schedule_to_close_ms is None
        return
    assert options.start_to_close_ms is None or deadline[0] <= started_at_ms + options.start_to_close_ms
    assert options.schedule_to_close_ms is None or deadline[0] <= scheduled_at_ms + options.schedule_to_close_ms
