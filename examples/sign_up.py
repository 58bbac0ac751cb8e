"""Sign-up with a mail to verify the address, reminders, and an end to them.

    python sign_up.py             nobody answers: reminded twice, then given up

Waiting for a person is an ordinary `async for` over a channel under an ordinary `asyncio.timeout`, for days if need be.
"""

import asyncio
import secrets
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from perdure import Perdure, Signal, workflow

app = Perdure("sqlite:///sign-ups.db")

VERIFY = Signal("verify", str)
"""The code from the mail, as the user typed it."""


@dataclass(frozen=True)
class SignUp:
    """Who signs up, and how long is waited for them."""

    address: str
    remind_every: timedelta = timedelta(days=2)
    reminders: int = 3


# What the workflow calls


@app.activity
def make_code() -> str:
    """A secret. In an activity, since it must come out alike when the workflow is replayed: as it was recorded."""
    return f"{secrets.randbelow(1_000_000):06}"


@app.activity
def send_mail(to: str, text: str) -> None:
    """Stands for a mail server."""
    with Path("mails.txt").open("a") as mails:
        mails.write(f"{to}: {text}\n")
    print(f"mail to {to}: {text}", flush=True)


@app.activity
def activate(address: str) -> None:
    """Stands for the user database. Doing it twice does no harm."""
    print(f"{address} is active", flush=True)


@app.activity
def forget(address: str) -> None:
    """Stands for the user database."""
    print(f"{address} is forgotten", flush=True)


# The workflow


@app.workflow
async def sign_up(user: SignUp) -> bool:
    """Whether the user verified the address."""
    code = await make_code()
    mails_sent = 0

    @workflow.query
    def mails() -> int:
        return mails_sent

    async def verified() -> None:
        async for typed in workflow.channel(VERIFY):
            if typed == code:
                return

    for reminder in range(user.reminders + 1):
        greeting = f"Reminder {reminder}" if reminder else "Welcome"
        await send_mail(user.address, f"{greeting}! Your code is {code}.")
        mails_sent += 1
        try:
            async with asyncio.timeout(user.remind_every.total_seconds()):
                await verified()
        except TimeoutError:
            continue
        await activate(user.address)
        return True
    await forget(user.address)
    return False


async def main() -> None:
    """A sign-up that nobody verifies."""
    async with app:
        handle = await app.start(sign_up, SignUp("ada@example.com", remind_every=timedelta(seconds=1), reminders=2))
        print("verified:", await handle.result())
        print("mails:", await handle.query("mails"))


if __name__ == "__main__":
    asyncio.run(main())
