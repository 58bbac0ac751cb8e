"""Finding runs through the public API: filters, counts, search attributes, memo."""

import asyncio
from typing import Any

import pytest

from perdure import Perdure, RunStatus, SearchKey, UsageError, quoted, workflow
from perdure.core.errors import InvalidFilter, InvalidOption, NotInWorkflow, QueryFailed


async def until_found(app: Perdure, query: str, count: int) -> None:
    """Return when so many runs fit; the test's time-out bounds the wait."""
    while await app.count(query) != count:
        await asyncio.sleep(0.005)


async def test_runs_are_listed_and_counted_by_a_filter(url: str) -> None:
    app = Perdure(url)

    @app.workflow
    async def order(cents: int) -> int:
        if cents < 0:
            raise ValueError(cents)
        return cents

    @app.workflow
    async def approval() -> str:
        return await workflow.channel("approve", str).receive()

    async with app:
        for number in range(3):
            await (await app.start(order, number, id=f"order-{number}")).result()
        failed = await app.start(order, -1, id="order-bad")
        with pytest.raises(Exception, match="-1"):
            await failed.result()
        waiting = await app.start(approval, id="approval-1")

        newest = await app.list("WorkflowType = 'order' and ExecutionStatus = 'Completed'", limit=2)
        last = await app.list("WorkflowType = 'order'", status="completed", limit=2, before=newest[-1].run_id)
        oldest = await app.list("CloseTime is not null order by StartTime", id_prefix="order-", limit=1)

        # Those that start within one millisecond have no order between them.
        assert {run.workflow_id for run in (*newest, *last)} == {"order-2", "order-1", "order-0"}
        assert len(newest) == 2
        assert min(run.started_at for run in newest) >= last[0].started_at == oldest[0].started_at
        assert await app.count() == 5
        assert await app.count("not WorkflowId starts_with 'order-'") == 1
        by_status = await app.count("ExecutionDuration < '1h' or CloseTime is null", group_by="ExecutionStatus")
        assert by_status == {RunStatus.COMPLETED: 3, RunStatus.FAILED: 1, RunStatus.RUNNING: 1}
        await waiting.terminate()


async def test_what_cannot_be_asked_is_refused_before_the_store_is_asked(url: str) -> None:
    app = Perdure(url)
    async with app.client():
        with pytest.raises(InvalidFilter, match="PDR1040: filter, at character 14"):
            await app.list("WorkflowType Order")
        with pytest.raises(InvalidFilter, match="the filter is a int"):
            await app.count(5)  # type: ignore[call-overload]
        with pytest.raises(InvalidOption, match="group_by"):
            await app.count("", group_by="WorkflowType")  # type: ignore[call-overload]


def test_the_blocking_facade_lists_and_counts(url: str) -> None:
    app = Perdure(url)

    @app.workflow
    async def order(cents: int) -> int:
        return cents

    with app.blocking() as client:
        assert client.start(order, 5, id="order-1").result() == 5
        assert [run.workflow_id for run in client.list("ExecutionStatus in ('Completed')")] == ["order-1"]
        assert client.count("WorkflowId = 'order-1'") == 1
        assert client.count(group_by="ExecutionStatus") == {RunStatus.COMPLETED: 1}


CUSTOMER = SearchKey.keyword("CustomerId")
STATE = SearchKey.keyword("State")
CENTS = SearchKey.int("Cents")
TAGS = SearchKey.keyword_list("Tags")


async def test_a_run_says_by_what_it_is_found_and_what_is_shown_of_it(url: str) -> None:
    app = Perdure(url)

    @app.workflow
    async def order(customer: str) -> dict[str, Any]:
        workflow.upsert_search_attributes(CUSTOMER.set(customer), STATE.set("new"), CENTS.set(5))
        workflow.upsert_memo({"note": "by phone", "draft": True})
        await asyncio.sleep(0)
        await workflow.channel("pay").receive()
        workflow.upsert_search_attributes(STATE.set("paid"), CENTS.unset(), TAGS.set(["a", "b"]))
        workflow.upsert_memo({"draft": None, "lines": [1, 2]})
        info = workflow.info()
        return {"attributes": info.search_attributes, "memo": info.memo}

    async with app:
        customers = ("c-1", "it's")
        one = await app.start(order, customers[0], id="order-1")
        await app.start(order, customers[1], id="order-2")
        await until_found(app, "State = 'new'", 2)
        assert [run.workflow_id for run in await app.list("CustomerId = 'c-1'")] == ["order-1"]
        query = f"CustomerId = {quoted(customers[1])} and Cents > 4.5"
        assert [run.workflow_id for run in await app.list(query)] == ["order-2"]

        await one.signal("pay")
        said = await one.result()

        expected = {"CustomerId": "c-1", "State": "paid", "Tags": ["a", "b"]}
        assert said == {"attributes": expected, "memo": {"note": "by phone", "lines": [1, 2]}}
        run = (await one.describe()).run
        assert run.search_attributes == expected
        assert run.memo == {"note": "by phone", "lines": [1, 2]}
        assert TAGS.value_in(run.search_attributes) == ["a", "b"]
        assert [found.workflow_id for found in await app.list("Tags = 'b' or Cents is null")] == ["order-1"]
        assert (await app.list("State = 'paid'"))[0].memo == run.memo


