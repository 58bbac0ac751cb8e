"""Ranks that are none."""

from perdure import Perdure, QueueLimit, workflow

app = Perdure("memory://", limits=QueueLimit("default", concurrent=1))  # error: reportArgumentType
QueueLimit("default", 5)  # error: reportCallIssue
QueueLimit("default", concurrent=0.5)  # error: reportArgumentType


@app.activity(priority="high")  # error: reportArgumentType
async def charge(cents: int) -> str:
    """An activity."""
    return str(cents)


@app.workflow
async def checkout(cents: int) -> str:
    """A workflow."""
    charge.options(fairness_key=7)  # error: reportArgumentType
    await workflow.start_child(checkout, cents, fairness_weight="2")  # error: reportArgumentType, reportCallIssue
    return await charge(cents)


async def start() -> None:
    """Starting."""
    await app.start(checkout, 1, priority=1.5)  # error: reportArgumentType
    await app.start(checkout, 1, prio=1)  # error: reportCallIssue
