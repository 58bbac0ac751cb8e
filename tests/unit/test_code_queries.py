"""Queries: they read the run, live or recalled, and change nothing."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from perdure import workflow
from perdure.core.command import (
    FailRun,
    RunActivity,
)
from perdure.core.errors import (
    QueryFailed,
    UnknownQuery,
    UnsupportedDefinition,
)
from perdure.core.message import (
    Query,
)
from perdure.core.payload import from_payload
from perdure.programs.code.definition import Activity
from tests.unit.code_driver import Driver


async def _echo(value: Any) -> Any:
    return value


echo: Activity[[Any], Any] = Activity(_echo, name="echo", keywords={"retries": 2})


async def asked() -> str:
    state = {"step": 0}

    @workflow.query
    def step(offset: int = 0) -> int:
        return state["step"] + offset

    @workflow.query(name="bad")
    def _bad() -> None:
        raise LookupError("broken")

    @workflow.query
    def schedules() -> Any:
        return echo(1)

    @workflow.query
    def draws() -> Any:
        return workflow.random().random()

    @workflow.query
    def spawns() -> Any:
        asyncio.get_running_loop().call_later(1, print)

    @workflow.query
    def opens() -> Any:
        return Path("/etc/hosts").read_text()

    @workflow.query
    def exits() -> Any:
        raise SystemExit

    for number in range(3):
        state["step"] = number
        await echo(number)
    return "end"


def test_a_query_reads_the_live_run_and_a_recalled_one() -> None:
    driver = Driver(asked, echo)
    driver.start()
    driver.finish(1)

    assert driver.query("step") == 1
    assert driver.query("step", 10) == 11
    twin = driver.recalled()
    assert from_payload(twin.query(Query("step", ()))) == 1
    twin.close()


def test_a_query_of_a_completed_run_is_answered() -> None:
    driver = Driver(asked, echo)
    driver.start()
    for call_id in (1, 2, 3):
        driver.finish(call_id)

    assert driver.query("step") == 2


@pytest.mark.parametrize("finished", [False, True])
@pytest.mark.parametrize("name", ["schedules", "draws", "spawns", "opens", "exits"])
def test_a_query_that_misbehaves_fails_alone(name: str, *, finished: bool) -> None:
    driver = Driver(asked, echo)
    driver.start()
    for call_id in (1, 2, 3) if finished else ():
        driver.finish(call_id)

    with pytest.raises(QueryFailed):
        driver.query(name)

    assert driver.query("step") == (2 if finished else 0)


@pytest.mark.parametrize("name", ["schedules", "draws", "spawns", "opens"])
def test_a_query_cannot_change_the_run(name: str) -> None:
    driver = Driver(asked, echo)
    driver.start()

    with pytest.raises(QueryFailed, match="PDR1014"):
        driver.query(name)

    commands = driver.finish(1)
    assert [each.call_id for each in commands if isinstance(each, RunActivity)] == [2]


def test_queries_fail_by_name_argument_or_error() -> None:
    driver = Driver(asked, echo)
    driver.start()

    with pytest.raises(UnknownQuery, match=r"__stack_trace, bad, draws, exits, opens, schedules, spawns, step"):
        driver.query("nothing")
    with pytest.raises(QueryFailed, match="LookupError: broken"):
        driver.query("bad")
    with pytest.raises(QueryFailed, match="PDR3002"):
        driver.query("step", "x")


def test_an_async_query_handler_is_refused() -> None:
    async def flow() -> None:
        @workflow.query
        async def wrong() -> None:
            pass

    [command] = Driver(flow).start()

    assert isinstance(command, FailRun)
    assert command.failure.type == UnsupportedDefinition.__name__


def test_the_stack_query_tells_where_every_task_waits() -> None:
    async def flow() -> None:
        async def aside() -> None:
            await workflow.channel("never").receive()

        task = asyncio.create_task(aside(), name="aside")
        await echo(1)
        await task

    driver = Driver(flow, echo)
    driver.start()

    lines = driver.query("__stack_trace").splitlines()

    first = flow.__code__.co_firstlineno
    assert lines[0] == "Task-1:"
    assert lines[1].strip().startswith(f"test_code_queries.py:{first + 5} ")
    assert "aside:" in lines
    assert any(f"test_code_queries.py:{first + 2} " in line for line in lines)
