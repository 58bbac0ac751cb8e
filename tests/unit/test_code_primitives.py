"""The primitives of asyncio work across steps: queues, events, locks, conditions, barriers."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from perdure.programs.code.definition import Activity
from tests.unit.code_driver import Driver


async def _echo(value: Any) -> Any:
    return value


echo: Activity[..., Any] = Activity(_echo, name="echo")


async def _queues(queue: asyncio.Queue[Any]) -> list[Any]:
    seen: list[Any] = []

    async def consume() -> None:
        while True:
            seen.append(await queue.get())
            queue.task_done()

    consumer = asyncio.create_task(consume())
    for value in (3, 1, 2):
        await queue.put(await echo(value))
    await queue.join()
    consumer.cancel()
    return seen


async def _queue() -> list[Any]:
    return await _queues(asyncio.Queue(maxsize=1))


async def _lifo() -> list[Any]:
    return await _queues(asyncio.LifoQueue())


async def _priority() -> list[Any]:
    return await _queues(asyncio.PriorityQueue())


async def _event() -> list[Any]:
    event = asyncio.Event()
    waiting = [asyncio.create_task(event.wait()) for _ in range(3)]
    await echo(1)
    event.set()
    return list(await asyncio.gather(*waiting))


async def _exclusive(lock: Any) -> list[Any]:
    seen: list[str] = []

    async def work(name: str) -> None:
        async with lock:
            seen.append(f"{name}+")
            await echo(1)
            seen.append(f"{name}-")

    await asyncio.gather(work("a"), work("b"), work("c"))
    return seen


async def _lock() -> list[Any]:
    return await _exclusive(asyncio.Lock())


async def _semaphore() -> list[Any]:
    return await _exclusive(asyncio.Semaphore(1))


async def _bounded() -> list[Any]:
    return await _exclusive(asyncio.BoundedSemaphore(1))


async def _condition() -> list[Any]:
    condition, seen = asyncio.Condition(), list[int]()

    async def wait(n: int) -> None:
        async with condition:
            await condition.wait()
            seen.append(n)

    tasks = [asyncio.create_task(wait(n)) for n in range(3)]
    await asyncio.sleep(1)
    async with condition:
        condition.notify(1)
    await asyncio.sleep(1)
    async with condition:
        condition.notify_all()
    await asyncio.wait(tasks)
    return seen


async def _barrier() -> list[Any]:
    barrier, seen = asyncio.Barrier(2), list[int]()

    async def meet(n: int) -> None:
        await asyncio.sleep(n)
        await barrier.wait()
        seen.append(n)

    await asyncio.gather(meet(1), meet(2))
    return sorted(seen)


@pytest.mark.parametrize(
    ("flow", "expected"),
    [
        (_queue, [3, 1, 2]),
        (_lifo, [3, 1, 2]),
        (_priority, [3, 1, 2]),
        (_event, [True, True, True]),
        (_lock, ["a+", "a-", "b+", "b-", "c+", "c-"]),
        (_semaphore, ["a+", "a-", "b+", "b-", "c+", "c-"]),
        (_bounded, ["a+", "a-", "b+", "b-", "c+", "c-"]),
        (_condition, [0, 1, 2]),
        (_barrier, [1, 2]),
    ],
)
def test_a_primitive_of_asyncio_works_across_steps(flow: Callable[[], Any], expected: list[Any]) -> None:
    assert Driver(flow, echo).play() == expected
