"""Rooms for each kind of activity, and the end of a runner."""

import asyncio
import threading

import pytest

from perdure.core.failure import cancelled
from perdure.core.message import Cancelled
from tests.unit.runner_world import defined, in_virtual_time, world


@defined
async def pay(card: str) -> str:
    await asyncio.sleep(1)
    return f"paid {card}"


@defined
async def wait_for_ever() -> None:
    await asyncio.Event().wait()


@in_virtual_time
async def test_those_of_a_full_kind_wait_inside_and_start_in_order() -> None:
    order: list[int] = []

    @defined
    async def note(number: int) -> None:
        order.append(number)
        await asyncio.sleep(1)

    async with world({"activities_max": 2}) as its:
        jobs = [its.start(note, number) for number in range(5)]
        await its.pass_ms(500)
        assert order == [0, 1]
        assert its.runner.running_count == 5

        for job in jobs:
            await its.outcome(job)

    assert order == [0, 1, 2, 3, 4]
    assert [job.started_at_ms - jobs[0].started_at_ms for job in jobs] == [0, 0, 1_000, 1_000, 2_000]


@in_virtual_time
async def test_room_is_counted_by_kind() -> None:
    gate = threading.Event()

    @defined
    def hold() -> None:
        gate.wait()

    async with world({"activities_max": 3, "threads_max": 1}) as its:
        runner = its.runner
        assert (runner.room(pay), runner.room(hold), runner.free([pay, hold])) == (3, 1, 1)

        its.start(hold)
        assert (runner.has_room(pay), runner.has_room(hold)) == (True, False)
        assert runner.names_with_room([pay, hold]) == {"pay"}
        assert (runner.free([pay, hold]), runner.free([hold]), runner.free()) == (3, 0, 2)

        for _ in range(4):
            its.start(wait_for_ever)
        assert (runner.room(pay), runner.free()) == (0, 0)
        gate.set()


@in_virtual_time
async def test_an_attempt_that_is_cancelled_or_dropped_while_it_waits_never_runs() -> None:
    async with world({"activities_max": 1}) as its:
        first = its.start(pay, "1")
        second, third, fourth = [its.start(pay, str(number)) for number in (2, 3, 4)]
        its.runner.cancel(second.key, "not wanted")
        its.runner.drop(third.key)

        assert its.outcomes == {}, "reported before the call returned"
        assert await its.outcome(second) == Cancelled(cancelled("not wanted"))
        assert await its.result(first) == "paid 1"
        assert await its.result(fourth) == "paid 4"
        assert third.started_at_ms == 0
        assert its.runner.has_room(pay)


@in_virtual_time
async def test_room_is_taken_until_the_code_has_really_ended() -> None:
    release = asyncio.Event()

    @defined
    async def linger() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await release.wait()

    async with world({"activities_max": 1}) as its:
        job = its.start(linger)
        await its.pass_ms(1)
        its.runner.drop(job.key)
        next_one = its.start(pay, "1")
        await its.pass_ms(10_000)
        assert not its.runner.has_room(pay)
        assert next_one.started_at_ms == 0

        release.set()
        assert await its.result(next_one) == "paid 1"


@in_virtual_time
async def test_drain_returns_when_everything_is_reported() -> None:
    async with world({"activities_max": 2}) as its:
        for number in range(5):
            its.start(pay, str(number))
        await its.runner.drain()

        assert len(its.outcomes) == 5
        await its.runner.drain()


@in_virtual_time
async def test_stop_cancels_everything_and_reports_nothing() -> None:
    cleaned: list[int] = []

    @defined
    async def run(number: int) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(1)
            cleaned.append(number)

    async with world({"activities_max": 3}) as its:
        for number in range(5):
            its.start(run, number)
        await its.pass_ms(1)
        await its.runner.stop()

        assert cleaned == [0, 1, 2]
        assert its.outcomes == {}
        assert its.runner.running_count == 0


@in_virtual_time
async def test_stop_abandons_what_does_not_end(caplog: pytest.LogCaptureFixture) -> None:
    release = asyncio.Event()

    @defined
    async def refuse() -> None:
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                continue

    async with world({"stop_ms_max": 2_000}) as its:
        its.start(refuse)
        await its.pass_ms(1)
        began_at_ms = its.clock.now_ms()
        await its.runner.stop()

        assert its.clock.now_ms() - began_at_ms == 2_000
        assert "1 activities did not end within 2000 ms" in caplog.text
        release.set()
