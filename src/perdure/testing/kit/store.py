"""The way to the store: counts what is under way, fails what shall fail, and tells of each turn that became durable.

A store with threads or sockets of its own is called on the host loop; the memory store on the caller's.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, TypeVar

import msgspec

from perdure.core.ids import RunId, WorkerId
from perdure.core.store import Claimed, ClaimRequest, Commit, Store
from perdure.stores.memory import MemoryStore
from perdure.testing.wrapper import StoreWrapper

R = TypeVar("R")

HOST_WAIT_MS = 3_600_000
"""A wait on the host lasts so long in real time; the virtual one ends by its own timer."""


class KitStore(StoreWrapper):
    """A store that lives on the host loop, called from virtual ones."""

    def __init__(self, inner: Store, host: asyncio.AbstractEventLoop) -> None:
        super().__init__(inner)
        self._host = host
        self._here = isinstance(inner, MemoryStore)
        self.under_way_count = 0
        """Calls that have reached the store and are not answered; waits for news do not count."""
        self.counts: Counter[str] = Counter()
        """Calls that reached the store, by verb."""
        self.queues: set[str] = set()
        """Task queues that are served beside those of the worker."""
        self.on_committed: Callable[[Sequence[Commit]], Awaitable[None]] | None = None
        """Told of turns that became durable, before anybody else."""

    async def call(self, verb: str, action: Callable[[], Coroutine[Any, Any, R]]) -> R:
        """See `StoreWrapper`."""
        self.counts[verb] += 1
        self.under_way_count += 1
        try:
            return await (action() if self._here else self._on_host(action))
        finally:
            self.under_way_count -= 1

    async def _on_host(self, action: Callable[[], Coroutine[Any, Any, R]]) -> R:
        loop = asyncio.get_running_loop()
        if loop is self._host:
            return await action()
        answer: asyncio.Future[R] = loop.create_future()
        task = self._host.create_task(action())
        task.add_done_callback(lambda done: _settle(answer, done))
        try:
            return await answer
        except asyncio.CancelledError:
            task.cancel()
            raise

    async def wait(self, seen: int, timeout_ms: int) -> int:
        if self._here:
            return await self.inner.wait(seen, timeout_ms)
        try:
            async with asyncio.timeout(timeout_ms / 1_000):
                return await self._on_host(lambda: self.inner.wait(seen, HOST_WAIT_MS))
        except TimeoutError:
            return seen

    async def claim(self, request: ClaimRequest, now_ms: int) -> Claimed:
        queues = tuple(sorted({*request.queues, *self.queues}))
        return await super().claim(msgspec.structs.replace(request, queues=queues), now_ms)

    async def commit(self, worker: WorkerId | None, commits: Sequence[Commit]) -> frozenset[RunId]:
        refused = await super().commit(worker, commits)
        if self.on_committed is not None:
            await self.on_committed([each for each in commits if each.run_id not in refused])
        return refused


def _settle(answer: "asyncio.Future[R]", task: "asyncio.Task[R]") -> None:
    if answer.done():
        return
    if task.cancelled():
        answer.cancel()
        return
    error = task.exception()
    if error is None:
        answer.set_result(task.result())
    else:
        answer.set_exception(error)
