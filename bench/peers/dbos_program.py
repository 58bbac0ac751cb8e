"""The workloads on DBOS: async workflows and steps on SQLite, everything else as DBOS sets it by default.

Runs in the peer's own environment; see `bench.peers`. DBOS is a library, so this process is client, engine and worker.
"""

import asyncio
import json
import os
import sqlite3
import sys
from collections.abc import Awaitable, Callable
from importlib import import_module, metadata
from pathlib import Path
from typing import Any

from bench.figures import PAYLOAD, Figures, Meter, bare_commits_ms, common_figures, quantile
from bench.loops import closed_loop

if sqlite3.sqlite_version_info < (3, 42):
    # The SQL of DBOS 3.4 uses `unixepoch(..., 'subsec')`. It must find the newer library under the usual name.
    sys.modules["sqlite3"] = import_module("pysqlite3")

dbos: Any = import_module("dbos")
DBOS: Any = dbos.DBOS

BARE_COMMITS = 500
WAITING_S = 3_600


@DBOS.step()
async def echo(_index: int, payload: str) -> str:
    """The trivial step."""
    return payload


@DBOS.workflow()
async def chain(steps: int, payload: str) -> str:
    """Steps, one after the other."""
    for index in range(steps):
        payload = await echo(index, payload)
    return payload


@DBOS.workflow()
async def spread(width: int, payload: str) -> int:
    """Steps side by side."""
    return len(await asyncio.gather(*[echo(index, payload) for index in range(width)]))


@DBOS.workflow()
async def wait() -> str:
    """Waits for what is sent to it."""
    received: str = await DBOS.recv_async("go", timeout_seconds=WAITING_S)
    return received


async def measured(runs: int, steps: int, concurrency: int, run_one: Callable[[int], Awaitable[object]]) -> Figures:
    """Warm up, then measure; the same as for Perdure, with a warm-up as short as DBOS is slow."""
    await closed_loop(min(runs, 20), min(concurrency, 4), run_one)
    with Meter() as meter:
        latencies_s = await closed_loop(runs, concurrency, run_one)
    return common_figures(meter, runs=runs, steps=steps, latencies_s=latencies_s)


async def sequential(runs: int, steps: int, concurrency: int) -> Figures:
    """Runs of steps, one after the other."""

    async def run_one(_: int) -> None:
        assert await chain(steps, PAYLOAD) == PAYLOAD

    return await measured(runs, steps, concurrency, run_one)


async def fanout(runs: int, steps: int, concurrency: int) -> Figures:
    """Steps side by side in one run."""

    async def run_one(_: int) -> None:
        assert await spread(steps, PAYLOAD) == steps

    return await measured(runs, steps, concurrency, run_one)


async def signal(runs: int, steps: int, concurrency: int) -> Figures:
    """From the sending of a message to the result of the run that waits for it."""
    handles = [await DBOS.start_workflow_async(wait) for _ in range(runs)]

    async def run_one(number: int) -> None:
        await DBOS.send_async(handles[number].workflow_id, PAYLOAD, "go")
        assert await handles[number].get_result() == PAYLOAD

    with Meter() as meter:
        latencies_s = await closed_loop(runs, concurrency, run_one)
    return common_figures(meter, runs=runs, steps=steps, latencies_s=latencies_s)


WORKLOADS = {"sequential": sequential, "latency": sequential, "fanout": fanout, "signal": signal}


def main(workload: str, sizes: list[int], folder: Path) -> None:
    """Run one workload on a fresh file in `folder` and print its figures."""
    config = {"name": "bench", "system_database_url": f"sqlite:///{folder / 'dbos.sqlite'}", "log_level": "ERROR"}
    bare_ms = bare_commits_ms(folder, BARE_COMMITS)
    DBOS(config=config)
    DBOS.launch()
    figures = asyncio.run(WORKLOADS[workload](*sizes))
    bare_ms += bare_commits_ms(folder, BARE_COMMITS)
    figures["commit_p50_ms"] = round(quantile(bare_ms, 0.5), 3)
    figures["version"] = metadata.version("dbos")
    print(json.dumps(figures), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], [int(text) for text in sys.argv[2:5]], Path(sys.argv[5]))
    # Its threads are of no more use, and waiting for them takes seconds.
    os._exit(0)