async def test_a_run_is_found_by_what_it_was_started_with(url: str) -> None:
    app = Perdure(url)

    @app.workflow
    async def order() -> dict[str, Any]:
        info = workflow.info()
        await workflow.channel("end").receive()
        workflow.upsert_search_attributes(CENTS.set(6), CUSTOMER.unset())
        workflow.upsert_memo({"by": "post"})
        return {"attributes": info.search_attributes, "memo": info.memo}

    async with app:
        given = [CUSTOMER.set("c-1"), CENTS.set(5), STATE.set("new"), STATE.unset()]
        handle = await app.start(order, id="order-1", memo={"by": "phone", "x": 1}, search_attributes=given)

        (found,) = await app.list("CustomerId = 'c-1' and Cents between 5 and 6 and State is null")
        assert found.search_attributes == {"CustomerId": "c-1", "Cents": 5}
        assert found.memo == {"by": "phone", "x": 1}

        await handle.signal("end")
        assert await handle.result() == {"attributes": found.search_attributes, "memo": found.memo}
        (after,) = await app.list("Cents = 6 and CustomerId is null")
        assert after.memo == {"by": "post", "x": 1}


async def test_a_start_with_wrong_attributes_or_memo_starts_nothing(url: str) -> None:
    app = Perdure(url)

    @app.workflow
    async def order() -> None:
        pass

    many = [SearchKey.int(f"A{number}").set(number) for number in range(101)]
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"search_attributes": many}, "PDR1041"),
        ({"search_attributes": {"Cents": 5}}, "PDR1041"),
        ({"search_attributes": ["Cents"]}, "PDR1041"),
        ({"search_attributes": 5}, "PDR1041"),
        ({"search_attributes": CENTS.set(5)}, "PDR1041"),
        ({"memo": [1]}, "PDR1002"),
        ({"memo": {"a": "x" * 300_000}}, "PDR1002"),
        ({"memo": {"a": object()}}, "PDR1009"),
    ]
    async with app:
        for options, code in wrong:
            with pytest.raises(UsageError) as caught:
                await app.start(order, **options)
            assert caught.value.code == code, options
        assert await app.count() == 0


async def test_a_run_that_goes_on_keeps_what_it_is_found_by(url: str) -> None:
    app = Perdure(url)

    @app.workflow
    async def looping(left: int) -> int:
        workflow.upsert_search_attributes(CENTS.set(left))
        workflow.upsert_memo({"left": left})
        if left:
            workflow.continue_as_new(left - 1)
        return left

    async with app:
        handle = await app.start(looping, 2, id="loop", search_attributes=[CUSTOMER.set("c-1")])
        assert await handle.result() == 0

        found = await app.list("CustomerId = 'c-1' order by Cents")
        assert [run.search_attributes["Cents"] for run in found] == [0, 1, 2]
        assert [run.memo for run in found] == [{"left": 0}, {"left": 1}, {"left": 2}]
        assert [run.status for run in found][1:] == [RunStatus.CONTINUED_AS_NEW] * 2


async def test_wrong_attributes_fail_in_the_code_that_gave_them(url: str) -> None:
    app = Perdure(url)

    @app.workflow
    async def careless() -> list[str]:
        found: list[str] = []
        many = [SearchKey.int(f"A{number}").set(number) for number in range(101)]
        for upsert in (
            lambda: workflow.upsert_search_attributes(*many),
            lambda: workflow.upsert_memo({"x": "y" * 300_000}),
            lambda: workflow.upsert_memo({str(number): 1 for number in range(101)}),
            lambda: workflow.upsert_memo({"": 1}),
            lambda: workflow.upsert_memo({"x": object()}),
        ):
            try:
                upsert()
            except UsageError as error:
                found.append(error.code)
        return found

    async with app:
        handle = await app.start(careless)
        assert await handle.result() == ["PDR1041", "PDR1002", "PDR1002", "PDR1001", "PDR1009"]
        assert (await handle.describe()).run.search_attributes == {}


async def test_a_query_cannot_change_what_a_run_is_found_by(url: str) -> None:
    app = Perdure(url)

    @app.workflow
    async def asked() -> None:
        @workflow.query
        def meddle() -> None:
            workflow.upsert_search_attributes(CENTS.set(1))

        await workflow.channel("end").receive()

    async with app:
        handle = await app.start(asked)
        await until_found(app, "HistoryLength > 0", 1)
        with pytest.raises(QueryFailed, match="not allowed in workflow code"):
            await handle.query("meddle")
        await handle.terminate()


def test_what_workflow_code_notes_it_notes_only_inside() -> None:
    with pytest.raises(NotInWorkflow):
        workflow.upsert_memo({"a": 1})
    with pytest.raises(NotInWorkflow):
        workflow.upsert_search_attributes(CENTS.set(1))
