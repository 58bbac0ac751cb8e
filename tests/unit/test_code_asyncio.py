"""Plain asyncio inside a workflow: durable, deterministic, and refused where it reaches outside."""

import asyncio
import math
from collections.abc import AsyncIterator
from typing import Any

import pytest

from perdure.core.command import CancelActivity, CancelTimer, RunActivity, StartTimer
from perdure.core.errors import ForbiddenInWorkflow
from perdure.core.message import TimerFired
from perdure.programs.code.definition import Activity
from tests.unit.code_driver import START_MS, Driver, done, names, result_of


async def _echo(value: Any) -> Any:
    return value


echo: Activity[..., Any] = Activity(_echo, name="echo")


def test_a_sleep_is_a_timer_due_at_the_turns_moment_plus_its_length() -> None:
    async def flow() -> str:
        await asyncio.sleep(1.5)
        return "awake"

    driver = Driver(flow)

    assert driver.start() == [StartTimer(1, START_MS + 1_500)]
    assert result_of(driver.step(TimerFired(1), after_ms=1_500)) == "awake"


@pytest.mark.parametrize("seconds", [0.001, 0.1, 0.0001, 59.999, 86_400 * 365, 1 / 3])
def test_a_timer_is_never_early_and_less_than_a_millisecond_late(seconds: float) -> None:
    async def flow() -> None:
        await asyncio.sleep(seconds)

    [command] = Driver(flow).start()

    assert isinstance(command, StartTimer)
    assert 0 <= command.due_at_ms - (START_MS + seconds * 1_000) < 1


def test_a_sleep_of_nothing_yields_without_a_timer() -> None:
    async def flow() -> list[str]:
        seen: list[str] = []

        async def other() -> None:
            seen.append("other")

        task = asyncio.create_task(other())
        await asyncio.sleep(0)
        seen.append("main")
        await asyncio.sleep(-5)
        await task
        return seen

    assert result_of(Driver(flow).start()) == ["other", "main"]


def test_a_sleep_for_ever_asks_for_nothing() -> None:
    async def flow() -> None:
        await asyncio.sleep(math.inf)

    assert Driver(flow).start() == []


def test_gather_asks_for_all_at_once_and_keeps_their_order() -> None:
    async def flow() -> list[int]:
        return list(await asyncio.gather(echo(1), echo(2), echo(3)))

    driver = Driver(flow, echo)

    assert names(driver.start()) == ["echo"] * 3
    assert driver.step(done(3, 30), done(1, 10)) == []
    assert result_of(driver.finish(2, 20)) == [10, 20, 30]


def test_a_timeout_that_is_not_reached_cancels_its_timer() -> None:
    async def flow() -> Any:
        async with asyncio.timeout(60):
            return await echo(1)

    driver = Driver(flow, echo)

    assert names(driver.start()) == ["StartTimer", "echo"]
    assert names(driver.finish(2, 7)) == ["CancelTimer", "CompleteRun"]


def test_a_timeout_that_passes_cancels_the_activity() -> None:
    async def flow() -> str:
        try:
            async with asyncio.timeout(60):
                await echo(1)
        except TimeoutError:
            return "late"
        return "in time"

    driver = Driver(flow, echo)
    driver.start()

    commands = driver.step(TimerFired(1), after_ms=60_000)

    assert commands[0] == CancelActivity(2)
    assert result_of(commands) == "late"


def test_an_answer_to_a_call_that_nobody_awaits_any_more_is_harmless() -> None:
    async def flow() -> Any:
        try:
            return await asyncio.wait_for(echo(1), 1)
        except TimeoutError:
            return await echo(2)

    driver = Driver(flow, echo)
    driver.start()
    driver.step(TimerFired(1), after_ms=1_000)

    assert driver.step(done(2, 1), TimerFired(1), done(99)) == []
    assert result_of(driver.finish(3, "second")) == "second"


def test_timeout_at_takes_the_loops_time() -> None:
    async def flow() -> str:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout_at(loop.time() + 2):
                await asyncio.Event().wait()
        except TimeoutError:
            return "late"
        return ""

    driver = Driver(flow)

    assert driver.start() == [StartTimer(1, START_MS + 2_000)]
    assert result_of(driver.step(TimerFired(1), after_ms=2_000)) == "late"


def test_a_timer_started_and_cancelled_within_a_step_leaves_no_command() -> None:
    async def flow() -> str:
        async with asyncio.timeout(60):
            await asyncio.sleep(0)
        handle = asyncio.get_running_loop().call_later(5, print)
        handle.cancel()
        return "done"

    assert names(Driver(flow).start()) == ["CompleteRun"]


def test_an_activity_asked_for_and_cancelled_within_a_step_leaves_no_command() -> None:
    async def flow() -> Any:
        task = asyncio.create_task(echo(1))
        await asyncio.sleep(0)
        task.cancel()
        return await echo(2)

    driver = Driver(flow, echo)
    [command] = driver.start()

    assert isinstance(command, RunActivity)
    assert command.call_id == 2
    assert result_of(driver.finish(2, "x")) == "x"


def test_cancelling_a_handle_cancels_its_timer_once() -> None:
    async def flow() -> None:
        handle = asyncio.get_running_loop().call_later(5, print)
        await echo(1)
        handle.cancel()
        handle.cancel()
        await echo(2)

    driver = Driver(flow, echo)
    assert names(driver.start()) == ["StartTimer", "echo"]

    commands = driver.finish(2)

    assert commands[0] == CancelTimer(1)
    assert names(commands[1:]) == ["echo"]


