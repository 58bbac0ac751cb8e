"""Sign-up: verified at once, after a reminder, never, and over a restart."""

import asyncio
import re
from datetime import timedelta

from examples.sign_up import VERIFY, SignUp, app, sign_up
from tests.examples import scripts


async def mailed_code(count: int = 1) -> str:
    """The code in the last mail, once there are so many."""
    while len(mails := scripts.lines("mails.txt")) < count:  # an activity writes it
        await asyncio.sleep(0.01)
    found = re.search(r"code is (\d{6})", mails[-1])
    assert found is not None
    return found[1]


async def test_the_right_code_verifies_and_a_wrong_one_does_not() -> None:
    async with app:
        handle = await app.start(sign_up, SignUp("ada"))
        code = await mailed_code()

        await handle.signal(VERIFY, "wrong")
        await handle.signal(VERIFY, code)

        assert await handle.result() is True
        assert await handle.query("mails", result_type=int) == 1


async def test_who_does_not_answer_is_reminded_and_can_still_verify() -> None:
    async with app:
        handle = await app.start(sign_up, SignUp("ada", remind_every=timedelta(seconds=1)))
        code = await mailed_code(2)

        await handle.signal(VERIFY, code)

        assert await handle.result() is True

    assert scripts.lines("mails.txt")[1] == f"ada: Reminder 1! Your code is {code}."


async def test_who_never_answers_is_forgotten() -> None:
    async with app:
        handle = await app.start(sign_up, SignUp("ada", remind_every=timedelta(milliseconds=50), reminders=2))

        assert await handle.result() is False

    assert len(scripts.lines("mails.txt")) == 3


async def test_the_code_and_the_wait_survive_a_restart() -> None:
    async with app:
        await app.start(sign_up, SignUp("ada"), id="ada")
        code = await mailed_code()

    async with app:
        handle = app.handle("ada", sign_up)
        await handle.signal(VERIFY, code)

        assert await handle.result() is True

    assert len(scripts.lines("mails.txt")) == 1


def test_the_program_runs() -> None:
    assert "verified: False\nmails: 3" in scripts.run("sign_up.py")
