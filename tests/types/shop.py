"""Definitions for the files in `correct` and `wrong`: sync and async, with and without parentheses and defaults."""

from dataclasses import dataclass

from perdure import Perdure, RetryPolicy, workflow

app = Perdure("memory://", queue="shop", lease="5s", runs_max=10)


@dataclass
class Approval:
    """The value of a signal."""

    by: str


APPROVE = workflow.Signal("approve", Approval)


@app.activity
async def charge(card: str, cents: int) -> str:
    """Asynchronous, without parentheses."""
    return f"{card} {cents}"


@app.activity(retries=3, timeout="30s", queue=None)
async def refund(receipt: str, reason: str = "") -> bool:
    """Asynchronous, with parentheses and a default."""
    return bool(receipt + reason)


@app.activity
def count(words: list[str]) -> int:
    """In a thread, without parentheses."""
    return len(words)


@app.activity(process=True, retry=RetryPolicy(maximum_attempts=2, non_retryable=(ValueError, "Odd")), heartbeat=5)
def crunch(number: int) -> float:
    """In a process, with parentheses."""
    return number / 2


@app.workflow
async def checkout(card: str, cents: int) -> str:
    """Without parentheses."""
    return await charge(card, cents)


@app.workflow(name="order")
async def order(approval: Approval, times: int = 1) -> Approval | None:
    """With parentheses, a default and a union."""
    return approval if times else None


@app.workflow
async def tick() -> None:
    """No arguments, no result."""
