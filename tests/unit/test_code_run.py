"""A run of a function workflow: how it starts, ends, is cancelled, parked and let go of."""

import asyncio
from typing import Any

import pytest

from perdure import workflow
from perdure.core.command import (
    CancelActivity,
    CancelRun,
    CancelTimer,
    CompleteRun,
    FailRun,
    RunActivity,
    StartTimer,
)
from perdure.core.errors import NotInWorkflow, UndecodablePayload, UnregisteredActivity
from perdure.core.failure import ActivityError, ActivityTimeout, ApplicationError, cancelled
from perdure.core.message import ActivityClosed, Cancelled, CancelRequested, Completed, Resumed
from perdure.core.payload import to_payload
from perdure.core.policy import TimeoutKind
from perdure.programs.code.definition import Activity
from tests.unit.code_driver import START_MS, Driver, cancel, done, failed, names, result_of


async def _echo(value: Any) -> Any:
    return value


async def _number(value: int) -> int:
    return value


echo: Activity[[Any], Any] = Activity(_echo, name="echo")
number: Activity[[int], int] = Activity(_number, name="number")


def test_steps_one_after_another_count_their_calls() -> None:
    async def flow(n: int) -> int:
        total = 0
        for step in range(n):
            total += await number(step)
        return total

    driver = Driver(flow, number, args=[3])

    assert [command.call_id for command in driver.start() if isinstance(command, RunActivity)] == [1]
    driver.finish(1, 10)
    driver.finish(2, 20)
    assert result_of(driver.finish(3, 30)) == 60


def test_arguments_are_decoded_by_annotation() -> None:
    async def flow(items: tuple[int, ...], pairs: dict[str, float]) -> list[Any]:
        return [type(items).__name__, sorted(pairs)]

    assert result_of(Driver(flow, args=[[1, 2], {"a": 1}]).start()) == ["tuple", ["a"]]


def test_an_exception_fails_the_run_with_its_type_and_cause() -> None:
    async def flow() -> None:
        try:
            raise KeyError("inner")
        except KeyError as error:
            raise ApplicationError("outer", 42, type="Declined", retryable=False) from error

    [command] = Driver(flow).start()

    assert isinstance(command, FailRun)
    assert (command.failure.type, command.failure.message, command.failure.retryable) == ("Declined", "outer", False)
    assert command.failure.cause is not None
    assert command.failure.cause.type == "KeyError"
    assert "test_code_run.py" in command.failure.traceback


def test_a_result_that_cannot_be_serialised_fails_the_run() -> None:
    async def flow() -> object:
        return object()

    [command] = Driver(flow).start()

    assert isinstance(command, FailRun)
    assert "PDR1009" in command.failure.message


def test_exiting_fails_the_run_only() -> None:
    async def flow() -> None:
        raise SystemExit(3)

    [command] = Driver(flow).start()

    assert isinstance(command, FailRun)
    assert command.failure.type == "SystemExit"


def test_an_interrupt_leaves_the_step() -> None:
    async def flow() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Driver(flow).start()


def test_a_failed_activity_raises_with_its_cause() -> None:
    async def flow() -> list[Any]:
        try:
            await echo(1)
        except ActivityError as error:
            return [error.name, error.type, error.attempt, str(error.__cause__)]
        return []

    driver = Driver(flow, echo)
    driver.start()

    assert result_of(driver.step(failed(1, "declined"))) == ["echo", "ValueError", 3, "ValueError: declined"]


def test_a_timed_out_activity_says_which_deadline_passed() -> None:
    async def flow() -> str:
        try:
            await echo(1)
        except ActivityTimeout as error:
            return error.kind
        return ""

    driver = Driver(flow, echo)
    driver.start()

    assert result_of(driver.step(failed(1, timeout=TimeoutKind.HEARTBEAT))) == "heartbeat"


def test_an_activity_that_was_cancelled_elsewhere_is_an_error_not_a_cancellation() -> None:
    async def flow() -> str:
        try:
            await echo(1)
        except ActivityError as error:
            return error.type
        return ""

    driver = Driver(flow, echo)
    driver.start()

    assert result_of(driver.step(ActivityClosed(1, Cancelled(cancelled("stopped"))))) == "CancelledError"


def test_cancelling_a_run_cancels_what_it_waits_for_and_runs_its_clean_up() -> None:
    async def flow() -> None:
        try:
            await asyncio.gather(echo(1), asyncio.sleep(60))
        finally:
            await echo("clean up")

    driver = Driver(flow, echo)
    driver.start()

    commands = driver.step(cancel("stop it"))

    assert commands[:2] == [CancelActivity(1), CancelTimer(2)]
    assert names(commands[2:]) == ["echo"]
    assert driver.finish(3) == [CancelRun(cancelled("stop it"))]


def test_code_may_refuse_to_be_cancelled() -> None:
    async def flow() -> str:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError as error:
            return f"no: {error}, {workflow.cancellation_requested()}"
        return ""

    driver = Driver(flow)
    driver.start()

    assert result_of(driver.step(cancel("stop"))) == "no: stop, True"


