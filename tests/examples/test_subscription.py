"""Subscription: the trial, the charges, what can be looked up and changed while it runs, and both cancellations."""

import asyncio
from datetime import timedelta

import pytest

from examples.subscription import Account, Plan, Subscription, app
from perdure import Handle, UpdateRejected
from tests.examples import scripts

SOON = timedelta(milliseconds=100)
LONG = timedelta(days=30)


async def until_charged(handle: Handle[Account], periods: int) -> Account:
    """Look the account up until so many periods are charged."""
    while (account := await handle.query(Subscription.look_up)).periods_charged < periods:
        await asyncio.sleep(0.01)
    return account


async def test_three_years_are_charged_month_by_month() -> None:
    soon = timedelta(milliseconds=10)
    async with app:
        handle = await app.start(Subscription.run, Plan("ada", 900, trial=soon, period=soon), id="ada")

        assert await handle.result() == Account(cents=900, periods_charged=36, cents_charged=36 * 900)

    assert scripts.lines("charges.txt") == [f"ada/{period} 900" for period in range(1, 37)]
    assert scripts.lines("mails.txt") == [
        "ada: Welcome! Your trial begins.",
        "ada: Your subscription has ended. Thank you!",
    ]


async def test_who_cancels_during_the_trial_pays_nothing() -> None:
    async with app:
        handle = await app.start(Subscription.run, Plan("ada", 900))

        await handle.signal(Subscription.cancel, "too dear")

        assert (await handle.result()).cents_charged == 0

    assert scripts.lines("charges.txt") == []
    assert scripts.lines("mails.txt")[-1] == "ada: You cancelled during the trial. Nothing was charged."


async def test_who_cancels_later_pays_until_then() -> None:
    async with app:
        handle = await app.start(Subscription.run, Plan("ada", 900, trial=SOON, period=LONG))
        await until_charged(handle, 1)

        await handle.signal(Subscription.cancel, "moved away")

        assert await handle.result() == Account(cents=900, periods_charged=1, cents_charged=900)

    assert scripts.lines("mails.txt")[-1] == "ada: Your subscription is cancelled after 1 paid periods."


async def test_the_amount_is_changed_and_looked_up_while_it_runs_also_after_a_restart() -> None:
    plan = Plan("ada", 900, trial=SOON, period=timedelta(seconds=2), periods=2)
    async with app:
        handle = await app.start(Subscription.run, plan, id="ada")
        assert (await until_charged(handle, 1)).cents == 900
        assert (await handle.update(Subscription.change_amount, 1_200)).cents == 1_200
        with pytest.raises(UpdateRejected, match="-1 cents cannot be charged"):
            await handle.update(Subscription.change_amount, -1)

    async with app:
        handle = app.handle("ada", Subscription.run)
        assert (await handle.query(Subscription.look_up)).cents == 1_200

        assert await handle.result() == Account(cents=1_200, periods_charged=2, cents_charged=2_100)

    assert scripts.lines("charges.txt") == ["ada/1 900", "ada/2 1200"]


def test_the_program_runs() -> None:
    assert "in the end: Account(cents=1200, periods_charged=3, cents_charged=3300)" in scripts.run("subscription.py")
