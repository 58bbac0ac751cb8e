"""Runs that are asked to pause: they take no turn until they are resumed, and lose nothing meanwhile."""

import asyncio

from perdure import workflow
from perdure.core import codec
from perdure.core.ids import RunId, WorkflowId
from perdure.core.message import Cancelled, PauseRequested, Terminated
from perdure.core.payload import from_payload
from perdure.core.store import RunStatus
from perdure.engine.doors import is_paused
from perdure.testing.invariants import all_runs, fsck
from tests.unit.virtual_time import in_virtual_time
from tests.unit.worker_world import Naps, Yard, query, yard

W = WorkflowId("w")


async def _napping(place: Yard, naps: Naps) -> RunId:
    """A run whose second nap has just begun."""

    async def sleepy() -> list[int]:
        count = 0

        @workflow.query
        def progress() -> int:
            return count

        ended: list[int] = []
        for ms in (100, 2_000, 300):
            ended.append(await naps.activity(ms))
            count += 1
        return ended

    run_id = await place.start(place.workflow(sleepy))
    await place.process("worker")
    await asyncio.sleep(0.5)
    assert naps.begun == [100, 2_000]
    return run_id


async def _paused(place: Yard) -> bool:
    return is_paused(await place.client.find(W))


@in_virtual_time
async def test_a_paused_run_takes_no_turn_and_goes_on_when_it_is_resumed() -> None:
    async with yard() as place:
        naps = Naps(place)
        run_id = await _napping(place, naps)

        await place.client.pause(W, None, "look first")
        await asyncio.sleep(60)

        assert await _paused(place)
        assert naps.ended == [100, 2_000]
        (failure,) = [codec.failures.decode((await place.client.find(W)).parked or b"")]
        assert "look first" in failure.message
        waiting = await place.store.read_waiting(run_id)
        assert [each.message_id for each in waiting.messages] == ["a2"]
        assert (await fsck(place.store)).clean

        await place.client.resume(W, None)

        assert await place.result(run_id) == [100, 2_000, 300]
        assert naps.begun == [100, 2_000, 300]


@in_virtual_time
async def test_a_pause_is_a_turn_of_its_own() -> None:
    async with yard() as place:
        run_id = await _napping(place, Naps(place))

        await place.client.pause(W, None, "look first")
        await asyncio.sleep(1)

        last = (await place.turns(run_id))[-1]
        assert [type(each) for each in last.inputs] == [PauseRequested]
        assert last.outputs == ()


@in_virtual_time
async def test_a_pause_and_a_resumption_at_the_same_moment_stop_nothing() -> None:
    async with yard() as place:
        run_id = await _napping(place, Naps(place))

        await place.client.pause(W, None, "")
        await place.client.resume(W, None)

        assert await place.result(run_id) == [100, 2_000, 300]


@in_virtual_time
async def test_a_resumption_that_overtakes_the_park_is_not_lost() -> None:
    async with yard() as place:
        run_id = await _napping(place, Naps(place))
        place.processes[0].store.delays_s["park"] = 5

        await place.client.pause(W, None, "")
        await asyncio.sleep(1)
        await place.client.resume(W, None)

        assert await place.result(run_id) == [100, 2_000, 300]


@in_virtual_time
async def test_a_pause_survives_its_worker() -> None:
    async with yard() as place:
        naps = Naps(place)
        run_id = await _napping(place, naps)
        first = place.processes[0]
        first.store.delays_s["park"] = 1_000
        await place.client.pause(W, None, "look first")
        await asyncio.sleep(0.1)
        first.loop.crash()

        await place.process("second")
        await asyncio.sleep(60)

        assert await _paused(place)
        assert naps.ended == [100, 2_000]
        await place.client.resume(W, None)
        assert await place.result(run_id) == [100, 2_000, 300]


@in_virtual_time
async def test_a_paused_run_can_be_asked_terminated_and_cancelled() -> None:
    async with yard() as place:
        run_id = await _napping(place, Naps(place))
        await place.client.pause(W, None, "")
        await asyncio.sleep(60)
        process = place.processes[0]
        program = place.registry.known_program("sleepy")

        answer = await process.ask(lambda engine: engine.query(W, None, query("progress"), program))
        await place.client.cancel(W, None, "no longer wanted")
        await asyncio.sleep(60)

        assert from_payload(answer) == 1
        assert await _paused(place)
        await place.client.resume(W, None)
        assert isinstance(await place.outcome(run_id), Cancelled)


@in_virtual_time
async def test_a_paused_run_is_terminated_at_once() -> None:
    async with yard() as place:
        run_id = await _napping(place, Naps(place))
        await place.client.pause(W, None, "")
        await asyncio.sleep(60)

        await place.client.terminate(W, None, "enough")

        assert await place.outcome(run_id) == Terminated("enough")


@in_virtual_time
async def test_a_run_paused_before_it_began_begins_when_it_is_resumed() -> None:
    async with yard() as place:
        naps = Naps(place)

        async def sleepy() -> int:
            result: int = await naps.activity(100)
            return result

        run_id = await place.start(place.workflow(sleepy))
        await place.client.pause(W, None, "not yet")
        await place.process("worker")
        await asyncio.sleep(60)

        assert await _paused(place)
        assert naps.begun == []
        await place.client.resume(W, None)
        assert await place.result(run_id) == 100


@in_virtual_time
async def test_runs_that_closed_long_ago_are_deleted_a_few_at_a_time() -> None:
    async with yard() as place:

        async def quick() -> int:
            return 1

        async def slow() -> None:
            await asyncio.sleep(100_000)

        known, waits = place.workflow(quick), place.workflow(slow)
        await place.process("worker", retention_ms=3_600_000)
        for number in range(3):
            await place.result(await place.start(known, id=f"w{number}"))
        open_run = await place.start(waits, id="open")
        await asyncio.sleep(1_800)
        late = await place.start(known, id="late")
        assert len([each async for each in all_runs(place.store)]) == 5

        await asyncio.sleep(1_900)

        left = {each.run_id: each.status async for each in all_runs(place.store)}
        assert left == {open_run: RunStatus.RUNNING, late: RunStatus.COMPLETED}
        looks = place.processes[0].store.counts["closed_before"]
        assert looks <= 3_700 / 60 + 2
