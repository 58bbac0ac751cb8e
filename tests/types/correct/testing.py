"""Tests of users: environments, mocks, plans, activities alone."""

from collections.abc import Awaitable
from datetime import UTC, datetime, timedelta
from typing import Any, assert_type

from perdure import Handle
from perdure.testing import (
    ANY,
    ActivityEnvironment,
    Alarm,
    Answers,
    Fault,
    Mock,
    MockCall,
    TestEnvironment,
    assert_history,
    for_each_store_call,
    matching,
)
from tests.types.shop import APPROVE, Approval, app, charge, checkout, count, order, refund, tick


async def an_environment() -> None:
    """The app is used as ever; the environment has the clock."""
    async with TestEnvironment(app, store="memory://", queues=("q",), patience="1s", seed=3) as env:
        assert_type(env, TestEnvironment)
        handle = await app.start(checkout, "tok", 1)
        assert_type(handle, Handle[str])
        assert_type(await handle.result(), str)
        assert_type(env.now, datetime)
        await env.sleep("30d")
        await env.sleep(timedelta(hours=1))
        await env.sleep_until(datetime(2030, 1, 1, tzinfo=UTC))
        assert_type(await env.until(handle.result()), str)
        assert_type(env.at("2h", lambda: handle.signal(APPROVE, Approval("me"))), Alarm)
        assert_type(env.at(env.now + timedelta(days=1), handle.cancel), Alarm)
        env.every("1d", tick, times=3).cancel()
        await assert_history(handle, "history.json", update=False)
    TestEnvironment(app, start=datetime(2030, 1, 1, tzinfo=UTC), unmocked="refuse", twice=True, replay=True, network=())


async def mocks(env: TestEnvironment) -> None:
    """Mocks know the parameters and the result of what they stand for."""
    mock = env.mock(charge)
    same: tuple[Mock[[str, int], str], Answers[[str, int], str]] = (
        mock.returns("r").takes("1h"),
        mock.when("tok", cents=ANY).returns("r"),
    )
    same[0].assert_not_called()
    mock.raises(ConnectionError("no line")).raises(TimeoutError)
    mock.sequence("a", ConnectionError("no line"), TimeoutError, "b").hangs()
    mock.side_effect(lambda card, cents: f"{card}{cents}")
    mock.when(matching(lambda card: card != ""), 1)
    mock.assert_called_with("tok", 1)
    mock.assert_called_once_with("tok", cents=1)
    mock.assert_any_call(ANY, 1)
    assert_type(mock.calls, list[MockCall])
    assert_type(env.mock(count).returns(3).call_count, int)
    env.mock(order).returns(None).returns(Approval("me"))
    env.mock(refund).side_effect(lambda receipt, reason="": bool(receipt + reason))
    assert_type(env.mock("elsewhere", queue="q", kind="activity"), Mock[..., Any])
    assert_type(env.calls(charge), list[MockCall])


async def trouble(env: TestEnvironment) -> None:
    """Faults and crashes."""
    assert_type(env.fail_store_call(3, how="unknown", verbs=("commit",)), Fault)
    await env.crash(restart=False)
    await env.start_worker()

    def scenario(env: TestEnvironment) -> Awaitable[None]:
        return env.sleep("1d")

    assert_type(await for_each_store_call(app, scenario, how=("refused", "crash after"), twice=True), int)


async def one_activity() -> None:
    """The result of an activity that is run alone."""
    env = ActivityEnvironment(attempt=2, heartbeat_details=(1,), heartbeat="30s")
    assert_type(await env.run(charge, "tok", cents=1), str)
    assert_type(await env.run(count, ["a"]), int)

    async def coroutine(number: int) -> float:
        return number / 2

    def function(number: int) -> bytes:
        return bytes(number)

    assert_type(await env.run(coroutine, 1), float)
    assert_type(await env.run(function, number=1), bytes)
    assert_type(env.heartbeats, list[tuple[Any, ...]])
    env.cancel("enough")
