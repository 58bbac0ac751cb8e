"""Operations on all runs that fit a filter, through the public API."""

import asyncio
from typing import Any

import pytest

from perdure import (
    BulkFailure,
    BulkProgress,
    Handle,
    Perdure,
    RunStatus,
    Signal,
    WorkflowCancelled,
    WorkflowFailed,
    WorkflowTerminated,
    workflow,
)
from perdure.core.errors import AlreadyRunning, InvalidFilter, InvalidOption
from perdure.programs.bulk.plan import (
    BULK_TELL,
    FAILURES_MAX,
    BulkAction,
    BulkPlan,
    BulkReport,
    BulkState,
    BulkTarget,
)
from perdure.testing import TestEnvironment, for_each_store_call

TICK = Signal("tick", int)
app = Perdure("memory://")


@app.workflow
async def counting() -> int:
    """The sum of its ticks up to its stop."""
    total = 0
    ticks = workflow.channel(TICK)
    await workflow.channel("stop").receive()
    while len(ticks):
        total += await ticks.receive()
    return total


@app.workflow
async def stubborn() -> str:
    """Ends by itself only, whoever asks."""
    stop = workflow.channel("stop", str)
    while True:
        try:
            return await stop.receive()
        except asyncio.CancelledError:
            continue


mended: list[bool] = []


@app.workflow
async def brittle(number: int) -> int:
    """Fails until it is mended."""
    await asyncio.sleep(1)
    if not mended:
        raise ValueError(number)
    return number


async def started(count: int) -> list[Handle[int]]:
    """Runs that count."""
    return [await app.start(counting, id=f"run-{number}") for number in range(count)]


async def test_all_that_fit_are_cancelled_and_the_others_left_alone() -> None:
    async with TestEnvironment(app):
        runs = await started(5)
        other = await app.start(stubborn, id="other")

        operation = await app.bulk.cancel("WorkflowId starts_with 'run-' and WorkflowId != 'run-3'", reason="sold out")
        result = await operation.result()

        assert (result.total, result.done, result.closed, result.failed) == (4, 4, 0, 0)
        assert result.failures == ()
        assert await operation.progress() == BulkProgress(total=4, done=4)
        for number in (0, 1, 2, 4):
            with pytest.raises(WorkflowCancelled, match="sold out"):
                await runs[number].result()
        assert await app.count("ExecutionStatus = 'Running'") == 2
        await runs[3].signal("stop")
        await other.signal("stop", "bye")
        assert (await runs[3].result(), await other.result()) == (0, "bye")


async def test_termination_names_the_operation_and_spares_the_engines_own_runs() -> None:
    async with TestEnvironment(app):
        runs = await started(3)

        operation = await app.bulk.terminate("WorkflowId is not null", reason="the end", id="clean-up")
        result = await operation.result()

        assert (result.total, result.done) == (3, 3)
        for run in runs:
            with pytest.raises(WorkflowTerminated, match=r"the end \(bulk operation "):
                await run.result()
        (own,) = await app.list("WorkflowType = 'perdure.bulk'")
        assert (own.workflow_id, own.status) == ("clean-up", RunStatus.COMPLETED)
        assert (await app.bulk.handle("clean-up").result()).done == 3


async def test_a_signal_reaches_each_run_once_at_the_rate() -> None:
    async with TestEnvironment(app) as env:
        runs = await started(10)
        began = env.now

        operation = await app.bulk.signal("WorkflowType = 'counting'", TICK, 7, rate=2)
        result = await operation.result()

        assert result.done == 10
        assert (env.now - began).total_seconds() >= 5
        await app.bulk.signal("WorkflowType = 'counting'", "stop")
        assert [await run.result() for run in runs] == [7] * 10


async def test_what_would_be_done_is_counted_without_doing_it() -> None:
    async with TestEnvironment(app):
        runs = await started(3)

        assert await app.bulk.count("cancel", "WorkflowId in ('run-0', 'run-1', 'none')") == 2
        assert await app.bulk.count("terminate", "WorkflowType = 'counting'") == 3
        assert await app.bulk.count("signal", "WorkflowType = 'counting'") == 3

        assert await app.count() == 3
        for run in runs:
            await run.terminate()


async def test_runs_that_close_before_their_turn_are_told_apart() -> None:
    async with TestEnvironment(app) as env:
        runs = await started(6)

        operation = await app.bulk.signal("WorkflowType = 'counting'", TICK, 1, rate=1)
        await env.sleep("2500ms")
        half = await operation.progress()
        for run in runs:
            await run.terminate()
        result = await operation.result()

        assert half.total == 6
        assert 1 <= half.done <= 4
        # Pages are found when their turn comes, and only open runs are.
        assert result.done == half.done
        assert (result.total, result.failed) == (6, 0)


