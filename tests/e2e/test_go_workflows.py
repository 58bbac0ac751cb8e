"""The scenarios of go-workflows' own tests that no other test of ours tells, on every store, each named in PEER_TESTS.

Theirs run with an executor cache and without: ours run with a cache of many runs and of one.
"""

import asyncio
from datetime import timedelta

import pytest

from perdure import (
    ActivityError,
    AlreadyRunning,
    ApplicationError,
    ChildWorkflowError,
    ExecutionError,
    ParentClosePolicy,
    Perdure,
    RunClosed,
    RunStatus,
    Signal,
    WorkflowFailed,
    WorkflowNotFound,
    activity,
    workflow,
)
from perdure.testing import TestEnvironment

WORD = Signal("word", str)


@pytest.fixture(params=[500, 1], ids=["cached", "uncached"])
def cached_app(url: str, request: pytest.FixtureRequest) -> Perdure:
    """An app whose worker keeps many idle runs in memory, or one."""
    return Perdure(url, cache_size=request.param)


async def test_a_hundred_activities_are_taken_as_they_end(cached_app: Perdure) -> None:
    app = cached_app

    @app.activity
    async def square(number: int) -> int:
        return number * number

    @app.workflow
    async def fan_out() -> int:
        total = 0
        pending = {asyncio.ensure_future(square(number)) for number in range(100)}
        while pending:
            done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
            total += sum(task.result() for task in done)
        return total

    async with app:
        assert await (await app.start(fan_out)).result() == 328_350


async def test_the_history_of_a_workflow_without_steps(cached_app: Perdure) -> None:
    app = cached_app

    @app.workflow
    async def simple(word: str) -> str:
        return word

    async with app:
        handle = await app.start(simple, "hello")
        await handle.result()

        assert [event.type for event in await handle.history()] == [
            "WorkflowExecutionStarted",
            "WorkflowTaskScheduled",
            "WorkflowTaskStarted",
            "WorkflowTaskCompleted",
            "WorkflowExecutionCompleted",
        ]


async def test_side_effects_add_up_across_turns(cached_app: Perdure) -> None:
    app = cached_app
    drawn: list[int] = []

    def draw(number: int) -> int:
        drawn.append(number)
        return number

    @app.activity
    async def nothing() -> None: ...

    @app.workflow
    async def add() -> int:
        first = workflow.side_effect(lambda: draw(3))
        await nothing()
        return first + workflow.side_effect(lambda: draw(4))

    async with app:
        assert await (await app.start(add)).result() == 7
        assert drawn == [3, 4]


async def test_a_closed_or_unknown_run_takes_no_signal(url: str) -> None:
    app = Perdure(url)

    @app.workflow
    async def simple() -> None: ...

    async with app:
        handle = await app.start(simple, id="w")
        await handle.result()

        with pytest.raises(RunClosed):
            await handle.signal(WORD, "late")
        with pytest.raises(WorkflowNotFound):
            await app.handle("nobody").signal(WORD, "lost")
        with pytest.raises(WorkflowNotFound):
            await app.handle("nobody").cancel()
        assert (await handle.describe()).run.status is RunStatus.COMPLETED


async def test_a_childs_id_is_taken_while_it_runs_and_free_afterwards(cached_app: Perdure) -> None:
    app = cached_app

    @app.workflow
    async def child(number: int) -> int:
        if number == 0:
            await workflow.channel(WORD).receive()
        return 2 * number

    @app.workflow
    async def parent() -> list[object]:
        first = await workflow.start_child(child, 1, id="child")
        found: list[object] = [await first]
        second = await workflow.start_child(child, 0, id="child")
        try:
            await workflow.start_child(child, 2, id="child")
        except ChildWorkflowError as error:
            found.append(error.type)
        await workflow.external("child").signal(WORD, "end")
        await second
        third = await workflow.start_child(child, 2, id="child")
        return [*found, await third]

    async with app:
        assert await (await app.start(parent)).result() == [2, "AlreadyRunning", 4]


