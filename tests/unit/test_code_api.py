"""What workflow code asks of the engine: time, randomness, side effects, signals, queries, children, logging."""

import asyncio
import gc
import logging
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, cast
from uuid import UUID

import pytest

from perdure import workflow
from perdure.core.command import (
    RecordSideEffect,
    RunActivity,
    StartChild,
)
from perdure.core.errors import (
    ForbiddenInWorkflow,
    InvalidArguments,
    UnregisteredActivity,
)
from perdure.core.failure import ApplicationError
from perdure.core.ids import RunId
from perdure.core.message import (
    TimerFired,
)
from perdure.core.payload import to_payload
from perdure.programs.code.definition import Activity, Workflow
from tests.unit.code_driver import RUN_ID, START_MS, Driver, program_of, result_of


@dataclass
class Approval:
    """A signal's value."""

    by: str
    cents: int


async def _echo(value: Any) -> Any:
    return value


async def _number(value: int, factor: int = 1) -> int:
    return value * factor


async def _child(value: int) -> Approval:
    return Approval("child", value)


echo: Activity[[Any], Any] = Activity(_echo, name="echo", keywords={"retries": 2})
number: Activity[..., int] = Activity(_number, name="number")
child: Workflow[[int], Approval] = Workflow(_child, name="child")
APPROVE = workflow.Signal("approve", Approval)


# Time, randomness, facts


def test_time_is_the_turns() -> None:
    async def flow() -> list[Any]:
        first = workflow.now(), workflow.time()
        await asyncio.sleep(10)
        return [first[0], first[1], workflow.now() - first[0] == timedelta(seconds=10)]

    driver = Driver(flow)
    driver.start()
    moment, seconds, elapsed = result_of(driver.step(TimerFired(1), after_ms=10_000))

    assert datetime.fromisoformat(moment) == datetime.fromtimestamp(START_MS / 1_000, UTC)
    assert seconds == START_MS / 1_000
    assert elapsed


def test_randomness_is_the_runs_own_and_differs_between_runs() -> None:
    async def flow() -> list[Any]:
        return [workflow.random().random(), str(workflow.uuid4())]

    first = result_of(Driver(flow).start())
    other = result_of(Driver(flow, run_id=RunId("another")).start())

    assert first == result_of(Driver(flow).start())
    assert first[0] != other[0]
    assert UUID(first[1]).version == 4


def test_drawing_numbers_does_not_shift_the_ids_of_children() -> None:
    draws = 0

    async def flow() -> None:
        for _ in range(draws):
            workflow.random().random()
        await child(1)

    [few] = Driver(flow).start()
    draws = 7
    [many] = Driver(flow).start()

    assert isinstance(few, StartChild)
    assert isinstance(many, StartChild)
    assert few.run_id == many.run_id
    assert UUID(few.run_id).version == 7


def test_info_tells_what_is_known_of_the_run() -> None:
    seen: list[workflow.Info] = []

    async def flow() -> None:
        await echo(1)
        seen.append(workflow.info())

    driver = Driver(flow, echo)
    driver.start()
    driver.finish(1)

    live = seen[0]
    assert (live.workflow_id, live.run_id, live.workflow_type, live.queue) == ("w-1", RUN_ID, "flow", "default")
    assert (live.turn_number, live.parent, live.replaying) == (2, None, False)
    assert seen[1].replaying


def test_the_logger_speaks_once_and_names_the_run(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)

    async def flow() -> None:
        workflow.logger.info("first", extra={"own": 1})
        await echo(1)
        workflow.logger.info("second")

    driver = Driver(flow, echo)
    driver.start()
    driver.finish(1)

    assert [record.message for record in caplog.records] == ["first", "second"]
    assert [vars(record)["workflow_id"] for record in caplog.records] == ["w-1", "w-1"]
    assert [vars(record)["run_id"] for record in caplog.records] == [RUN_ID, RUN_ID]
    assert vars(caplog.records[0])["own"] == 1


# Side effects


def test_a_side_effect_is_computed_once_and_handed_back_later() -> None:
    calls: list[int] = []

    async def flow() -> Any:
        value = workflow.side_effect(lambda: calls.append(1) or ("a", len(calls)))
        await echo(value)
        return value

    driver = Driver(flow, echo)
    effect, _ = driver.start()

    assert effect == RecordSideEffect(1, to_payload(["a", 1]))
    assert result_of(driver.finish(2)) == ["a", 1]
    assert calls == [1]


def test_a_side_effect_is_decoded_as_the_type_asked_for() -> None:
    async def flow() -> str:
        return workflow.side_effect(lambda: Approval("x", 1), result_type=Approval).by

    assert result_of(Driver(flow).start()) == "x"


