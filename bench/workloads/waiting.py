"""Workloads of runs that wait: for a signal, or for a moment."""

import asyncio
import time

from bench.app import CountingPerdure
from bench.figures import PAYLOAD, Figures, Meter, common_figures, quantile
from bench.loops import closed_loop
from bench.settings import Settings
from perdure import Handle, workflow

STARTS_AT_ONCE = 500
SETTLE_S = 1.0
STARTS_PER_S = 1_000
"""Timers are set so far ahead that starting the runs is over when they are due, even at this pace."""


async def signal(settings: Settings) -> Figures:
    """From the sending of a signal to the result of the run that waits for it."""
    app = CountingPerdure(settings.url())

    @app.workflow
    async def wait() -> str:
        return await workflow.channel("go", str).receive()

    async def told(handle: Handle[str]) -> None:
        await handle.signal("go", PAYLOAD)
        assert await handle.result() == PAYLOAD

    handles: list[Handle[str]] = []
    warm_count = min(settings.runs, max(20, settings.concurrency))

    async def start_one(_: int) -> None:
        handles.append(await app.start(wait))

    async with app:
        await closed_loop(settings.runs + warm_count, STARTS_AT_ONCE, start_one)
        await closed_loop(warm_count, settings.concurrency, lambda number: told(handles[settings.runs + number]))
        before_count = app.commits_count
        with Meter() as meter:
            latencies_s = await closed_loop(settings.runs, settings.concurrency, lambda number: told(handles[number]))
        figures = common_figures(meter, runs=settings.runs, steps=settings.steps, latencies_s=latencies_s)
        return figures | {"store_commits": app.commits_count - before_count}


async def timers(settings: Settings) -> Figures:
    """Runs whose timers are due at the same moment: how late each fires, and when all have finished."""
    app = CountingPerdure(settings.url())

    @app.workflow
    async def nap(until_ms: int) -> int:
        await asyncio.sleep((until_ms - _ms(workflow.time())) / 1_000)
        return _ms(workflow.time())

    fired_ms: list[int] = []
    finished_s: list[float] = []
    waiting: list[asyncio.Task[None]] = []

    async def finish(handle: Handle[int]) -> None:
        fired_ms.append(await handle.result())
        finished_s.append(time.time())

    async def start_one(_: int) -> None:
        waiting.append(asyncio.create_task(finish(await app.start(nap, due_ms))))

    async with app:
        due_ms = _ms(time.time() + 0.5)
        await closed_loop(min(settings.runs, 100), settings.concurrency, start_one)
        await asyncio.gather(*waiting)
        for warm in (fired_ms, finished_s, waiting):
            warm.clear()
        due_ms = _ms(time.time() + SETTLE_S + settings.runs / STARTS_PER_S)
        await closed_loop(settings.runs, settings.concurrency, start_one)
        ahead_s = due_ms / 1_000 - time.time()
        assert ahead_s > 0, "the first timers were due before the last run was started"
        await asyncio.sleep(ahead_s)
        before_count = app.commits_count
        with Meter() as meter:
            await asyncio.gather(*waiting)
        latencies_s = [moment_s - due_ms / 1_000 for moment_s in finished_s]
        figures = common_figures(meter, runs=settings.runs, steps=settings.steps, latencies_s=latencies_s)
        figures |= {"store_commits": app.commits_count - before_count, "started_ahead_ms": round(ahead_s * 1_000)}
    return figures | _skews([moment_ms - due_ms for moment_ms in fired_ms], finished_ms=max(latencies_s) * 1_000)


def _ms(moment_s: float) -> int:
    return round(moment_s * 1_000)


def _skews(skews_ms: list[int], *, finished_ms: float) -> Figures:
    return {
        "finished_ms": round(finished_ms, 1),
        "skew_p50_ms": quantile(skews_ms, 0.5),
        "skew_p99_ms": quantile(skews_ms, 0.99),
        "skew_max_ms": max(skews_ms),
        "early_count": sum(skew_ms < 0 for skew_ms in skews_ms),
    }
