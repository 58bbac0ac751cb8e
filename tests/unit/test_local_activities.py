"""Local activities: they run within the turn, are recorded with it, and are handed out again by a replay."""

import asyncio
from typing import Any

import pytest

from perdure import activity, workflow
from perdure.core.command import RecordLocalActivity, RunActivity, StartTimer
from perdure.core.errors import NonDeterminism
from perdure.core.failure import ActivityError, ActivityTimeout, ApplicationError
from perdure.core.ids import WorkflowId
from perdure.core.message import Completed
from perdure.core.payload import to_payload
from perdure.core.turn import Turn
from perdure.programs.code.definition import Activity
from perdure.programs.code.options import RetryPolicy
from perdure.worker.activities import ActivityLimits
from tests.unit.code_driver import Driver
from tests.unit.virtual_time import in_virtual_time
from tests.unit.worker_world import Yard, started, yard

MAIN = WorkflowId("w")
"""The workflow id that a yard gives."""


def counted(place: Yard, *, failures: int = 0, ms: int = 0, **keywords: Any) -> "tuple[Activity[..., int], list[int]]":
    """An activity that fails some times, takes some time, and notes each try."""
    tries: list[int] = []

    async def work(value: int) -> int:
        tries.append(activity.info().attempt)
        await asyncio.sleep(ms / 1_000)
        if len(tries) <= failures:
            raise ApplicationError("not yet", type="Flaky")
        return value * 2

    return place.activity(work, **keywords), tries


async def locals_of(place: Yard, run_id: Any) -> list[RecordLocalActivity]:
    """What is recorded of local activities."""
    return [c for turn in await place.turns(run_id) for c in turn.outputs if isinstance(c, RecordLocalActivity)]


@in_virtual_time
async def test_a_local_activity_is_recorded_with_its_turn_and_costs_no_other() -> None:
    async with yard() as place:
        work, tries = counted(place)

        async def flow() -> int:
            return await work.local(3) + await work.local(4)

        run_id = await place.start(place.workflow(flow))
        await place.process("worker")

        assert await place.result(run_id) == 14
        assert len(await place.turns(run_id)) == 1
        assert len(tries) == 2


@in_virtual_time
async def test_a_run_started_beside_its_worker_runs_local_activities() -> None:
    async with yard() as place:
        work, tries = counted(place)

        async def flow() -> int:
            return await work.local(3)

        made = place.workflow(flow)
        process = await place.process("worker")
        run_id = await process.ask(lambda engine: engine.start(started(made)))

        assert await place.result(run_id) == 6
        assert tries == [1]


@in_virtual_time
async def test_several_at_once_are_recorded_in_the_order_of_their_ends() -> None:
    async with yard() as place:

        async def nap(ms: int) -> int:
            await asyncio.sleep(ms / 1_000)
            return ms

        napping = place.activity(nap)

        async def flow() -> list[int]:
            return await asyncio.gather(*[napping.local(ms) for ms in (300, 100, 200)])

        run_id = await place.start(place.workflow(flow))
        await place.process("worker")

        assert await place.result(run_id) == [300, 100, 200]
        assert [each.call_id for each in await locals_of(place, run_id)] == [2, 3, 1]


@in_virtual_time
async def test_time_goes_on_with_a_local_activity() -> None:
    async with yard() as place:
        work, _ = counted(place, ms=3_000)

        async def flow() -> list[float]:
            before = workflow.time()
            await work.local(1)
            middle = workflow.time()
            await asyncio.sleep(5)
            return [middle - before, workflow.time() - middle]

        run_id = await place.start(place.workflow(flow))
        await place.process("worker")

        took, slept = await place.result(run_id)
        assert took >= 3
        assert slept >= 5


@in_virtual_time
async def test_short_back_offs_stay_within_the_turn() -> None:
    async with yard() as place:
        work, tries = counted(place, failures=2, retry=RetryPolicy(initial_interval="100ms"))

        async def flow() -> int:
            return await work.local(3)

        run_id = await place.start(place.workflow(flow))
        await place.process("worker")

        assert await place.result(run_id) == 6
        assert tries == [1, 2, 3]
        assert len(await place.turns(run_id)) == 1
        assert [each.attempt for each in await locals_of(place, run_id)] == [3]


