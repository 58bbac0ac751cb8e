"""Ranks, as users write them."""

from typing import assert_type

from perdure import Handle, Perdure, QueueLimit, workflow

LIMITS = [QueueLimit("default", per_second=1 / 60, concurrent=4), QueueLimit("mail", concurrent_per_key=1)]
app = Perdure("memory://", limits=LIMITS)
assert_type(LIMITS[0].per_key_per_second, float | None)


@app.activity(priority=1, fairness_key="tenant", fairness_weight=0.5)
async def charge(cents: int) -> str:
    """An activity."""
    return str(cents)


@app.workflow
async def checkout(cents: int) -> str:
    """A workflow."""
    assert_type(await charge.options(priority=5, fairness_key=None)(cents), str)
    assert_type(await workflow.execute_activity("charge", cents, result_type=str, priority=2), str)
    child = await workflow.start_child(checkout, cents, priority=2, fairness_weight=2)
    return await child


async def start() -> None:
    """Starting."""
    assert_type(await app.start(checkout, 1, priority=1, fairness_key="tenant", fairness_weight=10), Handle[str])
