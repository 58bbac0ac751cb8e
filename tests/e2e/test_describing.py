"""What a description tells of the code: the handlers of a run, with their kinds and what is said of them."""

from typing import Any

import pytest

from perdure import Perdure, workflow
from perdure.programs.code.listed import HandlerSummary

ADD = HandlerSummary("update", "add", "add(item: str, count: int = 1) -> int", "Put something in.\n\nMore than once.")
NOTE = HandlerSummary("signal", "other", "other(name: str, value: Any) -> None", "", dynamic=True)
TOTAL = HandlerSummary("query", "total", "total() -> int", "How much there is.")


def shop(url: str) -> Perdure:
    """An app with a class workflow and a function."""
    app = Perdure(url)

    @app.workflow
    class Order:
        def __init__(self) -> None:
            self.count = 0

        @workflow.run
        async def run(self) -> None:
            await workflow.channel("end").receive()

        @workflow.update
        def add(self, item: str, count: int = 1) -> int:
            """Put something in.

            More than once.
            """
            self.count += count
            return self.count

        @workflow.query
        def total(self) -> int:
            """How much there is."""
            return self.count

        @workflow.signal(dynamic=True)
        def other(self, name: str, value: Any) -> None: ...

    @app.workflow
    async def plain() -> None:
        @workflow.query
        def first() -> str:
            """The first one."""
            return ""

        await workflow.channel("go").receive()
        workflow.signal(second)
        await workflow.channel("end").receive()

    def second() -> None: ...

    return app


async def test_a_class_says_what_its_runs_can_be_told_and_asked(url: str) -> None:
    app = shop(url)
    async with app.client():
        handle = await app.start_by_name("Order", id="order")

        found = await handle.describe()

        assert found.handlers == (TOTAL, NOTE, ADD)
        await handle.terminate()
        assert (await handle.describe()).handlers == (TOTAL, NOTE, ADD)


async def test_the_handlers_of_a_function_are_those_that_its_run_has_registered(url: str) -> None:
    app = shop(url)
    async with app:
        handle = await app.start_by_name("plain", id="plain")
        first = {"kind": "query", "name": "first", "signature": "first() -> str", "doc": "The first one."}
        assert await handle.query("__handlers") == [{**first, "dynamic": False}]
        assert [each.name for each in (await handle.describe()).handlers] == ["first"]

        await handle.signal("go", 1)

        names = [(each["kind"], each["name"]) for each in await handle.query("__handlers")]
        assert names == [("query", "first"), ("signal", "second")]
        await handle.signal("end", 1)
        await handle.result()


async def test_where_the_code_is_unknown_no_handlers_are_told(tmp_path: Any) -> None:
    url = f"sqlite:///{tmp_path}/shop.db"
    async with shop(url).client() as app:
        await app.start_by_name("Order", id="order")

    async with Perdure(url).client() as stranger:
        assert (await stranger.handle("order").describe()).handlers == ()


def test_updates_of_the_blocking_facade_are_waited_for_later(url: str) -> None:
    with shop(url).blocking() as client:
        handle = client.start_by_name("Order", id="order")

        sent = handle.start_update("add", "tea", 2, id="u1", result_type=int)

        assert sent.result(timeout=30) == 2
        assert (sent.id, sent.run_id) == ("u1", handle.run_id)
        assert handle.update_handle("u1").result(timeout=30) == 2
        with pytest.raises(TimeoutError):
            handle.update_handle("u2").result(timeout=0.01)
        handle.signal("end", 1)
