"""The same workflow decides the same in processes with other hash seeds and other allocation patterns."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any, cast

import pytest

from perdure.core.ids import RunId
from perdure.programs.code.definition import Activity
from tests.unit.code_driver import Driver

COUNT = 40
"""Enough that an order by address would differ between two processes."""


async def _echo(value: Any) -> Any:
    return value


echo: Activity[[Any], Any] = Activity(_echo, name="echo")


async def ask(value: Any) -> Any:
    return await echo(value)


async def completed() -> list[Any]:
    return [await each for each in asyncio.as_completed([ask(n) for n in range(COUNT)])]


async def completed_with_repeats() -> list[Any]:
    tasks = [asyncio.create_task(ask(n)) for n in range(COUNT)]
    return [await each for each in asyncio.as_completed(tasks + tasks)]


async def waited() -> list[Any]:
    waiting = {asyncio.create_task(ask(n)) for n in range(COUNT)}
    seen: list[Any] = []
    while waiting:
        done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        seen += [await echo(task.result()) for task in done]
    return seen


async def waited_for_gathers() -> list[Any]:
    groups = {asyncio.gather(ask(n), ask(-n)) for n in range(COUNT)}
    done, _ = await asyncio.wait(groups)
    return [await echo(group.result()) for group in done]


async def waited_for_shields() -> list[Any]:
    done, _ = await asyncio.wait({asyncio.shield(ask(n)) for n in range(COUNT)})
    return [await echo(each.result()) for each in done]


async def futures() -> list[Any]:
    loop = asyncio.get_running_loop()
    made = {loop.create_future() for _ in range(COUNT)}
    for number, future in enumerate(made):
        future.set_result(number)
    return [await echo(future.result()) for future in made]


async def aborted() -> list[Any]:
    seen: list[Any] = []

    async def work(n: int) -> None:
        try:
            await ask(n)
            raise ValueError
        finally:
            seen.append(n)
            await ask(-n)

    try:
        async with asyncio.TaskGroup() as group:
            for n in range(COUNT):
                group.create_task(work(n))
    except ExceptionGroup:
        return seen
    return []


async def everyone() -> list[Any]:
    made = [asyncio.create_task(asyncio.sleep(n + 1), name=f"sleeper {n}") for n in range(COUNT)]
    await asyncio.sleep(0)
    for task in asyncio.all_tasks() - {asyncio.current_task()}:
        task.cancel()
    await asyncio.wait(made)
    return [task.get_name() for task in asyncio.all_tasks()]


async def named() -> list[Any]:
    return [task.get_name() for task in [asyncio.create_task(ask(n)) for n in range(3)] if not await task]


async def timed() -> list[Any]:
    done, pending = await asyncio.wait(
        [asyncio.create_task(asyncio.sleep(n % 7 + 1, n)) for n in range(COUNT)], timeout=3
    )
    for task in pending:
        task.cancel()
    return [task.result() for task in done]


FLOWS: list[Callable[[], Any]] = [
    completed,
    completed_with_repeats,
    waited,
    waited_for_gathers,
    waited_for_shields,
    futures,
    aborted,
    everyone,
    named,
    timed,
]


def played(flow: Callable[[], Any]) -> str:
    """The whole history of a flow, with other things in memory each time."""
    driver = Driver(flow, echo, run_id=RunId("0199f0a0-0000-7000-8000-00000000000f"))
    result = driver.play()
    return f"{flow.__name__}: {result} {[turn.outputs for turn in driver.turns]}"


def main(seed: int) -> None:
    """Print the histories of all flows, in a process whose memory looks different for each seed."""
    import random

    draw = random.Random(seed)
    litter = [bytearray(draw.randrange(1, 2_000)) for _ in range(draw.randrange(20_000))]
    draw.shuffle(litter)
    del litter[: len(litter) // 2]
    for flow in FLOWS:
        sys.stdout.write(played(flow) + "\n")


@pytest.fixture(scope="module")
def histories() -> list[list[str]]:
    """The printed histories of some processes."""
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", f"from tests.unit.test_code_order import main; main({seed})"],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONHASHSEED": str(seed), "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        for seed in range(1, 5)
    ]
    return [process.communicate(timeout=100)[0].splitlines() for process in processes]


@pytest.mark.parametrize("flow", FLOWS)
def test_every_process_decides_the_same(flow: Callable[[], Any], histories: list[list[str]]) -> None:
    here = played(flow)

    found = [next(line for line in lines if line.startswith(f"{flow.__name__}:")) for lines in histories]

    assert [line == here for line in found] == [True] * len(found)


async def test_other_loops_keep_their_own_as_completed_and_all_tasks() -> None:
    async def value(n: int) -> int:
        await asyncio.sleep(0)
        return n

    Driver(completed, echo)

    assert sorted([await each for each in asyncio.as_completed([value(n) for n in range(5)])]) == [0, 1, 2, 3, 4]
    assert asyncio.current_task() in asyncio.all_tasks()
    gathered = {asyncio.gather(value(1)), asyncio.gather(value(2))}
    assert sorted([await each for each in gathered]) == [[1], [2]]
    with pytest.raises(TypeError):
        list(asyncio.as_completed(cast(Any, asyncio.get_running_loop().create_future())))
