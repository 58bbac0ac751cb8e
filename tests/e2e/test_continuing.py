"""Continue-as-new: one workflow id, a fresh history, nothing lost in between."""

import asyncio

import pytest

from perdure import (
    ChildWorkflowError,
    Perdure,
    RunStatus,
    Signal,
    WorkflowCancelled,
    WorkflowFailed,
    workflow,
)
from perdure.core.errors import InvalidArguments
from perdure.testing import TestEnvironment

NUMBER = Signal("number", int)


async def test_the_result_is_that_of_the_last_run(url: str) -> None:
    app = Perdure(url)

    @app.workflow
    async def count_down(left: int, path: list[int]) -> list[int]:
        if left:
            workflow.continue_as_new(left - 1, [*path, left])
        return path

    async with app:
        handle = await app.start(count_down, 3, list[int](), id="w", memo={"kept": 1})

        assert await handle.result() == [3, 2, 1]

        runs = await app.list()
        assert [run.status for run in runs] == [RunStatus.COMPLETED, *[RunStatus.CONTINUED_AS_NEW] * 3]
        records = [await app.call(lambda engine, run=run: engine.find(run.workflow_id, run.run_id)) for run in runs]
        assert {record.first_run_id for record in records} == {handle.run_id}
        assert [record.successor for record in records] == [None, *[run.run_id for run in runs[:-1]]]
        assert len({record.note for record in records}) == 1


async def test_signals_before_in_between_and_after_arrive_once_and_in_order(url: str) -> None:
    app = Perdure(url)
    count = 40

    @app.workflow
    async def collect(found: list[int]) -> list[int]:
        numbers = workflow.channel(NUMBER)
        found.append(await numbers.receive())
        if len(found) < count:
            # Others may have come in the same turn: they are carried over, not received.
            workflow.continue_as_new(found)
        return found

    async with app:
        handle = await app.start(collect, list[int]())
        first_run = app.handle(handle.workflow_id, run_id=handle.run_id)
        for number in range(count):
            await first_run.signal(NUMBER, number, request_id=f"n{number}")
            if number < count - 2:
                # Sent again. The last ones may end it all: then there is nobody to send to.
                await first_run.signal(NUMBER, number, request_id=f"n{number}")

        assert await handle.result() == list(range(count))


async def test_a_repeated_request_of_a_carried_signal_still_counts_once(url: str) -> None:
    app = Perdure(url)

    @app.workflow
    async def hold(round: int) -> int:
        if round == 0:
            await workflow.channel("go").receive()
            workflow.continue_as_new(1)
        await workflow.channel("end").receive()
        return len(workflow.channel(NUMBER))

    async with app:
        handle = await app.start(hold, 0, id="w")
        await handle.signal(NUMBER, 1, request_id="r")
        await handle.signal("go")
        latest = app.handle("w", hold)
        while (await latest.describe()).run.run_id == handle.run_id:
            await asyncio.sleep(0.01)
        await latest.signal(NUMBER, 1, request_id="r")
        await latest.signal("end")

        assert await handle.result() == 1


async def test_a_parent_does_not_notice_that_its_child_goes_on(url: str) -> None:
    app = Perdure(url)

    @app.workflow
    async def child(left: int) -> str:
        if left:
            await asyncio.sleep(0.01)
            workflow.continue_as_new(left - 1)
        return "done"

    @app.workflow
    async def failing_child(left: int) -> str:
        if left:
            workflow.continue_as_new(left - 1)
        raise ValueError("in the end")

    @app.workflow
    async def parent() -> list[str]:
        found = [await child(2)]
        try:
            await failing_child(1)
        except ChildWorkflowError as error:
            found.append(error.type)
        return found

    async with app:
        handle = await app.start(parent)

        assert await handle.result() == ["done", "ValueError"]