def test_a_run_cancelled_with_its_start_never_runs() -> None:
    async def flow() -> None:
        await echo(1)

    assert Driver(flow, echo).start(cancel("early")) == [CancelRun(cancelled("early"))]


def test_an_error_during_clean_up_fails_the_cancelled_run() -> None:
    async def flow() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            raise ValueError("clean-up broke")

    driver = Driver(flow)
    driver.start()

    commands = driver.step(cancel())

    assert isinstance(commands[-1], FailRun)


def test_a_cancellation_that_nobody_asked_for_fails_the_run() -> None:
    async def flow() -> None:
        raise asyncio.CancelledError

    [command] = Driver(flow).start()

    assert isinstance(command, FailRun)
    assert command.failure.type == "CancelledError"


def test_what_other_tasks_wait_for_needs_no_command_when_the_function_returns() -> None:
    closed: list[str] = []

    async def flow() -> str:
        async def aside() -> None:
            try:
                await asyncio.sleep(60)
            finally:
                closed.append("aside")

        task = asyncio.create_task(aside())
        await echo(1)
        return f"{task.done()}"

    driver = Driver(flow, echo)
    driver.start()

    assert result_of(driver.finish(1)) == "False"
    assert closed


def test_a_result_that_does_not_decode_parks_the_run_whatever_the_code_catches() -> None:
    async def flow() -> str:
        try:
            await number(1)
        except BaseException:  # what careless code does
            return "swallowed"
        return ""

    driver = Driver(flow, number)
    driver.start()

    with pytest.raises(UndecodablePayload, match="result of activity 'number'"):
        driver.finish(1, "many")


def test_a_signal_that_does_not_decode_parks_the_run_whatever_the_code_catches() -> None:
    async def flow() -> str:
        try:
            await workflow.channel("count", int).receive()
        except BaseException:  # what careless code does
            return "swallowed"
        return ""

    driver = Driver(flow)
    driver.start()

    with pytest.raises(UndecodablePayload, match="signal 'count'"):
        driver.step(driver.signal("count", "many"))


def test_an_unknown_activity_parks_the_run_whatever_the_code_catches() -> None:
    async def flow() -> str:
        try:
            await echo(1)
        except BaseException:  # what careless code does
            return "swallowed"
        return ""

    with pytest.raises(UnregisteredActivity, match="'echo'"):
        Driver(flow).start()


def test_an_activity_of_another_queue_need_not_be_known() -> None:
    async def flow() -> None:
        await echo.options(queue="gpu")(1)

    [command] = Driver(flow).start()

    assert isinstance(command, RunActivity)
    assert command.queue == "gpu"


def test_arguments_that_do_not_fit_the_workflow_park_it() -> None:
    async def flow(count: int) -> None:
        await asyncio.sleep(count)

    with pytest.raises(UndecodablePayload, match="2 were sent"):
        Driver(flow, args=[1, 2]).start()


def test_a_resumed_run_and_an_unknown_answer_change_nothing() -> None:
    async def flow() -> None:
        await asyncio.sleep(1)

    driver = Driver(flow)
    driver.start()

    assert driver.step(Resumed("r1"), done(7)) == []


def test_workflow_calls_outside_a_workflow_say_so() -> None:
    with pytest.raises(NotInWorkflow, match=r"workflow\.now\(\)"):
        workflow.now()
    assert not workflow.in_workflow()


def test_a_definition_called_outside_a_workflow_is_the_plain_function() -> None:
    def double(n: int) -> int:
        return 2 * n

    activity: Activity[[int], int] = Activity(double)
    plain: Any = activity(4)

    assert plain == 8
    assert asyncio.run(_run(number(5))) == 5


async def _run(waiting: Any) -> Any:
    return await waiting


def test_a_completed_run_is_recalled() -> None:
    async def flow() -> int:
        return await number(1)

    driver = Driver(flow, number)
    driver.start()

    assert driver.finish(1, 2) == [CompleteRun(to_payload(2))]


def test_timers_and_activities_share_one_count() -> None:
    async def flow() -> None:
        await asyncio.gather(asyncio.sleep(1), echo(1), asyncio.sleep(2))

    assert Driver(flow, echo).start()[::2] == [StartTimer(1, START_MS + 1_000), StartTimer(3, START_MS + 2_000)]


def test_a_cancellation_that_is_sent_again_does_not_interrupt_the_clean_up_of_the_first() -> None:
    async def tidy(what: str) -> str:
        return what

    clean: Activity[..., str] = Activity(tidy)

    async def flow() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await clean("room")

    driver = Driver(flow, clean)
    driver.start()

    asked = driver.step(cancel("stop"))
    assert [type(each) for each in asked] == [RunActivity]
    assert driver.step(CancelRequested("stop", "x2")) == []
    assert driver.step(ActivityClosed(1, Completed(to_payload("done")))) == [CancelRun(cancelled("stop"))]