async def test_an_operation_can_be_cancelled_and_keeps_what_it_has_done() -> None:
    async with TestEnvironment(app) as env:
        runs = await started(6)
        operation = await app.bulk.signal("WorkflowType = 'counting'", TICK, 1, rate=1, id="ticks")
        with pytest.raises(AlreadyRunning):
            await app.bulk.cancel("WorkflowType = 'counting'", id="ticks")
        await env.sleep("2500ms")

        await app.bulk.handle("ticks").cancel("enough")

        with pytest.raises(WorkflowCancelled, match="enough"):
            await operation.result()
        done = (await operation.progress()).done
        for run in runs:
            await run.signal("stop")
        assert sum([await run.result() for run in runs]) == done
        assert 1 <= done <= 4


async def test_a_request_that_is_repeated_starts_one_operation() -> None:
    async with TestEnvironment(app):
        runs = await started(2)

        first = await app.bulk.signal("WorkflowType = 'counting'", TICK, 1, id="once", request_id="r")
        await first.result()
        second = await app.bulk.signal("WorkflowType = 'counting'", TICK, 1, id="once", request_id="r")

        assert (await second.result()).done == 2
        for run in runs:
            await run.signal("stop")
        assert [await run.result() for run in runs] == [1, 1]


@pytest.mark.slow
async def test_whatever_store_call_fails_each_run_is_told_once_and_counted_once() -> None:
    async def scenario(env: TestEnvironment) -> None:
        runs = await started(3)
        ticks = await app.bulk.signal("WorkflowType = 'counting'", TICK, 1, rate=2, request_id="ticks", id="ticks")
        result = await ticks.result()
        assert (result.total, result.done, result.closed, result.failed) == (3, 3, 0, 0), result
        end = await app.bulk.terminate("WorkflowId = 'run-0'", request_id="end", id="end")
        assert (await end.result()).done == 1
        with pytest.raises(WorkflowTerminated):
            await runs[0].result()
        for run in runs[1:]:
            await run.signal("stop", request_id="stop")
        assert [await run.result() for run in runs[1:]] == [1, 1]

    assert await for_each_store_call(app, scenario, how=["refused", "unknown", "crash before", "crash after"]) > 40


async def test_runs_that_failed_begin_again_each_once() -> None:
    async with TestEnvironment(app):
        mended.clear()
        failed = [await app.start(brittle, number, id=f"run-{number}") for number in range(3)]
        for run in failed:
            with pytest.raises(WorkflowFailed):
                await run.result()
        mended.append(True)
        await (await app.start(brittle, 9, id="fine")).result()

        query = "WorkflowType = 'brittle' and ExecutionStatus = 'Failed'"
        assert await app.bulk.count("reset", query) == 3
        operation = await app.bulk.reset(query, turn=-1, reason="mended", id="again", request_id="r")
        result = await operation.result()

        assert (result.total, result.done, result.closed, result.failed) == (3, 3, 0, 0)
        assert [await app.handle(run.workflow_id, brittle).result() for run in failed] == [0, 1, 2]
        assert await app.count(query) == 3
        assert await app.count("WorkflowType = 'brittle'") == 7


async def test_an_open_run_begins_again_and_what_cannot_is_listed() -> None:
    async with TestEnvironment(app):
        (run,) = await started(1)
        await run.signal(TICK, 1)

        result = await (await app.bulk.reset("WorkflowId = 'run-0'", turn=0)).result()
        refused = await (await app.bulk.reset("WorkflowId = 'run-0'", turn=77)).result()
        await run.signal("stop")

        assert await run.result() == 1
        assert (result.total, result.done) == (1, 1)
        assert (refused.total, refused.done, refused.failed) == (2, 0, 2)
        assert {each.reason[:7] for each in refused.failures} == {"PDR2064"}


async def test_closed_runs_are_deleted_and_open_ones_left_alone() -> None:
    async with TestEnvironment(app):
        runs = await started(4)
        for run in runs[:3]:
            await run.terminate()

        assert await app.bulk.count("delete", "WorkflowType = 'counting'") == 3
        result = await (await app.bulk.delete("WorkflowType = 'counting'", rate=2)).result()

        assert (result.total, result.done, result.closed, result.failed) == (3, 3, 0, 0)
        assert [run.workflow_id for run in await app.list("WorkflowType = 'counting'")] == ["run-3"]
        await runs[3].signal("stop")
        assert await runs[3].result() == 0


