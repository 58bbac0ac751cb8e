"""The workflow behind bulk operations: page by page, at a rate, each step recorded, so that a crash repeats nothing."""

from collections.abc import Callable
from math import ceil
from typing import Any

from perdure.core.ids import RunId
from perdure.core.payload import JSON, Payload
from perdure.core.program import ProgramRun
from perdure.programs.bulk.plan import (
    BULK,
    BULK_COUNT,
    BULK_PAGE,
    BULK_TELL,
    PROGRESS,
    BulkPlan,
    BulkProgress,
    BulkReport,
    BulkResult,
    BulkState,
    BulkTarget,
)
from perdure.programs.code.api import current_run, time
from perdure.programs.code.definition import Workflow
from perdure.programs.code.program import CodeProgram
from perdure.programs.code.system import SystemCallee, ask_engine
from perdure.programs.code.upserts import upsert_memo

PAGE_MAX = 100
"""Most runs of one page."""


def _decoder(kind: Any) -> Callable[[Payload], Any]:
    return lambda payload: JSON.from_payload(payload, kind)


_COUNT = SystemCallee(BULK_COUNT, _decoder(int | None))
_PAGE = SystemCallee(BULK_PAGE, _decoder(tuple[BulkTarget, ...]))
_TELL = SystemCallee(BULK_TELL, _decoder(BulkReport))


async def _ask(callee: SystemCallee, *args: object) -> Any:
    return await ask_engine(current_run("bulk"), callee, BULK, JSON.to_payloads(args))


async def _pause(length_s: float) -> None:
    """A durable timer."""
    if length_s > 0:
        loop = current_run("bulk").loop
        future = loop.create_future()
        timer = loop.call_later(length_s, future.set_result, None)
        try:
            await future
        finally:
            timer.cancel()


async def bulk(plan: BulkPlan) -> BulkResult:
    """Do it to all runs that fit now; those that start later are newer than the first page, and left alone."""
    state = BulkState(operation=current_run("bulk").run_id)
    total: int | None = await _ask(_COUNT, plan)
    state = BulkState(state.operation, progress=BulkProgress(total=total))
    upsert_memo({PROGRESS: state.progress})
    size = max(1, min(PAGE_MAX, ceil(plan.rate)))
    while True:
        began_s = time()
        page: tuple[BulkTarget, ...] = await _ask(_PAGE, plan, state.before, size)
        if not page:
            break
        report: BulkReport = await _ask(_TELL, plan, state.operation, page)
        state = state.after(page, report)
        upsert_memo({PROGRESS: state.progress})
        await _pause(began_s + len(page) / plan.rate - time())
    found = state.progress
    return BulkResult(found.total, found.done, found.closed, found.failed, state.failures)


class BulkProgram:
    """The workflow as a program; its guards are installed where the first one runs."""

    name = BULK

    def __init__(self) -> None:
        self._code: CodeProgram | None = None

    def open(self, run_id: RunId) -> ProgramRun:
        """See `Program`."""
        if self._code is None:
            self._code = CodeProgram(Workflow(bulk, name=BULK), lambda _: None)
        return self._code.open(run_id)
