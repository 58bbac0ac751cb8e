"""Finding runs through the public API: filters, counts, search attributes, memo."""

import pytest

from perdure import Perdure, RunStatus, workflow
from perdure.core.errors import InvalidFilter, InvalidOption


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

        assert [run.workflow_id for run in (*newest, *last)] == ["order-2", "order-1", "order-0"]
        assert [run.workflow_id for run in oldest] == ["order-0"]
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
