"""Deadlines and heartbeats, in virtual time."""

import asyncio
import threading
from typing import Any

import pytest

from perdure import activity
from perdure.activity import ActivityCancelled
from perdure.core import codec
from perdure.core.failure import Failure
from perdure.core.policy import ActivityOptions, TimeoutKind
from perdure.core.store import Beat
from perdure.worker.deadlines import CLEAN_ENTRIES_MIN
from tests.unit.runner_world import World, defined, details_of, in_virtual_time, world


@defined
async def wait_for_ever() -> None:
    await asyncio.Event().wait()


@defined
async def take_ms(ms: int) -> int:
    await asyncio.sleep(ms / 1_000)
    return ms


def sent(beats: list[Beat]) -> list[list[Any] | None]:
    """The details of beats as plain values."""
    return [None if beat.details is None else details_of(codec.heartbeats.decode(beat.details)) for beat in beats]


@pytest.mark.parametrize(
    ("options", "kind", "retryable"),
    [
        (ActivityOptions(start_to_close_ms=5_000), TimeoutKind.START_TO_CLOSE, True),
        (ActivityOptions(schedule_to_close_ms=6_000), TimeoutKind.SCHEDULE_TO_CLOSE, False),
        (ActivityOptions(heartbeat_ms=5_000), TimeoutKind.HEARTBEAT, True),
        (
            ActivityOptions(start_to_close_ms=5_000, schedule_to_close_ms=90_000, heartbeat_ms=80_000),
            TimeoutKind.START_TO_CLOSE,
            True,
        ),
    ],
)
@in_virtual_time
async def test_an_attempt_fails_when_its_deadline_has_passed(
    options: ActivityOptions, kind: TimeoutKind, *, retryable: bool
) -> None:
    last = Failure("ValueError", "the time before")
    async with world() as its:
        scheduled_at_ms = its.clock.now_ms() - 1_000
        job = its.start(wait_for_ever, options=options, scheduled_at_ms=scheduled_at_ms, attempt=2, last_failure=last)
        failure = await its.failure(job)

        assert (failure.timeout, failure.retryable, failure.cause) == (kind, retryable, last)
        assert its.clock.now_ms() - job.started_at_ms == 5_000


@in_virtual_time
async def test_an_attempt_that_ends_in_time_is_not_touched_by_its_deadline() -> None:
    options = ActivityOptions(start_to_close_ms=5_000, schedule_to_close_ms=5_000, heartbeat_ms=4_999)
    async with world() as its:
        job = its.start(take_ms, 4_998, options=options)

        assert await its.result(job) == 4_998
        await its.pass_ms(10_000)
        assert len(its.batches) == 1


@in_virtual_time
async def test_earlier_deadlines_ring_first_whatever_the_order_of_starting() -> None:
    async with world() as its:
        ends = [9_000, 1_000, 5_000, 1_000]
        for ms in ends:
            its.start(wait_for_ever, options=ActivityOptions(start_to_close_ms=ms))
        await its.until(lambda: len(its.outcomes) == 4)

    assert list(its.outcomes) == [2, 4, 3, 1]
    assert [len(batch) for batch in its.batches] == [2, 1, 1]


@in_virtual_time
async def test_the_clock_of_an_attempt_that_waits_for_room_does_not_run() -> None:
    options = ActivityOptions(start_to_close_ms=1_500)
    async with world({"activities_max": 1}) as its:
        jobs = [its.start(take_ms, 1_000, options=options) for _ in range(3)]

        assert [await its.result(job) for job in jobs] == [1_000, 1_000, 1_000]


@in_virtual_time
async def test_an_attempt_whose_time_was_over_before_it_started_never_runs() -> None:
    ran: list[int] = []

    @defined
    async def run() -> None:
        ran.append(1)

    async with world({"activities_max": 1}) as its:
        its.start(take_ms, 1_000)
        late = its.start(run, options=ActivityOptions(schedule_to_close_ms=800))
        last = its.start(take_ms, 1)

        assert (await its.failure(late)).timeout == TimeoutKind.SCHEDULE_TO_CLOSE
        assert await its.result(last) == 1
        assert ran == []
        assert its.runner.has_room(run)


