"""The cases of go-workflows' own tester, by name, in the test kit.

Theirs -> ours (`test_` and what follows):
Workflow -> workflow; WorkflowBlocked -> workflow_blocked; Activity -> activity; OverrideActivity ->
override_activity; FailingActivity -> failing_activity; Activity_Retries -> activity_retries; Activity_WithoutMock ->
activity_without_mock; Activity_LongRunning -> activity_long_running; CancelWorkflow -> cancel_workflow; Signals ->
signals; SignalSubWorkflowBeforeScheduling -> signal_subworkflow_before_scheduling; SignalSubWorkflow ->
signal_subworkflow; WithInitialTime -> with_initial_time; Activity_Long -> activity_long; Activity_RaceWithSignal ->
activity_race_with_signal; Activity_WithLogger -> activity_with_logger; Activity_Panic -> activity_panic;
ContinueAsNew -> continue_as_new; ContinueAsNew_SubWorkflow -> continue_as_new_subworkflow; withRetries_permanent ->
retries_permanent; the four others of withRetries -> retries_in_the_end, retries_used_up, retries_of_a_child,
retries_cancelled; SubWorkflow -> subworkflow; SubWorkflow_Mocked -> subworkflow_mocked; SubWorkflow_Mocked_Failure ->
subworkflow_mocked_failure; SubWorkflow_Cancel -> subworkflow_cancel; SubWorkflow_Signals -> subworkflow_signals;
Timer -> timer; TimerHanging, PendingTimerFutures -> timer_hanging (ours closes: a timer that nobody awaits holds up
nothing); TimerCancellation -> timer_cancellation; TimerSubworkflowCancellation -> timer_subworkflow_cancellation;
TimerRespondingWithoutNewEvents -> timer_responding_without_new_events; WallClockTimer_Canceled ->
wall_clock_timer_cancelled; SetsTimeModeCorrectly -> sets_time_mode_correctly; Timers_MultipleTimers ->
multiple_timers; ActivitiesAutomaticallyBlockWorkflowCompletion -> activity_that_nobody_awaits (ours cancels it: the
run is closed); WorkflowExplicitlyWaitsForActivity -> activity; InstanceExecutionDetails -> history_length.
Without a counterpart in the kit: ContextPropagation (headers have tests of their own), SpanFromContext and
TracerStartAndSpanContext (nothing is traced yet), InvalidActivityMock (commented out there; see test_testkit_mocks).
"""

import asyncio
import logging
from datetime import UTC, datetime, timedelta

import pytest

from perdure import (
    ActivityError,
    ApplicationError,
    ChildWorkflowError,
    ExternalWorkflowError,
    Perdure,
    RunStatus,
    Signal,
    WorkflowCancelled,
    WorkflowFailed,
    activity,
    workflow,
)
from perdure.testing import Standstill, TestEnvironment

app = Perdure("memory://")
SIGNAL = Signal("signal", str)


@app.activity(retries=1)
async def answer() -> int:
    """Their activity1."""
    return 23


@app.activity(retries=2)
async def logging_activity(text: str) -> str:
    """Logs a line; fails for an empty one."""
    activity.logger.info("hello from %s", text)
    if not text:
        raise ApplicationError("permanent", retryable=False)
    return text


@app.workflow
async def plain() -> int:
    """No activity."""
    return 0


@app.workflow
async def asking() -> int:
    """One activity."""
    return await answer()


@app.workflow
async def logging_workflow(text: str) -> str:
    """One activity that logs."""
    return await logging_activity(text)


@app.workflow
async def waiting() -> str:
    """One signal."""
    return await workflow.channel(SIGNAL).receive()


@app.workflow
async def racing() -> str:
    """The first of a timer, a signal and an activity."""
    tasks = {
        "timer": asyncio.create_task(asyncio.sleep(0.3)),
        "signal": asyncio.create_task(workflow.channel(SIGNAL).receive()),
        "activity": asyncio.create_task(answer()),
    }
    done, _ = await asyncio.wait(tasks.values(), return_when=asyncio.FIRST_COMPLETED)
    return next(name for name, task in tasks.items() if task in done)


@app.workflow
async def timers() -> list[datetime]:
    """The moments before and between two timers."""
    first = workflow.now()
    await asyncio.sleep(30)
    second = workflow.now()
    await asyncio.sleep(30)
    return [first, second]


@app.workflow
async def cancelled_timer() -> datetime:
    """A timer that is cancelled at once."""
    task = asyncio.create_task(asyncio.sleep(30))
    await asyncio.sleep(0)
    task.cancel()
    return workflow.now()


@app.workflow
async def careless(what: str) -> str:
    """Ends without waiting for what it began."""
    kept = asyncio.create_task(asyncio.sleep(30) if what == "timer" else answer())
    await asyncio.sleep(0)
    return f"done {kept.done()}"


