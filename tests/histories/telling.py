"""More workflow code whose recorded histories are replayed for ever: what runs tell of themselves. Never changed."""

import asyncio
from typing import Any

from perdure import SearchKey, workflow
from perdure.core.failure import ActivityError
from tests.histories.workflows import ACTIVITIES, WORKFLOWS, echo, fatal, nap, recorded

__all__ = ["ACTIVITIES", "WORKFLOWS"]


@recorded
async def progress_and_saga() -> list[Any]:
    """Progress, a status, and a saga that is undone."""
    found: list[Any] = []
    workflow.set_status("counting")
    for done in range(3):
        workflow.set_progress(done, 3, f"step {done}")
        found.append(await echo(done))
    try:
        async with workflow.Saga() as saga:
            for done in range(2):
                saga.add(nap, 10 + done)
            await fatal()
    except ActivityError as error:
        found.append(error.type)
    workflow.set_status("")
    return found


@recorded
async def leaf_in_line(number: int) -> Any:
    """A child of `in_line`."""
    return await echo(number)


@recorded
async def in_line() -> list[Any]:
    """Started with a priority; activities and children inherit it, or have their own."""
    urgent = echo.options(priority=1, fairness_key="tenant", fairness_weight=2.5)
    found: list[Any] = [await echo("plain"), await urgent("urgent")]
    child = await workflow.start_child(leaf_in_line, 3, priority=5)
    return [*found, await child, await leaf_in_line(4)]


@recorded
async def noted() -> list[Any]:
    """Memo and search attributes, changed between steps; what the code sees of them is the same in every replay."""
    key, tags = SearchKey.keyword("State"), SearchKey.keyword_list("Tags")
    workflow.upsert_search_attributes(key.set("new"), tags.set(["a", "b"]))
    workflow.upsert_memo({"note": "by phone", "draft": True})
    before = workflow.info()
    await asyncio.sleep(1)
    workflow.upsert_search_attributes(key.set("paid"), tags.unset())
    workflow.upsert_memo({"draft": None, "lines": [1, 2]})
    after = workflow.info()
    return [before.search_attributes, before.memo, after.search_attributes, after.memo]
