"""Interceptors: around workflows, what they ask for, activities and client calls; free where unused."""

from collections.abc import Callable
from typing import Any

import pytest

from perdure import ActivityCall, ClientCall, Interceptor, OutboundCall, Perdure, WorkflowCall, WorkflowFailed, workflow
from perdure.programs.code.interceptors import Interceptors, Proceed


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