@app.workflow
async def guarded(times: int) -> int:
    """Activities, each with a timer beside it that is cancelled."""
    for _ in range(times):
        async with asyncio.timeout(0.01):
            await answer()
    await asyncio.sleep(24 * 3_600)
    return times


@app.workflow
async def counting(number: int) -> int:
    """Goes on as a new run until it is three."""
    if number + 1 < 3:
        workflow.continue_as_new(number + 1)
    return number + 1


@app.workflow
async def parent(kind: str) -> str:
    """Runs a child of a kind, and tells how it ended."""
    try:
        match kind:
            case "waiting":
                child = await workflow.start_child(waiting, id="child")
                return f"hello {await child}"
            case "signalled":
                child = await workflow.start_child(waiting, id="child")
                await workflow.external("child").signal(SIGNAL, "42")
                return await child
            case "timer":
                await cancelled_timer()
                await asyncio.sleep(20)
                return "timer"
            case "counting":
                return str(await counting(0))
            case _:
                return str(await asking())
    except ChildWorkflowError as error:
        return f"subworkflow: {error.type}"


@app.workflow
async def early_signal() -> str:
    """Signals what does not exist."""
    try:
        await workflow.external("child").signal(SIGNAL, "")
    except ExternalWorkflowError as error:
        return error.type
    return "told"


@app.workflow
async def steps(count: int) -> list[int]:
    """Its turn at each step."""
    numbers: list[int] = []
    for _ in range(count):
        numbers.append(workflow.info().turn_number)
        await answer()
    return numbers


async def result_of(env: TestEnvironment, of: object, *args: object) -> object:
    """What a workflow of this module returns, or the error that stands for its outcome."""
    name = getattr(of, "name", "")
    return await (await env.app.start_by_name(name, *args)).result()


async def test_workflow() -> None:
    async with TestEnvironment(app) as env:
        assert await result_of(env, plain) == 0


async def test_workflow_blocked() -> None:
    async with TestEnvironment(app) as env:
        with pytest.raises(Standstill):
            await result_of(env, waiting)


async def test_activity() -> None:
    async with TestEnvironment(app) as env:
        mock = env.mock(answer).returns(42)
        assert await result_of(env, asking) == 42
        mock.assert_called_once()


async def test_override_activity() -> None:
    async with TestEnvironment(app) as env:
        env.mock("answer").returns(23)
        assert await result_of(env, asking) == 23


async def test_failing_activity() -> None:
    async with TestEnvironment(app) as env:
        env.mock(answer).raises(RuntimeError("error"))
        with pytest.raises(WorkflowFailed, match="error"):
            await result_of(env, asking)


async def test_activity_retries() -> None:
    async with TestEnvironment(app) as env:
        env.mock(answer).sequence(RuntimeError("error"), 42)
        assert await result_of(env, asking) == 42


async def test_activity_without_mock() -> None:
    async with TestEnvironment(app) as env:
        assert await result_of(env, asking) == 23


async def test_activity_long_running() -> None:
    async with TestEnvironment(app) as env:
        env.mock(answer).returns(42).takes("3s")
        assert await result_of(env, asking) == 42


async def test_cancel_workflow() -> None:
    async with TestEnvironment(app) as env:
        handle = await app.start(waiting)
        env.at("1s", lambda: handle.cancel("context canceled"))
        with pytest.raises(WorkflowCancelled, match="context canceled"):
            await handle.result()


async def test_signals() -> None:
    async with TestEnvironment(app) as env:
        began = env.now
        handle = await app.start(waiting)
        env.at("5s", lambda: handle.signal(SIGNAL, "s42"))
        assert await handle.result() == "s42"
        assert env.now - began == timedelta(seconds=5)


async def test_signal_subworkflow_before_scheduling() -> None:
    async with TestEnvironment(app) as env:
        assert await result_of(env, early_signal) == "WorkflowNotFound"


async def test_signal_subworkflow() -> None:
    async with TestEnvironment(app) as env:
        assert await result_of(env, parent, "signalled") == "42"


async def test_with_initial_time() -> None:
    start = datetime(2021, 1, 1, tzinfo=UTC)
    async with TestEnvironment(app, start=start):
        assert (await (await app.start(timers)).result())[0] == start


async def test_activity_long() -> None:
    async with TestEnvironment(app) as env:
        env.mock(answer).returns(1).takes("400ms")
        assert await result_of(env, racing) == "timer"


async def test_activity_race_with_signal() -> None:
    async with TestEnvironment(app) as env:
        env.mock(answer).returns(1).takes("200ms")
        handle = await app.start(racing)
        env.at("100ms", lambda: handle.signal(SIGNAL, "stop"))
        assert await handle.result() == "signal"


async def test_activity_with_logger(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "perdure.activity")
    async with TestEnvironment(app) as env:
        assert await result_of(env, logging_workflow, "test") == "test"
    assert "hello from test" in caplog.text