@in_virtual_time
async def test_a_long_back_off_becomes_a_durable_timer() -> None:
    async with yard() as place:
        work, tries = counted(place, failures=1, retry=RetryPolicy(initial_interval="60s"))

        async def flow() -> int:
            return await work.local(3)

        run_id = await place.start(place.workflow(flow))
        first = await place.process("first", lease_ms=3_000)
        await asyncio.sleep(20)
        first.store.cut_off = True
        first.loop.crash()
        await place.process("second")

        assert await place.result(run_id) == 6
        assert tries == [1, 2]
        assert [type(each) for each in (await place.turns(run_id))[0].outputs] == [RecordLocalActivity, StartTimer]


@in_virtual_time
async def test_a_local_activity_that_fails_for_good_raises_where_it_is_awaited() -> None:
    async with yard() as place:
        work, _ = counted(place, failures=9, retries=1)

        async def flow() -> list[Any]:
            try:
                await work.local(3)
            except ActivityError as error:
                return [error.type, error.attempt]
            return []

        run_id = await place.start(place.workflow(flow))
        await place.process("worker")

        assert await place.result(run_id) == ["Flaky", 2]


@in_virtual_time
async def test_a_local_activity_has_its_timeouts() -> None:
    async with yard() as place:
        work, _ = counted(place, ms=60_000, timeout="2s", retries=0)

        async def flow() -> str:
            try:
                await work.local(3)
            except ActivityTimeout as error:
                return error.kind.value
            return "in time"

        run_id = await place.start(place.workflow(flow))
        await place.process("worker")

        assert await place.result(run_id) == "start_to_close"


@in_virtual_time
async def test_a_local_activity_longer_than_the_lease_does_not_lose_the_run() -> None:
    async with yard() as place:
        work, tries = counted(place, ms=60_000)

        async def flow() -> int:
            return await work.local(3)

        run_id = await place.start(place.workflow(flow))
        await place.process("first", lease_ms=3_000)
        await place.process("second", lease_ms=3_000)

        assert await place.result(run_id) == 6
        assert tries == [1]


@in_virtual_time
async def test_what_is_told_meanwhile_waits_for_the_end_of_the_turn() -> None:
    async with yard() as place:
        work, _ = counted(place, ms=2_000)

        async def flow() -> list[int]:
            before = len(workflow.channel("note", int))
            await work.local(1)
            return [before, len(workflow.channel("note", int)), await workflow.channel("note", int).receive()]

        run_id = await place.start(place.workflow(flow))
        await place.process("worker")
        await asyncio.sleep(1)
        await place.signal("w", "note", 7)

        assert await place.result(run_id) == [0, 0, 7]


@in_virtual_time
async def test_one_that_nobody_awaits_any_more_is_ended_and_not_recorded() -> None:
    async with yard() as place:
        slow, _ = counted(place, ms=3_600_000)

        async def nap(ms: int) -> int:
            await asyncio.sleep(ms / 1_000)
            return ms

        napping = place.activity(nap)

        async def flow() -> str:
            slowly = asyncio.ensure_future(slow.local(1))
            await asyncio.wait({slowly, asyncio.ensure_future(napping.local(50))}, return_when="FIRST_COMPLETED")
            slowly.cancel()
            await asyncio.sleep(1)
            return "quick"

        run_id = await place.start(place.workflow(flow))
        process = await place.process("worker")

        assert await place.result(run_id) == "quick"
        assert [each.call_id for each in await locals_of(place, run_id)] == [2]
        assert process.working.busy_count == 0


