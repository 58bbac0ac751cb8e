"""Wrong calls of workflow code: each marked line is an error of that rule, and no other line is one."""

import asyncio
from typing import assert_type

from perdure import workflow
from tests.types.shop import APPROVE, Approval, app, charge, checkout, count, crunch, order, refund, tick


@app.workflow
async def arguments() -> None:
    """Types, counts and names of arguments."""
    await charge("tok", "1")  # error: reportArgumentType
    await charge("tok")  # error: reportCallIssue
    await charge("tok", 1, 2)  # error: reportCallIssue
    await charge("tok", cent=1)  # error: reportCallIssue
    await charge()  # error: reportCallIssue
    await refund("r", reason=3)  # error: reportArgumentType
    await count("text")  # error: reportArgumentType
    await count(["a", 1])  # error: reportArgumentType
    await crunch(1.5)  # error: reportArgumentType
    await charge.options(retries=1)("tok", "1")  # error: reportArgumentType
    await checkout("tok", "1")  # error: reportArgumentType
    await tick(1)  # error: reportCallIssue


@app.workflow
async def results() -> int:
    """Uses of results."""
    text: str = await count(["a"])  # error: reportAssignmentType
    number: int = await charge("tok", 1)  # error: reportAssignmentType
    charge("tok", 1).upper()  # error: reportAttributeAccessIssue, reportUnknownMemberType
    (await crunch(1)).append(2)  # error: reportAttributeAccessIssue, reportUnknownMemberType
    both: tuple[str, str] = await asyncio.gather(charge("tok", 1), count([]))  # error: reportAssignmentType
    assert (await order(Approval("me"))).by  # error: reportOptionalMemberAccess
    return text + number + both[0]  # error: reportOperatorIssue, reportUnknownVariableType


@app.workflow
async def forgotten() -> None:
    """An activity that nobody awaits."""
    charge("tok", 1)  # error: reportUnusedCoroutine
    count(["a"])  # error: reportUnusedCoroutine


@app.workflow
async def signals() -> None:
    """Values of channels."""
    number: int = await workflow.channel(APPROVE).receive()  # error: reportAssignmentType
    async for approval in workflow.channel(APPROVE):
        assert approval.at  # error: reportAttributeAccessIssue, reportUnknownMemberType
    assert_type(workflow.channel("count", int).receive_nowait(), str)  # error: reportAssertTypeFailure
    workflow.channel(7)  # error: reportArgumentType, reportCallIssue
    workflow.patched(7)  # error: reportArgumentType
    workflow.version("rate", "1", 2)  # error: reportArgumentType
    del number


@app.workflow
async def children() -> None:
    """Child workflows."""
    child = await workflow.start_child(order, Approval("me"))
    text: str = await child  # error: reportAssignmentType
    await workflow.start_child(order, Approval("me"), policy=1)  # error: reportCallIssue
    await workflow.start_child(order, id=7)  # error: reportArgumentType, reportCallIssue
    await workflow.start_child(order, "me")  # error: reportArgumentType, reportCallIssue
    await workflow.start_child(order)  # error: reportArgumentType, reportCallIssue
    await workflow.start_child(checkout, "tok", 1, 2)  # error: reportArgumentType, reportCallIssue
    del text
