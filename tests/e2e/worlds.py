"""What the end-to-end tests share: waiting for what a user would see."""

import asyncio
from collections.abc import Callable
from pathlib import Path

from perdure import Handle


async def until(done: Callable[[], bool]) -> None:
    """Return when `done` is true; the test's time-out bounds the wait."""
    while not done():
        await asyncio.sleep(0.005)


async def until_parked(handle: Handle[object]) -> str:
    """Return why the run is parked, when it is."""
    while (reason := (await handle.describe()).run.parked) is None:
        await asyncio.sleep(0.005)
    return reason


def sqlite_url(folder: Path) -> str:
    """A store in a fresh file."""
    return f"sqlite:///{folder}/perdure.db"
