"""Calls of workflow code."""

import asyncio
from datetime import datetime
from random import Random
from typing import Any, assert_type
from uuid import UUID

from perdure import ActivityError, ParentClosePolicy, workflow
from tests.types.shop import APPROVE, Approval, app, charge, checkout, count, crunch, order, refund, tick


@app.workflow
async def calls() -> None:
    """Activities, one by one and at once, and children."""
    assert_type(await charge("tok", 1), str)
    assert_type(await charge("tok", cents=1), str)
    assert_type(await count(["a"]), int)
    assert_type(await crunch(1), float)
    assert_type(await asyncio.gather(charge("tok", 1), count([]), refund("r")), tuple[str, int, bool])
    assert_type(await asyncio.wait_for(charge.options(schedule_to_close="1h")("tok", 1), 5), str)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(crunch(2))
    assert_type(task.result(), float)
    try:
        assert_type(await checkout("tok", 1), str)
    except ActivityError as error:
        assert_type(error.attempt, int)
    assert_type(await workflow.execute_activity("elsewhere", 1, result_type=str, queue="q"), str)
    assert_type(await workflow.execute_activity("elsewhere", 1), Any)


@app.workflow
async def children() -> str:
    """A child by its handle."""
    child = await workflow.start_child(order, Approval("me"), 2, id="child", queue="q")
    assert_type(child, workflow.ChildHandle[Approval | None])
    assert_type(await child, Approval | None)
    assert_type(await child.result(), Approval | None)
    assert_type(await workflow.start_child("elsewhere", 1, 2), workflow.ChildHandle[Any])
    await workflow.start_child(tick, parent_close_policy=ParentClosePolicy.ABANDON)
    return await (await workflow.start_child(checkout, "tok", 1))


@app.workflow
async def signals() -> str:
    """Channels of the three kinds."""
    approvals = workflow.channel(APPROVE)
    assert_type(approvals, workflow.Channel[Approval])
    assert_type(await approvals.receive(), Approval)
    assert_type(workflow.channel("count", int).receive_nowait(), int)
    assert_type(await workflow.channel("anything").receive(), Any)
    async for approval in approvals:
        assert_type(approval, Approval)
        return approval.by
    return ""


@app.workflow
async def facts() -> None:
    """What a run knows of itself."""

    @workflow.query
    def state() -> int:
        return 1

    @workflow.query(name="other")
    def other(prefix: str) -> str:
        return prefix

    assert_type(state(), int)
    assert_type(other("x"), str)
    assert_type(workflow.now(), datetime)
    assert_type(workflow.uuid4(), UUID)
    assert_type(workflow.random(), Random)
    assert_type(workflow.side_effect(lambda: 1.5), float)
    assert_type(workflow.patched("tax"), bool)
    assert_type(workflow.version("rate", workflow.DEFAULT_VERSION, 2), int)
    assert_type(workflow.info().workflow_id, str)