async def test_activity_panic() -> None:
    async with TestEnvironment(app) as env:
        env.mock(answer).raises(SystemExit("activity panic"))
        with pytest.raises(WorkflowFailed, match="SystemExit: activity panic"):
            await result_of(env, asking)


async def test_continue_as_new() -> None:
    async with TestEnvironment(app) as env:
        assert await result_of(env, counting, 0) == 3
        assert len(await app.list(status=RunStatus.CONTINUED_AS_NEW)) == 2


async def test_continue_as_new_subworkflow() -> None:
    async with TestEnvironment(app) as env:
        assert await result_of(env, parent, "counting") == "3"


async def test_retries_permanent() -> None:
    async with TestEnvironment(app) as env:
        with pytest.raises(WorkflowFailed, match="permanent"):
            await result_of(env, logging_workflow, "")
        assert len(env.calls(logging_activity)) == 1


async def test_retries_in_the_end() -> None:
    async with TestEnvironment(app) as env:
        env.mock(logging_activity).sequence(OSError, OSError, "at last")
        assert await result_of(env, logging_workflow, "x") == "at last"


async def test_retries_used_up() -> None:
    async with TestEnvironment(app) as env:
        env.mock(logging_activity).raises(OSError("no line"))
        with pytest.raises(WorkflowFailed, match="no line") as caught:
            await result_of(env, logging_workflow, "x")
        assert caught.value.failure.type == ActivityError.__name__
        assert len(env.calls(logging_activity)) == 3


async def test_retries_of_a_child() -> None:
    async with TestEnvironment(app) as env:
        env.mock(answer).sequence(OSError, 5)
        assert await result_of(env, parent, "asking") == "5"


async def test_retries_cancelled() -> None:
    async with TestEnvironment(app) as env:
        env.mock(logging_activity).raises(OSError("no line"))
        handle = await app.start(logging_workflow, "x")
        env.at("500ms", lambda: handle.cancel("enough"))
        with pytest.raises(WorkflowCancelled):
            await handle.result()
        assert len(env.calls(logging_activity)) == 1


async def test_subworkflow() -> None:
    async with TestEnvironment(app) as env:
        assert await result_of(env, parent, "asking") == "23"


async def test_subworkflow_mocked() -> None:
    async with TestEnvironment(app) as env:
        env.mock(asking).returns(2)
        assert await result_of(env, parent, "asking") == "2"
        assert env.calls(answer) == []


async def test_subworkflow_mocked_failure() -> None:
    async with TestEnvironment(app) as env:
        env.mock(asking).raises(ValueError("swf error"))
        assert await result_of(env, parent, "asking") == "subworkflow: ValueError"


async def test_subworkflow_cancel() -> None:
    async with TestEnvironment(app) as env:
        handle = await app.start(parent, "waiting")
        env.at("1ms", lambda: app.handle("child").cancel("enough"))
        assert await handle.result() == "subworkflow: CancelledError"


async def test_subworkflow_signals() -> None:
    async with TestEnvironment(app) as env:
        handle = await app.start(parent, "waiting")
        env.at("1ms", lambda: app.handle("child").signal(SIGNAL, "42"))
        assert await handle.result() == "hello 42"


async def test_timer() -> None:
    async with TestEnvironment(app) as env:
        began = env.now
        assert await (await app.start(timers)).result() == [began, began + timedelta(seconds=30)]


async def test_timer_hanging() -> None:
    async with TestEnvironment(app) as env:
        began = env.now
        assert await result_of(env, careless, "timer") == "done False"
        assert env.now == began


async def test_activity_that_nobody_awaits() -> None:
    async with TestEnvironment(app) as env:
        assert await result_of(env, careless, "activity") == "done False"


async def test_timer_cancellation() -> None:
    async with TestEnvironment(app) as env:
        assert await (await app.start(cancelled_timer)).result() == env.now


async def test_timer_subworkflow_cancellation() -> None:
    async with TestEnvironment(app) as env:
        assert await result_of(env, parent, "timer") == "timer"


async def test_timer_responding_without_new_events() -> None:
    async with TestEnvironment(app) as env:
        handle = await app.start(racing)
        env.mock(answer).hangs()
        env.at("2s", lambda: handle.signal(SIGNAL, "late"))
        assert await handle.result() in ("timer", "activity")


async def test_wall_clock_timer_cancelled() -> None:
    async with TestEnvironment(app) as env:
        env.mock(answer).returns(1)
        assert await result_of(env, guarded, 1) == 1


async def test_sets_time_mode_correctly() -> None:
    async with TestEnvironment(app) as env:
        began = env.now
        assert await result_of(env, guarded, 1) == 1
        assert env.now - began == timedelta(days=1)


async def test_multiple_timers() -> None:
    async with TestEnvironment(app) as env:
        assert await result_of(env, guarded, 10) == 10
        assert len(env.calls(answer)) == 10


async def test_history_length() -> None:
    async with TestEnvironment(app, replay=True) as env:
        assert await result_of(env, steps, 3) == [1, 2, 3]
