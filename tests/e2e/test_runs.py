"""Runs from start to end through the public API: signals, queries, timers, children, cancellation, termination."""

import asyncio
from pathlib import Path

import pytest

from perdure import (
    ActivityError,
    AlreadyRunning,
    ChildWorkflowError,
    ParentClosePolicy,
    Perdure,
    RunClosed,
    RunStatus,
    Signal,
    WorkflowCancelled,
    WorkflowFailed,
    WorkflowTerminated,
    workflow,
)
from tests.e2e.worlds import sqlite_url, until, until_parked

APPROVE = Signal("approve", bool)


async def test_a_workflow_runs_activities_and_timers_to_its_result(url: str) -> None:
    app = Perdure(url)

    @app.activity
    async def double(number: int) -> int:
        return 2 * number

    @app.workflow
    async def chain(number: int, times: int = 3) -> int:
        for _ in range(times):
            number = await double(number)
            await asyncio.sleep(0.01)
        return number

    async with app:
        handle = await app.start(chain, 1)
        assert await handle.result() == 8


async def test_signals_sent_before_they_are_read_arrive_once_and_in_order(url: str) -> None:
    app = Perdure(url)
    reading = asyncio.Event()

    @app.activity
    async def wait_for_reader() -> None:
        await reading.wait()

    @app.workflow
    async def collect(count: int) -> list[int]:
        await wait_for_reader()
        numbers = workflow.channel("number", int)
        return [await numbers.receive() for _ in range(count)]

    async with app:
        handle = await app.start(collect, 4)
        for number in range(4):
            for _ in range(2):
                await handle.signal("number", number, request_id=f"n{number}")
        reading.set()
        assert await handle.result() == [0, 1, 2, 3]


async def test_a_query_sees_what_was_signalled_before_it(url: str) -> None:
    app = Perdure(url)

    @app.workflow
    async def counter() -> int:
        total = 0

        @workflow.query
        def current(plus: int = 0) -> int:
            return total + plus

        async for amount in workflow.channel("add", int):
            if amount == 0:
                return total
            total += amount
        return -1

    async with app:
        handle = await app.start(counter)
        for amount in (5, 7):
            await handle.signal("add", amount)
            answered = await handle.query("current", 100, result_type=int)
            assert answered == 100 + (5 if amount == 5 else 12)
        await handle.signal("add", 0)
        assert await handle.result() == 12
        assert await handle.query("current", result_type=int) == 12


async def test_a_cancelled_run_cleans_up_with_activities_and_closes_as_cancelled(url: str) -> None:
    app = Perdure(url)
    cleaned: list[str] = []
    begun = asyncio.Event()

    @app.activity
    async def work() -> None:
        begun.set()
        await asyncio.Event().wait()

    @app.activity
    async def clean(what: str) -> None:
        cleaned.append(what)

    @app.workflow
    async def careful() -> None:
        try:
            await work()
        finally:
            await clean("room")

    async with app:
        handle = await app.start(careful)
        await begun.wait()
        await handle.cancel("changed my mind")
        with pytest.raises(WorkflowCancelled, match="changed my mind"):
            await handle.result()
        assert cleaned == ["room"]
        assert (await handle.describe()).run.status is RunStatus.CANCELLED
        with pytest.raises(RunClosed):
            await handle.signal(APPROVE, True)


async def test_a_terminated_run_ends_at_once_and_its_activity_is_cancelled(url: str) -> None:
    app = Perdure(url)
    begun, cancelled = asyncio.Event(), asyncio.Event()
    cleaned: list[str] = []

    @app.activity
    async def work() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise

    @app.workflow
    async def endless() -> None:
        try:
            await work()
        finally:
            cleaned.append("never")

    async with app:
        handle = await app.start(endless)
        await begun.wait()
        await handle.terminate("enough")
        with pytest.raises(WorkflowTerminated, match="enough"):
            await handle.result()
        await cancelled.wait()
        with pytest.raises(RunClosed):
            await handle.terminate()


async def test_children_give_results_and_failures_and_follow_their_parent(url: str) -> None:
    app = Perdure(url)

    @app.workflow
    async def child(number: int) -> int:
        if number < 0:
            raise ValueError("negative")
        if number > 100:
            await asyncio.Event().wait()
        return number + 1

    @app.workflow
    async def parent() -> list[int | str]:
        found: list[int | str] = [await child(1), *await asyncio.gather(child(10), child(20))]
        try:
            await child(-1)
        except ChildWorkflowError as error:
            found.append(error.type)
        await workflow.start_child(child, 101, id="terminated")
        await workflow.start_child(child, 102, id="cancelled", parent_close_policy=ParentClosePolicy.CANCEL)
        await workflow.start_child(child, 103, id="abandoned", parent_close_policy=ParentClosePolicy.ABANDON)
        try:
            await workflow.start_child(child, 104, id="abandoned")
        except ChildWorkflowError as error:
            found.append(error.type)
        return found

    async with app:
        handle = await app.start(parent)
        assert await handle.result() == [2, 11, 21, "ValueError", "AlreadyRunning"]
        with pytest.raises(WorkflowTerminated):
            await app.handle("terminated", child).result()
        with pytest.raises(WorkflowCancelled):
            await app.handle("cancelled", child).result()
        assert (await app.handle("abandoned", child).describe()).run.status is RunStatus.RUNNING