async def test_a_cancellation_reaches_parent_and_children(cached_app: Perdure) -> None:
    app = cached_app
    cancelled: list[str] = []

    @app.activity
    async def note(who: str) -> None:
        cancelled.append(who)

    @app.workflow
    async def child(name: str) -> None:
        try:
            await asyncio.sleep(3600)
        finally:
            await note(name)

    @app.workflow
    async def parent() -> None:
        children = [await workflow.start_child(child, name) for name in ("a", "b")]
        try:
            await asyncio.gather(*[each.result() for each in children])
        finally:
            await note("parent")

    async with app:
        handle = await app.start(parent)
        while len((await handle.describe()).children) < 2:
            await asyncio.sleep(0.01)
        await handle.cancel("enough")

        with pytest.raises(WorkflowFailed):
            await handle.result()
        assert sorted(cancelled) == ["a", "b", "parent"]


async def test_what_is_cancelled_before_it_started_leaves_no_trace(cached_app: Perdure) -> None:
    app = cached_app
    ran: list[str] = []

    @app.activity
    async def note(who: str) -> None:
        ran.append(who)

    @app.workflow
    async def child() -> None:
        ran.append("child")

    @app.workflow
    async def hasty() -> str:
        tasks = [
            asyncio.ensure_future(each)
            for each in (note("activity"), child(), asyncio.sleep(3600))  # never awaited
        ]
        await asyncio.sleep(0)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return "done"

    async with app:
        handle = await app.start(hasty)

        assert await handle.result() == "done"
        assert ran == []
        types = {event.type for event in await handle.history()}
        assert types.isdisjoint({"TimerStarted", "ActivityTaskScheduled", "StartChildWorkflowExecutionInitiated"})


async def test_a_parent_signals_its_child(cached_app: Perdure) -> None:
    app = cached_app

    @app.workflow
    async def child() -> str:
        return await workflow.channel(WORD).receive()

    @app.workflow
    async def parent() -> str:
        started = await workflow.start_child(child)
        await workflow.external(started.id).signal(WORD, "from above")
        return await started

    async with app:
        assert await (await app.start(parent)).result() == "from above"


async def test_a_signal_to_nobody_is_an_error_in_the_workflow(cached_app: Perdure) -> None:
    app = cached_app

    @app.workflow
    async def lonely() -> str:
        try:
            await workflow.external("nobody").signal(WORD, "hello")
        except ExecutionError as error:
            return str(error)
        return "nothing was raised"

    async with app:
        assert "nobody" in await (await app.start(lonely)).result()


async def test_a_child_on_another_queue_is_run_by_its_worker(url: str) -> None:
    main, side = Perdure(url), Perdure(url, queue="side")

    async def child() -> str:
        return workflow.info().queue

    main.workflow(name="child")(child)
    side.workflow(name="child")(child)

    @main.workflow
    async def parent() -> str:
        return str(await (await workflow.start_child("child", queue="side")))

    if url == "memory://":
        # A store in memory belongs to one app: the one worker serves both queues there.
        async with TestEnvironment(main, queues=["side"]):
            assert await (await main.start(parent)).result() == "side"
        return
    async with main, side:
        assert await (await main.start(parent)).result() == "side"


async def test_failures_keep_their_type_and_attempts_their_number(cached_app: Perdure) -> None:
    app = cached_app
    attempts: list[int] = []

    class CustomError(Exception):
        """The user's own."""

    @app.activity(retries=0)
    async def custom() -> None:
        raise CustomError("as told")

    @app.activity(retries=0)
    def exits() -> None:
        raise SystemExit(3)

    @app.activity(retries=5)
    async def third_time() -> int:
        attempts.append(activity.info().attempt)
        if len(attempts) < 3:
            raise ApplicationError("not yet", next_retry_delay=timedelta(0))
        return len(attempts)

    @app.workflow
    async def errors() -> list[object]:
        found: list[object] = []
        for call in (custom(), exits()):
            try:
                await call
            except ActivityError as error:
                found.append(error.type)
        return [*found, await third_time()]

    async with app:
        assert await (await app.start(errors)).result() == ["CustomError", "SystemExit", 3]
        assert attempts == [1, 2, 3]


