"""Workloads of activities: one after the other, side by side, in a tree; and starting without working."""

import asyncio

from bench.app import CountingPerdure, measured
from bench.figures import PAYLOAD, Figures, bare_commits_ms, quantile
from bench.settings import Settings

BARE_COMMITS = 500
TREE_DEPTH = 3
"""Levels below the root: 2 and 2 workflows to each, then 2 leaves to each, which makes 15 with the root."""


async def sequential(settings: Settings) -> Figures:
    """Runs of activities, one after the other; many runs in flight."""
    app = CountingPerdure(settings.url())

    @app.activity
    async def echo(_index: int, payload: str) -> str:
        return payload

    @app.workflow
    async def chain(steps: int, payload: str) -> str:
        for index in range(steps):
            payload = await echo(index, payload)
        return payload

    async def run_one(_: int) -> None:
        handle = await app.start(chain, settings.steps, PAYLOAD)
        assert await handle.result() == PAYLOAD

    async with app:
        return await measured(app, settings, run_one)


async def latency(settings: Settings) -> Figures:
    """One run of one activity at a time, and what a bare commit takes on the same disk at the same time."""
    bare_ms = bare_commits_ms(settings.folder, BARE_COMMITS)
    figures = await sequential(settings)
    bare_ms += bare_commits_ms(settings.folder, BARE_COMMITS)
    commit_ms = quantile(bare_ms, 0.5)
    return figures | {"commit_p50_ms": round(commit_ms, 3), "commits_ratio": round(figures["p50_ms"] / commit_ms, 2)}


async def fanout(settings: Settings) -> Figures:
    """Activities side by side in one run."""
    app = CountingPerdure(settings.url())

    @app.activity
    async def echo(_index: int, payload: str) -> str:
        return payload

    @app.workflow
    async def spread(width: int, payload: str) -> int:
        return len(await asyncio.gather(*[echo(index, payload) for index in range(width)]))

    async def run_one(_: int) -> None:
        handle = await app.start(spread, settings.steps, PAYLOAD)
        assert await handle.result() == settings.steps

    async with app:
        return await measured(app, settings, run_one)


async def tree(settings: Settings) -> Figures:
    """Workflows that start workflows: the leaves run activities, two each."""
    app = CountingPerdure(settings.url())

    @app.activity
    async def echo(payload: str) -> str:
        return payload

    @app.workflow
    async def node(depth: int, payload: str) -> int:
        if depth == 0:
            return len([await echo(payload) for _ in range(2)])
        return sum(await asyncio.gather(node(depth - 1, payload), node(depth - 1, payload)))

    async def run_one(_: int) -> None:
        handle = await app.start(node, TREE_DEPTH, PAYLOAD)
        assert await handle.result() == settings.steps

    async with app:
        return await measured(app, settings, run_one)


async def start(settings: Settings) -> Figures:
    """A client starts runs; no worker takes them."""
    app = CountingPerdure(settings.url())

    @app.workflow
    async def idle(payload: str) -> str:
        return payload

    async def run_one(_: int) -> None:
        await app.start(idle, PAYLOAD)

    async with app.client():
        return await measured(app, settings, run_one)