@in_virtual_time
async def test_after_its_deadline_an_attempt_is_cancelled_and_its_result_ignored() -> None:
    seen: list[str] = []
    ended = asyncio.Event()

    @defined
    async def ignore() -> str:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            seen.append("cancelled")
        await asyncio.sleep(10)
        try:
            activity.heartbeat("still here")
        except ActivityCancelled as error:
            seen.append(f"heartbeat: {error}")
        seen.append(activity.info().name)
        ended.set()
        return "too late"

    async with world({"activities_max": 1}) as its:
        job = its.start(ignore, options=ActivityOptions(start_to_close_ms=1_000))
        assert (await its.failure(job)).timeout == TimeoutKind.START_TO_CLOSE
        assert not its.runner.has_room(ignore)
        await ended.wait()
        await its.pass_ms(1)

        assert its.runner.has_room(ignore)
        assert seen == ["cancelled", "heartbeat: start_to_close timeout", "ignore"]
        assert its.runner.beats() == []
        assert len(its.batches) == 1


@in_virtual_time
async def test_a_thread_that_outlives_its_deadline_keeps_its_room_and_is_told_at_its_next_heartbeat() -> None:
    began, go_on = threading.Event(), threading.Event()
    told: list[str] = []

    @defined
    def hang() -> str:
        began.set()
        go_on.wait()
        try:
            activity.heartbeat()
        except ActivityCancelled as error:
            told.append(str(error))
            raise
        return "too late"

    @defined
    def answer() -> int:
        return 42

    async with world({"threads_max": 1}) as its:
        job = its.start(hang, options=ActivityOptions(start_to_close_ms=1_000))
        began.wait()
        assert (await its.failure(job)).timeout == TimeoutKind.START_TO_CLOSE
        waiting = its.start(answer)
        await its.pass_ms(60_000)
        assert waiting.started_at_ms == 0

        go_on.set()
        assert await its.result(waiting) == 42
        assert told == ["start_to_close timeout"]


@in_virtual_time
async def test_a_deadline_after_a_cancellation_still_counts() -> None:
    @defined
    async def linger() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.Event().wait()

    async with world() as its:
        job = its.start(linger, options=ActivityOptions(start_to_close_ms=1_000))
        await its.pass_ms(1)
        its.runner.cancel(job.key, "not wanted")

        assert (await its.failure(job)).timeout == TimeoutKind.START_TO_CLOSE


@in_virtual_time
async def test_deadlines_of_ended_attempts_are_cleaned_away() -> None:
    async with world() as its:
        for _ in range(5):
            jobs = [
                its.job(take_ms, 0, options=ActivityOptions(start_to_close_ms=3_600_000))
                for _ in range(CLEAN_ENTRIES_MIN)
            ]
            its.runner.start(jobs)
            await its.runner.drain()

        assert its.runner.deadlines_count <= 2 * CLEAN_ENTRIES_MIN


# Heartbeats


@in_virtual_time
async def test_heartbeats_keep_an_attempt_alive_until_they_stop() -> None:
    @defined
    async def beat() -> None:
        for number in range(5):
            await asyncio.sleep(0.9)
            activity.heartbeat(number, "so far")
        await asyncio.Event().wait()

    async with world() as its:
        job = its.start(beat, options=ActivityOptions(heartbeat_ms=1_000))
        failure = await its.failure(job)

        assert failure.timeout == TimeoutKind.HEARTBEAT
        assert details_of(failure.details) == [4, "so far"]
        assert its.clock.now_ms() - job.started_at_ms == 5_500


async def flush_when_asked(its: World, flushes: list[tuple[int, list[list[Any] | None]]]) -> None:
    """Do what a worker does: pass beats on whenever it is asked to."""
    began_at_ms = its.clock.now_ms()
    while True:
        count = its.beats_due_count
        await its.until(lambda count=count: its.beats_due_count > count)
        flushes.append((its.clock.now_ms() - began_at_ms, sent(its.runner.beats())))


