"""Move money from one account to another, and give it back if it cannot arrive.

    python money_transfer.py transfer-1 alice bob 2500
    python money_transfer.py transfer-2 alice nobody 2500

Kill the program wherever you like and start it again with the same id: it goes on, no money is lost and none is made. A
step that completed is not run again. A step that was cut short is, so the bank is given a reference by which it knows
what it has done already; real banks call that an idempotency key.
"""

import asyncio
import sqlite3
import sys
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass

from perdure import ActivityError, Perdure, RetryPolicy, WorkflowFailed, workflow

app = Perdure("sqlite:///transfers.db")


# The bank: another system, with a database of its own

ACCOUNTS = {"alice": 10_000, "bob": 0}


class BankRefused(Exception):
    """The bank will never do this; there is no point in asking again."""


@contextmanager
def bank() -> Generator[sqlite3.Connection, None, None]:
    """One transaction of the bank's."""
    connection = sqlite3.connect("bank.db", timeout=10, isolation_level=None)
    try:
        connection.execute("begin immediate")
        connection.execute(
            "create table if not exists entries"
            " (reference text, kind text, account text, cents integer, primary key (reference, kind))"
        )
        yield connection
        connection.execute("commit")
    finally:
        connection.close()


def balance(account: str) -> int:
    """What is in an account, in cents."""
    with bank() as entries:
        return _balance(entries, account)


def _balance(entries: sqlite3.Connection, account: str) -> int:
    (moved,) = entries.execute("select total(cents) from entries where account = ?", [account]).fetchone()
    return ACCOUNTS[account] + int(moved)


def post(reference: str, kind: str, account: str, cents: int) -> None:
    """Book `cents` once, however often it is asked for."""
    if account not in ACCOUNTS:
        raise BankRefused(f"there is no account {account!r}")
    with bank() as entries:
        kinds = {kind for (kind,) in entries.execute("select kind from entries where reference = ?", [reference])}
        if "void" in kinds:
            raise BankRefused(f"{reference} was refunded")
        if kind in kinds:
            return
        if _balance(entries, account) + cents < 0:
            raise BankRefused(f"{account} has only {_balance(entries, account)} cents")
        entries.execute("insert into entries values (?, ?, ?, ?)", [reference, kind, account, cents])


# What the workflow calls

patient = RetryPolicy(initial_interval="200ms", maximum_interval="1m", non_retryable=[BankRefused])


@app.activity(retry=patient, timeout="10s")
def withdraw(reference: str, account: str, cents: int) -> None:
    """Take the money out."""
    post(reference, "withdrawal", account, -cents)
    print(f"withdrew {cents} from {account}", flush=True)


@app.activity(retry=patient, timeout="10s")
def deposit(reference: str, account: str, cents: int) -> None:
    """Pay the money in."""
    post(reference, "deposit", account, cents)
    print(f"deposited {cents} to {account}", flush=True)


@app.activity(timeout="10s")
def refund(reference: str) -> None:
    """Take back whatever was booked for this transfer, and let nothing more be booked for it."""
    with bank() as entries:
        entries.execute("insert or ignore into entries values (?, 'void', '', 0)", [reference])
        entries.execute(
            "insert or ignore into entries select reference, 'undo ' || kind, account, -cents"
            " from entries where reference = ? and kind in ('withdrawal', 'deposit')",
            [reference],
        )
    print(f"refunded {reference}", flush=True)


# The workflow


@dataclass(frozen=True)
class Transfer:
    """What is to be moved."""

    source: str
    target: str
    cents: int


@app.workflow
async def transfer(order: Transfer) -> str:
    """Withdraw, then deposit; if either fails for good, or someone cancels, undo what was done."""
    reference = workflow.info().workflow_id
    try:
        await withdraw(reference, order.source, order.cents)
        await deposit(reference, order.target, order.cents)
    except (ActivityError, asyncio.CancelledError):
        await refund(reference)
        raise
    return f"{order.cents} cents from {order.source} to {order.target}"


def main(id: str, source: str, target: str, cents: str) -> None:
    """Carry out one transfer, or go on with it."""
    try:
        print(app.run(transfer, Transfer(source, target, int(cents)), id=id))
    except WorkflowFailed as error:
        print(f"not transferred: {error}")
    for account in ACCOUNTS:
        print(f"{account} has {balance(account)} cents")


if __name__ == "__main__":
    main(*(sys.argv[1:] or ["transfer-1", "alice", "bob", "2500"]))
