"""What the tests of bad input share: stores to run over, and looks at runs from outside."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from perdure import Handle, Perdure
from perdure.testing.invariants import fsck

EACH_STORE = pytest.mark.parametrize("kind", ["memory", "sqlite"])
WAIT_S = 10


def url_of(kind: str, folder: Path) -> str:
    """A store of this kind that no other test uses."""
    return "memory://" if kind == "memory" else f"sqlite:///{folder / 'store.db'}"


async def until_parked(handle: Handle[Any]) -> str:
    """Why the run is parked, once it is."""
    async with asyncio.timeout(WAIT_S):
        while (reason := (await handle.describe()).run.parked) is None:  # as a client sees it
            await asyncio.sleep(0.01)
    return reason


async def result_of(handle: Handle[Any]) -> Any:
    """The result, soon."""
    async with asyncio.timeout(WAIT_S):
        return await handle.result()


async def assert_sound(app: Perdure) -> None:
    """Every invariant holds for what the store of a running app holds."""
    report = await app.call(lambda engine: fsck(engine.store))
    assert report.violations == ()
