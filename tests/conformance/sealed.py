"""Lets the shipped suite, whose bytes mean nothing, use a sealed store, which reads what it is given.

Around the sealed store: each of the suite's bytes becomes a message, a turn, a failure, a note or a heartbeat whose
payload is those bytes, and is itself again when it is read. Whatever comes back sealed is found by that.
"""

from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from perdure.core import codec
from perdure.core.command import RunActivity
from perdure.core.failure import Failure
from perdure.core.filter.tree import Filter
from perdure.core.ids import RunId, WorkerId, WorkflowId
from perdure.core.message import Signaled
from perdure.core.note import RunNote
from perdure.core.payload import Payload
from perdure.core.policy import ActivityOptions
from perdure.core.rows import (
    Beat,
    Claimed,
    ClaimedAttempt,
    ClaimRequest,
    Commit,
    Created,
    Delivery,
    Extended,
    Finish,
    NewRun,
    Park,
    RunRecord,
    RunStatus,
    Waiting,
)
from perdure.core.store import Store
from perdure.core.turn import Turn
from perdure.data.codecs import Zstd
from perdure.data.seal import Seal
from perdure.data.store import FORMS, Form, SealedStore, changed
from perdure.testing.wrapper import StoreWrapper

T = TypeVar("T")

SEALED = "codecs"
"""In the metadata of a payload that nobody has opened."""
PADDING = b" " * 200
"""Without it the codec would leave the payload as it is."""


def _meant(data: bytes, form: Form) -> bytes:
    payload = Payload(data + PADDING)
    values: dict[int, Any] = {
        id(codec.messages): Signaled("opaque", payload, "opaque"),
        id(codec.turns): Turn(1, 0, (), (RunActivity(1, b64encode(data).decode(), (payload,), ActivityOptions()),)),
        id(codec.failures): Failure("opaque", "", details=(payload,)),
        id(codec.notes): RunNote({"opaque": payload}),
        id(codec.heartbeats): (payload,),
    }
    return form.codec.encode(values[id(form.codec)])


def _opaque(data: bytes, form: Form) -> bytes:
    match form.codec.decode(data):
        case Signaled(payload=payload) | Failure(details=(payload,)) | RunNote(memo={"opaque": payload}) | (payload,):
            pass
        case Turn(outputs=(RunActivity(name=name, args=(payload,)),)):
            if form is FORMS[ClaimedAttempt, "turn"]:
                # Only the arguments of the attempt's own call are opened: the suite's calls are not in its turns.
                return b64decode(name)
        case found:
            raise AssertionError(found)
    assert not (payload.metadata or {}).get(SEALED), payload
    return payload.data.removesuffix(PADDING)


def _given(rows: Sequence[T]) -> tuple[T, ...]:
    return changed(tuple(rows), _meant)


def _back(rows: T) -> T:
    return changed(rows, _opaque)


class OpaqueStore(StoreWrapper):
    """A sealed store around `inner`, for bytes that mean nothing."""

    def __init__(self, inner: Store) -> None:
        super().__init__(SealedStore(inner, Seal([Zstd()])))

    async def create(self, runs: Sequence[NewRun]) -> Sequence[Created]:
        return await self.inner.create(_given(runs))

    async def deliver(self, deliveries: Sequence[Delivery]) -> Sequence[bool]:
        return await self.inner.deliver(_given(deliveries))

    async def commit(self, worker: WorkerId | None, commits: Sequence[Commit]) -> frozenset[RunId]:
        return await self.inner.commit(worker, _given(commits))

    async def park(self, worker: WorkerId, parks: Sequence[Park]) -> None:
        await self.inner.park(worker, _given(parks))

    async def finish(self, worker: WorkerId | None, finishes: Sequence[Finish]) -> Sequence[bool]:
        return await self.inner.finish(worker, _given(finishes))

    async def extend(self, worker: WorkerId, until_ms: int, beats: Sequence[Beat]) -> Extended:
        return await self.inner.extend(worker, until_ms, _given(beats))

    async def claim(self, request: ClaimRequest, now_ms: int) -> Claimed:
        return _back(await self.inner.claim(request, now_ms))

    async def read_runs(self, runs: Sequence[RunId]) -> Sequence[RunRecord]:
        return list(_back(tuple(await self.inner.read_runs(runs))))

    async def find_run(self, workflow_id: WorkflowId) -> RunRecord | None:
        return _back(await self.inner.find_run(workflow_id))

    async def read_turns(self, wants: Sequence[tuple[RunId, int]], limit: int) -> Sequence[Sequence[bytes]]:
        form = FORMS[Commit, "turn"]
        return [[_opaque(data, form) for data in history] for history in await self.inner.read_turns(wants, limit)]

    async def read_waiting(self, run_id: RunId) -> Waiting:
        return _back(await self.inner.read_waiting(run_id))

    async def list_runs(self, where: Filter, limit: int, before: RunId | None = None) -> Sequence[RunRecord]:
        return list(_back(tuple(await self.inner.list_runs(where, limit, before))))

    async def count_runs(self, where: Filter) -> Mapping[RunStatus, int]:
        return await self.inner.count_runs(where)
