"""Sweeping: contents of a claim check that no run points to any more are deleted, and never one that is pointed to.

A content is deleted only if it was last written before a moment in the past, so that no write is under way between it
and its commit, and if two searches of the whole store, one after the other, find nothing that points to it.
"""

from collections.abc import AsyncIterator
from typing import Any

import msgspec

from perdure.core import codec
from perdure.core.failure import Failure
from perdure.core.filter.tree import EVERYTHING
from perdure.core.ids import RunId
from perdure.core.payload import BLOB, Payload
from perdure.core.store import Store
from perdure.data.blobs import BlobStore
from perdure.data.seal import changed

RUNS_A_READ = 200
TURNS_A_READ = 200
LEAST_AGE_MS = 3_600_000
"""What was written later is never swept, whatever is asked for: its commit may still be on its way."""


class Swept(msgspec.Struct, frozen=True):
    """What a sweep did."""

    pointed_to_count: int
    """Contents that runs point to."""
    swept: tuple[str, ...]
    """Keys of those that are gone by it, or would be."""


async def sweep(store: Store, blobs: BlobStore, written_before_ms: int, *, dry: bool = False) -> Swept:
    """Delete what nothing in `store` points to; `store` must be the only one that uses `blobs`, and is read raw.

    Raises `StoreError`, and `UndecodablePayload` where something cannot be read: nothing is deleted then.
    """
    # Before the search: what is written later than this list is in no danger.
    old = [key async for key in blobs.keys(written_before_ms)]
    pointed_to = await _pointed_to(store)
    idle = [key for key in old if key not in pointed_to]
    if idle:
        # A message that moved from one run to its successor may have been in neither place when it was looked at.
        again = await _pointed_to(store)
        idle = [key for key in idle if key not in again]
    swept = idle if dry else [key for key in idle if await blobs.delete(key, written_before_ms)]
    return Swept(len(pointed_to), tuple(swept))


async def _pointed_to(store: Store) -> set[str]:
    found: set[str] = set()

    def note(payload: Payload) -> Payload:
        if payload.metadata is not None and BLOB in payload.metadata:
            found.add(payload.metadata[BLOB])
        return payload

    def look_into(failure: Failure) -> Failure:
        return changed(failure, note, look_into, within=True)

    async for value in _everything(store):
        changed(value, note, look_into)
    return found


async def _everything(store: Store) -> AsyncIterator[Any]:
    """All messages and turns of a store."""
    before: RunId | None = None
    while True:
        page = await store.list_runs(EVERYTHING, RUNS_A_READ, before)
        for record in page:
            # The inbox first: a message goes from there into a turn, never back.
            for message in (await store.read_waiting(record.run_id)).messages:
                yield codec.messages.decode(message.data)
            async for turn in _turns(store, record.run_id):
                yield turn
        if len(page) < RUNS_A_READ:
            return
        before = page[-1].run_id


async def _turns(store: Store, run_id: RunId) -> AsyncIterator[Any]:
    after = 0
    while True:
        (history,) = await store.read_turns([(run_id, after)], TURNS_A_READ)
        for data in history:
            yield codec.turns.decode(data)
        if len(history) < TURNS_A_READ:
            return
        after += len(history)
