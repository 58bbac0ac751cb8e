"""Handlers of signals: their order, and what becomes of handlers when the run ends."""

import asyncio
import logging
from typing import Any

import msgspec
import pytest

from perdure import workflow
from perdure.core.command import (
    CompleteRun,
    FailRun,
    RunActivity,
)
from perdure.core.errors import ForbiddenInWorkflow, NonDeterminism, UndecodablePayload
from perdure.core.message import TimerFired
from perdure.core.turn import Turn
from tests.unit.code_driver import Driver, cancel, done, names, program_of, result_of
from tests.unit.code_ledger import Ledger, answers, echo


def test_handlers_begin_in_order_of_arrival_before_the_run_goes_on() -> None:
    driver = Driver(Ledger, echo)

    driver.start(driver.signal("note", 1), driver.update("put", "2"), driver.signal("note", 3))
    ended = driver.step(TimerFired(9), driver.signal("note", 4), driver.signal("close"), driver.signal("note", 5))

    assert result_of(ended) == [1, "2", 3, "run", 4, 5]


def test_a_signal_without_a_value_leaves_the_default() -> None:
    driver = Driver(Ledger, echo)

    assert result_of(driver.start(driver.signal("note"), driver.signal("close"))) == ["nothing", "run"]


def test_an_async_handler_of_a_signal_may_wait() -> None:
    driver = Driver(Ledger, echo)
    driver.start()
    assert names(driver.step(driver.signal("slow_note", "tea"))) == ["echo"]
    assert driver.query("finished") is False

    driver.finish(1, "tea")

    assert driver.query("finished") is True
    assert result_of(driver.step(driver.signal("close"))) == ["run", "tea"]


def test_what_leaves_a_signals_handler_fails_the_run() -> None:
    driver = Driver(Ledger, echo)
    driver.start()

    (failed,) = driver.step(driver.signal("fail", "Odd"), driver.signal("close"))

    assert isinstance(failed, FailRun)
    assert (failed.failure.type, failed.failure.message) == ("Odd", "on purpose")


def test_what_a_replay_could_not_repeat_parks_the_run() -> None:
    driver = Driver(Ledger, echo)
    driver.start()

    with pytest.raises(ForbiddenInWorkflow):
        driver.run.step(driver.at_ms, (driver.signal("fail", "forbidden"),))


def test_a_signal_that_does_not_decode_parks_the_run() -> None:
    driver = Driver(Ledger, echo)
    driver.start()

    with pytest.raises(UndecodablePayload):
        driver.run.step(driver.at_ms, (driver.signal("slow_note", 7),))


def test_a_signal_without_a_handler_waits_in_its_channel() -> None:
    class Mixed:
        @workflow.run
        async def run(self) -> list[Any]:
            first = await workflow.channel("other", int).receive()

            @workflow.signal
            def late(value: str) -> None:
                found.append(value)

            found: list[Any] = [first]
            await workflow.wait_condition(lambda: len(found) == 3)
            return found

    driver = Driver(Mixed)
    driver.start(driver.signal("late", "a"))
    ended = driver.step(driver.signal("other", 1), driver.signal("late", "b"))

    assert result_of(ended) == [1, "a", "b"]


def test_a_dynamic_handler_takes_what_nobody_else_takes() -> None:
    class Any_:  # noqa: N801 # a name that is taken
        def __init__(self) -> None:
            self.heard: list[Any] = []

        @workflow.run
        async def run(self) -> list[Any]:
            own = await workflow.channel("own", int).receive()
            return [*self.heard, own]

        @workflow.signal
        def known(self) -> None:
            self.heard.append("known")

        @workflow.signal(dynamic=True)
        def rest(self, name: str, value: Any) -> None:
            self.heard.append([name, value])

        @workflow.update(dynamic=True)
        def do(self, name: str, *args: int) -> list[Any]:
            return [name, sum(args)]

        @workflow.query(dynamic=True)
        def ask(self, name: str, *args: int) -> list[Any]:
            return [name, *args]

    driver = Driver(Any_)
    driver.start(driver.signal("known"), driver.signal("what", 1))

    assert driver.query("ever", 1, 2) == ["ever", 1, 2]
    assert answers(driver.step(driver.update("add", 1, 2))) == {"u1": ["add", 3]}
    assert result_of(driver.step(driver.signal("own", 7))) == ["known", ["what", 1], 7]


# The end of a run


def test_a_run_that_ends_before_its_handlers_says_which(caplog: pytest.LogCaptureFixture) -> None:
    driver = Driver(Ledger, echo)
    driver.start()
    driver.step(driver.update("slow_put", "tea"), driver.signal("slow_note", "cup"))

    with caplog.at_level(logging.WARNING, "perdure.workflow"):
        ended = driver.step(driver.signal("close"))

    assert isinstance(ended[-1], CompleteRun)
    (record,) = caplog.records
    assert "update slow_put, signal slow_note" in record.getMessage()


def test_a_cancelled_run_cleans_up_while_handlers_go_on() -> None:
    class Cleaning:
        def __init__(self) -> None:
            self.heard: list[str] = []

        @workflow.run
        async def run(self) -> list[str]:
            try:
                await workflow.wait_condition(lambda: False)
            except asyncio.CancelledError:
                await workflow.wait_condition(workflow.all_handlers_finished)
            return self.heard

        @workflow.update
        async def put(self, line: str) -> None:
            self.heard.append(await echo(line))

    driver = Driver(Cleaning, echo)
    driver.start(driver.update("put", "tea"))
    driver.step(cancel())

    ended = driver.finish(1, "tea")

    assert answers(ended) == {"u1": None}
    assert result_of(ended) == ["tea"]


def test_a_history_in_which_an_answer_is_missing_is_noticed() -> None:
    driver = Driver(Ledger, echo)
    driver.start()
    driver.step(driver.update("put", "tea"))
    turn = driver.turns[-1]
    driver.turns[-1] = msgspec.structs.replace(turn, outputs=turn.outputs[:1])

    with pytest.raises(NonDeterminism, match="asked for the answer of update 'u1'"):
        driver.recalled(program_of(Ledger, echo))


def test_the_calls_of_a_handler_are_named_with_its_run() -> None:
    driver = Driver(Ledger, echo)
    driver.start()
    driver.step(driver.update("slow_put", "tea"), driver.signal("slow_note", "cup"))

    stack = driver.query("__stack_trace")

    assert "update slow_put:" in stack
    assert "signal slow_note:" in stack
    assert isinstance(driver.turns[-1], Turn)
    assert [each.call_id for each in driver.turns[-1].outputs if isinstance(each, RunActivity)] == [1, 2]
    driver.finish(2, done(1))