@in_virtual_time
async def test_a_worker_that_dies_meanwhile_leaves_the_turn_to_be_taken_again() -> None:
    async with yard() as place:
        work, tries = counted(place, ms=5_000)

        async def flow() -> int:
            return await work.local(3) + await work(4)

        run_id = await place.start(place.workflow(flow))
        first = await place.process("first", lease_ms=3_000)
        await asyncio.sleep(1)
        assert tries == [1]
        first.store.cut_off = True
        first.loop.crash()
        await place.process("second")

        assert await place.result(run_id) == 14
        assert tries == [1, 1, 1]
        assert len(await locals_of(place, run_id)) == 1


@in_virtual_time
async def test_a_run_is_terminated_in_the_middle_of_a_local_activity() -> None:
    async with yard() as place:
        work, _ = counted(place, ms=3_600_000)

        async def flow() -> int:
            return await work.local(3)

        made = place.workflow(flow)
        process = await place.process("worker")
        run_id = await place.start(made)
        await asyncio.sleep(1)
        await process.ask(lambda engine: engine.terminate(MAIN, None, "enough"))
        await asyncio.sleep(1)

        assert process.working.busy_count == 0
        assert (await place.client.find(MAIN, run_id)).status == "terminated"


@in_virtual_time
async def test_a_step_that_cannot_go_on_after_a_local_activity_parks_the_run_and_loses_nothing() -> None:
    async with yard() as place:
        work, _ = counted(place)

        async def flow() -> int:
            value = await work(1)
            value += await work.local(2)
            return value + await workflow.execute_activity("late", 1)

        run_id = await place.start(place.workflow(flow))
        await place.process("worker")
        await asyncio.sleep(1)
        assert (await place.client.find(MAIN, run_id)).parked is not None

        async def late(value: int) -> int:
            return value

        place.activity(late)
        await place.client.resume(MAIN, None)

        assert await place.result(run_id) == 7


async def plain(value: int) -> int:
    """An activity outside a yard."""
    return value


def test_code_that_asks_for_another_local_activity_than_recorded_is_found_out() -> None:
    local: Activity[..., int] = Activity(plain)
    other: Activity[..., int] = Activity(plain, name="other")
    asked = [local]

    async def flow() -> int:
        return await asked[0].local(1)

    driver = Driver(flow, local, other)
    owner = driver.program.open(driver.run_id)
    owner.step(driver.at_ms, [driver.started])
    outputs = owner.inner.go_on(RecordLocalActivity(1, "plain", Completed(to_payload(5))))
    turn = Turn(1, driver.at_ms, (driver.started,), tuple(outputs))
    driver.program.open(driver.run_id).recall(turn)
    asked[0] = other

    with pytest.raises(NonDeterminism, match="local activity 'other'"):
        driver.program.open(driver.run_id).recall(turn)


def test_a_local_activity_that_was_added_beside_recorded_work_is_found_out() -> None:
    local: Activity[..., int] = Activity(plain)
    more = [False]

    async def flow() -> int:
        tasks = [asyncio.ensure_future(local(1))]
        if more[0]:
            tasks.append(asyncio.ensure_future(local.local(2)))
        return sum(await asyncio.gather(*tasks))

    driver = Driver(flow, local)
    assert [type(each) for each in driver.start()] == [RunActivity]
    more[0] = True

    with pytest.raises(NonDeterminism, match="local activity 'plain'"):
        driver.program.open(driver.run_id).recall(driver.turns[0])


def test_outside_a_workflow_it_is_the_plain_function() -> None:
    local: Activity[..., int] = Activity(plain)

    assert asyncio.run(local.local(4)) == 4


@in_virtual_time
async def test_a_local_activity_needs_no_room_of_an_ordinary_one_that_its_own_turn_cancels() -> None:
    async with yard() as place:
        forever, _ = counted(place, ms=10_000_000)

        async def quick() -> int:
            return 1

        lookup = place.activity(quick)

        async def flow() -> int:
            try:
                async with asyncio.timeout(1):
                    await forever(1)
            except TimeoutError:
                pass
            return await lookup.local()

        run_id = await place.start(place.workflow(flow))
        await place.process("worker", limits=ActivityLimits(activities_max=1))

        assert await place.result(run_id, within_s=60) == 1