async def test_a_start_with_the_same_request_id_gives_the_same_run(url: str) -> None:
    app = Perdure(url)

    @app.workflow
    async def wait() -> bool:
        return await workflow.channel(APPROVE).receive()

    async with app:
        first = await app.start(wait, id="one", request_id="r1")
        again = await app.start(wait, id="one", request_id="r1")
        assert again.run_id == first.run_id
        with pytest.raises(AlreadyRunning):
            await app.start(wait, id="one", request_id="r2")
        await first.signal(APPROVE, True)
        assert await first.result() is True
        closed = await app.start(wait, id="one", request_id="r1")
        assert closed.run_id == first.run_id
        fresh = await app.start(wait, id="one", request_id="r2")
        assert fresh.run_id != first.run_id
        await fresh.signal(APPROVE, False)
        assert await app.handle("one", wait).result() is False


async def test_a_failing_workflow_tells_the_whole_cause_chain(url: str) -> None:
    app = Perdure(url)

    @app.activity(retries=0)
    async def fail() -> None:
        try:
            raise KeyError("inner")
        except KeyError as error:
            raise RuntimeError("outer") from error

    @app.workflow
    async def failing() -> None:
        await fail()

    async with app:
        handle = await app.start(failing)
        with pytest.raises(WorkflowFailed, match="outer") as caught:
            await handle.result()
    messages: list[str] = []
    cause: BaseException | None = caught.value
    while cause is not None:
        messages.append(str(cause))
        cause = cause.__cause__
    assert any("RuntimeError: outer" in message for message in messages)
    assert any("KeyError" in message and "inner" in message for message in messages)


async def test_a_run_sleeps_through_a_restart_of_the_process(tmp_path: Path) -> None:
    ran: list[str] = []

    def make() -> Perdure:
        app = Perdure(sqlite_url(tmp_path))

        @app.activity
        async def step(name: str) -> str:
            ran.append(name)
            return name

        @app.workflow(name="sleeper")
        async def sleeper() -> str:
            first = await step("first")
            await asyncio.sleep(0.3)
            return first + await step("second")

        return app

    before = make()
    async with before:
        handle = await before.start_by_name("sleeper", id="s")
        await until(lambda: ran == ["first"])
    after = make()
    async with after:
        assert await after.handle("s").result() == "firstsecond"
    assert ran == ["first", "second"]
    assert handle.workflow_id == "s"


async def test_a_client_in_another_app_starts_signals_and_waits(tmp_path: Path) -> None:
    app, other = Perdure(sqlite_url(tmp_path)), Perdure(sqlite_url(tmp_path))

    @app.workflow(name="asks")
    async def asks() -> bool:
        return await workflow.channel(APPROVE).receive()

    async with other.client():
        handle = await other.start_by_name("asks", id="a", queue="default")
        async with app:
            await handle.signal(APPROVE, True)
            assert await handle.result() is True
        assert [run.workflow_id for run in await other.list(status="completed")] == ["a"]


async def test_changed_code_parks_the_run_and_the_old_code_lets_it_go_on(tmp_path: Path) -> None:
    def make(order: list[str]) -> Perdure:
        app = Perdure(sqlite_url(tmp_path))

        @app.activity
        async def one() -> None: ...

        @app.activity
        async def two() -> None: ...

        @app.workflow(name="ordered")
        async def ordered() -> str:
            for name in order:
                await (one if name == "one" else two)()
            await workflow.channel("go", bool).receive()
            return "done"

        return app

    async with (first := make(["one", "two"])):
        handle = await first.start_by_name("ordered", id="o")
        await until_parked_or_waiting(handle)
    async with (changed := make(["two", "one"])):
        handle = changed.handle("o")
        await handle.signal("go", True)
        reason = await until_parked(handle)
        for part in ("activity 'one'", "activity 'two'", "test_runs.py:"):
            assert part in reason
    async with (mended := make(["one", "two"])):
        handle = mended.handle("o")
        await handle.resume()
        assert await handle.result() == "done"


async def until_parked_or_waiting(handle: object) -> None:
    """Return when the run of the test above waits for its signal."""
    from perdure import Handle

    assert isinstance(handle, Handle)
    while (await handle.describe()).run.turns_count < 3:
        await asyncio.sleep(0.005)


async def test_one_activity_a_timer_and_a_child_are_cancelled_alone(url: str) -> None:
    app = Perdure(url)
    stopped: list[str] = []

    @app.activity
    async def endless() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            stopped.append("activity")
            raise

    @app.workflow
    async def child() -> None:
        await asyncio.Event().wait()

    @app.workflow
    async def parent() -> list[str]:
        found: list[str] = []
        for coroutine in (endless(), asyncio.sleep(1_000), child()):
            task = asyncio.create_task(coroutine)
            await asyncio.sleep(0.05)
            task.cancel()
            try:
                await task
            except asyncio.CancelledError:
                found.append("cancelled")
        return found

    async with app:
        handle = await app.start(parent)
        assert await handle.result() == ["cancelled"] * 3
        await until(lambda: stopped == ["activity"])
        (run,) = await app.list(workflow="child")
        assert run.status is RunStatus.CANCELLED


async def test_an_activity_error_is_ordinary_python(url: str) -> None:
    app = Perdure(url)

    @app.activity(retries=1)
    async def flaky(attempts: int) -> str:
        from perdure import activity

        if activity.info().attempt < attempts:
            raise ConnectionError("no")
        return f"attempt {activity.info().attempt}"

    @app.workflow
    async def tries() -> tuple[str, str]:
        first = await flaky.options(retries=1)(1)
        try:
            second = await flaky.options(retries=0)(5)
        except ActivityError as error:
            second = f"{error.type} after {error.attempt}"
        return first, second

    async with app:
        assert await (await app.start(tries)).result() == ("attempt 1", "ConnectionError after 1")
