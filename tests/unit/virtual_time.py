"""Runs an async test in virtual time: a loop whose clock jumps to the next timer when nothing is ready."""

import asyncio
import functools
from collections.abc import Callable, Coroutine
from random import Random
from typing import Any, ParamSpec

from perdure.testing.virtual import VirtualClock, VirtualLoop, VirtualTime

P = ParamSpec("P")


def in_virtual_time(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """Run an async test on a loop of its own; what it leaves running is closed, and no callback may have raised."""

    @functools.wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        time = VirtualTime()
        loop = VirtualLoop(time, "test")
        try:
            time.run(test(*args, **kwargs), loop)
            assert time.errors == []
        finally:
            loop.crash()
            loop.bury()

    return run


def virtual_loop() -> VirtualLoop:
    """The loop of the running test."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    return loop


def virtual_clock(seed: int = 1) -> VirtualClock:
    """A clock over the running test's time."""
    return VirtualClock(virtual_loop().shared, Random(seed))


async def settle() -> None:
    """Let what is ready run, and what becomes ready by it; no time passes."""
    for _ in range(50):
        await asyncio.sleep(0)
