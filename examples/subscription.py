"""A subscription of three years: a trial, a charge every month, and changes while it runs.

    python subscription.py        the same in seconds: one second of trial, then three periods of one second

The workflow sleeps nearly all of its life and costs nothing meanwhile. What the customer pays can be looked up (a
query) and changed (a signal) at any time; a cancellation ends it with the mail that fits.
"""

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from perdure import Perdure, Signal, workflow

app = Perdure("sqlite:///subscriptions.db")

CANCEL = Signal("cancel", str)
"""Ends the subscription; the value is the customer's reason."""
CHANGE_AMOUNT = Signal("change-amount", int)
"""From the next charge on, so many cents."""


@dataclass(frozen=True)
class Plan:
    """What the customer signed up for."""

    customer: str
    cents: int
    trial: timedelta = timedelta(days=30)
    period: timedelta = timedelta(days=30)
    periods: int = 36


@dataclass(frozen=True)
class Account:
    """Where a subscription stands."""

    cents: int
    periods_charged: int
    cents_charged: int


# What the workflow calls


@app.activity
def send_mail(to: str, text: str) -> None:
    """Stands for a mail server."""
    with Path("mails.txt").open("a") as mails:
        mails.write(f"{to}: {text}\n")
    print(f"mail to {to}: {text}", flush=True)


@app.activity(timeout="30s")
def charge(customer: str, cents: int, reference: str) -> None:
    """Stands for a payment service, which knows by the reference what it has charged already."""
    charged = Path("charges.txt")
    if charged.exists() and reference in charged.read_text().split():
        return
    with charged.open("a") as charges:
        charges.write(f"{reference} {cents}\n")
    print(f"charged {customer} {cents} cents for {reference}", flush=True)


# The workflow


@app.workflow
async def subscription(plan: Plan) -> Account:
    """From the welcome to the last mail; gives what was charged."""
    account = Account(plan.cents, periods_charged=0, cents_charged=0)
    cancellations = workflow.channel(CANCEL)

    @workflow.query(name="account")
    def look_up() -> Account:
        return account

    async def take_changes() -> None:
        nonlocal account
        async for cents in workflow.channel(CHANGE_AMOUNT):
            account = Account(cents, account.periods_charged, account.cents_charged)

    async def cancelled_within(length: timedelta) -> bool:
        try:
            async with asyncio.timeout(length.total_seconds()):
                await cancellations.receive()
        except TimeoutError:
            return False
        return True

    async def bill() -> str:
        nonlocal account
        await send_mail(plan.customer, "Welcome! Your trial begins.")
        if await cancelled_within(plan.trial):
            return "You cancelled during the trial. Nothing was charged."
        for period in range(1, plan.periods + 1):
            cents = account.cents
            await charge(plan.customer, cents, f"{workflow.info().workflow_id}/{period}")
            account = Account(account.cents, period, account.cents_charged + cents)
            if await cancelled_within(plan.period):
                return f"Your subscription is cancelled after {period} paid periods."
        return "Your subscription has ended. Thank you!"

    changes = asyncio.create_task(take_changes())
    try:
        await send_mail(plan.customer, await bill())
    finally:
        changes.cancel()
    return account


async def main() -> None:
    """Three periods, with a rise of the amount in the first."""
    second = timedelta(seconds=1)
    plan = Plan("ada@example.com", cents=900, trial=second, period=second, periods=3)
    async with app:
        handle = await app.start(subscription, plan)
        print("looked up:", await handle.query("account", result_type=Account))
        await asyncio.sleep(1.5)
        await handle.signal(CHANGE_AMOUNT, 1_200)
        print("looked up:", await handle.query("account", result_type=Account))
        print("in the end:", await handle.result())


if __name__ == "__main__":
    asyncio.run(main())
