"""Waiting for runs to close: one shared watcher a process, whoever closes the run."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Protocol

from perdure.core import codec
from perdure.core.command import Closing
from perdure.core.errors import StoreCorrupt
from perdure.core.ids import RunId
from perdure.core.message import Outcome
from perdure.core.store import RunRecord, RunStatus, Store
from perdure.engine.commit import outcome_of
from perdure.engine.pipeline import surely

WATCH_MS = 5_000
"""The store's wake-ups may miss; this often the watched runs are looked at in any case."""
REST_FACTOR = 9
"""After a look the watcher rests so many times as long as it took, at most `WATCH_MS`: many must not wear the store."""
LOOK_PAUSE_MS = 20
"""Least time between two looks."""


async def read_outcome(store: Store, record: RunRecord) -> Outcome:
    """The outcome of a closed run, from its last turn."""
    (turns,) = await store.read_turns([(record.run_id, record.turns_count - 1)], 1)
    for data in turns:
        for closing in codec.turns.decode(data).outputs[-1:]:
            if isinstance(closing, Closing):
                return outcome_of(closing)
    raise StoreCorrupt(store=store.url, reason=f"closed run {record.run_id} has no closing turn")


class Beside(Protocol):
    """One who looks at runs for something else whenever the watcher does."""

    @property
    def watched(self) -> Sequence[RunId]:
        """The runs to look at."""
        ...

    async def look(self, run_ids: Sequence[RunId]) -> None:
        """Look at some of them."""
        ...

    def closed(self, run_id: RunId) -> None:
        """A run closed, durably."""
        ...


class Closings:
    """Futures for the outcomes of runs; those closed in this process take the short way."""

    def __init__(self, store: Store, held_here: Callable[[RunId], bool]) -> None:
        """`held_here` tells of a run whose closing this process hears of first."""
        self._store = store
        self._held_here = held_here
        self._waiters: dict[RunId, list[asyncio.Future[Outcome]]] = {}
        self._others: list[Beside] = []
        self._watcher: asyncio.Task[None] | None = None
        self._asked: list[RunId] = []
        self._looking: asyncio.Task[None] | None = None

    def beside(self, other: "Beside") -> None:
        """Let another one share the watcher, and hear of what closes."""
        self._others.append(other)

    def keep_watch(self) -> None:
        """Let the watcher run from now on."""
        if self._watcher is None:
            self._watcher = asyncio.get_running_loop().create_task(self._watch())

    def watches(self, task: "asyncio.Task[None] | None") -> bool:
        """Whether a task only keeps watch here: it finds what the short way has missed."""
        return task is not None and task is self._watcher

    def closed(self, run_id: RunId, outcome: Outcome) -> None:
        """A run closed, durably."""
        for waiter in self._waiters.pop(run_id, ()):
            if not waiter.done():
                waiter.set_result(outcome)
        for other in self._others:
            other.closed(run_id)

    async def wait(self, run_id: RunId) -> Outcome:
        """The outcome of a run, when it has one."""
        waiter: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        first = run_id not in self._waiters
        self._waiters.setdefault(run_id, []).append(waiter)
        try:
            if first and not self._held_here(run_id):
                await self._look_together(run_id)
            self.keep_watch()
            return await waiter
        finally:
            self._forget(run_id, waiter)

    def _forget(self, run_id: RunId, waiter: "asyncio.Future[Outcome]") -> None:
        others = self._waiters.get(run_id)
        if others is not None:
            others.remove(waiter)
            if not others:
                del self._waiters[run_id]

    async def _look_together(self, run_id: RunId) -> None:
        """One read for all that begin to wait at the same moment: clients wait for thousands."""
        self._asked.append(run_id)
        if self._looking is None:
            self._looking = asyncio.create_task(self._look_at_asked())
        # Shielded: one of them may give up.
        await asyncio.shield(self._looking)

    async def _look_at_asked(self) -> None:
        asked, self._asked, self._looking = self._asked, [], None
        await self._look(asked)

    async def _look(self, run_ids: Sequence[RunId]) -> None:
        for record in await self._store.read_runs(run_ids):
            if record.status is not RunStatus.RUNNING:
                self.closed(record.run_id, await read_outcome(self._store, record))

    async def _watch(self) -> None:
        loop = asyncio.get_running_loop()
        seen, looked_at_all_s = 0, loop.time()
        while True:
            seen, _ = await surely(lambda seen=seen: self._store.wait(seen, WATCH_MS), "wait")
            began_s = loop.time()
            # A run held here closes here, but for a client elsewhere that terminates it: that can wait a little.
            everyone = began_s - looked_at_all_s >= WATCH_MS / 1_000
            run_ids = [run_id for run_id in self._waiters if everyone or not self._held_here(run_id)]
            if everyone:
                looked_at_all_s = began_s
            if run_ids:
                await surely(lambda run_ids=run_ids: self._look(run_ids), "read")
            for other in self._others:
                their_ids = [run_id for run_id in other.watched if everyone or not self._held_here(run_id)]
                if their_ids:
                    await surely(lambda other=other, run_ids=their_ids: other.look(run_ids), "read")
            # Bounded: a store that did not answer for a while must not leave everybody waiting for minutes.
            rest_s = min(WATCH_MS / 1_000, REST_FACTOR * (loop.time() - began_s))
            await asyncio.sleep(max(LOOK_PAUSE_MS / 1_000, rest_s))

    async def stop(self) -> None:
        """End the watcher; whoever still waits is cancelled."""
        tasks = [task for task in (self._watcher, self._looking) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for waiters in self._waiters.values():
            for waiter in waiters:
                waiter.cancel()
