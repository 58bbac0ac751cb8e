"""What workflow code has besides activities: other workflows, local activities, sagas, progress; and their readers."""

from typing import assert_type

from perdure import ActivityRef, Handle, Progress, workflow
from tests.types.shop import APPROVE, Approval, app, charge, count, refund


@app.workflow
async def inside() -> None:
    """Each call with its types."""
    other = workflow.external("order-1")
    assert_type(other, workflow.ExternalHandle)
    await other.signal(APPROVE, Approval("me"))
    await other.cancel("no")
    assert_type(await charge.local("tok", 1), str)
    assert_type(await count.local(["a"]), int)
    async with workflow.Saga(parallel=True) as saga:
        saga.add(refund, "r")
        saga.add(charge, "tok", cents=1)
    assert_type(await workflow.detached(refund("r")), bool)
    workflow.set_progress(1, 2, "half")
    workflow.set_status("busy")


async def outside(handle: Handle[int], token: str) -> None:
    """What readers and completers are told."""
    assert_type(await handle.progress(), Progress)
    assert_type(await handle.progress_bar(), int)
    async for each in handle.watch_progress():
        assert_type(each, Progress)
    await app.activities.complete(token, True)
    await app.activities.fail(ActivityRef("order-1", "charge"), ValueError("no"))
