"""Starting runs: what to do where the workflow id is taken, and what a run is told together with its start."""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from enum import StrEnum
from typing import TypeAlias

import msgspec
from msgspec.structs import replace

from perdure.core import codec
from perdure.core.chain import NO_OPTIONS
from perdure.core.errors import AlreadyRunning, RunClosed, WorkflowIdUsed
from perdure.core.ids import RunId, WorkflowId
from perdure.core.message import Chain, Signaled, Started, UpdateRequested
from perdure.core.store import Delivery, NewRun, RunStatus, Store
from perdure.engine.clock import Clock
from perdure.engine.commit import note_of
from perdure.engine.together import Together
from perdure.programs.schedule.cron import next_after


class IdReuse(StrEnum):
    """Whether a workflow id whose last run is closed may be used again."""

    ALLOW_DUPLICATE = "allow_duplicate"
    ALLOW_DUPLICATE_FAILED_ONLY = "allow_duplicate_failed_only"
    """Only where that run did not complete."""
    REJECT_DUPLICATE = "reject_duplicate"
    TERMINATE_IF_RUNNING = "terminate_if_running"
    """As ALLOW_DUPLICATE, and an open run is terminated."""


class IdConflict(StrEnum):
    """What to do where the workflow id has an open run."""

    FAIL = "fail"
    USE_EXISTING = "use_existing"
    TERMINATE_EXISTING = "terminate_existing"


REFUSED_AFTER: dict[IdReuse, tuple[RunStatus, ...]] = {
    IdReuse.ALLOW_DUPLICATE: (),
    IdReuse.ALLOW_DUPLICATE_FAILED_ONLY: (RunStatus.COMPLETED,),
    IdReuse.REJECT_DUPLICATE: tuple(status for status in RunStatus if status is not RunStatus.RUNNING),
    IdReuse.TERMINATE_IF_RUNNING: (),
}


class StartPolicy(msgspec.Struct, frozen=True):
    """How a run is started."""

    reuse: IdReuse = IdReuse.ALLOW_DUPLICATE
    conflict: IdConflict = IdConflict.FAIL
    delay_ms: int = 0
    told: Signaled | UpdateRequested | None = None
    """A message for the run: with its start, or to the open one that is used instead."""
    route: str | None = None
    """What a worker must serve to begin the run; None: the workflow's newest version that the worker has."""

    @property
    def at_once(self) -> bool:
        """Nothing but the route is out of the ordinary."""
        return self is AT_ONCE or replace(self, route=None) == AT_ONCE


AT_ONCE = StartPolicy()


TERMINATED_BY_START = "another run was started under its workflow id"
Terminate: TypeAlias = Callable[[WorkflowId, RunId, str], Awaitable[None]]
"""Closes a run at once, for a reason. Raises `RunClosed`."""


def new_run(started: Started, request_id: str | None, policy: StartPolicy, run_id: RunId, now_ms: int) -> NewRun:
    """The run as the store creates it."""
    starts_at_ms = now_ms + policy.delay_ms
    options = started.options
    if options is not None:
        if options.cron is not None:
            # A cron line is due again: that was checked when it was given.
            starts_at_ms = next_after(options.cron, starts_at_ms) or starts_at_ms
        options = replace(options, chain=Chain(run_id, now_ms, starts_at_ms))
        started = replace(started, options=options)
    told = policy.told
    deliveries: tuple[Delivery, ...] = ()
    if told is not None:
        deliveries = (Delivery(run_id, told.id, codec.messages.encode(told), now_ms, follows=True),)
    return NewRun(
        run_id=run_id,
        workflow_id=started.workflow_id,
        workflow_type=started.workflow_type,
        route=policy.route,
        queue=started.queue,
        created_at_ms=now_ms,
        request_id=request_id or run_id,
        start=codec.messages.encode(started),
        starts_at_ms=starts_at_ms if starts_at_ms > now_ms else None,
        deliveries=deliveries,
        refused_after=REFUSED_AFTER[policy.reuse],
        note=note_of(options),
        attributes=(options or NO_OPTIONS).attributes,
    )


class Starter:
    """Creates runs in one store."""

    def __init__(self, store: Store, clock: Clock, terminate: Terminate, deliveries: Together[Delivery, bool]) -> None:
        self._creations = Together(store.create, store.url)
        self._deliveries = deliveries
        self._clock = clock
        self._terminate = terminate

    async def create(self, started: Started, request_id: str | None, policy: StartPolicy) -> RunId:
        """Create the run, or find the one to be used instead. Raises `AlreadyRunning` or `WorkflowIdUsed`."""
        workflow_id = started.workflow_id
        while True:
            run_id, now_ms = self._clock.new_run_id(), self._clock.now_ms()
            created = await self._creations.ask(new_run(started, request_id, policy, run_id, now_ms))
            if created.fresh or created.same_request:
                return created.run_id
            if created.status is not RunStatus.RUNNING:
                raise WorkflowIdUsed(workflow_id=workflow_id, status=created.status.value, policy=policy.reuse.value)
            if policy.conflict is IdConflict.TERMINATE_EXISTING or policy.reuse is IdReuse.TERMINATE_IF_RUNNING:
                # One that closes by itself meanwhile is as good.
                with suppress(RunClosed):
                    await self._terminate(workflow_id, created.run_id, TERMINATED_BY_START)
            elif policy.conflict is not IdConflict.USE_EXISTING:
                raise AlreadyRunning(workflow_id=workflow_id, run_id=created.run_id)
            elif policy.told is None or await self._tell(created.run_id, policy.told):
                return created.run_id

    async def _tell(self, run_id: RunId, told: Signaled | UpdateRequested) -> bool:
        delivery = Delivery(run_id, told.id, codec.messages.encode(told), self._clock.now_ms(), follows=True)
        return await self._deliveries.ask(delivery)
