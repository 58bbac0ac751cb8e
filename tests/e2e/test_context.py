"""Context that goes along with starts, signals, activities and children, into threads and processes too."""

import asyncio
from collections.abc import Mapping
from contextvars import Context, ContextVar
from typing import Any

import pytest

from perdure import ContextVarPropagator, Handle, Perdure, UpdateRejected, workflow
from perdure.core.command import RunActivity
from perdure.core.message import Started
from perdure.core.payload import Payload, from_payload, to_payload
from tests.e2e.process_work import context_app, context_of_process, tenant

trace: ContextVar[list[str]] = ContextVar("trace")


class Trace:
    """A propagator of somebody's own."""

    def inject(self, headers: dict[str, Payload]) -> None:
        """See `Propagator`."""
        headers["trace"] = to_payload([*trace.get([]), "hop"])

    def extract(self, headers: Mapping[str, Payload]) -> None:
        """See `Propagator`."""
        trace.set(from_payload(headers["trace"], list[str]))


def told() -> str:
    """What this context knows."""
    return f"{tenant.get('nobody')} {len(trace.get([]))}"


async def test_context_goes_from_client_to_workflow_to_activities_and_children() -> None:
    app = Perdure("memory://", propagators=[ContextVarPropagator("tenant", tenant, str), Trace()])

    @app.activity
    async def on_the_loop() -> str:
        return told()

    @app.activity
    def in_a_thread() -> str:
        return told()

    @app.workflow
    async def child() -> str:
        return f"{told()} / {await on_the_loop()}"

    @app.workflow
    async def parent() -> list[str]:
        found = [told(), await on_the_loop(), await in_a_thread(), await on_the_loop.local(), await child()]
        tenant.set("other")
        return [*found, await on_the_loop(), await (await workflow.start_child(child))]

    async with app:
        tenant.set("acme")
        handle = await app.start(parent)
        tenant.set("later")

        assert await handle.result() == [
            "acme 1", "acme 2", "acme 2", "acme 2", "acme 2 / acme 3", "other 2", "other 2 / other 3",
        ]  # fmt: skip


async def test_context_of_a_sender_reaches_handlers_and_only_them() -> None:
    app = Perdure("memory://", propagators=[ContextVarPropagator("tenant", tenant, str)])

    @app.activity
    async def echo() -> str:
        return tenant.get("nobody")

    @app.workflow
    class Order:
        def __init__(self) -> None:
            self.heard: list[str] = []

        @workflow.run
        async def run(self) -> list[str]:
            await workflow.wait_condition(lambda: len(self.heard) == 4)
            return [*self.heard, tenant.get("nobody"), await workflow.execute_activity("echo")]

        @workflow.signal
        async def tell(self) -> None:
            self.heard.append(await echo())

        @workflow.update
        def change(self) -> str:
            self.heard.append(tenant.get("nobody"))
            return tenant.get("nobody")

        @change.validator
        def check(self) -> None:
            if tenant.get("nobody") == "mallory":
                raise PermissionError("not you")

        @workflow.query
        def ask(self) -> str:
            return tenant.get("nobody")

    async def ask_as(name: str, handle: Handle[list[str]]) -> str:
        tenant.set(name)
        return await handle.query(Order.ask)

    async with app:
        tenant.set("acme")
        handle = await app.start(Order.run)
        for name in ("alice", "bob"):
            tenant.set(name)
            await handle.signal(Order.tell)
        assert await handle.update(Order.change) == "bob"
        tenant.set("mallory")
        with pytest.raises(UpdateRejected, match="not you"):
            await handle.update(Order.change)
        assert await ask_as("carol", handle) == "carol"
        silent = asyncio.create_task(handle.update(Order.change), context=Context())
        assert await silent == "acme"

        found = await handle.result()
        assert sorted(found[:4]) == ["acme", "alice", "bob", "bob"]
        assert found[4:] == ["acme", "acme"]


async def test_context_reaches_a_process() -> None:
    async with context_app:
        tenant.set("acme")
        handle = await context_app.start(context_of_process)

        assert await handle.result() == "acme"


async def test_nothing_is_recorded_where_there_are_no_propagators() -> None:
    app = Perdure("memory://")

    @app.activity
    async def plain() -> None: ...

    @app.workflow
    async def flow() -> None:
        await plain()

    async with app:
        handle = await app.start(flow)
        await handle.result()

        async def turns(engine: Any) -> list[Any]:
            return [turn async for turn in engine.turns(handle.run_id)]

        recorded = await app.call(turns)
        starts = [each for turn in recorded for each in turn.inputs if isinstance(each, Started)]
        asked = [each for turn in recorded for each in turn.outputs if isinstance(each, RunActivity)]
        assert [each.options for each in starts] == [None]
        assert [each.headers for each in asked] == [None]


async def test_an_unset_variable_is_not_carried() -> None:
    fresh: ContextVar[str] = ContextVar("fresh")
    app = Perdure("memory://", propagators=[ContextVarPropagator("fresh", fresh, str)])

    @app.workflow
    async def flow() -> str:
        return fresh.get("unset")

    async with app:
        assert await (await app.start(flow)).result() == "unset"
