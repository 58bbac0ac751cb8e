"""Virtual time: it jumps, it keeps order, and processes in it can stand still or be gone."""

import asyncio
from random import Random

import pytest

from perdure.testing.virtual import START_MS, StandstillError, VirtualClock, VirtualLoop, VirtualTime


def world() -> tuple[VirtualTime, VirtualLoop]:
    """A world with one process."""
    shared = VirtualTime()
    return shared, VirtualLoop(shared, "main")


def test_a_long_sleep_takes_no_time() -> None:
    shared, loop = world()

    async def main() -> str:
        await asyncio.sleep(3 * 365 * 24 * 3_600)
        return "done"

    assert shared.run(main(), loop) == "done"
    assert shared.now_ms == START_MS + 3 * 365 * 24 * 3_600_000


def test_timers_fire_in_the_order_of_their_moments_and_of_their_making() -> None:
    shared, loop = world()
    fired: list[str] = []

    async def main() -> None:
        for name, delay in (("b", 2.0), ("a", 1.0), ("c", 2.0)):
            loop.call_later(delay, fired.append, name)
        await asyncio.sleep(3)

    shared.run(main(), loop)

    assert fired == ["a", "b", "c"]


def test_time_outs_and_task_groups_work() -> None:
    shared, loop = world()

    async def main() -> list[str]:
        found: list[str] = []
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(5), asyncio.TaskGroup() as group:
                group.create_task(asyncio.sleep(100))
        found.append(f"{shared.now_s}")
        return found

    assert shared.run(main(), loop) == ["5.0"]


def test_what_can_never_happen_is_noticed() -> None:
    shared, loop = world()

    async def main() -> None:
        await asyncio.Event().wait()

    with pytest.raises(StandstillError, match="nothing is left to happen"):
        shared.run(main(), loop)
    loop.crash()
    loop.bury()


def test_a_loop_that_never_ends_is_noticed() -> None:
    shared, loop = world()

    async def main() -> None:
        while True:
            await asyncio.sleep(0)

    with pytest.raises(StandstillError, match="callbacks have run"):
        shared.run(main(), loop)
    loop.crash()
    loop.bury()


def test_a_paused_process_goes_on_with_what_became_ready() -> None:
    shared, main_loop = world()
    other = VirtualLoop(shared, "other")
    told: list[float] = []

    async def tick() -> None:
        while len(told) < 3:
            await asyncio.sleep(1)
            told.append(shared.now_s)

    async def main() -> None:
        task = other.create_task(tick())
        await asyncio.sleep(1.5)
        other.pause()
        await asyncio.sleep(10)
        other.resume()
        await asyncio.sleep(5)
        assert task.done()

    shared.run(main(), main_loop)

    assert told == [1.0, 11.5, 12.5]


def test_a_process_that_is_gone_cleans_up_nothing() -> None:
    shared, main_loop = world()
    other = VirtualLoop(shared, "other")
    told: list[str] = []

    async def work() -> None:
        try:
            await asyncio.sleep(1)
            told.append("ended")
        finally:
            told.append("cleaned up")

    async def main() -> None:
        task = other.create_task(work())
        await asyncio.sleep(0.5)
        other.crash()
        await asyncio.sleep(5)
        assert not task.done()
        assert told == []

    shared.run(main(), main_loop)
    other.bury()

    assert told == ["cleaned up"]


def test_an_error_that_nobody_catches_is_kept() -> None:
    shared, loop = world()

    async def main() -> None:
        loop.call_soon(lambda: 1 // 0)
        await asyncio.sleep(1)

    shared.run(main(), loop)

    assert [type(each["exception"]) for each in shared.errors] == [ZeroDivisionError]


def test_a_clock_may_be_off() -> None:
    shared, _ = world()
    clock = VirtualClock(shared, Random(1), skew_ms=-250.0)

    assert clock.now_ms() == shared.now_ms - 250
    assert clock.new_run_id() != clock.new_run_id()
