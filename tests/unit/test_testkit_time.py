"""The test environment's clock: it jumps to what is due next when nothing runs, and only while the test waits."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from perdure import ActivityTimeout, Perdure, RunStatus, WorkflowFailed, WorkflowNotFound
from perdure.core.errors import AlreadyRunning, EngineStopped, InvalidOption
from perdure.testing import Standstill, TestEnvironment
from tests.unit.kit_shop import (
    APPROVE,
    app,
    approval,
    brewing,
    charge,
    counts,
    elsewhere,
    family,
    month,
    patient,
    retried,
)


async def test_a_month_passes_at_once_and_the_clock_tells_it() -> None:
    async with TestEnvironment(app) as env:
        began = env.now
        handle = await app.start(month, "tok")

        assert await handle.result() == "tok/100, packed tok"
        assert env.now - began == timedelta(days=30)


async def test_time_stands_still_while_the_test_does_something_else() -> None:
    async with TestEnvironment(app) as env:
        handle = await app.start(month, "tok", id="m")
        await asyncio.sleep(0.02)

        assert env.now == datetime(2025, 6, 15, 15, 6, 40, tzinfo=UTC)
        assert (await handle.describe()).run.status is RunStatus.RUNNING


async def test_after_a_sleep_everything_due_until_then_has_happened() -> None:
    async with TestEnvironment(app) as env:
        handle = await app.start(month, "tok")

        await env.sleep("29d")
        assert (await handle.describe()).run.status is RunStatus.RUNNING
        await env.sleep("1d")
        assert (await handle.describe()).run.status is RunStatus.COMPLETED


async def test_timers_begin_where_the_clock_is_told_to_stand() -> None:
    start = datetime(2030, 12, 31, tzinfo=UTC)
    async with TestEnvironment(app, start=start) as env:
        handle = await app.start(patient)
        await env.sleep_until(start + timedelta(days=6))
        (timer,) = (await handle.describe()).timers

        assert timer.due_at == start + timedelta(days=7)
        assert (await handle.describe()).run.started_at == start
        assert await handle.result() == "nobody came"


async def test_a_plan_signals_at_its_moment_and_queries_see_what_came_of_it() -> None:
    async with TestEnvironment(app) as env:
        handle = await app.start(approval)
        seen: list[tuple[datetime, str]] = []

        async def look() -> None:
            seen.append((env.now, await handle.query("state", result_type=str)))

        began = env.now
        env.at("1h", look)
        env.at("2h", lambda: handle.signal(APPROVE, "Ada"))
        env.at(began + timedelta(hours=3), look)

        assert await handle.result() == "approved by Ada"
        assert seen == [
            (began + timedelta(hours=1), "waiting"),
            (began + timedelta(hours=3), "approved by Ada"),
        ]
        assert env.now - began == timedelta(hours=26)


async def test_a_repeated_plan_comes_so_many_times_or_until_it_is_cancelled() -> None:
    async with TestEnvironment(app) as env:
        rung: list[str] = []
        env.every("1h", lambda: rung.append("thrice"), times=3)
        endless = env.every("2h", lambda: rung.append("endless"))
        env.at("5h", endless.cancel)
        env.at("30m", lambda: rung.append("never")).cancel()

        await env.sleep("1d")

        assert rung == ["thrice", "endless", "thrice", "thrice", "endless"]


async def test_a_plan_may_itself_wait_for_time_to_pass() -> None:
    async with TestEnvironment(app) as env:
        handle = await app.start(approval)

        async def late_approval() -> None:
            await env.sleep("3h")
            await handle.signal(APPROVE, "Ada")

        began = env.now
        env.at("1h", late_approval)

        await handle.result()
        assert env.now - began == timedelta(hours=28)


async def test_what_a_plan_raises_is_raised_where_the_test_waits() -> None:
    async with TestEnvironment(app) as env:
        handle = await app.start(month, "tok")

        def fail() -> None:
            raise AssertionError("not yet packed")

        env.at("1d", fail)

        with pytest.raises(AssertionError, match="not yet packed"):
            await handle.result()


async def test_cancellation_and_termination_come_through_handles() -> None:
    async with TestEnvironment(app) as env:
        first, second = await app.start(month, "a"), await app.start(month, "b")
        env.at("1d", lambda: first.cancel("enough"))
        env.at("2d", lambda: second.terminate("enough"))

        with pytest.raises(WorkflowFailed, match="was cancelled"):
            await first.result()
        with pytest.raises(WorkflowFailed, match="was terminated"):
            await second.result()


async def test_retries_wait_in_virtual_time() -> None:
    counts.clear()
    async with TestEnvironment(app) as env:
        began = env.now
        handle = await app.start(retried, 2)

        assert await handle.result() == 3
        assert env.now - began == timedelta(seconds=3)


async def test_the_clock_stands_still_while_an_activity_runs() -> None:
    async with TestEnvironment(app) as env:
        began = env.now
        handle = await app.start(brewing, 0.05, 0.01)

        assert await handle.result() == "tea"
        assert env.now == began


async def test_a_deadline_strikes_an_activity_that_tries_the_patience() -> None:
    async with TestEnvironment(app, patience="20ms"):
        handle = await app.start(brewing, 600, 30)

        with pytest.raises(WorkflowFailed, match="start_to_close") as caught:
            await handle.result()
        assert caught.value.failure.cause is not None
        assert caught.value.failure.type == ActivityTimeout.__name__


async def test_time_passes_for_something_else_that_is_waited_for_with_until() -> None:
    async with TestEnvironment(app) as env:
        reached = asyncio.Event()
        env.at("90d", reached.set)

        assert await env.until(reached.wait())


async def test_what_nothing_can_end_is_told_with_the_line_where_it_waits() -> None:
    async with TestEnvironment(app):
        handle = await app.start(approval, id="order-1")

        with pytest.raises(Standstill, match=r"workflow 'order-1' \(approval\)[^!]*kit_shop.py:\d+ approval"):
            await handle.result()
        await handle.signal(APPROVE, "Ada")
        assert await handle.result() == "approved by Ada"


async def test_a_queue_that_nobody_serves_is_named() -> None:
    async with TestEnvironment(app):
        handle = await app.start(elsewhere)

        with pytest.raises(Standstill, match="activity 'ship' waits in queue 'ships', which no worker here serves"):
            await handle.result()


async def test_children_take_virtual_time_too() -> None:
    async with TestEnvironment(app) as env:
        began = env.now
        handle = await app.start(family, "tok")

        assert await handle.result() == "child: tok/100, packed tok"
        assert env.now - began == timedelta(days=30)


async def test_the_same_test_gets_the_same_ids() -> None:
    async def run_ids() -> list[str | None]:
        async with TestEnvironment(app):
            return [(await app.start(month, "tok")).run_id for _ in range(3)]

    assert await run_ids() == await run_ids()


async def test_a_file_keeps_what_happened_for_the_next_environment(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/shop.db"
    async with TestEnvironment(app, store=url) as env:
        await app.start(month, "tok", id="m")
        await env.sleep("10d")
        stopped = env.now
    async with TestEnvironment(app, store=url, start=stopped) as env:
        with pytest.raises(AlreadyRunning):
            await app.start(month, "tok", id="m")

        assert await app.handle("m", month).result() == "tok/100, packed tok"
        assert env.now - stopped == timedelta(days=20)


async def test_a_fresh_environment_knows_nothing_of_the_one_before() -> None:
    async with TestEnvironment(app):
        await app.start(month, "tok", id="m")
    async with TestEnvironment(app):
        with pytest.raises(WorkflowNotFound):
            await app.handle("m").result()


async def test_the_app_is_its_own_again_afterwards() -> None:
    async with TestEnvironment(app) as env:
        pass

    with pytest.raises(EngineStopped):
        await app.start(month, "tok")
    with pytest.raises(EngineStopped):
        _ = env.now
    own = Perdure("memory://")
    async with own, TestEnvironment(app):
        pass


async def test_an_activity_may_start_and_await_runs() -> None:
    shop = Perdure("memory://")

    @shop.activity
    async def nested() -> str:
        return await (await shop.start(sleeper)).result()

    @shop.workflow
    async def sleeper() -> str:
        await asyncio.sleep(3_600)
        return "slept"

    @shop.workflow
    async def outer() -> str:
        return await nested()

    async with TestEnvironment(shop):
        assert await (await shop.start(outer)).result() == "slept"


async def test_bad_moments_are_refused() -> None:
    async with TestEnvironment(app) as env:
        with pytest.raises(InvalidOption):
            env.at("soon", print)
        with pytest.raises(InvalidOption):
            env.at(-1, print)
        with pytest.raises(InvalidOption):
            env.every("0s", print)


def test_a_moment_needs_a_time_zone() -> None:
    with pytest.raises(InvalidOption, match="time zone"):
        TestEnvironment(app, start=datetime(2030, 1, 1))  # noqa: DTZ001 # that is the mistake


async def test_an_activity_is_the_plain_function_outside() -> None:
    assert await charge("x", 1) == "x/1"
