"""The app that the tests of the test kit run: short definitions with long waits."""

import asyncio
import time
from collections import Counter

from perdure import Perdure, Signal, workflow

app = Perdure("memory://")
counts: Counter[str] = Counter()
"""How often each activity was run; cleared by the tests that look at it."""
APPROVE = Signal("approve", str)
DAY_S = 24 * 3_600


@app.activity
async def charge(card: str, cents: int = 100) -> str:
    """At once, on the test's loop."""
    counts["charge"] += 1
    return f"{card}/{cents}"


@app.activity
def pack(item: str) -> str:
    """In a thread, a moment of real time."""
    counts["pack"] += 1
    time.sleep(0.01)
    return f"packed {item}"


@app.activity
async def tea(seconds: float) -> str:
    """Takes some real time."""
    await asyncio.sleep(seconds)
    return "tea"


@app.activity(retries=2)
async def flaky(fail_count: int) -> int:
    """Fails so many times."""
    counts["flaky"] += 1
    if counts["flaky"] <= fail_count:
        raise ConnectionError("no line")
    return counts["flaky"]


@app.workflow
async def month(card: str) -> str:
    """Two activities, thirty days apart."""
    receipt = await charge(card)
    await asyncio.sleep(30 * DAY_S)
    return f"{receipt}, {await pack(card)}"


@app.workflow
async def approval() -> str:
    """Waits for a signal, and tells its state."""
    state = "waiting"

    @workflow.query(name="state")
    def tell() -> str:
        return state

    name = await workflow.channel(APPROVE).receive()
    state = f"approved by {name}"
    await asyncio.sleep(DAY_S)
    return state


@app.workflow
async def patient() -> str:
    """Gives up after a week."""
    try:
        async with asyncio.timeout(7 * DAY_S):
            return await workflow.channel(APPROVE).receive()
    except TimeoutError:
        return "nobody came"


@app.workflow
async def retried(fail_count: int) -> int:
    """An activity that fails at first."""
    return await flaky(fail_count)


@app.workflow
async def brewing(seconds: float, limit_s: float) -> str:
    """An activity with a deadline."""
    return await tea.options(timeout=limit_s, retries=0)(seconds)


@app.workflow
async def elsewhere() -> str:
    """An activity in a queue that nobody serves."""
    return await workflow.execute_activity("ship", queue="ships", result_type=str)


@app.workflow
async def family(card: str) -> str:
    """A child that takes a month."""
    return f"child: {await month(card)}"


@app.workflow
async def three_charges() -> list[str]:
    """Three steps, one after the other."""
    return [await charge(card) for card in "abc"]