def test_an_exception_of_a_side_effect_is_recorded_too() -> None:
    calls: list[int] = []

    def effect() -> None:
        calls.append(1)
        raise KeyError("gone")

    async def flow() -> str:
        try:
            workflow.side_effect(effect)
        except ApplicationError as error:
            return error.type
        return ""

    assert result_of(Driver(flow).start()) == "KeyError"
    assert calls == [1]


def test_a_side_effect_cannot_wait() -> None:
    async def flow() -> None:
        workflow.side_effect(cast(Any, _echo))

    with pytest.raises(ForbiddenInWorkflow, match="side effect"):
        Driver(flow).start()


# Signals


def test_signals_wait_in_order_until_they_are_received() -> None:
    async def flow() -> list[Any]:
        await echo(1)
        channel = workflow.channel("go")
        waiting = len(channel)
        return [waiting, *[await channel.receive() for _ in range(3)]]

    driver = Driver(flow, echo)
    driver.start(driver.signal("go", 1), driver.signal("other", "x"))
    driver.step(driver.signal("go", 2))
    driver.finish(1)

    assert result_of(driver.step(driver.signal("go", 3))) == [2, 1, 2, 3]


def test_a_declared_signal_gives_its_channel_a_type() -> None:
    async def flow() -> int:
        total = 0
        async for approval in workflow.channel(APPROVE):
            total += approval.cents
            if approval.by == "boss":
                break
        return total

    driver = Driver(flow)
    driver.start()
    driver.step(driver.signal("approve", {"by": "clerk", "cents": 5}))

    assert result_of(driver.step(driver.signal("approve", {"by": "boss", "cents": 7}))) == 12


def test_receiving_without_waiting_raises_when_nothing_is_there() -> None:
    async def flow() -> list[Any]:
        channel = workflow.channel("go")
        found: list[Any] = []
        try:
            while True:
                found.append(channel.receive_nowait())
        except asyncio.QueueEmpty:
            return found

    driver = Driver(flow)

    assert result_of(driver.start(driver.signal("go", 1), driver.signal("go", 2))) == [1, 2]


def test_a_receiver_that_gives_up_loses_no_signal() -> None:
    async def flow() -> Any:
        channel = workflow.channel("go")
        try:
            return await asyncio.wait_for(channel.receive(), 1)
        except TimeoutError:
            return ["late", await channel.receive()]

    driver = Driver(flow)
    driver.start()
    driver.step(TimerFired(1), after_ms=1_000)

    assert result_of(driver.step(driver.signal("go", "here"))) == ["late", "here"]


# Activities by name


def test_an_activity_by_name_takes_the_options_and_types_of_the_registered_one() -> None:
    async def flow() -> Any:
        return await workflow.execute_activity("echo", 5, timeout="30s")

    [command] = Driver(flow, echo).start()

    assert isinstance(command, RunActivity)
    assert command.options.retry.attempts_max == 3
    assert command.options.start_to_close_ms == 30_000


def test_an_unknown_activity_by_name_parks_unless_a_queue_is_given() -> None:
    async def flow(queue: str | None) -> Any:
        if queue is None:
            return await workflow.execute_activity("elsewhere", 5)
        return await workflow.execute_activity("elsewhere", 5, queue=queue, result_type=Approval)

    with pytest.raises(UnregisteredActivity):
        Driver(flow, args=[None]).start()
    driver = Driver(flow, args=["other"])
    [command] = driver.start()
    assert isinstance(command, RunActivity)
    assert command.queue == "other"
    assert result_of(driver.finish(1, {"by": "x", "cents": 1})) == {"by": "x", "cents": 1}


def test_wrong_arguments_are_told_where_the_call_is_made() -> None:
    async def flow() -> str:
        with pytest.raises(InvalidArguments, match=r"number\(value: int, factor: int = 1\)"):
            await number()
        return "told"

    assert result_of(Driver(flow, number).start()) == "told"


# Ownership


def test_a_run_that_is_dropped_asks_nothing_of_the_run_that_is_stepping() -> None:
    async def careless() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            await echo("from the dropped one")

    async def collecting() -> None:
        gc.collect()
        await echo("own")

    program = program_of(careless, echo)
    dropped: list[Any] = [program.open(RunId(f"r{n}")) for n in range(5)]
    driver = Driver(collecting, echo)
    [each.step(START_MS, [driver.started]) for each in dropped]
    dropped.append(dropped)
    del dropped

    [command] = driver.start()

    assert command == RunActivity(1, "echo", (to_payload("own"),), echo.defaults)
