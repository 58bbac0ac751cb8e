"""The SQLite store's verbs: each is a function that its writer or its reader thread calls. They decide nothing."""

from collections.abc import Mapping, Sequence
from pathlib import Path

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
    Waiting,
)
from perdure.stores.changes import Changes
from perdure.stores.sqlite import claims, messages, reads, turns
from perdure.stores.sqlite.threads import Reader, Writer


class SqliteStore:
    """A `Store` in one file. Any number of threads, loops and processes of one machine may use the file at once."""

    def __init__(self, path: str | Path) -> None:
        self._path = Path(path)
        self._changes = Changes()
        self._writer = Writer(self._path, self._changes)
        self._reader = Reader(self._path)

    @property
    def url(self) -> str:
        """sqlite:/// and the path as it was given."""
        return f"sqlite:///{self._path}"

    async def open(self) -> None:
        await self._writer.start()
        try:
            await self._reader.start()
        except BaseException:  # Nothing may leave one thread behind.
            await self._writer.stop()
            raise

    async def close(self) -> None:
        await self._reader.stop()
        await self._writer.stop()

    # Writing

    async def create(self, runs: Sequence[NewRun]) -> Sequence[Created]:
        return await self._writer.ask(lambda db: messages.create(db, runs))

    async def deliver(self, deliveries: Sequence[Delivery]) -> Sequence[bool]:
        return await self._writer.ask(lambda db: messages.deliver(db, deliveries))

    async def commit(self, worker: WorkerId | None, commits: Sequence[Commit]) -> frozenset[RunId]:
        return await self._writer.ask(lambda db: turns.commit(db, worker, commits))

    async def park(self, worker: WorkerId, parks: Sequence[Park]) -> None:
        await self._writer.ask(lambda db: turns.park(db, worker, parks))

    async def finish(self, worker: WorkerId | None, finishes: Sequence[Finish]) -> Sequence[bool]:
        return await self._writer.ask(lambda db: claims.finish(db, worker, finishes))

    async def delete(self, runs: Sequence[RunId]) -> int:
        return await self._writer.ask(lambda db: messages.delete(db, runs))

    async def closed_before(self, before_ms: int, limit: int) -> Sequence[RunId]:
        return await self._reader.ask(lambda db: reads.closed_before(db, before_ms, limit))

    # Holding

    async def register(self, worker: WorkerId, until_ms: int) -> None:
        await self._writer.ask(lambda db: claims.register(db, worker, until_ms))

    async def extend(self, worker: WorkerId, until_ms: int, beats: Sequence[Beat]) -> Extended:
        return await self._writer.ask(lambda db: claims.extend(db, worker, until_ms, beats))

    async def claim(self, request: ClaimRequest, now_ms: int) -> Claimed:
        """See `Store.claim`; one that finds nothing only reads."""
        nothing = await self._reader.ask(lambda db: claims.peek(db, request, now_ms))
        if nothing is not None:
            return nothing
        return await self._writer.ask(lambda db: claims.claim(db, request, now_ms))

    async def release(self, worker: WorkerId, *, died: bool, now_ms: int) -> None:
        await self._writer.ask(lambda db: claims.release(db, worker, died=died, now_ms=now_ms))

    async def leaseholders(self) -> Sequence[WorkerId]:
        return await self._reader.ask(claims.leaseholders)

    async def wait(self, seen: int, timeout_ms: int) -> int:
        """See `Store.wait`; other processes' writes are seen within `POLL_MS`."""
        if not self._changes.awaited:
            self._writer.nudge()
        return await self._changes.wait(seen, timeout_ms)

    # Reading

    async def read_runs(self, runs: Sequence[RunId]) -> Sequence[RunRecord]:
        return await self._reader.ask(lambda db: reads.read_runs(db, runs))

    async def find_run(self, workflow_id: WorkflowId) -> RunRecord | None:
        return await self._reader.ask(lambda db: reads.find_run(db, workflow_id))

    async def read_turns(self, wants: Sequence[tuple[RunId, int]], limit: int) -> Sequence[Sequence[bytes]]:
        return await self._reader.ask(lambda db: reads.read_turns(db, wants, limit))

    async def read_waiting(self, run_id: RunId) -> Waiting:
        return await self._reader.ask(lambda db: reads.read_waiting(db, run_id))

    async def list_runs(self, where: Filter, limit: int, before: RunId | None = None) -> Sequence[RunRecord]:
        return await self._reader.ask(lambda db: reads.list_runs(db, where, limit, before))

    async def count_runs(self, where: Filter) -> Mapping[RunStatus, int]:
        return await self._reader.ask(lambda db: reads.count_runs(db, where))

    async def count_open(self) -> Sequence[OpenRuns]:
        return await self._reader.ask(reads.count_open)
