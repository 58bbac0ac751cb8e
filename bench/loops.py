"""The closed loop: so many clients, each of which starts its next run when its last one has ended."""

import asyncio
import time
from collections.abc import Awaitable, Callable


async def closed_loop(runs: int, concurrency: int, run_one: Callable[[int], Awaitable[object]]) -> list[float]:
    """Call `run_one` with the numbers below `runs`, `concurrency` at a time; return how long each took, in seconds."""
    numbers = iter(range(runs))
    latencies_s: list[float] = []

    async def client() -> None:
        for number in numbers:
            started_s = time.perf_counter()
            await run_one(number)
            latencies_s.append(time.perf_counter() - started_s)

    async with asyncio.TaskGroup() as group:
        for _ in range(min(concurrency, runs)):
            group.create_task(client())
    return latencies_s
