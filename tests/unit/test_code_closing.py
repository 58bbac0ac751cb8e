"""Letting go of a run: nothing of it runs on, nothing of it stays."""

import asyncio
import gc
import tracemalloc
import weakref
from typing import Any

from perdure.core.ids import RunId, WorkflowId
from perdure.core.message import Started
from perdure.core.payload import to_payloads
from perdure.programs.code.definition import Activity
from tests.unit.code_driver import START_MS, Driver, program_of


async def _echo(value: Any) -> Any:
    return value


echo: Activity[[Any], Any] = Activity(_echo, name="echo")


def test_closing_runs_no_activity_and_leaves_no_warning() -> None:
    seen: list[str] = []

    async def really(value: str) -> None:
        seen.append(f"ran {value}")

    activity: Activity[[str], None] = Activity(really)

    async def flow() -> None:
        async def cleanup(value: str) -> None:
            await activity(value)

        try:
            await asyncio.gather(echo(1), _sleeper(), asyncio.Event().wait())
        except BaseException:  # what careless code does
            seen.append("closing")
            await asyncio.gather(cleanup("a"), cleanup("b"))
        finally:
            await asyncio.sleep(1)
            await activity("c")

    async def _sleeper() -> None:
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(asyncio.sleep(60))
        finally:
            await activity("d")

    driver = Driver(flow, echo, activity)
    driver.start()

    driver.run.close()
    del driver
    gc.collect()

    assert set(seen) <= {"closing"}


def test_closing_ends_clean_up_that_awaits_again_and_again() -> None:
    async def outer() -> None:
        try:
            await inner()
        finally:
            await asyncio.sleep(0)
            await asyncio.Event().wait()

    async def inner() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            for _ in range(5):
                try:
                    await asyncio.sleep(1)
                except BaseException:  # what careless code does
                    await asyncio.Event().wait()

    async def flow() -> None:
        await asyncio.gather(outer(), outer())

    driver = Driver(flow)
    driver.start()

    driver.run.close()
    gc.collect()


def test_closing_ends_code_that_swallows_everything() -> None:
    async def flow() -> None:
        for _ in range(50):
            try:
                await asyncio.sleep(60)
            except BaseException:  # what careless code does
                continue

    driver = Driver(flow)
    driver.start()

    driver.run.close()
    gc.collect()


def test_a_closed_run_leaves_nothing_in_memory() -> None:
    class Big:
        pass

    big = Big()
    gone = weakref.ref(big)
    holder = [big]
    del big

    async def flow() -> None:
        kept = holder.pop()
        await asyncio.gather(echo(1), asyncio.wait_for(asyncio.Event().wait(), 60))
        del kept

    program = program_of(flow, echo)
    run = program.open(RunId("r"))
    gc.collect()
    gc.disable()
    try:
        run.step(START_MS, [Started("flow", WorkflowId("w"), "q", ())])
        run.close()
        del run
        assert gone() is None
    finally:
        gc.enable()


def test_ten_thousand_sleeping_runs_are_small() -> None:
    async def flow(seconds: int) -> None:
        await asyncio.sleep(seconds)

    program = program_of(flow)
    started = Started("flow", WorkflowId("w"), "q", to_payloads([3_600]))
    tracemalloc.start()
    try:
        runs = [program.open(RunId(f"run-{n}")) for n in range(1_000)]
        for run in runs:
            run.step(START_MS, [started])
        size, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    for run in runs:
        run.close()

    assert size / len(runs) < 4_000
