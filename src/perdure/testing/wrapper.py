"""A store around another one: every verb passes through one place, for those who watch, delay or break it."""

from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, TypeVar

from perdure.core.filter.tree import Filter
from perdure.core.ids import RunId, WorkerId, WorkflowId
from perdure.core.store import (
    Beat,
    Claimed,
    ClaimRequest,
    Commit,
    Created,
    Delivery,
    Extended,
    Finish,
    NewRun,
    OpenRuns,
    Park,
    RunRecord,
    RunStatus,
    Store,
    Waiting,
)

R = TypeVar("R")


class StoreWrapper:
    """A `Store` that hands every verb on; subclasses override `call`, or single verbs."""

    def __init__(self, inner: Store) -> None:
        self.inner = inner

    async def call(self, verb: str, action: Callable[[], Coroutine[Any, Any, R]]) -> R:
        """Do one verb: `action` starts it, and may be called more than once or not at all."""
        return await action()

    @property
    def url(self) -> str:
        return self.inner.url

    async def open(self) -> None:
        await self.call("open", self.inner.open)

    async def close(self) -> None:
        await self.call("close", self.inner.close)

    async def create(self, runs: Sequence[NewRun]) -> Sequence[Created]:
        return await self.call("create", lambda: self.inner.create(runs))

    async def deliver(self, deliveries: Sequence[Delivery]) -> Sequence[bool]:
        return await self.call("deliver", lambda: self.inner.deliver(deliveries))

    async def commit(self, worker: WorkerId | None, commits: Sequence[Commit]) -> frozenset[RunId]:
        return await self.call("commit", lambda: self.inner.commit(worker, commits))

    async def park(self, worker: WorkerId, parks: Sequence[Park]) -> None:
        await self.call("park", lambda: self.inner.park(worker, parks))

    async def finish(self, worker: WorkerId | None, finishes: Sequence[Finish]) -> Sequence[bool]:
        return await self.call("finish", lambda: self.inner.finish(worker, finishes))

    async def delete(self, runs: Sequence[RunId]) -> int:
        return await self.call("delete", lambda: self.inner.delete(runs))

    async def closed_before(self, before_ms: int, limit: int) -> Sequence[RunId]:
        return await self.call("closed_before", lambda: self.inner.closed_before(before_ms, limit))

    async def register(self, worker: WorkerId, until_ms: int) -> None:
        await self.call("register", lambda: self.inner.register(worker, until_ms))

    async def extend(self, worker: WorkerId, until_ms: int, beats: Sequence[Beat]) -> Extended:
        return await self.call("extend", lambda: self.inner.extend(worker, until_ms, beats))

    async def claim(self, request: ClaimRequest, now_ms: int) -> Claimed:
        return await self.call("claim", lambda: self.inner.claim(request, now_ms))

    async def release(self, worker: WorkerId, *, died: bool, now_ms: int) -> None:
        await self.call("release", lambda: self.inner.release(worker, died=died, now_ms=now_ms))

    async def leaseholders(self) -> Sequence[WorkerId]:
        return await self.call("leaseholders", self.inner.leaseholders)

    async def wait(self, seen: int, timeout_ms: int) -> int:
        return await self.call("wait", lambda: self.inner.wait(seen, timeout_ms))

    async def read_runs(self, runs: Sequence[RunId]) -> Sequence[RunRecord]:
        return await self.call("read_runs", lambda: self.inner.read_runs(runs))

    async def find_run(self, workflow_id: WorkflowId) -> RunRecord | None:
        return await self.call("find_run", lambda: self.inner.find_run(workflow_id))

    async def read_turns(self, wants: Sequence[tuple[RunId, int]], limit: int) -> Sequence[Sequence[bytes]]:
        return await self.call("read_turns", lambda: self.inner.read_turns(wants, limit))

    async def read_waiting(self, run_id: RunId) -> Waiting:
        return await self.call("read_waiting", lambda: self.inner.read_waiting(run_id))

    async def list_runs(self, where: Filter, limit: int, before: RunId | None = None) -> Sequence[RunRecord]:
        return await self.call("list_runs", lambda: self.inner.list_runs(where, limit, before))

    async def count_runs(self, where: Filter) -> Mapping[RunStatus, int]:
        return await self.call("count_runs", lambda: self.inner.count_runs(where))

    async def count_open(self) -> Sequence[OpenRuns]:
        return await self.call("count_open", lambda: self.inner.count_open())
