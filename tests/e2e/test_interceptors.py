"""Interceptors: around workflows, what they ask for, activities and client calls; free where unused."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from perdure import (
    ActivityCall,
    ClientCall,
    HandlerCall,
    Interceptor,
    OutboundCall,
    Perdure,
    Signal,
    TimerCall,
    UpdateFailed,
    WorkflowCall,
    WorkflowFailed,
    workflow,
)
from perdure.core.errors import QueryFailed
from perdure.programs.code.interceptors import Interceptors, Proceed
from perdure.testing import TestEnvironment


class Notes(Interceptor):
    """Notes everything."""

    def __init__(self, name: str, notes: list[str]) -> None:
        self.name = name
        self.notes = notes

    async def workflow(self, call: WorkflowCall, proceed: Proceed) -> Any:
        if not workflow.info().replaying:
            self.notes.append(f"{self.name} workflow {call.name}{call.args}")
        return await proceed()

    async def workflow_outbound(self, call: OutboundCall, proceed: Proceed) -> Any:
        self.notes.append(f"{self.name} {call.kind} {call.name}{call.args}")
        result = await proceed()
        self.notes.append(f"{self.name} got {result}")
        return result

    async def activity(self, call: ActivityCall, proceed: Proceed) -> Any:
        self.notes.append(f"{self.name} runs {call.name} in attempt {call.attempt}")
        return await proceed()

    def blocking_activity(self, call: ActivityCall, proceed: Callable[[], Any]) -> Any:
        self.notes.append(f"{self.name} runs {call.name} in a thread")
        return proceed()

    async def client(self, call: ClientCall, proceed: Proceed) -> Any:
        self.notes.append(f"{self.name} {call.kind} {call.workflow_id} {call.name}")
        return await proceed()


async def test_interceptors_are_around_everything_the_first_one_outermost() -> None:
    notes: list[str] = []
    app = Perdure("memory://", interceptors=[Notes("a", notes), Notes("b", notes)])

    @app.activity
    async def work(value: int) -> int:
        return value + 1

    @app.activity
    def block(value: int) -> int:
        return value * 2

    @app.workflow
    async def flow(value: int) -> int:
        return await block(await work(value))

    async with app:
        assert await (await app.start(flow, 3, id="w")).result() == 8

    assert notes == [
        "a start w flow", "b start w flow",
        "a workflow flow(3,)", "b workflow flow(3,)",
        "a activity work(3,)", "b activity work(3,)",
        "a runs work in attempt 1", "b runs work in attempt 1",
        "b got 4", "a got 4",
        "a activity block(4,)", "b activity block(4,)",
        "a runs block in a thread", "b runs block in a thread",
        "b got 8", "a got 8",
    ]  # fmt: skip


class Inside(Interceptor):
    """Notes what handlers do and what a run asks for, where it is no replay."""

    def __init__(self, notes: list[str]) -> None:
        self.notes = notes

    def note(self, text: str) -> None:
        """Note it once."""
        if not workflow.info().replaying:
            self.notes.append(text)

    async def workflow_outbound(self, call: OutboundCall, proceed: Proceed) -> Any:
        self.note(f"{call.kind} {call.name}{call.args} of {call.workflow_id}")
        return await proceed()

    async def workflow_handler(self, call: HandlerCall, proceed: Proceed) -> Any:
        self.note(f"{call.kind} {call.name}{call.args} to {call.workflow_id}")
        result = await proceed()
        return f"<{result}>" if call.kind == "update" else result

    def workflow_query(self, call: HandlerCall, proceed: Callable[[], Any]) -> Any:
        self.notes.append(f"{call.kind} {call.name}{call.args} to {call.workflow_id}")
        return f"<{proceed()}>"

    def workflow_timer(self, call: TimerCall, proceed: Callable[[], None]) -> None:
        self.note(f"timer in {(call.due_at - workflow.now()).total_seconds():g} s")
        proceed()

    async def client(self, call: ClientCall, proceed: Proceed) -> Any:
        result = await proceed()
        if "update" in call.kind:
            self.notes.append(f"{call.kind} {call.name} gave {result}")
        return result


async def test_interceptors_are_around_handlers_timers_and_what_goes_to_other_workflows() -> None:
    notes: list[str] = []
    app = Perdure("memory://", interceptors=[Inside(notes)])

    @app.activity
    async def work() -> str:
        return "done"

    @app.workflow
    async def other() -> str:
        return str(await workflow.channel("word").receive())

    @app.workflow
    class Order:
        def __init__(self) -> None:
            self.words: list[str] = []

        @workflow.run
        async def run(self) -> list[str]:
            await asyncio.sleep(60)
            handle = await workflow.start_child(other, id="child")
            await workflow.external("child").signal("word", "hello")
            self.words += [await handle, await workflow.execute_activity("work")]
            await workflow.wait_condition(lambda: len(self.words) == 4)
            return self.words

        @workflow.signal
        async def add(self, word: str) -> None:
            self.words.append(word)

        @workflow.update
        def add_too(self, word: str) -> str:
            self.words.append(word)
            return word.upper()

        @workflow.query
        def count(self, more: int) -> str:
            return str(len(self.words) + more)

    async with TestEnvironment(app) as env:
        order = await app.start(Order.run, id="order")
        await order.signal(Order.add, "a")
        assert await order.update(Order.add_too, "b") == "<B>"
        assert await order.query(Order.count, 1) == "<3>"
        await env.sleep("90s")
        assert await order.result() == ["a", "b", "hello", "done"]

    assert notes == [
        "timer in 60 s",
        "signal add('a',) to order",
        "update add_too('b',) to order",
        "update add_too gave <B>",
        "query count(1,) to order",
        "start_child other() of None",
        "signal word('hello',) of child",
        "activity work() of None",
    ]


class Refuses(Interceptor):
    """Refuses whatever it can."""

    async def workflow_handler(self, call: HandlerCall, proceed: Proceed) -> Any:
        raise ValueError(f"no {call.kind}")

    def workflow_query(self, call: HandlerCall, proceed: Callable[[], Any]) -> Any:
        raise ValueError(f"no {call.kind}")

    def workflow_timer(self, call: TimerCall, proceed: Callable[[], None]) -> None:
        raise ValueError("no timer")


async def test_what_an_interceptor_raises_is_raised_where_it_was_asked_for() -> None:
    app = Perdure("memory://", interceptors=[Refuses()])

    @app.workflow
    async def flow() -> str:
        @workflow.update
        def change() -> None: ...
        @workflow.query
        def ask() -> None: ...

        text = "a timer"
        try:
            await asyncio.sleep(3600)
        except ValueError as error:
            text = str(error)
        await workflow.channel("go").receive()
        workflow.signal(end)
        return text

    def end() -> None: ...

    async with app:
        handle = await app.start(flow)
        with pytest.raises(UpdateFailed, match="no update"):
            await handle.update("change")
        with pytest.raises(QueryFailed, match="no query"):
            await handle.query("ask")
        await handle.signal(Signal("go", int), 1)
        assert await handle.result() == "no timer"
        failing = await app.start(flow)
        await failing.signal("end")
        await failing.signal("go", 1)
        with pytest.raises(WorkflowFailed, match="no signal"):
            await failing.result()


class Changes(Interceptor):
    """Changes a result, and hides a failure."""

    async def activity(self, call: ActivityCall, proceed: Proceed) -> Any:
        try:
            return await proceed()
        except ValueError:
            return -1

    async def workflow(self, call: WorkflowCall, proceed: Proceed) -> Any:
        result = await proceed()
        if result == -1:
            raise RuntimeError("refused by an interceptor")
        return result


async def test_an_interceptor_changes_what_comes_of_it() -> None:
    app = Perdure("memory://", interceptors=[Changes()])

    @app.activity
    async def fail() -> int:
        raise ValueError("no")

    @app.workflow
    async def flow() -> int:
        return await fail()

    async with app:
        with pytest.raises(WorkflowFailed, match="refused by an interceptor"):
            await (await app.start(flow)).result()


def test_methods_that_nobody_overrides_are_never_called() -> None:
    found = Interceptors([Changes(), Interceptor()])

    assert found.client is found.workflow_outbound is found.blocking_activity is None
    assert found.activity is not None
    assert len(found.activity) == 1