@pytest.mark.slow
async def test_whatever_store_call_fails_each_run_begins_again_once_and_is_deleted_once() -> None:
    async def scenario(env: TestEnvironment) -> None:
        runs = await started(2)
        again = await app.bulk.reset("WorkflowType = 'counting'", turn=0, request_id="again", id="again")
        assert (await again.result()).done == 2
        assert await app.count("WorkflowType = 'counting'") == 4
        for run in runs:
            await run.signal("stop", request_id="stop")
            assert await run.result() == 0
        gone = await app.bulk.delete("WorkflowType = 'counting'", request_id="gone", id="gone")
        result = await gone.result()
        assert (result.done, result.closed, result.failed) == (4, 0, 0), result
        assert await app.count("WorkflowType = 'counting'") == 0

    assert await for_each_store_call(app, scenario, how=["unknown", "crash after"]) > 40


async def test_what_is_told_in_vain_is_listed() -> None:
    plan = BulkPlan(BulkAction.CANCEL, "WorkflowId is not null", 1.0)

    @app.workflow(name="telling")
    async def telling(run_id: str) -> BulkReport:
        targets = (BulkTarget("run-0", run_id), BulkTarget("ghost", "none"))
        return await workflow.execute_activity(BULK_TELL, plan, "op", targets, queue="default", result_type=BulkReport)

    async with TestEnvironment(app):
        (run,) = await started(1)
        report = await (await app.start(telling, run.run_id or "")).result()
        with pytest.raises(WorkflowCancelled):
            await run.result()

    assert (report.done, report.closed) == (1, 0)
    (failure,) = report.failures
    assert (failure.workflow_id, failure.run_id) == ("ghost", "none")
    assert failure.reason.startswith("PDR2001: there is no workflow with id 'ghost'")


def test_of_many_failures_the_first_are_listed_and_all_are_counted() -> None:
    state = BulkState("op")
    target = (BulkTarget("w", "r"),)
    report = BulkReport(1, 2, (BulkFailure("w", "r", "why"),) * 600)

    state = state.after(target, report).after(target, report)

    assert (state.progress.done, state.progress.closed, state.progress.failed) == (2, 4, 1_200)
    assert len(state.failures) == FAILURES_MAX == 1_000
    assert state.before == "r"


REFUSED: list[tuple[str, dict[str, Any], type[Exception], str]] = [
    ("", {}, InvalidOption, "names no runs; write WorkflowId is not null"),
    ("order by StartTime", {}, InvalidOption, "names no runs"),
    ("Parked = true order by StartTime", {}, InvalidOption, "names an order"),
    ("nonsense", {}, InvalidFilter, "PDR1040"),
    ("Parked = true", {"rate": 0}, InvalidOption, "option rate=0 is out of bounds"),
    ("Parked = true", {"rate": float("nan")}, InvalidOption, "out of bounds"),
    ("Parked = true", {"rate": True}, InvalidOption, "out of bounds"),
    ("Parked = true", {"rate": 10_001}, InvalidOption, "up to 10000"),
    ("Parked = true", {"reason": "x" * 1_001}, InvalidOption, "is no reason"),
    ("Parked = true", {"reason": 5}, InvalidOption, "is no reason"),
    ("Parked = true", {"speed": 5}, InvalidOption, "option speed=5 is unknown"),
]


@pytest.mark.parametrize(("query", "options", "kind", "expected"), REFUSED)
async def test_what_cannot_be_is_refused_before_anything_is_stored(
    query: str, options: dict[str, Any], kind: type[Exception], expected: str
) -> None:
    async with TestEnvironment(app):
        with pytest.raises(kind) as caught:
            await app.bulk.cancel(query, **options)
        assert expected in str(caught.value)
        assert await app.count() == 0


@pytest.mark.parametrize(
    ("action", "query", "kind", "expected"),
    [
        ("stop", "Parked = true", InvalidOption, "give one of cancel, terminate, signal, reset, delete"),
        ("cancel", "", InvalidOption, "names no runs"),
        ("cancel", "Parked =", InvalidFilter, "Parked"),
    ],
)
async def test_what_cannot_be_is_not_counted(action: str, query: str, kind: type[Exception], expected: str) -> None:
    async with TestEnvironment(app):
        with pytest.raises(kind) as caught:
            await app.bulk.count(action, query)
        assert expected in str(caught.value)


async def test_a_worker_of_a_real_store_does_it_too(url: str) -> None:
    real = Perdure(url)

    @real.workflow
    async def waiting() -> str:
        return await workflow.channel("stop", str).receive()

    async with real:
        runs = [await real.start(waiting, id=f"w-{number}") for number in range(20)]
        operation = await real.bulk.signal("WorkflowId starts_with 'w-'", "stop", "bye", rate=1_000)
        assert (await operation.result()).done == 20
        assert {await run.result() for run in runs} == {"bye"}
