"""Mocks of activities and of workflows: typed, checked against the real signature, and aware of their calls."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from perdure import ActivityError, Perdure, WorkflowFailed, workflow
from perdure.core.errors import InvalidArguments, InvalidOption
from perdure.testing import ANY, Standstill, TestEnvironment, UnfitMock, UnmockedActivity, matching
from tests.unit.kit_shop import (
    app,
    brewing,
    charge,
    counts,
    elsewhere,
    family,
    flaky,
    month,
    pack,
    retried,
    tea,
    three_charges,
)


async def test_a_mocked_activity_does_not_run_and_takes_no_time() -> None:
    counts.clear()
    async with TestEnvironment(app) as env:
        began = env.now
        receipts = env.mock(charge).returns("r-1")
        env.mock(pack).returns("box")
        handle = await app.start(month, "tok")

        assert await handle.result() == "r-1, box"
        assert env.now - began == timedelta(days=30)
        assert counts == {}
        receipts.assert_called_once_with("tok")


async def test_calls_are_listed_with_their_moments_mocked_or_not() -> None:
    async with TestEnvironment(app) as env:
        began = env.now
        env.mock(pack).returns("box")
        await (await app.start(month, "tok", id="m")).result()

        (charged,) = env.calls(charge)
        (packed,) = env.calls("pack")
        assert (charged.args, charged.at, charged.workflow_id) == (("tok", 100), began, "m")
        assert (packed.args, packed.at, packed.attempt) == (("tok",), began + timedelta(days=30), 1)


async def test_errors_are_retried_and_outcomes_come_in_order() -> None:
    async with TestEnvironment(app) as env:
        mock = env.mock(flaky).sequence(ConnectionError("no line"), TimeoutError, 7)

        assert await (await app.start(retried, 0)).result() == 7
        assert [call.attempt for call in mock.calls] == [1, 2, 3]
        assert mock.calls[2].at - mock.calls[0].at == timedelta(seconds=3)


async def test_an_error_after_the_last_try_fails_the_workflow() -> None:
    async with TestEnvironment(app) as env:
        env.mock(flaky).raises(ConnectionError("no line"))

        with pytest.raises(WorkflowFailed, match="no line"):
            await (await app.start(retried, 0)).result()
        assert len(env.calls(flaky)) == 3


async def test_a_sequence_that_is_used_up_fails_the_test() -> None:
    async with TestEnvironment(app) as env:
        env.mock(charge).sequence("a", "b")

        with pytest.raises(UnfitMock, match="called more often than its 2 outcomes"):
            await (await app.start(three_charges)).result()


async def test_a_side_effect_gets_the_arguments_and_may_wait() -> None:
    async with TestEnvironment(app) as env:

        async def slowly(item: str) -> str:
            await asyncio.sleep(0)
            return f"slowly {item}"

        env.mock(charge).side_effect(lambda card, cents=1: f"{card}!")
        env.mock(pack).side_effect(slowly)

        assert await (await app.start(month, "tok")).result() == "tok!, slowly tok"


async def test_arguments_choose_the_answer_and_the_latest_that_fits_wins() -> None:
    async with TestEnvironment(app) as env:
        mock = env.mock(charge).returns("other")
        mock.when(ANY, 100).returns("hundred")
        mock.when("b").returns("b")
        mock.when(matching(lambda card: card > "b"), cents=ANY).returns("late")

        assert await (await app.start(three_charges)).result() == ["hundred", "b", "late"]
        mock.assert_any_call("b", 100)
        mock.assert_called_with("c", ANY)


async def test_a_mock_may_take_virtual_time_and_meet_its_deadline() -> None:
    async with TestEnvironment(app) as env:
        began = env.now
        env.mock(tea).returns("tea").takes("20s")
        assert await (await app.start(brewing, 1, 30)).result() == "tea"
        assert env.now - began == timedelta(seconds=20)

        env.mock(tea).hangs()
        with pytest.raises(WorkflowFailed, match="start_to_close"):
            await (await app.start(brewing, 1, 30)).result()
        assert env.now - began == timedelta(seconds=50)


async def test_a_value_of_another_type_is_refused_when_it_is_given() -> None:
    async with TestEnvironment(app) as env:
        with pytest.raises(UnfitMock, match=r"returns 3, which does not fit charge\(card: str"):
            env.mock(charge).returns(3)  # pyright: ignore[reportArgumentType]
        with pytest.raises(UnfitMock, match="cannot be called as"):
            env.mock(charge).side_effect(lambda: "x")  # pyright: ignore[reportArgumentType]
        with pytest.raises(UnfitMock, match="has an async side effect"):
            env.mock(month).side_effect(charge.fn)
        with pytest.raises(InvalidArguments):
            env.mock(charge).when("tok", 1, 2)  # pyright: ignore[reportCallIssue]
        with pytest.raises(InvalidOption, match="cannot be mocked"):
            env.mock(print)  # pyright: ignore[reportArgumentType, reportCallIssue]


async def test_a_side_effect_of_another_type_fails_the_test_and_is_not_retried() -> None:
    async with TestEnvironment(app) as env:

        def wrong(card: str, cents: int = 1) -> Any:
            return cents

        env.mock(charge).side_effect(wrong)

        with pytest.raises(UnfitMock, match="returns 100"):
            await (await app.start(month, "tok")).result()
        assert len(env.calls(charge)) == 1


async def test_a_mock_without_an_answer_returns_none_where_that_fits() -> None:
    shop = Perdure("memory://")

    @shop.activity
    async def tell(text: str) -> None:
        raise AssertionError("never called")

    @shop.workflow
    async def telling() -> None:
        await tell("hello")

    async with TestEnvironment(shop) as env:
        mock = env.mock(tell)
        await (await shop.start(telling)).result()

        mock.assert_called_once_with("hello")


async def test_assertions_say_what_was_called() -> None:
    async with TestEnvironment(app) as env:
        mock = env.mock(charge).returns("r")
        mock.assert_not_called()
        with pytest.raises(AssertionError, match="expected to be called"):
            mock.assert_called()
        await (await app.start(three_charges)).result()

        with pytest.raises(AssertionError, match=r"called once; it was called with \('a', 100\), \('b', 100\)"):
            mock.assert_called_once()
        with pytest.raises(AssertionError, match=r"with \('x', 100\), not with \('c', 100\)"):
            mock.assert_called_with("x")
        with pytest.raises(AssertionError, match="not expected to be called"):
            mock.assert_not_called()
        with pytest.raises(AssertionError, match="it was called with"):
            mock.assert_any_call("x")
        assert mock.call_count == 3


async def test_a_child_workflow_is_mocked_by_its_definition() -> None:
    async with TestEnvironment(app) as env:
        began = env.now
        mock = env.mock(month).returns("mocked").takes("3d")

        assert await (await app.start(family, "tok")).result() == "child: mocked"
        mock.assert_called_once_with("tok")
        assert env.now - began == timedelta(days=3)
        assert env.calls(charge) == []


async def test_a_child_workflow_that_fails_or_hangs() -> None:
    async with TestEnvironment(app) as env:
        env.mock(month).raises(ValueError("no child"))
        with pytest.raises(WorkflowFailed, match="no child"):
            await (await app.start(family, "tok")).result()

        env.mock(month).hangs()
        handle = await app.start(family, "tok")
        env.at("1d", lambda: handle.cancel("enough"))
        with pytest.raises(WorkflowFailed, match="was cancelled"):
            await handle.result()


async def test_others_are_mocked_by_name_in_their_queue() -> None:
    shop = Perdure("memory://")

    @shop.workflow
    async def order() -> list[Any]:
        shipped = await workflow.execute_activity("ship", "box", queue="ships", result_type=str)
        child = await workflow.start_child("invoice", 3, queue="invoices")
        return [shipped, await child]

    async with TestEnvironment(shop) as env:
        ship = env.mock("ship", queue="ships").returns("shipped")
        invoice = env.mock("invoice", queue="invoices", kind="workflow").side_effect(lambda *args: list(args))

        assert await (await shop.start(order)).result() == ["shipped", [3]]
        ship.assert_called_once_with("box")
        invoice.assert_called_once_with(3)


async def test_a_queue_may_be_served_without_a_mock() -> None:
    async with TestEnvironment(app, queues=("ships",)):
        with pytest.raises(Standstill, match="waits for a worker that knows it"):
            await (await app.start(elsewhere)).result()


async def test_an_activity_without_a_mock_fails_the_test_where_all_must_have_one() -> None:
    counts.clear()
    async with TestEnvironment(app, unmocked="refuse") as env:
        env.mock(charge).returns("r")

        with pytest.raises(UnmockedActivity, match="activity 'pack' was called and is not mocked"):
            await (await app.start(month, "tok")).result()
        assert counts == {}


async def test_the_next_environment_has_no_mocks() -> None:
    async with TestEnvironment(app) as env:
        env.mock(charge).raises(ActivityError)
        env.mock(month).returns("mocked")
    async with TestEnvironment(app):
        assert await (await app.start(month, "tok")).result() == "tok/100, packed tok"


async def test_a_mock_survives_a_crash() -> None:
    async with TestEnvironment(app) as env:
        env.mock(charge).returns("r").takes("1h")
        child = env.mock(month).returns("mocked").takes("1d")
        handle = await app.start(family, "tok")
        env.at("5h", env.crash)

        assert await handle.result() == "child: mocked"
        child.assert_called_once()
