"""Class workflows by way of the public API, in one process and in several, on both stores."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from perdure import (
    Perdure,
    UpdateFailed,
    UpdateRejected,
    UpdateUnanswered,
    UsageError,
    WorkflowNotFound,
    workflow,
)
from perdure.core.errors import InvalidArguments, UnsupportedDefinition
from perdure.core.errors import RunClosed as RunIsClosed

STORES = ["memory://", "sqlite"]


class Shop:
    """An app with one class workflow, and what it did."""

    def __init__(self, url: str) -> None:
        app = self.app = Perdure(url)
        self.charged: list[int] = []
        self.may_end = asyncio.Event()

        @app.activity(retries=0)
        async def charge(cents: int) -> str:
            self.charged.append(cents)
            if cents > 1_000:
                raise ValueError("too much")
            return f"receipt {len(self.charged)}"

        @app.activity
        async def slow() -> None:
            await self.may_end.wait()

        @app.workflow
        class Order:
            @workflow.init
            def __init__(self, customer: str, limit: int = 100) -> None:
                self.customer = customer
                self.limit = limit
                self.items: dict[str, int] = {}
                self.by: str | None = None

            @workflow.run
            async def run(self, customer: str, limit: int = 100) -> dict[str, Any]:
                await workflow.wait_condition(lambda: self.by is not None)
                await workflow.wait_condition(workflow.all_handlers_finished, timeout="1s")
                return {"customer": customer, "items": self.items, "by": self.by}

            @workflow.signal
            def approve(self, by: str) -> None:
                self.by = by

            @workflow.query
            def total(self, factor: int = 1) -> int:
                return sum(self.items.values()) * factor

            @workflow.update
            def add_item(self, item: str, count: int = 1) -> int:
                self.items[item] = self.items.get(item, 0) + count
                return self.items[item]

            @add_item.validator
            def check_item(self, item: str, count: int = 1) -> None:
                if self.total() + count > self.limit:
                    raise ValueError(f"more than {self.limit}")

            @workflow.update
            async def pay(self, cents: int) -> str:
                return await charge(cents)

            @workflow.update
            async def ponder(self) -> None:
                await slow()

        self.order = Order


def url_of(store: str, folder: Path) -> str:
    return store if store.startswith("memory") else f"sqlite:///{folder / 'shop.db'}"


@pytest.fixture(params=STORES)
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], Shop]:
    return lambda: Shop(url_of(request.param, tmp_path))


async def test_a_class_is_started_told_asked_and_updated(make: Callable[[], Shop]) -> None:
    shop = make()
    order = shop.order
    async with shop.app:
        handle = await shop.app.start(order.run, "Ann", 5, id="order-1")

        assert await handle.update(order.add_item, "tea", 2) == 2
        assert await handle.update(order.add_item, "tea") == 3
        assert await handle.update("add_item", "cup", result_type=int) == 1
        assert await handle.query(order.total, 2) == 8
        with pytest.raises(UpdateRejected, match="more than 5") as caught:
            await handle.update(order.add_item, "tea", 10)
        assert caught.value.code == "PDR2021"
        assert await handle.update(order.pay, 100) == "receipt 1"
        await handle.signal(order.approve, "Bob")

        assert await handle.result() == {"customer": "Ann", "items": {"tea": 3, "cup": 1}, "by": "Bob"}
        kinds = [event.type for event in await handle.history()]
        accepted = [event for event in await handle.history() if event.type == "WorkflowExecutionUpdateAccepted"]
    assert [(event.attributes["name"], event.attributes["input"]) for event in accepted[:2]] == [
        ("add_item", ["tea", 2]),
        ("add_item", ["tea"]),
    ]
    assert kinds.count("WorkflowExecutionUpdateAccepted") == 4
    assert kinds.count("WorkflowExecutionUpdateCompleted") == 4


async def test_an_update_that_fails_leaves_the_run_alone(make: Callable[[], Shop]) -> None:
    shop = make()
    async with shop.app:
        handle = await shop.app.start(shop.order.run, "Ann")

        with pytest.raises(UpdateFailed, match="too much") as caught:
            await handle.update(shop.order.pay, 5_000)
        with pytest.raises(UpdateRejected, match="takes no update 'fly'"):
            await handle.update("fly")

        assert caught.value.__cause__ is not None
        assert await handle.query(shop.order.total) == 0


async def test_an_update_with_an_id_is_applied_once(make: Callable[[], Shop]) -> None:
    shop = make()
    order = shop.order
    async with shop.app:
        handle = await shop.app.start(order.run, "Ann", id="order-1")
        assert await handle.update(order.pay, 100, id="payment") == "receipt 1"

        assert await handle.update(order.pay, 100, id="payment") == "receipt 1"
        assert await asyncio.gather(*[handle.update(order.add_item, "tea", id="more") for _ in range(5)]) == [1] * 5
        await handle.signal(order.approve, "Bob")
        await handle.result()

        # Closed is closed; what was answered stays so.
        assert await handle.update(order.pay, 100, id="payment") == "receipt 1"
        assert await handle.update_handle("payment", order.pay).result() == "receipt 1"
        with pytest.raises(RunIsClosed):
            await handle.update(order.pay, 100, id="another")
        with pytest.raises(RunIsClosed):
            await handle.update(order.pay, 100)
        with pytest.raises(UpdateUnanswered):
            await handle.update_handle("never").result()
    assert shop.charged == [100]


async def test_a_started_update_is_accepted_and_answered_later(make: Callable[[], Shop]) -> None:
    shop = make()
    async with shop.app:
        handle = await shop.app.start(shop.order.run, "Ann")

        started = await handle.start_update(shop.order.ponder, id="deep")
        waiting = asyncio.create_task(started.result())
        assert await handle.query(shop.order.total) == 0
        assert not waiting.done()
        shop.may_end.set()

        await waiting
        assert (started.id, started.run_id) == ("deep", handle.run_id)
        with pytest.raises(UpdateRejected):
            await handle.start_update(shop.order.add_item, "tea", 1_000)


async def test_whoever_waits_hears_that_the_run_closed_first(make: Callable[[], Shop]) -> None:
    shop = make()
    async with shop.app:
        handle = await shop.app.start(shop.order.run, "Ann")
        started = await handle.start_update(shop.order.ponder)
        waiting = asyncio.create_task(started.result())
        await asyncio.sleep(0)

        await handle.terminate("enough")

        with pytest.raises(UpdateUnanswered, match="closed before it answered update 'ponder'"):
            await waiting
        shop.may_end.set()


async def test_another_process_is_answered(tmp_path: Path) -> None:
    url = url_of("sqlite", tmp_path)
    worker, client = Shop(url), Shop(url)
    async with worker.app, client.app.client():
        handle = await client.app.start(client.order.run, "Ann")

        assert await handle.update(client.order.pay, 7) == "receipt 1"
        names = [f"item {number}" for number in range(20)]
        results = await asyncio.gather(*[handle.update("add_item", name, result_type=int) for name in names])
        await handle.signal(client.order.approve, "Bob")

        assert results == [1] * 20
        assert len((await handle.result())["items"]) == 20
    assert (worker.charged, client.charged) == ([7], [])


async def test_what_does_not_fit_is_refused_before_it_is_sent(make: Callable[[], Shop]) -> None:
    shop = make()
    order: Any = shop.order
    async with shop.app:
        handle: Any = await shop.app.start(shop.order.run, "Ann")
        for wrong in (
            lambda: handle.update(order.add_item),
            lambda: handle.signal(order.approve, 7),
            lambda: handle.signal(order.approve),
            lambda: handle.signal("approve", 1, 2),
            lambda: handle.query(order.total, 1, 2),
        ):
            with pytest.raises(InvalidArguments):
                await wrong()
        for mixed in (lambda: handle.update(order.total), lambda: handle.signal(order.pay, 1)):
            with pytest.raises(UnsupportedDefinition, match="handler"):
                await mixed()
        with pytest.raises(UsageError, match=r"give its run method, Order\.run"):
            await shop.app.start(order, "Ann")
        with pytest.raises(WorkflowNotFound):
            await shop.app.handle("nobody").update("add_item", "tea")
        assert await handle.query(order.total) == 0


def test_the_blocking_facade_updates_too(tmp_path: Path) -> None:
    shop = Shop(url_of("sqlite", tmp_path))
    with shop.app.blocking() as client:
        handle = client.start(shop.order.run, "Ann", 5)

        assert handle.update(shop.order.add_item, "tea", 2) == 2
        assert handle.query(shop.order.total) == 2
        handle.signal(shop.order.approve, "Bob")

        assert handle.result()["by"] == "Bob"
