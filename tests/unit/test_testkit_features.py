"""What the rest of Perdure offers works in a test environment: class workflows, schedules, codecs."""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest

from perdure import Perdure, workflow
from perdure.core.errors import UnsupportedDefinition
from perdure.schedules import ScheduleSpec
from perdure.testing import TestEnvironment

app = Perdure("memory://")


@app.workflow
class Cart:
    """Holds items until it is closed, or for a week."""

    def __init__(self) -> None:
        self.items: list[str] = []
        self.open = True

    @workflow.run
    async def run(self, owner: str, limit: int = 3) -> str:
        """The items."""
        async with asyncio.timeout(7 * 24 * 3_600):
            await workflow.wait_condition(lambda: not self.open or len(self.items) == limit)
        return f"{owner}: {', '.join(self.items)}"

    @workflow.signal
    async def add(self, item: str) -> None:
        """One more, an hour later."""
        await asyncio.sleep(3_600)
        self.items.append(item)

    @workflow.query
    def count(self) -> int:
        """How many there are."""
        return len(self.items)


@app.workflow
async def shopping(owner: str) -> str:
    """A cart as a child."""
    return await Cart.run(owner)


@app.workflow
async def nightly() -> str:
    """What the schedule starts."""
    return workflow.now().isoformat()


class Backwards:
    """A codec that turns payloads around."""

    name = "backwards"

    def encode(self, data: bytes, facts: dict[str, str]) -> bytes:
        """Turned around."""
        return data[::-1]

    def decode(self, data: bytes, facts: Mapping[str, str]) -> bytes:
        """Turned around again."""
        return data[::-1]


async def test_a_class_workflow_hears_signals_in_virtual_time() -> None:
    async with TestEnvironment(app, replay=True) as env:
        began = env.now
        handle = await app.start(Cart.run, "Ada", 2)
        env.at("1d", lambda: handle.signal("add", "tea"))
        env.at("2d", lambda: handle.signal("add", "cups"))
        await env.sleep("36h")
        assert await handle.query("count") == 1

        assert await handle.result() == "Ada: tea, cups"
        assert (env.now - began).total_seconds() == 2 * 24 * 3_600 + 3_600


async def test_a_class_workflow_is_mocked_by_its_run_method() -> None:
    async with TestEnvironment(app) as env:
        mock = env.mock(Cart.run).side_effect(lambda owner, limit=3: f"{owner} and {limit}")
        mock.when("Bob").returns("nothing")

        assert await (await app.start(shopping, "Ada")).result() == "Ada and 3"
        assert await (await app.start(shopping, "Bob")).result() == "nothing"
        mock.assert_called_with("Bob", 3)
        with pytest.raises(UnsupportedDefinition, match=r"give its run method, Cart\.run"):
            env.mock(Cart)  # pyright: ignore[reportCallIssue, reportArgumentType]


async def test_a_schedule_starts_what_is_due_in_a_month() -> None:
    start = datetime(2030, 1, 1, tzinfo=UTC)
    async with TestEnvironment(app, start=start) as env:
        await app.schedules.create("nightly", ScheduleSpec(crons=["0 3 * * *"]), nightly)
        await env.sleep("30d")

        runs = [run for run in await app.list() if run.workflow_type == "nightly"]
        assert [(run.started_at.day, run.started_at.hour) for run in reversed(runs)] == [
            (day, 3) for day in range(1, 31)
        ]


async def test_payloads_go_through_the_codecs_of_the_app() -> None:
    sealed = Perdure("memory://", codecs=[Backwards()])

    @sealed.workflow
    async def echo(text: str) -> str:
        await asyncio.sleep(60)
        return text

    async with TestEnvironment(sealed, replay=True):
        assert await (await sealed.start(echo, "secret")).result() == "secret"


def versioned(*versions: int) -> Perdure:
    """An app that knows these versions of one workflow, which do different things."""
    own = Perdure("memory://")

    @own.activity
    async def ring(times: int) -> int:
        return times

    if 1 in versions:

        @own.workflow(name="bell")
        async def first() -> str:
            await asyncio.sleep(3_600)
            return f"rang {await ring(1)}"

        assert first.name == "bell"

    if 2 in versions:

        @own.workflow(name="bell", version=2)
        async def second() -> str:
            twice = await ring(2)
            await asyncio.sleep(3_600)
            return f"rang {twice}"

        assert second.name == "bell"
    return own


async def test_a_run_is_replayed_with_the_version_that_it_follows(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/bells.db"
    before, after = versioned(1), versioned(1, 2)
    async with TestEnvironment(before, store=url):
        await before.start_by_name("bell", id="old")

    async with TestEnvironment(after, store=url, replay=True):
        await after.start_by_name("bell", id="new")

        assert await after.handle("old").result() == "rang 1"
        assert await after.handle("new").result() == "rang 2"


async def test_a_local_activity_is_mocked_as_any_other() -> None:
    own = Perdure("memory://")

    @own.activity(retries=1)
    async def price(item: str) -> int:
        raise AssertionError("never called")

    @own.workflow
    async def quote(item: str) -> int:
        return await price.local(item)

    async with TestEnvironment(own, replay=True) as env:
        mock = env.mock(price).sequence(ConnectionError("no line"), 7)

        assert await (await own.start(quote, "tea")).result() == 7
        assert [call.attempt for call in mock.calls] == [1, 2]
