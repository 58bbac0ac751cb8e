"""One activity alone: what it is told, what it says, and how it is cancelled."""

import asyncio
import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from perdure import Perdure, activity
from perdure.core.errors import InvalidArguments, InvalidOption, NotInActivity, UndecodablePayload
from perdure.testing import ActivityEnvironment

app = Perdure("memory://")


@dataclass
class Item:
    """What is handled."""

    name: str
    count: int = 1


@app.activity(heartbeat="30s")
async def import_items(items: list[Item]) -> int:
    """Beats for each item, and goes on where an earlier attempt was."""
    first = activity.heartbeat_details(int) or 0
    for index in range(first, len(items)):
        activity.heartbeat(index + 1, items[index].name)
        await asyncio.sleep(0)
    return len(items) - first


@app.activity
def count_up(limit: int) -> int:
    """In a thread, until it is told to stop."""
    for number in range(limit):
        activity.heartbeat(number)
        time.sleep(0.001)
    return limit


@app.activity
def told() -> list[str]:
    """Its facts."""
    info = activity.info()
    return [info.name, str(info.attempt), info.workflow_id, threading.current_thread().name]


@app.activity
def wrong() -> int:
    """Returns something else than it says."""
    return "seven"  # pyright: ignore[reportReturnType]


async def test_heartbeats_are_kept_and_earlier_details_are_there() -> None:
    env = ActivityEnvironment(heartbeat_details=(1,), attempt=2)

    assert await env.run(import_items, [Item("a"), Item("b"), Item("c")]) == 2
    assert env.heartbeats == [(2, "b"), (3, "c")]


async def test_the_facts_are_those_that_were_given() -> None:
    env = ActivityEnvironment(attempt=3, workflow_id="order-1")

    name, attempt, workflow_id, thread = await env.run(told)

    assert (name, attempt, workflow_id) == ("told", "3", "order-1")
    assert thread != threading.current_thread().name


async def test_times_are_told_too() -> None:
    moment = datetime(2030, 1, 1, tzinfo=UTC)

    async def look() -> activity.ActivityInfo:
        return activity.info()

    info = await ActivityEnvironment(started_at=moment, heartbeat="1m").run(look)

    assert (info.started_at, info.heartbeat_timeout) == (moment, timedelta(minutes=1))


async def test_an_async_activity_is_cancelled_where_it_waits() -> None:
    env = ActivityEnvironment()
    cleaned: list[str] = []

    async def sleeper() -> None:
        try:
            env.cancel("enough")
            await asyncio.sleep(60)
        finally:
            assert activity.cancelled()
            cleaned.append("yes")

    with pytest.raises(asyncio.CancelledError):
        await env.run(sleeper)
    assert cleaned == ["yes"]


async def test_a_sync_activity_is_cancelled_at_its_next_heartbeat() -> None:
    env = ActivityEnvironment()

    def stop_at_three(number: int) -> None:
        if number == 3:
            env.cancel("enough")

    env.on_heartbeat = stop_at_three

    with pytest.raises(activity.ActivityCancelled, match="enough"):
        await env.run(count_up, 1_000)
    assert len(env.heartbeats) == 4


async def test_errors_are_raised_as_they_are() -> None:
    def fail() -> None:
        raise KeyError("x")

    with pytest.raises(KeyError):
        await ActivityEnvironment().run(fail)
    with pytest.raises(InvalidArguments):
        await ActivityEnvironment().run(count_up)  # pyright: ignore[reportCallIssue]


async def test_arguments_and_results_travel() -> None:
    with pytest.raises(UndecodablePayload):
        await ActivityEnvironment().run(count_up, "many")  # pyright: ignore[reportArgumentType, reportCallIssue]
    with pytest.raises(UndecodablePayload):
        await ActivityEnvironment().run(wrong)


async def test_outside_there_is_no_activity() -> None:
    await ActivityEnvironment().run(told)

    with pytest.raises(NotInActivity):
        activity.info()
    with pytest.raises(InvalidOption):
        ActivityEnvironment(attempt=0)
