"""More workflow code whose recorded histories are replayed for ever: what runs tell of themselves. Never changed."""

import asyncio
from contextvars import ContextVar
from typing import Any

from perdure import ContextVarPropagator, HandlerCall, Interceptor, SearchKey, workflow
from perdure.core.failure import ActivityError
from perdure.programs.code.classes import workflow_of
from perdure.programs.code.interceptors import Interceptors, Proceed
from perdure.programs.code.propagation import Propagation
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


@recorded
async def leaf_of_a_version(word: str) -> Any:
    """A child of `carrying`, begun on the version of its function."""
    return await echo(word)


def _own_route(name: str, _version: int) -> str:
    return name


leaf_of_a_version.route_of = _own_route
tenant: ContextVar[str] = ContextVar("tenant", default="nobody")


class Napping(Interceptor):
    """Asks for something of its own around each handler."""

    async def workflow_handler(self, call: HandlerCall, proceed: Proceed) -> Any:
        """See `Interceptor`."""
        await nap(len(call.name))
        return await proceed()


class Carrying:
    """Context that comes with the start and with each message, and interceptors around its handlers."""

    def __init__(self) -> None:
        self.heard: list[Any] = []

    @workflow.run
    async def run(self) -> list[Any]:
        """See the class."""
        await workflow.wait_condition(lambda: len(self.heard) == 2)
        await asyncio.sleep(1)
        child = await workflow.start_child(leaf_of_a_version, tenant.get())
        return [*self.heard, await child, await workflow.execute_activity("echo", tenant.get())]

    @workflow.signal
    async def tell(self, word: str) -> None:
        """Note it, and who said it."""
        self.heard.append([tenant.get(), await echo(word)])

    @workflow.update
    async def change(self, word: str) -> str:
        """The same."""
        self.heard.append([tenant.get(), await echo(word)])
        return tenant.get()


WORKFLOWS["carrying"] = workflow_of(Carrying, name="carrying")
WORKFLOWS["carrying"].propagation = Propagation([ContextVarPropagator("tenant", tenant, str)])
WORKFLOWS["carrying"].interceptors = Interceptors([Napping()])
