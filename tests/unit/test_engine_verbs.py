"""The verbs that start and find runs, over a store on which nobody works; and the clock that makes their ids."""

import asyncio
import re

import pytest

from perdure.core import codec
from perdure.core.command import CompleteRun, ParentClosePolicy
from perdure.core.errors import AlreadyRunning, WorkflowNotFound
from perdure.core.failure import Failure
from perdure.core.filter.build import runs_where
from perdure.core.filter.tree import EVERYTHING, Filter
from perdure.core.ids import RunId, WorkflowId
from perdure.core.message import (
    Completed,
    Started,
)
from perdure.core.payload import NULL
from perdure.core.store import Commit, RunStatus
from perdure.core.turn import Turn
from perdure.engine.clock import SystemClock
from perdure.engine.engine import TURNS_A_READ
from tests.unit.engine_office import ORDER, OTHER, Office
from tests.unit.engine_world import activity, child, timer
from tests.unit.virtual_time import in_virtual_time

# Starting


@in_virtual_time
async def test_a_start_is_durable_and_waits_for_a_worker() -> None:
    office = Office()

    run_id = await office.start()

    record = await office.engine.find(ORDER)
    assert (record.run_id, record.status, record.turns_count) == (run_id, RunStatus.RUNNING, 0)
    assert record.created_at_ms == office.clock.now_ms()
    assert await office.inbox(run_id) == [Started("scripted", ORDER, "default", ())]


@in_virtual_time
async def test_an_open_run_stands_in_the_way_of_another() -> None:
    office = Office()
    run_id = await office.start()

    with pytest.raises(AlreadyRunning, match=f"PDR2002: workflow 'order-1' is already running as run {run_id}"):
        await office.start()

    assert await office.start(OTHER) != run_id


@in_virtual_time
async def test_a_closed_run_makes_way_for_another() -> None:
    office = Office()
    first = await office.start()
    await office.close(first)

    second = await office.start()

    assert second != first
    assert (await office.engine.find(ORDER)).run_id == second


@in_virtual_time
async def test_one_request_starts_one_run_even_when_it_is_closed() -> None:
    office = Office()
    first = await office.start(request_id="r1")

    assert await office.start(request_id="r1") == first
    with pytest.raises(AlreadyRunning):
        await office.start(request_id="r2")
    await office.close(first)
    assert await office.start(request_id="r1") == first
    assert await office.start(request_id="r2") != first


@in_virtual_time
async def test_request_ids_belong_to_their_workflow_id() -> None:
    office = Office()

    assert await office.start(ORDER, "r1") != await office.start(OTHER, "r1")


# Finding


@in_virtual_time
async def test_a_run_is_found_by_both_ids_or_the_first_alone() -> None:
    office = Office()
    first = await office.start()
    await office.close(first)
    second = await office.start()

    assert (await office.engine.find(ORDER, first)).status is RunStatus.COMPLETED
    assert (await office.engine.find(ORDER, second)).status is RunStatus.RUNNING
    await office.close(second)
    assert (await office.engine.find(ORDER)).run_id == second


@in_virtual_time
async def test_what_is_not_there_is_not_found() -> None:
    office = Office()
    run_id = await office.start()

    for workflow_id, wanted in ((OTHER, None), (OTHER, run_id), (ORDER, RunId("nobody"))):
        with pytest.raises(WorkflowNotFound, match=f"PDR2001: there is no workflow with id '{workflow_id}'"):
            await office.engine.find(workflow_id, wanted)


@in_virtual_time
async def test_runs_are_listed_newest_first_page_by_page() -> None:
    office = Office()
    runs: list[RunId] = []
    for number in range(5):
        runs.append(await office.start(WorkflowId(f"order-{number}")))
        await asyncio.sleep(0.01)
    await office.close(runs[1])

    async def listed(where: Filter, limit: int = 10, before: RunId | None = None) -> list[RunId]:
        return [record.run_id for record in await office.engine.list_runs(where, limit, before)]

    assert await listed(EVERYTHING) == runs[::-1]
    assert await listed(EVERYTHING, 2) == [runs[4], runs[3]]
    assert await listed(EVERYTHING, 2, runs[3]) == [runs[2], runs[1]]
    assert await listed(runs_where(status=RunStatus.COMPLETED)) == [runs[1]]
    assert await listed(runs_where(workflow_id_prefix="order-3")) == [runs[3]]
    assert await listed(runs_where(workflow_type="other")) == []


@in_virtual_time
async def test_a_long_history_is_read_page_by_page() -> None:
    office = Office()
    run_id = await office.start()
    turns = [Turn(number, number, (), ()) for number in range(1, 2 * TURNS_A_READ + 1)]
    for turn in turns:
        await office.store.commit(None, [Commit(run_id, turn.number, codec.turns.encode(turn), turn.at_ms)])

    assert [turn async for turn in office.engine.turns(run_id)] == turns
    assert [turn async for turn in office.engine.turns(RunId("nobody"))] == []


@in_virtual_time
async def test_a_description_tells_what_a_run_waits_for() -> None:
    office = Office()
    run_id = await office.start()
    await office.turn(run_id, activity(1), timer(2, office.clock.now_ms() + 5_000), child(3, ParentClosePolicy.ABANDON))

    description = await office.engine.describe(ORDER)

    assert description.record.run_id == run_id
    assert [call.call_id for call in description.activities] == [1]
    assert [call.call_id for call in description.timers] == [2]
    assert [call.call_id for call in description.children] == [3]
    assert [attempt.call_id for attempt in description.waiting.attempts] == [1]
    assert [message.message_id for message in description.waiting.messages] == ["b3", "t2"]
    assert description.parked is None


@in_virtual_time
async def test_a_closed_run_waits_for_nothing() -> None:
    office = Office()
    run_id = await office.start()
    await office.turn(run_id, activity(1), CompleteRun(NULL))

    description = await office.engine.describe(ORDER)

    assert (description.activities, description.timers, description.children) == ((), (), ())
    assert description.waiting.messages == description.waiting.attempts == ()
    assert await office.engine.wait(description.record.run_id) == Completed(NULL)


@in_virtual_time
async def test_a_description_tells_why_a_run_is_parked() -> None:
    office = Office()
    await office.park(await office.start())

    description = await office.engine.describe(ORDER)

    assert description.parked == Failure("NonDeterminism", "history has a timer")


# The clock


def test_the_machines_clock_makes_ids_that_sort_by_time() -> None:
    clock = SystemClock()

    ids = [clock.new_run_id(), clock.new_id()]

    assert all(
        re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", each) for each in ids
    )
    assert abs(int(ids[0].replace("-", "")[:12], 16) - clock.now_ms()) < 60_000
    assert SystemClock().new_id() != SystemClock().new_id()


@in_virtual_time
async def test_an_engine_can_be_stopped() -> None:
    office = Office()
    run_id = await office.start()
    waiting = asyncio.ensure_future(office.engine.wait(run_id))
    await asyncio.sleep(1)

    await office.engine.stop()

    with pytest.raises(asyncio.CancelledError):
        await waiting
