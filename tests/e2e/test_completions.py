"""Completions from outside: `app.activities`, the blocking facade and the command line."""

import asyncio
from pathlib import Path

import pytest

from perdure import ActivityNotOpen, ActivityRef, Perdure, WorkflowFailed, activity
from perdure.cli import main
from perdure.core.errors import InvalidArguments
from perdure.handle import Handle


class Office:
    """An app with an activity that somebody outside completes."""

    def __init__(self, url: str = "memory://") -> None:
        self.app = Perdure(url)
        self.tokens: list[str] = []

        @self.app.activity(retries=0)
        def approve(cents: int) -> bool:
            self.tokens.append(activity.info().token)
            raise activity.CompleteLater

        @self.app.workflow
        async def expense(cents: int) -> str:
            return "paid" if await approve(cents) else "refused"

        self.expense = expense

    async def asked(self, id: str) -> Handle[str]:
        """A run that waits for an approval."""
        count = len(self.tokens)
        handle = await self.app.start(self.expense, 5, id=id)
        while len(self.tokens) == count or not (await handle.describe()).activities[0].completed_later:
            await asyncio.sleep(0.01)
        return handle


async def test_completed_by_token_and_by_name() -> None:
    office = Office()
    async with office.app as app:
        first, second = await office.asked("one"), await office.asked("two")

        await app.activities.complete(office.tokens[0], True)
        await app.activities.complete(ActivityRef("two", "approve"), False)

        assert await first.result() == "paid"
        assert await second.result() == "refused"


async def test_failed_and_cancelled_from_outside() -> None:
    office = Office()
    async with office.app as app:
        first, second = await office.asked("one"), await office.asked("two")

        await app.activities.fail(office.tokens[0], ValueError("lost"))
        await app.activities.cancelled(office.tokens[1], "nobody is there")

        with pytest.raises(WorkflowFailed, match="lost"):
            await first.result()
        with pytest.raises(WorkflowFailed, match="nobody is there"):
            await second.result()


async def test_a_result_that_does_not_fit_is_refused_and_loses_nothing() -> None:
    office = Office()
    async with office.app as app:
        handle = await office.asked("one")

        with pytest.raises(InvalidArguments):
            await app.activities.complete(office.tokens[0], "maybe")
        await app.activities.heartbeat(office.tokens[0], 1)
        await app.activities.complete(office.tokens[0], True)

        assert await handle.result() == "paid"
        with pytest.raises(ActivityNotOpen):
            await app.activities.heartbeat(office.tokens[0])


def test_the_blocking_facade_and_the_command_line_complete_too(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/shop.db"
    office = Office(url)

    async def ask(id: str) -> None:
        async with office.app:
            await office.asked(id)

    for id in ("one", "two", "three"):
        asyncio.run(ask(id))

    assert main(["activity", "complete", office.tokens[0], "--input", "true", "--store", url]) == 0
    assert main(["activity", "fail", "--id", "two", "--activity", "approve", "--reason", "no", "--store", url]) == 0
    assert main(["activity", "complete", office.tokens[0], "--store", url]) == 4
    assert main(["activity", "complete", "--store", url]) == 2
    with office.app.blocking() as client:
        client.activities.complete(office.tokens[2], False)
        assert client.handle("one", office.expense).result(10) == "paid"
        assert client.handle("three", office.expense).result(10) == "refused"
        with pytest.raises(WorkflowFailed, match="no"):
            client.handle("two", office.expense).result(10)
