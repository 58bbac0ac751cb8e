"""Money transfer: what arrives, what is given back, and that a kill loses and makes no money."""

import pytest

from examples.money_transfer import BankRefused, Transfer, app, balance, deposit, refund, transfer, withdraw
from perdure import ActivityError, WorkflowFailed
from tests.examples import scripts


def balances() -> tuple[int, int]:
    return balance("alice"), balance("bob")


async def test_money_moves() -> None:
    async with app:
        handle = await app.start(transfer, Transfer("alice", "bob", 2_500))

        assert await handle.result() == "2500 cents from alice to bob"

    assert balances() == (7_500, 2_500)


async def test_money_that_cannot_arrive_is_given_back() -> None:
    async with app:
        handle = await app.start(transfer, Transfer("alice", "nobody", 2_500))

        with pytest.raises(WorkflowFailed, match="there is no account 'nobody'") as caught:
            await handle.result()

        done = [event.attributes["activity"] for event in await handle.history() if "activity" in event.attributes]

    assert balances() == (10_000, 0)
    assert caught.value.facts["failure"].type == ActivityError.__name__
    assert done == ["withdraw", "deposit", "refund"]


async def test_money_that_is_not_there_is_refused_without_another_try() -> None:
    async with app:
        handle = await app.start(transfer, Transfer("bob", "alice", 1))

        with pytest.raises(WorkflowFailed, match="bob has only 0 cents"):
            await handle.result()

        attempts = [each.attributes["attempt"] for each in await handle.history() if each.type == "ActivityTaskStarted"]

    assert balances() == (10_000, 0)
    assert attempts == [1, 1]


def test_the_bank_books_each_reference_once_and_nothing_after_a_refund() -> None:
    for _ in range(2):
        withdraw.fn("t", "alice", 9_000)
        deposit.fn("t", "bob", 9_000)
    assert balances() == (1_000, 9_000)

    for _ in range(2):
        refund.fn("t")
    assert balances() == (10_000, 0)

    with pytest.raises(BankRefused, match="was refunded"):
        deposit.fn("t", "bob", 9_000)


def test_the_program_can_be_killed_anywhere_and_started_again() -> None:
    order = ("t-1", "alice", "bob", "2500")
    scripts.kill_at("withdrew", "money_transfer.py", *order)
    scripts.kill_at("alice to bob", "money_transfer.py", *order)

    printed = scripts.run("money_transfer.py", *order)

    assert "2500 cents from alice to bob" in printed
    assert "withdrew" not in printed
    assert balances() == (7_500, 2_500)
