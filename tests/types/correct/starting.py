"""Calls of clients: start, run, handles, lists, the blocking facade."""

from typing import Any, assert_type

from perdure import Handle, RunDescription, RunStatus, RunSummary, WorkflowFailed, activity
from perdure.blocking import BlockingHandle
from tests.types.shop import APPROVE, Approval, app, checkout, order, tick


async def starting() -> None:
    """Handles know the type of the result."""
    async with app:
        handle = await app.start(checkout, "tok", 1, id="order-1", queue="q", request_id="r")
        assert_type(handle, Handle[str])
        assert_type(await handle.result(), str)
        assert_type(await (await app.start(order, Approval("me"))).result(), Approval | None)
        assert_type(await (await app.start(order, Approval("me"), 2)).result(), Approval | None)
        assert_type(await (await app.start(tick)).result(), None)
        assert_type(await app.start_by_name("elsewhere", 1, "x", queue="q"), Handle[Any])
    async with app.client() as client:
        assert_type(client.handle("order-1", checkout), Handle[str])
        assert_type(client.handle("order-1", run_id="r"), Handle[Any])


async def telling(handle: Handle[str]) -> None:
    """Verbs of a handle."""
    await handle.signal(APPROVE, Approval("me"))
    await handle.signal("approve", {"by": "me"}, request_id="r")
    await handle.signal("stop")
    assert_type(await handle.query("state"), Any)
    assert_type(await handle.query("state", 1, result_type=int), int)
    assert_type(await handle.describe(), RunDescription)
    await handle.cancel("no more")
    await handle.terminate()
    await handle.resume()
    try:
        await handle.result()
    except WorkflowFailed as error:
        assert_type(error.code, str)


async def listing() -> None:
    """Filters and summaries."""
    runs = await app.list(status=RunStatus.RUNNING, workflow="checkout", id_prefix="order-", parked=False, limit=10)
    assert_type(runs, list[RunSummary])
    assert_type(await app.list(status="failed", before=runs[-1].run_id), list[RunSummary])


def blocking() -> None:
    """For scripts."""
    assert_type(app.run(checkout, "tok", 1, id="order-1"), str)
    assert_type(app.run(order, Approval("me")), Approval | None)
    app.run(tick)
    with app.blocking() as client:
        handle = client.start(checkout, "tok", 1, id="order-1")
        assert_type(handle, BlockingHandle[str])
        assert_type(handle.result(timeout=5), str)
        assert_type(client.handle("order-1", checkout).result(), str)
        handle.signal(APPROVE, Approval("me"))
        assert_type(handle.describe().run.status, RunStatus)


def in_an_activity() -> None:
    """What activities may ask."""
    activity.heartbeat(1, "two")
    assert_type(activity.heartbeat_details(int), int | None)
    assert_type(activity.info().attempt, int)
