"""The system activities of bulk operations: count, list a page, tell its runs. Each may be repeated without harm."""

import asyncio
from typing import assert_never

from perdure.core.errors import FilterTooSlow, PerdureError, RunClosed, StoreError, WorkflowNotFound
from perdure.core.ids import RunId, WorkflowId
from perdure.core.message import CancelRequested, Signaled, Terminated
from perdure.core.payload import JSON, NULL, Payload
from perdure.engine.doors import delete
from perdure.engine.reset import Point, reset
from perdure.programs.bulk.plan import (
    BULK_COUNT,
    BULK_PAGE,
    BULK_TELL,
    REASON_CHARS_MAX,
    BulkAction,
    BulkFailure,
    BulkPlan,
    BulkReport,
    BulkTarget,
    chosen,
)
from perdure.worker.context import current
from perdure.worker.system import SystemActivity, engine


async def _count(plan: Payload) -> int | None:
    where = chosen(JSON.from_payload(plan, BulkPlan))
    try:
        return sum((await engine().count_runs(where)).values())
    except FilterTooSlow:
        # Pages are found sooner than all of them; without the number the operation only cannot tell its share.
        return None


async def _page(plan: Payload, before: Payload, most: Payload) -> tuple[BulkTarget, ...]:
    mark: str | None = JSON.from_payload(before, str | None)
    size: int = JSON.from_payload(most, int)
    where = chosen(JSON.from_payload(plan, BulkPlan))
    found = await engine().list_runs(where, size, None if mark is None else RunId(mark))
    return tuple(BulkTarget(record.workflow_id, record.run_id) for record in found)


async def _tell(plan: Payload, operation: Payload, targets: Payload) -> BulkReport:
    told = _Telling(JSON.from_payload(plan, BulkPlan), JSON.from_payload(operation, str))
    page: tuple[BulkTarget, ...] = JSON.from_payload(targets, tuple[BulkTarget, ...])
    # Together: they share what the store makes durable at once.
    found = await asyncio.gather(*[told.tell(target) for target in page])
    failures = tuple(each for each in found if isinstance(each, BulkFailure))
    return BulkReport(found.count(True), found.count(False), failures)


class _Telling:
    """One page's worth of an operation."""

    def __init__(self, plan: BulkPlan, operation: str) -> None:
        self._plan = plan
        self._operation = operation
        self._engine = engine()
        self._repeated = current("a system activity").job.attempt > 1

    async def tell(self, target: BulkTarget) -> bool | BulkFailure:
        """Whether it was done; False: the run was closed before. A store that fails fails the whole page."""
        workflow_id, run_id = WorkflowId(target.workflow_id), RunId(target.run_id)
        try:
            return await self._told(workflow_id, run_id)
        except StoreError:
            raise
        except PerdureError as error:
            return BulkFailure(target.workflow_id, target.run_id, str(error)[:REASON_CHARS_MAX])

    async def _told(self, workflow_id: WorkflowId, run_id: RunId) -> bool:
        try:
            await self._do(workflow_id, run_id)
        except RunClosed:
            # It may have closed because of what an earlier attempt told it, whose answer was lost.
            return self._repeated and await self._was_told(workflow_id, run_id)
        except WorkflowNotFound:
            if self._plan.action is not BulkAction.DELETE:
                raise
            # It is gone: by an earlier attempt, or by somebody else's.
            return self._repeated
        return True

    async def _do(self, workflow_id: WorkflowId, run_id: RunId) -> None:
        plan = self._plan
        match plan.action:
            case BulkAction.CANCEL:
                await self._engine.cancel(workflow_id, run_id, plan.reason, self._request_id(run_id))
            case BulkAction.SIGNAL:
                value = Payload(plan.value.encode())
                await self._engine.signal(workflow_id, run_id, Signaled(plan.signal, value, self._request_id(run_id)))
            case BulkAction.TERMINATE:
                await self._engine.terminate(workflow_id, run_id, self._reason())
            case BulkAction.RESET:
                point = Point(plan.turn, None, self._reason("reset"), plan.reapply_signals, self._request_id(run_id))
                await reset(self._engine, workflow_id, run_id, point)
            case BulkAction.DELETE:
                await delete(self._engine, workflow_id, run_id)
            case _:
                assert_never(plan.action)

    def _request_id(self, target: RunId) -> str:
        return f"{self._operation}/{target}"

    def _reason(self, otherwise: str = "terminated") -> str:
        """Names the operation, so that what it ended can be told from what others ended."""
        return f"{self._plan.reason or otherwise} (bulk operation {self._operation})"

    async def _was_told(self, workflow_id: WorkflowId, run_id: RunId) -> bool:
        match self._plan.action:
            case BulkAction.TERMINATE:
                return await self._engine.wait(run_id) == Terminated(self._reason())
            case BulkAction.CANCEL:
                message_id = CancelRequested("", self._request_id(run_id)).id
            case BulkAction.SIGNAL:
                message_id = Signaled("", NULL, self._request_id(run_id)).id
            case BulkAction.RESET | BulkAction.DELETE:
                raise AssertionError("these take closed runs")
            case _:
                assert_never(self._plan.action)
        return await self._engine.has_taken(workflow_id, run_id, message_id)


BULK_ACTIVITIES = {
    each.name: each
    for each in (
        SystemActivity(_count, name=BULK_COUNT),
        SystemActivity(_page, name=BULK_PAGE),
        SystemActivity(_tell, name=BULK_TELL),
    )
}
"""All of them, by name."""