async def test_a_late_answer_of_a_child_of_the_run_before_is_not_taken_for_another(url: str) -> None:
    app = Perdure(url)

    @app.workflow
    async def slow(word: str, length_s: float) -> str:
        await asyncio.sleep(length_s)
        return word

    @app.workflow
    async def parent(round: int) -> str:
        if round == 0:
            await workflow.start_child(
                slow, "old", 60, id="old", parent_close_policy=workflow.ParentClosePolicy.ABANDON
            )
            workflow.continue_as_new(1)
        child = await workflow.start_child(slow, "new", 120, id="new")
        return await child

    async with TestEnvironment(app, store=url):
        handle = await app.start(parent, 0)

        assert await handle.result() == "new"


async def test_a_cancellation_of_the_first_run_reaches_the_one_that_goes_on(url: str) -> None:
    app = Perdure(url)

    @app.workflow
    async def hold(round: int) -> None:
        if round == 0:
            workflow.continue_as_new(1)
        await asyncio.sleep(3600)

    async with app:
        handle = await app.start(hold, 0, id="w")
        while (await app.handle("w").describe()).run.run_id == handle.run_id:
            await asyncio.sleep(0.01)
        await app.handle("w").cancel("enough")

        with pytest.raises(WorkflowCancelled, match="enough"):
            await handle.result()


async def test_another_workflow_can_go_on(url: str) -> None:
    app = Perdure(url)

    @app.workflow
    async def second(word: str) -> str:
        return f"{word}, {workflow.info().workflow_type}"

    @app.workflow
    async def first() -> str:
        workflow.continue_as_new("hello", workflow=second)

    @app.workflow
    async def by_name() -> str:
        workflow.continue_as_new("hello", workflow="second")

    async with app:
        assert await (await app.start(first)).result() == "hello, second"
        assert await (await app.start(by_name)).result() == "hello, second"


async def test_going_on_from_within_a_task_group_works(url: str) -> None:
    app = Perdure(url)

    @app.workflow
    async def grouped(round: int) -> int:
        async with asyncio.TaskGroup() as group:
            group.create_task(asyncio.sleep(3600))
            if round == 0:
                workflow.continue_as_new(1)
            return round

    async with TestEnvironment(app, store=url):
        assert await (await app.start(grouped, 0)).result() == 1


async def test_clean_up_runs_before_the_run_goes_on_and_may_wait(url: str) -> None:
    app = Perdure(url)
    log: list[str] = []

    @app.activity
    async def note(word: str) -> None:
        log.append(word)

    @app.workflow
    async def careful(round: int) -> int:
        if round:
            return round
        try:
            workflow.continue_as_new(1)
        finally:
            await note("clean")

    async with app:
        assert await (await app.start(careful, 0)).result() == 1
        assert log == ["clean"]


async def test_arguments_that_do_not_fit_fail_the_run_and_not_the_next_one(url: str) -> None:
    app = Perdure(url)

    @app.workflow
    async def wrong(number: int) -> int:
        workflow.continue_as_new("no number")

    async with app:
        handle = await app.start(wrong, 1)

        with pytest.raises(WorkflowFailed, match=InvalidArguments.__name__):
            await handle.result()


async def test_an_endless_workflow_keeps_a_short_history(url: str) -> None:
    app = Perdure(url)

    @app.activity
    async def step(number: int) -> int:
        return number + 1

    @app.workflow
    async def endless(number: int) -> int:
        for _ in range(10):
            number = await step(number)
        if number < 100:
            workflow.continue_as_new(number)
        return number

    async with app:
        handle = await app.start(endless, 0)

        assert await handle.result() == 100
        assert max(run.turns_count for run in await app.list()) <= 12


async def test_no_request_id_makes_a_signal_look_like_another_message(url: str) -> None:
    app = Perdure(url)

    @app.workflow
    async def first_three() -> list[int]:
        numbers = workflow.channel(NUMBER)
        return [await numbers.receive() for _ in range(3)]

    async with TestEnvironment(app, store=url) as env:
        await env.crash(restart=False)
        handle = await app.start(first_three)
        for number, request_id in enumerate(["tart", "a1", "tart/x"]):
            await handle.signal(NUMBER, number, request_id=request_id)
        await env.start_worker()

        assert await handle.result() == [0, 1, 2]
