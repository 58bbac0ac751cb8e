"""The verbs of clients: start, signal, update, query, cancel, terminate, resume, describe, list, history, wait.

Any process with the store's URL can use them. Where a worker runs in the same process it is given the short way.
"""

import asyncio
import logging
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import NamedTuple, Protocol

import msgspec

from perdure.core import codec
from perdure.core.command import RunActivity, StartChild, StartTimer
from perdure.core.errors import RunClosed, UndecodablePayload, WorkflowNotFound
from perdure.core.failure import Failure
from perdure.core.filter.tree import Filter
from perdure.core.ids import RunId, WorkflowId
from perdure.core.message import (
    CancelRequested,
    Continued,
    Forked,
    Message,
    Outcome,
    PauseRequested,
    Query,
    Resumed,
    Signaled,
    Started,
    TerminateRequested,
    UpdateRequested,
)
from perdure.core.payload import Payload
from perdure.core.program import Program
from perdure.core.store import Delivery, NewRun, RunRecord, RunStatus, Store, Waiting
from perdure.core.turn import Turn
from perdure.engine.clock import Clock
from perdure.engine.closings import Closings
from perdure.engine.commit import outcome_of, to_commit
from perdure.engine.live import LiveRun, OpenCalls
from perdure.engine.starting import AT_ONCE, Starter, StartPolicy, new_run
from perdure.engine.together import Together
from perdure.engine.updates import Answer, Updates, UpdateWaiter

logger = logging.getLogger("perdure.engine")

TURNS_A_READ = 500
QUERY_SETTLE_MS = 2_000
"""A query waits so long at most for messages that are already in the inbox to be taken."""


class Local(Protocol):
    """A worker in the same process."""

    def can_start(self, run: NewRun) -> bool:
        """Whether a new run can take its first turn here at once."""
        ...

    def start_run(self, run: NewRun, started: Started) -> "asyncio.Future[bool]":
        """Create it so; the future tells whether it could be created."""
        ...

    def holds(self, run_id: RunId) -> bool:
        """Whether it works on the run, so that nobody else closes it."""
        ...

    def look(self) -> None:
        """Something became claimable in this process."""
        ...

    def forget(self, run_id: RunId) -> None:
        """The run was closed by a client: stop what works on it."""
        ...

    def peek(self, record: RunRecord) -> LiveRun | None:
        """The live run, if it is here and exactly what the store has."""
        ...


class Answered(NamedTuple):
    """What became of an update, and in which run."""

    run_id: RunId
    answer: Answer


class Description(msgspec.Struct, frozen=True):
    """A run with what it waits for."""

    record: RunRecord
    waiting: Waiting
    activities: tuple[RunActivity, ...]
    timers: tuple[StartTimer, ...]
    children: tuple[StartChild, ...]
    parked: Failure | None


def _decodable(waiting: Waiting) -> Iterator[Message]:
    for each in waiting.messages:
        try:
            yield codec.messages.decode(each.data)
        except UndecodablePayload:
            continue