async def test_a_long_activity_is_extended_and_run_once(url: str) -> None:
    app = Perdure(url, lease="300ms")
    runs: list[int] = []

    @app.activity(heartbeat="5s")
    async def long() -> int:
        runs.append(1)
        for _ in range(10):
            activity.heartbeat()
            await asyncio.sleep(0.1)
        return len(runs)

    @app.workflow
    async def patient() -> int:
        return await long()

    async with app:
        assert await (await app.start(patient)).result() == 1


async def test_timers_cancelled_twice_late_and_in_a_race(cached_app: Perdure) -> None:
    app = cached_app

    @app.activity
    async def nothing() -> None: ...

    @app.workflow
    async def timers() -> list[str]:
        late, raced = (asyncio.ensure_future(asyncio.sleep(length, word)) for length, word in ((3600, "l"), (1, "r")))
        await nothing()
        late.cancel()
        late.cancel()
        # The timer fires while this turn is waited for: cancelled all the same, or fired, but never both.
        await asyncio.sleep(1)
        raced.cancel()
        found = await asyncio.gather(late, raced, return_exceptions=True)
        return [type(each).__name__ for each in found]

    async with TestEnvironment(app):
        handle = await app.start(timers)

        first, second = await handle.result()
        assert first == "CancelledError"
        assert second in ("str", "CancelledError")
        assert (await handle.describe()).timers == ()


async def test_counts_follow_the_life_of_a_run(url: str) -> None:
    app = Perdure(url)

    @app.workflow
    async def hold() -> str:
        return await workflow.channel(WORD).receive()

    async with app:
        assert await app.count("ExecutionStatus = 'Running'") == 0
        handle = await app.start(hold)
        assert await app.count("ExecutionStatus = 'Running'") == 1
        await handle.signal(WORD, "end")
        await handle.result()
        assert await app.count("ExecutionStatus = 'Running'") == 0


async def test_fifty_runs_are_listed_ten_at_a_time(url: str) -> None:
    app = Perdure(url)

    @app.workflow
    async def simple(number: int) -> int:
        return number

    async with app:
        handles = [await app.start(simple, number, id=f"w{number:02}") for number in range(50)]
        await asyncio.gather(*[handle.result() for handle in handles])

        seen: list[str] = []
        before: str | None = None
        while page := await app.list(limit=10, before=before):
            assert len(page) == 10
            seen += [run.workflow_id for run in page]
            before = page[-1].run_id
        assert seen == [f"w{number:02}" for number in reversed(range(50))]
        assert {run.queue for run in await app.list()} == {"default"}


async def test_an_abandoned_child_outlives_its_parent(cached_app: Perdure) -> None:
    app = cached_app

    @app.workflow
    async def child() -> str:
        return await workflow.channel(WORD).receive()

    @app.workflow
    async def parent() -> str:
        started = await workflow.start_child(child, id="kept", parent_close_policy=ParentClosePolicy.ABANDON)
        return started.id

    async with app:
        await (await app.start(parent)).result()
        handle = app.handle("kept", child)
        await handle.signal(WORD, "still here")

        assert await handle.result() == "still here"


async def test_an_open_id_is_refused_and_stays_as_it_was(url: str) -> None:
    app = Perdure(url)

    @app.workflow
    async def hold(word: str) -> str:
        return word + await workflow.channel(WORD).receive()

    async with app:
        handle = await app.start(hold, "first ", id="w")
        with pytest.raises(AlreadyRunning):
            await app.start(hold, "second ", id="w")
        await handle.signal(WORD, "end")

        assert await handle.result() == "first end"
