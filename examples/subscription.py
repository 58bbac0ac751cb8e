"""A subscription of three years: a trial, a charge every month, and changes while it runs.

    python subscription.py        the same in seconds: one second of trial, then three periods of one second

The workflow sleeps nearly all of its life and costs nothing meanwhile. What the customer pays can be looked up (a
query) and changed (an update, which is checked first) at any time; a cancellation (a signal) ends it with the mail that
fits.
"""

import asyncio
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

from perdure import Perdure, workflow

app = Perdure("sqlite:///subscriptions.db")


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
class Subscription:
    """One customer's subscription."""

    @workflow.init
    def __init__(self, plan: Plan) -> None:
        self.account = Account(plan.cents, periods_charged=0, cents_charged=0)
        self.cancelled = False

    @workflow.run
    async def run(self, plan: Plan) -> Account:
        """From the welcome to the last mail; gives what was charged."""
        await send_mail(plan.customer, "Welcome! Your trial begins.")
        await send_mail(plan.customer, await self._bill(plan))
        return self.account

    @workflow.signal
    def cancel(self, reason: str) -> None:
        """End the subscription."""
        workflow.logger.info("cancelled: %s", reason)
        self.cancelled = True

    @workflow.update
    def change_amount(self, cents: int) -> Account:
        """From the next charge on, so many cents."""
        self.account = replace(self.account, cents=cents)
        return self.account

    @change_amount.validator
    def check_amount(self, cents: int) -> None:
        """Refuse what nobody can be charged."""
        if cents <= 0:
            raise ValueError(f"{cents} cents cannot be charged")

    @workflow.query
    def look_up(self) -> Account:
        """Where it stands."""
        return self.account

    async def _bill(self, plan: Plan) -> str:
        """The trial and the periods; gives the text of the last mail."""
        if await self._cancelled_within(plan.trial):
            return "You cancelled during the trial. Nothing was charged."
        for period in range(1, plan.periods + 1):
            cents = self.account.cents
            await charge(plan.customer, cents, f"{workflow.info().workflow_id}/{period}")
            charged = self.account.cents_charged + cents
            self.account = replace(self.account, periods_charged=period, cents_charged=charged)
            if await self._cancelled_within(plan.period):
                return f"Your subscription is cancelled after {period} paid periods."
        return "Your subscription has ended. Thank you!"

    async def _cancelled_within(self, length: timedelta) -> bool:
        try:
            await workflow.wait_condition(lambda: self.cancelled, timeout=length)
        except TimeoutError:
            return False
        return True


async def main() -> None:
    """Three periods, with a rise of the amount in the first."""
    second = timedelta(seconds=1)
    plan = Plan("ada@example.com", cents=900, trial=second, period=second, periods=3)
    async with app:
        handle = await app.start(Subscription.run, plan)
        print("looked up:", await handle.query(Subscription.look_up))
        await asyncio.sleep(1.5)
        print("changed:", await handle.update(Subscription.change_amount, 1_200))
        print("in the end:", await handle.result())


if __name__ == "__main__":
    asyncio.run(main())