@in_virtual_time
async def test_heartbeats_are_passed_on_at_once_and_then_at_forty_percent_of_the_timeout() -> None:
    @defined
    async def beat() -> None:
        for number in range(30):
            activity.heartbeat(number)
            await asyncio.sleep(0.03)

    flushes: list[tuple[int, list[list[Any] | None]]] = []
    async with world() as its:
        flusher = asyncio.create_task(flush_when_asked(its, flushes))
        await its.outcome(its.start(beat, options=ActivityOptions(heartbeat_ms=1_000)))
        flusher.cancel()

    assert flushes == [(0, [[0]]), (400, [[13]]), (800, [[26]])]


@in_virtual_time
async def test_without_a_timeout_heartbeats_wait_for_the_lease() -> None:
    @defined
    async def beat() -> None:
        activity.heartbeat("here")
        await asyncio.Event().wait()

    async with world() as its:
        job = its.start(beat)
        await its.pass_ms(60_000)

        assert its.beats_due_count == 0
        assert job.heartbeat_unsent
        assert sent(its.runner.beats()) == [["here"]]
        assert not job.heartbeat_unsent
        assert its.runner.beats() == []


@in_virtual_time
async def test_a_bare_heartbeat_keeps_the_details_and_passes_none_on() -> None:
    @defined
    async def beat() -> None:
        activity.heartbeat("first")
        await asyncio.sleep(1)
        activity.heartbeat()
        await asyncio.Event().wait()

    async with world() as its:
        job = its.start(beat)
        await its.pass_ms(500)
        assert sent(its.runner.beats()) == [["first"]]
        await its.pass_ms(1_000)
        assert sent(its.runner.beats()) == [None]
        assert details_of(job.heartbeat) == ["first"]


@in_virtual_time
async def test_everyone_who_is_held_can_be_asked_about() -> None:
    @defined
    async def beat() -> None:
        activity.heartbeat(1)
        await asyncio.Event().wait()

    async with world({"activities_max": 2}) as its:
        jobs = [its.start(beat), its.start(wait_for_ever), its.start(wait_for_ever)]
        await its.pass_ms(1)
        beats = its.runner.beats(everyone=True)

        assert [beat.call_id for beat in beats] == [job.key.call_id for job in jobs]
        assert sent(beats) == [[1], None, None]


@in_virtual_time
async def test_the_details_of_an_attempt_that_failed_are_left_for_the_next_one() -> None:
    @defined
    async def fail() -> None:
        activity.heartbeat({"done": 3})
        raise ValueError("half way")

    async with world() as its:
        job = its.start(fail)
        await its.failure(job)

        assert job.heartbeat_unsent
        assert details_of(job.heartbeat) == [{"done": 3}]
        assert its.runner.beats() == []


@in_virtual_time
async def test_details_are_what_they_were_when_they_were_given() -> None:
    @defined
    async def beat() -> None:
        progress = {"done": 1}
        activity.heartbeat(progress)
        progress["done"] = 2
        with pytest.raises(Exception, match="PDR1009"):
            activity.heartbeat(object())
        await asyncio.Event().wait()

    async with world() as its:
        its.start(beat)
        await its.pass_ms(1)

        assert sent(its.runner.beats()) == [[{"done": 1}]]


@in_virtual_time
async def test_heartbeats_from_a_thread_in_a_tight_loop_ask_once() -> None:
    beaten = threading.Event()
    go_on = threading.Event()

    @defined
    def beat() -> None:
        for number in range(10_000):
            activity.heartbeat(number)
        beaten.set()
        go_on.wait()

    async with world() as its:
        job = its.start(beat, options=ActivityOptions(heartbeat_ms=1_000))
        its.loop.frozen = True
        await its.until(lambda: its.beats_due_count > 0)
        beaten.wait()

        assert sent(its.runner.beats()) == [[9_999]]
        assert its.beats_due_count == 1
        go_on.set()
        await its.outcome(job)
