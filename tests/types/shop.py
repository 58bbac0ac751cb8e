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


@app.workflow
class Cart:
    """A class with a handler of each kind."""

    @workflow.init
    def __init__(self, owner: str, limit: int = 3) -> None:
        self.owner = owner
        self.limit = limit

    @workflow.run
    async def run(self, owner: str, limit: int = 3) -> list[str]:
        """The workflow."""
        await workflow.wait_condition(workflow.all_handlers_finished, timeout="1h")
        return [owner]

    @workflow.signal
    def approve(self, approval: Approval) -> None:
        """A value."""

    @workflow.signal(name="stop-it")
    async def stop(self) -> None:
        """No value."""

    @workflow.query
    def total(self, factor: int = 1) -> float:
        """A default."""
        return 1.5 * factor

    @workflow.update
    async def add(self, item: str, count: int = 1) -> int:
        """Asynchronous, without parentheses."""
        return len(item) * count

    @add.validator
    def check_add(self, item: str, count: int = 1) -> None:
        """The parameters of the update."""

    @workflow.update(name="clear-it")
    def clear(self) -> bool:
        """Synchronous, with parentheses."""
        return True


@app.workflow(name="premium")
class PremiumCart(Cart):
    """Inherits everything."""
