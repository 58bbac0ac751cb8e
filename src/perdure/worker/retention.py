"""Deletes runs that have been closed for long: a few at a time, and at most one look a minute where there are none."""

import asyncio
import logging
from typing import NoReturn

from perdure.core.store import Store
from perdure.engine.clock import Clock
from perdure.engine.pipeline import surely

logger = logging.getLogger("perdure.worker")

LOOK_MS = 60_000
BATCH_RUNS = 100
"""So many histories are deleted in one write: it holds up the commits that wait for it."""
BATCH_PAUSE_MS = 200
"""Between two full batches, for everybody else's writes."""


async def delete_old_runs(store: Store, clock: Clock, retention_ms: int) -> NoReturn:
    """Delete the runs that closed more than `retention_ms` ago, for ever; several workers may do it at once."""
    while True:
        before_ms = clock.now_ms() - retention_ms
        old, _ = await surely(lambda before_ms=before_ms: store.closed_before(before_ms, BATCH_RUNS), "look")
        if old:
            count, _ = await surely(lambda old=old: store.delete(old), "delete")
            logger.info("deleted %d runs that closed too long ago", count)
        await asyncio.sleep((LOOK_MS if len(old) < BATCH_RUNS else BATCH_PAUSE_MS) / 1_000)
