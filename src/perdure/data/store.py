"""A store whose payloads are sealed: the one place where codecs and the claim check meet what is persisted.

It is a store itself, so that the engine, the worker and all verbs know nothing of it, and nothing can pass it by. What
lies outside is durable before the write that points to it, and fetched before the read returns.
Source: docs/decisions/0012-payloads-are-sealed-at-the-store.md.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple, TypeVar, cast, get_args

import msgspec

from perdure.core import codec, rows
from perdure.core.errors import UndecodablePayload
from perdure.core.filter.tree import Filter
from perdure.core.ids import RunId, WorkerId, WorkflowId
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
    OpenRuns,
    Park,
    RunRecord,
    RunStatus,
    Waiting,
)
from perdure.core.store import Store
from perdure.data.seal import Opening, Seal, Sealing

T = TypeVar("T")


class Form(NamedTuple):
    """How the bytes in one field of a row are to be read."""

    codec: codec.Codec[Any]
    inside: bool = False
    """However large, it stays in the store: it is read where nothing can wait for a blob store."""


FORMS: dict[tuple[type[Any], str], Form] = {
    (rows.Delivery, "data"): Form(codec.messages),
    (rows.NewRun, "start"): Form(codec.messages),
    (rows.NewRun, "note"): Form(codec.notes, inside=True),
    (rows.Commit, "turn"): Form(codec.turns),
    (rows.Commit, "note"): Form(codec.notes, inside=True),
    (rows.Park, "failure"): Form(codec.failures, inside=True),
    (rows.Retry, "failure"): Form(codec.failures, inside=True),
    (rows.Retry, "heartbeat"): Form(codec.heartbeats, inside=True),
    (rows.Beat, "details"): Form(codec.heartbeats, inside=True),
    (rows.RunRecord, "parked"): Form(codec.failures),
    (rows.RunRecord, "note"): Form(codec.notes),
    (rows.ClaimedRun, "messages"): Form(codec.messages),
    (rows.ClaimedAttempt, "turn"): Form(codec.turns),
    (rows.ClaimedAttempt, "heartbeat"): Form(codec.heartbeats),
    (rows.ClaimedAttempt, "failure"): Form(codec.failures),
    (rows.WaitingMessage, "data"): Form(codec.messages),
    (rows.WaitingAttempt, "failure"): Form(codec.failures),
    (rows.WaitingAttempt, "heartbeat"): Form(codec.heartbeats),
}
"""Every field of a row that holds bytes."""


class SealedStore:
    """Another store, behind a `Seal`. Its verbs keep the promises of the port."""

    def __init__(self, inner: Store, seal: Seal) -> None:
        self._inner = inner
        self._seal = seal

    @property
    def url(self) -> str:
        """See `Store`."""
        return self._inner.url

    async def open(self) -> None:
        """See `Store`."""
        await self._inner.open()

    async def close(self) -> None:
        """See `Store`."""
        await self._inner.close()

    # Writing

    async def create(self, runs: Sequence[NewRun]) -> Sequence[Created]:
        """See `Store`."""
        return await self._inner.create(await self._sealed(runs))

    async def deliver(self, deliveries: Sequence[Delivery]) -> Sequence[bool]:
        """See `Store`."""
        return await self._inner.deliver(await self._sealed(deliveries))

    async def commit(self, worker: WorkerId | None, commits: Sequence[Commit]) -> frozenset[RunId]:
        """See `Store`."""
        return await self._inner.commit(worker, await self._sealed(commits))

    async def park(self, worker: WorkerId, parks: Sequence[Park]) -> None:
        """See `Store`."""
        await self._inner.park(worker, await self._sealed(parks))

    async def finish(self, worker: WorkerId | None, finishes: Sequence[Finish]) -> Sequence[bool]:
        """See `Store`."""
        return await self._inner.finish(worker, await self._sealed(finishes))

    async def delete(self, runs: Sequence[RunId]) -> int:
        """See `Store`. What the runs had outside stays, until it is swept."""
        return await self._inner.delete(runs)

    async def closed_before(self, before_ms: int, limit: int) -> Sequence[RunId]:
        """See `Store`."""
        return await self._inner.closed_before(before_ms, limit)

    # Holding

    async def register(self, worker: WorkerId, until_ms: int) -> None:
        """See `Store`."""
        await self._inner.register(worker, until_ms)

    async def extend(self, worker: WorkerId, until_ms: int, beats: Sequence[Beat]) -> Extended:
        """See `Store`."""
        return await self._inner.extend(worker, until_ms, await self._sealed(beats))

    async def claim(self, request: ClaimRequest, now_ms: int) -> Claimed:
        """See `Store`."""
        return await self._opened(await self._inner.claim(request, now_ms), _open_claimed)

    async def release(self, worker: WorkerId, *, died: bool, now_ms: int) -> None:
        """See `Store`."""
        await self._inner.release(worker, died=died, now_ms=now_ms)

    async def leaseholders(self) -> Sequence[WorkerId]:
        """See `Store`."""
        return await self._inner.leaseholders()

    async def wait(self, seen: int, timeout_ms: int) -> int:
        """See `Store`."""
        return await self._inner.wait(seen, timeout_ms)

    # Reading

    async def read_runs(self, runs: Sequence[RunId]) -> Sequence[RunRecord]:
        """See `Store`."""
        return await self._opened(tuple(await self._inner.read_runs(runs)), _open_rows)

    async def find_run(self, workflow_id: WorkflowId) -> RunRecord | None:
        """See `Store`."""
        return await self._opened(await self._inner.find_run(workflow_id), _open_rows)

    async def read_turns(self, wants: Sequence[tuple[RunId, int]], limit: int) -> Sequence[Sequence[bytes]]:
        """See `Store`."""
        histories = tuple(tuple(each) for each in await self._inner.read_turns(wants, limit))
        return await self._opened(histories, _open_turns)

    async def read_waiting(self, run_id: RunId) -> Waiting:
        """See `Store`."""
        return await self._opened(await self._inner.read_waiting(run_id), _open_rows)

    async def list_runs(self, where: Filter, limit: int, before: RunId | None = None) -> Sequence[RunRecord]:
        """See `Store`."""
        return await self._opened(tuple(await self._inner.list_runs(where, limit, before)), _open_rows)

    async def count_runs(self, where: Filter) -> Mapping[RunStatus, int]:
        """See `Store`."""
        return await self._inner.count_runs(where)

    async def count_open(self) -> Sequence[OpenRuns]:
        return await self._inner.count_open()

    # Both ways

    async def _sealed(self, written: Sequence[T]) -> tuple[T, ...]:
        sealing = Sealing(self._seal)
        sealed = changed(tuple(written), lambda data, form: _seal_bytes(data, form, sealing))
        if sealing.blobs and self._seal.claim_check is not None:
            await self._seal.claim_check.stow(sealing.blobs)
            sealing.stowed()
        return sealed

    async def _opened(self, read: T, open_all: Callable[[T, Opening], T]) -> T:
        opening = Opening(self._seal, {})
        opened = open_all(read, opening)
        if opening.wanted and self._seal.claim_check is not None:
            opened = open_all(read, Opening(self._seal, await self._seal.claim_check.fetch(opening.wanted)))
        return opened


def _seal_bytes(data: bytes, form: Form, sealing: Sealing) -> bytes:
    value = form.codec.decode(data)
    sealed = sealing(value, inside=form.inside)
    return data if sealed is value else form.codec.encode(sealed)


def _open_bytes(data: bytes, form: Form, opening: Opening) -> bytes:
    try:
        value = form.codec.decode(data)
    except UndecodablePayload:
        # Damaged, or of a later version: whoever reads it has an answer to that.
        return data
    opened = opening(value)
    return data if opened is value else form.codec.encode(opened)


def _open_rows(read: T, opening: Opening) -> T:
    return changed(read, lambda data, form: _open_bytes(data, form, opening))


def _open_turns(histories: Sequence[Sequence[bytes]], opening: Opening) -> Sequence[Sequence[bytes]]:
    form = FORMS[Commit, "turn"]
    return tuple(tuple(_open_bytes(data, form, opening) for data in history) for history in histories)


def _open_claimed(claimed: Claimed, opening: Opening) -> Claimed:
    # Attempts of one turn share its bytes, and need their own arguments only.
    calls: dict[bytes, set[int]] = {}
    for attempt in claimed.attempts:
        calls.setdefault(attempt.turn, set()).add(attempt.call_id)
    turns = {data: _open_calls(data, frozenset(call_ids), opening) for data, call_ids in calls.items()}
    form = FORMS[ClaimedAttempt, "turn"]
    return changed(claimed, lambda data, its: turns[data] if its is form else _open_bytes(data, its, opening))


def _open_calls(data: bytes, call_ids: frozenset[int], opening: Opening) -> bytes:
    try:
        return codec.turns.encode(opening.calls(codec.turns.decode(data), call_ids))
    except UndecodablePayload:
        return data


# Rows


def changed(value: T, change: Callable[[bytes, Form], bytes]) -> T:
    """Rows, or whatever holds rows, with the bytes in them changed."""
    if isinstance(value, tuple):
        return cast(T, tuple([changed(each, change) for each in cast(tuple[Any, ...], value)]))
    if not isinstance(value, msgspec.Struct):
        return value
    found: dict[str, Any] = {}
    for name, form in _fields(type(value)):
        before = getattr(value, name)
        if before is None:
            continue
        if form is None:
            found[name] = changed(before, change)
        elif isinstance(before, tuple):
            found[name] = tuple([change(each, form) for each in cast(tuple[bytes, ...], before)])
        else:
            found[name] = change(before, form)
    return msgspec.structs.replace(value, **found) if found else value


@cache
def _fields(kind: type[msgspec.Struct]) -> tuple[tuple[str, Form | None], ...]:
    """The fields of a row with bytes in them: with their form, or None where they are rows again."""
    fields = [(each.name, FORMS.get((kind, each.name)), each.type) for each in msgspec.structs.fields(kind)]
    return tuple((name, form) for name, form, annotation in fields if form is not None or _has_rows(annotation))


def _has_rows(annotation: Any) -> bool:
    if isinstance(annotation, type) and issubclass(annotation, msgspec.Struct):
        return bool(_fields(annotation))
    return any(_has_rows(each) for each in get_args(annotation))
