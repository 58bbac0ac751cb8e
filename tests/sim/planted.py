"""Bugs planted on purpose, each in a store or in the engine: what the simulator must find."""

from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from types import ModuleType
from typing import NamedTuple

import msgspec
import pytest

from perdure.core import chain
from perdure.core.attributes import Attribute
from perdure.core.command import NextRun
from perdure.core.errors import StoreUnavailable
from perdure.core.ids import RunId, WorkerId
from perdure.core.message import Message, UpdateRequested
from perdure.core.payload import Payload
from perdure.core.store import Claimed, ClaimRequest, Commit, Delivery, Finish, NewRun, Retry, Store
from perdure.engine.live import OpenCalls
from perdure.programs.code import continuing
from perdure.programs.code.run import CodeRun
from perdure.stores.memory import MemoryStore
from perdure.stores.memory_run import MemoryMessage, MemoryRun
from perdure.testing.world import RANKED_SEEDS_FROM, WIDE_SEEDS_FROM
from perdure.worker.held import HeldRun
from perdure.worker.host import RunHost


class FenceOff(MemoryStore):
    """Accepts every turn of an open run, whatever its number."""

    def _is_next(self, commit: Commit) -> bool:
        run = self._runs.get(commit.run_id)
        return run is not None and run.closed_at_ms is None


class TornCommits(MemoryStore):
    """Every so often only the turn of a commit is written, and the store is gone for a moment."""

    def __init__(self) -> None:
        super().__init__()
        self._commits_count = 0

    async def commit(self, worker: WorkerId | None, commits: Sequence[Commit]) -> frozenset[RunId]:
        self._commits_count += 1
        if self._commits_count % 10:
            return await super().commit(worker, commits)
        torn = [msgspec.structs.replace(commit, deliveries=(), attempts=(), children=()) for commit in commits]
        await super().commit(worker, torn)
        raise StoreUnavailable(store=self.url, reason="it crashed in the middle of a commit")


class ForgottenRetries(MemoryStore):
    """An attempt that is to be tried again is gone."""

    def _finish(self, worker: WorkerId | None, finish: Finish) -> bool:
        if isinstance(finish.then, Retry):
            self._holdings.drop_attempt(
                self._runs[finish.run_id], finish.call_id
            ) if finish.run_id in self._runs else None
            return True
        return super()._finish(worker, finish)


class ForgottenRequests(MemoryStore):
    """A repeated start is taken for another one."""

    def _obstacle(self, new: NewRun) -> MemoryRun | None:
        last = self._last_run(new.workflow_id)
        return last if last is not None and last.closed_at_ms is None else self._runs.get(new.run_id)


class LostSignals(MemoryStore):
    """A signal that comes while a worker holds the run is acknowledged and forgotten."""

    def _deliver(self, delivery: Delivery) -> bool:
        run = self._runs.get(delivery.run_id)
        if run is not None and run.worker is not None and delivery.message_id.startswith("s") and run.turns:
            return True
        return super()._deliver(delivery)


class EarlyTimers(MemoryStore):
    """Timers are visible two minutes early."""

    def _deliver(self, delivery: Delivery) -> bool:
        if delivery.message_id.startswith("t"):
            delivery = msgspec.structs.replace(delivery, visible_at_ms=delivery.visible_at_ms - 120_000)
        return super()._deliver(delivery)


class UnfencedRelease(MemoryStore):
    """A worker that died is not counted: its attempts stay as they are, and a deadly activity is tried for ever."""

    def _give_back(self, worker: WorkerId, *, died: bool, now_ms: int | None) -> None:
        self._leases.pop(worker, None)
        for attempt in tuple(self._holdings.held_attempts.get(worker, {}).values()):
            self._holdings.hold_attempt(attempt, None)


@contextmanager
def patched(target: type | ModuleType, name: str, replacement: Callable[..., object]) -> Generator[None]:
    """Replace a method or a function for a while."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(target, name, replacement)
        yield


def _awaits_everything(self: OpenCalls, message: Message) -> bool:
    return True


class UnmovedInboxes(MemoryStore):
    """What still waits for a run when another one goes on for it is gone."""

    def _go_on(self, run: MemoryRun, new: NewRun, left: Sequence[MemoryMessage]) -> None:
        super()._go_on(run, new, ())


class SecondSuccessors(MemoryStore):
    """A client's commit that closes a run is applied also where the run has closed since."""

    def _is_next(self, commit: Commit) -> bool:
        run = self._runs.get(commit.run_id)
        late = run is not None and run.successor is not None and commit.next is not None
        return late or super()._is_next(commit)


class UncountedSlots(MemoryStore):
    """What runs is not counted against the limits of its queue."""

    async def claim(self, request: ClaimRequest, now_ms: int) -> Claimed:
        limits = tuple(replace(each, concurrent=None, concurrent_per_key=None) for each in request.limits)
        return await super().claim(msgspec.structs.replace(request, limits=limits), now_ms)


_awaits = OpenCalls.awaits


def _awaits_updates(self: OpenCalls, message: Message) -> bool:
    return isinstance(message, UpdateRequested) or _awaits(self, message)


def _nothing_unread(run: CodeRun) -> list[Message]:
    return []


def _forgetful(
    next: NextRun, memo: dict[str, Payload] | None, attributes: Sequence[Attribute], requests: Sequence[str]
) -> NextRun:
    """As `chain.inheriting`, but the run that goes on knows of no request that was taken before it."""
    return _inheriting(next, memo, attributes, ())


_inheriting = chain.inheriting


def _abandon_to_cache(self: RunHost, held: HeldRun) -> None:
    """As `RunHost._abandon`, but the live run is kept for the next time."""
    if self.held.get(held.live.run_id) is held:
        del self.held[held.live.run_id]
    self.cache.put(held.live)


class Bug(NamedTuple):
    """A planted bug."""

    name: str
    store: Callable[[], Store] = MemoryStore
    planted: Callable[[], AbstractContextManager[None]] = nullcontext
    first: int = 0
    """The first seed that is tried; those before would only take time."""


BUGS = (
    Bug("fence off", FenceOff),
    Bug("torn commit", TornCommits),
    Bug("forgotten retry", ForgottenRetries),
    Bug("repeated start taken for another", ForgottenRequests),
    Bug("signals lost", LostSignals),
    Bug("early timers", EarlyTimers),
    Bug("runs of the dead never given back", UnfencedRelease),
    Bug("no de-duplication", planted=lambda: patched(OpenCalls, "awaits", _awaits_everything)),
    Bug(
        "cache kept after a conflict",
        planted=lambda: patched(RunHost, "_abandon", _abandon_to_cache),
        first=WIDE_SEEDS_FROM + 198,
    ),
    Bug(
        "update applied twice",
        planted=lambda: patched(OpenCalls, "awaits", _awaits_updates),
        first=WIDE_SEEDS_FROM + 30,
    ),
    Bug(
        "signal dropped at continue-as-new",
        planted=lambda: patched(continuing, "_unread", _nothing_unread),
        first=WIDE_SEEDS_FROM,
    ),
    Bug("inbox not moved to the successor", UnmovedInboxes, first=WIDE_SEEDS_FROM + 40),
    Bug("limits that count nobody", UncountedSlots, first=RANKED_SEEDS_FROM),
    Bug("two successors of one run", SecondSuccessors, first=WIDE_SEEDS_FROM),
    Bug(
        "requests forgotten at continue-as-new",
        planted=lambda: patched(chain, "inheriting", _forgetful),
        first=WIDE_SEEDS_FROM,
    ),
)
