"""Processes of their own, for what one cannot measure on itself: `python -m bench.children ROLE URL ARGS...`."""

import asyncio
import json
import os
import signal
import sys
import time
from itertools import pairwise
from types import TracebackType
from typing import Any, Self

from bench.app import CountingPerdure
from bench.figures import PAYLOAD, Figures, Meter, common_figures, rss_mb
from bench.loops import closed_loop

SETTLE_S = 2.0
"""So long everything that was started rests before memory is read."""
YEARS_S = 3 * 365 * 24 * 3600
LINE_S_MAX = 600.0
WARM_STEPS = 50


class Child:
    """A process that plays a role and prints lines of JSON; it is killed at the end of the with-block."""

    def __init__(self, role: str, url: str, *arguments: int) -> None:
        self._command = (sys.executable, "-m", "bench.children", role, url, *map(str, arguments))
        self._process: asyncio.subprocess.Process | None = None

    async def __aenter__(self) -> Self:
        self._process = await asyncio.create_subprocess_exec(*self._command, stdout=asyncio.subprocess.PIPE)
        return self

    async def line(self) -> Figures:
        """The next line; raises RuntimeError if the process ends before it prints one."""
        assert self._process is not None
        assert self._process.stdout is not None
        async with asyncio.timeout(LINE_S_MAX):
            line = await self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"{' '.join(self._command)} ended without an answer")
        figures: Figures = json.loads(line)
        return figures

    def kill(self) -> None:
        """Kill it as the machine would: no time to say goodbye."""
        assert self._process is not None
        self._process.send_signal(signal.SIGKILL)

    async def __aexit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        assert self._process is not None
        if self._process.returncode is None:
            self._process.kill()
        await self._process.wait()


def _say(figures: Figures) -> None:
    print(json.dumps(figures), flush=True)


class LongRun:
    """The app with the long run, the same in the process that is killed and in the one that takes over."""

    def __init__(self, url: str) -> None:
        app = self.app = CountingPerdure(url)
        self.marks_s: list[float] = []
        """When each activity of this process began."""
        self.stop_index: int | None = None
        """At this activity `reached` is set."""
        self.hangs = False
        self.reached = asyncio.Event()

        @app.activity
        async def mark(index: int, payload: str) -> str:
            self.marks_s.append(time.perf_counter())
            if index == self.stop_index:
                self.reached.set()
                if self.hangs:
                    await asyncio.Event().wait()
            return payload

        @app.workflow
        async def long(steps: int, payload: str) -> str:
            for index in range(steps):
                payload = await mark(index, payload)
            return payload

        self.workflow = long


async def history(url: str, steps: int) -> None:
    """Run `steps` steps, say what they took, and hang in the next one until killed."""
    run = LongRun(url)
    async with run.app as app:
        await (await run.app.start(run.workflow, WARM_STEPS, PAYLOAD)).result()
        run.marks_s.clear()
        run.stop_index, run.hangs = steps, True
        before_count = run.app.commits_count
        with Meter() as meter:
            await app.start(run.workflow, steps + 2, PAYLOAD, id="long")
            await run.reached.wait()
        marks_s = run.marks_s
        part = max(1, steps // 5)
        latencies_s = [later - sooner for sooner, later in pairwise(marks_s)]
        _say(
            common_figures(meter, runs=1, steps=steps, latencies_s=latencies_s)
            | {
                "store_commits": run.app.commits_count - before_count,
                "first_ms_per_step": round((marks_s[part] - marks_s[0]) * 1_000 / part, 4),
                "last_ms_per_step": round((marks_s[steps] - marks_s[steps - part]) * 1_000 / part, 4),
            }
        )
        await asyncio.Event().wait()


async def recover(url: str, steps: int) -> None:
    """Take over the run that was killed in step number `steps`, and say when it took the next one."""
    run = LongRun(url)
    run.stop_index = steps + 1
    started_s = time.perf_counter()
    async with run.app as app:
        await run.reached.wait()
        recovery_ms = (run.marks_s[-1] - started_s) * 1_000
        assert await app.handle("long", run.workflow).result() == PAYLOAD
        _say({"recovery_ms": round(recovery_ms, 1), "repeated_count": len(run.marks_s) - 1})


def sleeping_app(url: str) -> tuple[CountingPerdure, Any]:
    """The app with the run that sleeps."""
    app = CountingPerdure(url)

    @app.workflow
    async def sleep(seconds: int, payload: str) -> str:
        await asyncio.sleep(seconds)
        return payload

    return app, sleep


async def idle(url: str, _: int) -> None:
    """Open the app, do nothing, say how much memory that takes."""
    app, _ = sleeping_app(url)
    async with app:
        await asyncio.sleep(SETTLE_S)
        _say({"rss_mb": round(rss_mb(), 1)})


async def sleepers(url: str, runs: int, concurrency: int) -> None:
    """Start runs that sleep for years, and say how much memory the process has then."""
    app, sleep = sleeping_app(url)
    async with app:
        with Meter() as meter:
            latencies_s = await closed_loop(runs, concurrency, lambda _: app.start(sleep, YEARS_S, PAYLOAD))
        await asyncio.sleep(SETTLE_S)
        figures = common_figures(meter, runs=runs, steps=1, latencies_s=latencies_s)
        _say(figures | {"store_commits": app.commits_count})


ROLES = {"history": history, "recover": recover, "idle": idle, "sleepers": sleepers}


if __name__ == "__main__":
    role, url, *arguments = sys.argv[1:]
    asyncio.run(ROLES[role](url, *map(int, arguments)))
    sys.stdout.flush()
    os._exit(0)
