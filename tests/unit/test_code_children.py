"""Child workflows: started, awaited, cancelled, refused."""

import asyncio
from dataclasses import dataclass
from typing import Any

import pytest

from perdure import workflow
from perdure.core.command import (
    CancelChild,
    CancelRun,
    ParentClosePolicy,
    StartChild,
)
from perdure.core.errors import UndecodablePayload
from perdure.core.failure import ChildWorkflowError, Failure, cancelled
from perdure.core.message import (
    Cancelled,
    CancelRequested,
    ChildClosed,
    ChildStarted,
    Completed,
    Failed,
)
from perdure.core.payload import to_payload
from perdure.programs.code.definition import Activity, Workflow
from tests.unit.code_driver import RUN_ID, Driver, cancel, names, result_of


@dataclass
class Approval:
    """A signal's value."""

    by: str
    cents: int


async def _echo(value: Any) -> Any:
    return value


async def _child(value: int) -> Approval:
    return Approval("child", value)


echo: Activity[[Any], Any] = Activity(_echo, name="echo", keywords={"retries": 2})
child: Workflow[[int], Approval] = Workflow(_child, name="child")


def test_a_workflow_called_in_a_workflow_is_its_child() -> None:
    async def flow() -> Any:
        return await child(5)

    driver = Driver(flow)
    [command] = driver.start()

    assert isinstance(command, StartChild)
    assert (command.workflow_id, command.workflow_type) == (f"{RUN_ID}/1", "child")
    assert command.close_policy is ParentClosePolicy.TERMINATE
    assert driver.step(ChildStarted(1)) == []
    closed = driver.step(ChildClosed(1, Completed(to_payload({"by": "c", "cents": 3}))))
    assert result_of(closed) == {"by": "c", "cents": 3}


def test_a_started_child_is_awaited_through_its_handle() -> None:
    async def flow() -> list[Any]:
        handle = await workflow.start_child(
            child, 5, id="c-1", parent_close_policy=ParentClosePolicy.ABANDON, queue="q2"
        )
        await echo("started")
        result = await handle
        return [handle.id, handle.run_id, result.by, (await handle).cents]

    driver = Driver(flow, echo)
    [command] = driver.start()
    assert isinstance(command, StartChild)
    assert (command.workflow_id, command.queue, command.close_policy) == ("c-1", "q2", ParentClosePolicy.ABANDON)

    assert names(driver.step(ChildStarted(1))) == ["echo"]
    driver.step(ChildClosed(1, Completed(to_payload({"by": "c", "cents": 3}))))

    assert result_of(driver.finish(2)) == ["c-1", command.run_id, "c", 3]


def test_a_child_that_cannot_start_raises() -> None:
    async def flow(by_handle: bool) -> str:  # noqa: FBT001
        try:
            if by_handle:
                await workflow.start_child(child, 1, id="taken")
            else:
                await child(1)
        except ChildWorkflowError as error:
            return error.type
        return ""

    for by_handle in (True, False):
        driver = Driver(flow, args=[by_handle])
        driver.start()
        assert result_of(driver.step(ChildStarted(1, Failure("AlreadyRunning", "taken")))) == "AlreadyRunning"


def test_a_failed_child_raises_with_its_failure() -> None:
    async def flow() -> str:
        try:
            await child(1)
        except ChildWorkflowError as error:
            return str(error.__cause__)
        return ""

    driver = Driver(flow)
    driver.start()

    closed = driver.step(ChildStarted(1), ChildClosed(1, Failed(Failure("ValueError", "bad"))))

    assert result_of(closed) == "ValueError: bad"


def test_a_childs_result_that_does_not_decode_parks_the_run_whatever_the_code_catches() -> None:
    async def flow() -> str:
        try:
            await child(1)
        except BaseException:  # what careless code does
            return "swallowed"
        return ""

    driver = Driver(flow)
    driver.start()

    with pytest.raises(UndecodablePayload, match="result of workflow 'child'"):
        driver.step(ChildStarted(1), ChildClosed(1, Completed(to_payload(5))))


def test_cancelling_who_awaits_a_child_cancels_it_and_waits_for_what_comes_of_it() -> None:
    async def flow() -> Any:
        return await child(1)

    driver = Driver(flow)
    driver.start()
    driver.step(ChildStarted(1))

    assert driver.step(cancel("stop")) == [CancelChild(1, "stop")]
    assert driver.step(CancelRequested("again", "x2")) == []
    assert driver.step(ChildClosed(1, Cancelled(cancelled("stop")))) == [CancelRun(cancelled("stop"))]


def test_a_child_that_completes_although_cancelled_gives_its_result() -> None:
    async def flow() -> Any:
        return (await child(1)).cents

    driver = Driver(flow)
    driver.start()
    driver.step(ChildStarted(1))
    driver.step(cancel())

    assert result_of(driver.step(ChildClosed(1, Completed(to_payload({"by": "c", "cents": 3}))))) == 3


def test_a_child_asked_for_and_cancelled_within_a_step_leaves_no_command() -> None:
    async def flow() -> str:
        task = asyncio.create_task(_ask())
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        return f"{task.cancelled()}"

    async def _ask() -> Any:
        return await child(1)

    commands = Driver(flow).start()

    assert names(commands) == ["CompleteRun"]
    assert result_of(commands) == "True"


def test_a_handle_cancels_its_child_once() -> None:
    async def flow() -> str:
        handle = await workflow.start_child("by name", 1)
        handle.cancel("enough")
        handle.cancel("really")
        try:
            await handle
        except ChildWorkflowError as error:
            return error.type
        return ""

    driver = Driver(flow)
    driver.start()

    assert driver.step(ChildStarted(1)) == [CancelChild(1, "enough")]
    assert result_of(driver.step(ChildClosed(1, Cancelled(cancelled("enough"))))) == "CancelledError"