class Engine:
    """The verbs over one store."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self.store = store
        self.closings = Closings(store, self._held_here)
        self.updates = Updates(store, self.closings)
        self.local: Local | None = None
        self._clock = clock
        self._deliveries = Together(store.deliver, store.url)
        self._starter = Starter(store, clock, self.terminate, self._deliveries)

    @property
    def clock(self) -> Clock:
        """Time and ids of the verbs."""
        return self._clock

    def _held_here(self, run_id: RunId) -> bool:
        return self.local is not None and self.local.holds(run_id)

    # Starting

    async def start(self, started: Started, request_id: str | None = None, *, policy: StartPolicy = AT_ONCE) -> RunId:
        """Start a run durably; a repetition of the same request id gets the same run.

        Raises `AlreadyRunning` or `WorkflowIdUsed`.
        """
        local = self.local
        if local is not None and started.options is None and policy.at_once:
            run = new_run(started, request_id, policy, self._clock.new_run_id(), self._clock.now_ms())
            if local.can_start(run) and await local.start_run(run, started):
                return run.run_id
        run_id = await self._starter.create(started, request_id, policy)
        if local is not None:
            local.look()
        return run_id

    # Finding

    async def find(self, workflow_id: WorkflowId, run_id: RunId | None = None) -> RunRecord:
        """The run named, else the open run of the workflow id, else its last one. Raises `WorkflowNotFound`."""
        if run_id is None:
            record = await self.store.find_run(workflow_id)
        else:
            record = next(iter(await self.store.read_runs([run_id])), None)
        if record is None or record.workflow_id != workflow_id:
            raise WorkflowNotFound(workflow_id=workflow_id)
        return record

    async def current(self, workflow_id: WorkflowId, run_id: RunId | None = None) -> RunRecord:
        """As `find`, but where other runs went on for the one named, the last of them."""
        record = await self.find(workflow_id, run_id)
        if record.successor is not None:
            last = await self.find(workflow_id)
            # Later ones of other starts may have the workflow id by now.
            while last.first_run_id != record.first_run_id and record.successor is not None:
                record = await self.find(workflow_id, record.successor)
            return last if last.first_run_id == record.first_run_id else record
        return record

    async def list_runs(self, where: Filter, limit: int, before: RunId | None = None) -> Sequence[RunRecord]:
        """Newest first."""
        return await self.store.list_runs(where, limit, before)

    async def count_runs(self, where: Filter) -> dict[RunStatus, int]:
        """How many there are of each status that some have."""
        return dict(await self.store.count_runs(where))

    async def turns(self, run_id: RunId) -> AsyncIterator[Turn]:
        """The recorded turns of a run."""
        after = 0
        while True:
            (history,) = await self.store.read_turns([(run_id, after)], TURNS_A_READ)
            for data in history:
                yield codec.turns.decode(data)
            if len(history) < TURNS_A_READ:
                return
            after += len(history)

    async def describe(self, workflow_id: WorkflowId, run_id: RunId | None = None) -> Description:
        """The run and what it waits for."""
        record = await self.find(workflow_id, run_id)
        open_calls = OpenCalls()
        async for turn in self.turns(record.run_id):
            open_calls.fold(turn)
        calls = open_calls.calls.values() if record.status is RunStatus.RUNNING else ()
        return Description(
            record=record,
            waiting=await self.store.read_waiting(record.run_id),
            activities=tuple(call for call in calls if isinstance(call, RunActivity)),
            timers=tuple(call for call in calls if isinstance(call, StartTimer)),
            children=tuple(call for call in calls if isinstance(call, StartChild)),
            parked=None if record.parked is None else codec.failures.decode(record.parked),
        )

    async def wait(self, run_id: RunId) -> Outcome:
        """The outcome of a run, or of those that go on for it, when there is one."""
        while isinstance(outcome := await self.closings.wait(run_id), Continued):
            run_id = outcome.run_id
        return outcome

    # Telling

    async def signal(self, workflow_id: WorkflowId, run_id: RunId | None, signal: Signaled) -> None:
        """Tell a run something, durably. Raises `WorkflowNotFound` or `RunClosed`."""
        await self._tell(workflow_id, run_id, signal, unparks=False)

    async def update(
        self, workflow_id: WorkflowId, run_id: RunId | None, update: UpdateRequested, *, fresh: bool, early: bool
    ) -> Answered:
        """Tell a run an update, durably, and wait until it is answered; `early`: until it is accepted or rejected.

        `fresh` says that nobody can have sent it before under its id. Raises `WorkflowNotFound` or `RunClosed`.
        """
        waiter = UpdateWaiter(update.update_id, early=early)
        try:
            if not fresh and await self._was_updated(workflow_id, run_id, waiter):
                return Answered(waiter.run_id, waiter.future.result())
            await self._tell(
                workflow_id,
                run_id,
                update,
                unparks=False,
                before=lambda record: self.updates.place(waiter, record.run_id, record.turns_count if fresh else 0),
            )
            answer = await waiter.future
            return Answered(waiter.run_id, answer)
        finally:
            self.updates.forget(waiter)

    async def _was_updated(self, workflow_id: WorkflowId, run_id: RunId | None, waiter: UpdateWaiter) -> bool:
        """Whether the answer is in the history already; only that of the run as it is found now."""
        record = await self.find(workflow_id, run_id)
        self.updates.place(waiter, record.run_id, 0)
        await self.updates.look([record.run_id])
        if waiter.future.done() and waiter.future.result() is None and not waiter.accepted:
            # It was never taken, and is refused for that where it is told.
            waiter.future = asyncio.get_running_loop().create_future()
        return waiter.future.done()

    async def answer(
        self, workflow_id: WorkflowId, run_id: RunId | None, update_id: str, *, early: bool = False
    ) -> Answered:
        """Wait for the answer of an update that was sent before. Raises `WorkflowNotFound`."""
        waiter = UpdateWaiter(update_id, early=early)
        record = await self.find(workflow_id, run_id)
        self.updates.place(waiter, record.run_id, 0)
        try:
            await self.updates.look([record.run_id])
            answer = await waiter.future
            return Answered(waiter.run_id, answer)
        finally:
            self.updates.forget(waiter)

    async def cancel(
        self, workflow_id: WorkflowId, run_id: RunId | None, reason: str, request_id: str | None = None
    ) -> None:
        """Ask a run to cancel itself."""
        request = CancelRequested(reason, request_id or self._clock.new_id())
        await self._tell(workflow_id, run_id, request, unparks=False)

    async def has_taken(self, workflow_id: WorkflowId, run_id: RunId | None, message_id: str) -> bool:
        """Whether a run has taken a message into its history."""
        record = await self.find(workflow_id, run_id)
        async for turn in self.turns(record.run_id):
            if any(each.id == message_id for each in turn.inputs):
                return True
        return False

    async def pause(self, workflow_id: WorkflowId, run_id: RunId | None, reason: str) -> None:
        """Ask a run to take no further turn until it is resumed."""
        await self._tell(workflow_id, run_id, PauseRequested(reason, self._clock.new_id()), unparks=False)

    async def resume(self, workflow_id: WorkflowId, run_id: RunId | None) -> None:
        """Let a parked run try again, or a paused one go on."""
        await self._tell(workflow_id, run_id, Resumed(self._clock.new_id()), unparks=True)

    async def _tell(
        self,
        workflow_id: WorkflowId,
        run_id: RunId | None,
        message: Message,
        *,
        unparks: bool,
        before: Callable[[RunRecord], None] = lambda _: None,
    ) -> None:
        """Deliver a message to the run; `before` hears which one it is, each time it is tried."""
        data = codec.messages.encode(message)
        while True:
            record = await self.current(workflow_id, run_id)
            if record.status is not RunStatus.RUNNING:
                raise RunClosed(workflow_id=workflow_id, status=record.status.value)
            before(record)
            delivery = Delivery(record.run_id, message.id, data, self._clock.now_ms(), unparks, follows=not unparks)
            if await self._deliveries.ask(delivery):
                self.look()
                return
            # The run closed in between; the next look finds what became of the workflow id.

    def look(self) -> None:
        """Something became claimable in this process."""
        if self.local is not None:
            self.local.look()

    async def terminate(self, workflow_id: WorkflowId, run_id: RunId | None, reason: str) -> None:
        """Close a run at once, without running its code. Raises `RunClosed` if it is closed."""
        while True:
            record = await self.current(workflow_id, run_id)
            if record.status is not RunStatus.RUNNING:
                raise RunClosed(workflow_id=workflow_id, status=record.status.value)
            live = await self.folded(record)
            waiting = await self.store.read_waiting(record.run_id)
            inputs = [each for each in _decodable(waiting) if isinstance(each, Started | Forked)]
            last = live.take_turn(self._clock.now_ms(), [*inputs, TerminateRequested(reason)])
            # Its start was accepted, however large: an end must always be possible.
            commit = to_commit(live, last, keeps=lambda _: False, bytes_max=sys.maxsize)
            if not await self.store.commit(None, [commit]):
                if self.local is not None:
                    self.local.forget(record.run_id)
                assert live.open.closing is not None
                self.closings.closed(record.run_id, outcome_of(live.open.closing))
                return
            # Somebody took a turn in between: look again.

    async def folded(self, record: RunRecord) -> LiveRun:
        """The run without its code: enough to end it."""
        live = LiveRun(record.run_id, record.workflow_id, None)
        try:
            async for turn in self.turns(record.run_id):
                live.recall([turn])
        except UndecodablePayload as error:
            # A damaged history must not keep a run from being ended; its children and its parent are not told.
            logger.warning("history of run %s: %s", record.run_id, error)
            live = LiveRun(record.run_id, record.workflow_id, None)
            live.turns_count = record.turns_count
        return live

    # Asking

    async def query(
        self, workflow_id: WorkflowId, run_id: RunId | None, query: Query, program: Program | None
    ) -> Payload:
        """Ask a run; answered from the live run here, else from one recalled for the question.

        What was told before the query is taken first, if a worker is there to take it. Raises `UnknownQuery`,
        `QueryFailed`.
        """
        record = await self.find(workflow_id, run_id)
        if record.parked is None:
            await self._settled(record.run_id)
            record = await self.find(workflow_id, record.run_id)
        live = None if self.local is None else self.local.peek(record)
        if live is not None and live.program is not None:
            return live.query(query)
        assert program is not None, "the caller names the program of this run"
        asked = LiveRun(record.run_id, record.workflow_id, program.open(record.opened_as))
        try:
            async for turn in self.turns(record.run_id):
                asked.recall([turn])
            return asked.query(query)
        finally:
            asked.close()

    async def _settled(self, run_id: RunId) -> None:
        """Return when no visible message waits for the run, or nobody takes it in time."""
        give_up_at_ms = self._clock.now_ms() + QUERY_SETTLE_MS
        seen = 0
        while (now_ms := self._clock.now_ms()) < give_up_at_ms:
            waiting = await self.store.read_waiting(run_id)
            if not any(each.visible_at_ms <= now_ms for each in waiting.messages):
                return
            seen = await self.store.wait(seen, 20)

    async def stop(self) -> None:
        """Let go of everything but the store."""
        await self.updates.stop()
        await self.closings.stop()