def test_timers_fire_in_the_order_delivered() -> None:
    async def flow() -> list[int]:
        seen: list[int] = []

        async def wait(number: int, seconds: float) -> None:
            await asyncio.sleep(seconds)
            seen.append(number)

        await asyncio.gather(wait(1, 3), wait(2, 2), wait(3, 1))
        return seen

    driver = Driver(flow)
    driver.start()

    assert result_of(driver.step(TimerFired(2), TimerFired(3), TimerFired(1), after_ms=3_000)) == [2, 3, 1]


def test_shield_keeps_an_activity_when_its_awaiter_gives_up() -> None:
    async def flow() -> Any:
        work = asyncio.ensure_future(echo(1))
        try:
            await asyncio.wait_for(asyncio.shield(work), 1)
        except TimeoutError:
            return await work

    driver = Driver(flow, echo)
    driver.start()

    assert driver.step(TimerFired(1), after_ms=1_000) == []
    assert result_of(driver.finish(2, "kept")) == "kept"


def test_a_task_group_cancels_the_others_when_one_fails() -> None:
    async def flow() -> str:
        async def fail() -> None:
            await echo("first")
            raise ValueError("no")

        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(fail())
                group.create_task(asyncio.sleep(60))
                group.create_task(_ask())
        except ExceptionGroup as errors:
            return str(errors.exceptions[0])
        return ""

    async def _ask() -> Any:
        return await echo("other")

    driver = Driver(flow, echo)
    assert names(driver.start()) == ["echo", "StartTimer", "echo"]

    commands = driver.finish(1)

    assert commands[:2] == [CancelTimer(2), CancelActivity(3)]
    assert result_of(commands) == "no"


def test_wait_returns_what_is_done_first() -> None:
    async def flow() -> list[Any]:
        tasks = [asyncio.create_task(_ask(n)) for n in range(5)]
        done_tasks, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in pending:
            task.cancel()
        return [task.result() for task in done_tasks]

    async def _ask(n: int) -> Any:
        return await echo(n)

    driver = Driver(flow, echo)
    driver.start()

    commands = driver.step(done(4, "d"), done(2, "b"))

    assert commands[:3] == [CancelActivity(1), CancelActivity(3), CancelActivity(5)]
    assert sorted(result_of(commands)) == ["b", "d"]


def test_as_completed_gives_results_in_the_order_of_their_arrival() -> None:
    async def flow() -> list[Any]:
        return [await each for each in asyncio.as_completed([echo(n) for n in range(4)], timeout=60)]

    driver = Driver(flow, echo)
    commands = driver.start()

    assert sorted(names(commands)) == ["StartTimer", "echo", "echo", "echo", "echo"]
    calls = [each for each in commands if isinstance(each, RunActivity)]
    assert [each.args[0].data for each in calls] == [b"0", b"1", b"2", b"3"]
    last = driver.step(*(done(call.call_id, call.call_id) for call in reversed(calls)))
    assert result_of(last) == [call.call_id for call in reversed(calls)]


@pytest.mark.parametrize(
    ("name", "args"),
    [
        ("run_in_executor", (None, print)),
        ("create_connection", (print,)),
        ("create_server", (print,)),
        ("add_signal_handler", (2, print)),
        ("add_reader", (0, print)),
        ("subprocess_exec", (print,)),
        ("getaddrinfo", ("localhost", 80)),
        ("run_until_complete", (None,)),
        ("run_forever", ()),
        ("stop", ()),
        ("close", ()),
        ("set_task_factory", (None,)),
        ("set_exception_handler", (None,)),
    ],
)
def test_the_loop_refuses_what_reaches_outside(name: str, args: tuple[Any, ...]) -> None:
    async def flow() -> str:
        loop = asyncio.get_running_loop()
        with pytest.raises(ForbiddenInWorkflow, match="activity"):
            getattr(loop, name)(*args)
        return "refused"

    assert result_of(Driver(flow).start()) == "refused"


def test_a_thread_is_refused() -> None:
    async def flow() -> str:
        with pytest.raises(ForbiddenInWorkflow):
            await asyncio.to_thread(print)
        return "refused"

    assert result_of(Driver(flow).start()) == "refused"


async def test_a_step_works_inside_a_task_of_another_loop() -> None:
    async def flow() -> bool:
        await asyncio.gather(echo(1), echo(2))
        task = asyncio.current_task()
        assert task is not None
        return task.get_loop() is asyncio.get_running_loop()

    outside = asyncio.current_task()
    driver = Driver(flow, echo)

    assert driver.play() is True
    assert asyncio.current_task() is outside
    await asyncio.sleep(0)


def test_the_running_loop_is_put_back_when_a_step_raises() -> None:
    async def flow(number: int) -> int:
        return number

    driver = Driver(flow, args=["x"])
    with pytest.raises(Exception, match="PDR3002"):
        driver.start()

    with pytest.raises(RuntimeError):
        asyncio.get_running_loop()


def test_what_a_detached_task_raises_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    async def flow() -> None:
        async def detached() -> None:
            raise ValueError("nobody looks")

        asyncio.create_task(detached())  # noqa: RUF006
        await echo(1)
        await echo(2)

    driver = Driver(flow, echo)
    driver.start()
    driver.finish(1)
    driver.finish(2)

    assert [record.exc_info[1].args for record in caplog.records if record.exc_info and record.exc_info[1]] == [
        ("nobody looks",)
    ]


def test_an_abandoned_async_generator_is_closed_inside_its_run() -> None:
    async def flow() -> list[str]:
        seen: list[str] = []

        async def numbers() -> AsyncIterator[Any]:
            try:
                for n in range(5):
                    yield await echo(n)
            finally:
                seen.append(await echo("closed"))

        async for _ in numbers():
            break
        await asyncio.sleep(1)
        return seen

    assert Driver(flow, echo).play() == ["closed"]
