"""Runs that cannot go on: parked with all that they were told, while the rest goes on."""

import asyncio

from perdure import workflow
from perdure.core import codec
from perdure.core.errors import StoreUnavailable
from perdure.core.ids import RunId, WorkflowId
from perdure.core.message import Signaled, Terminated
from perdure.core.payload import to_payload
from perdure.core.store import Commit, Delivery, NewAttempt, RunStatus
from tests.unit.virtual_time import in_virtual_time, settle
from tests.unit.worker_world import Naps, Yard, started, yard

UNAVAILABLE = StoreUnavailable(store="memory://", reason="on purpose")


async def _parked_with_an_activity_running(place: Yard, naps: Naps) -> RunId:
    async def calls() -> list[int]:
        slow = asyncio.create_task(naps.activity(2_000))
        await workflow.channel("go").receive()
        other: int = await workflow.execute_activity("missing", 7)
        return [await slow, other]

    run_id = await place.start(place.workflow(calls))
    await place.process("worker")
    await asyncio.sleep(0.5)
    await place.signal("w", "go")
    await asyncio.sleep(0.5)
    assert (await place.client.describe(WorkflowId("w"))).parked is not None
    return run_id


def _missing(place: Yard) -> None:
    async def missing(number: int) -> int:
        return number

    place.activity(missing)


@in_virtual_time
async def test_a_parked_run_keeps_its_answers_and_goes_on_when_it_is_resumed() -> None:
    async with yard() as place:
        naps = Naps(place)
        run_id = await _parked_with_an_activity_running(place, naps)
        await asyncio.sleep(5)
        waiting = await place.store.read_waiting(run_id)
        assert [message.message_id for message in waiting.messages] == ["s/s1", "a1"]

        _missing(place)
        await place.client.resume(WorkflowId("w"), None)

        assert await place.result(run_id) == [2_000, 7]
        assert naps.begun == [2_000]
        assert (await place.client.describe(WorkflowId("w"))).parked is None


@in_virtual_time
async def test_a_run_may_be_resumed_while_its_activity_still_runs() -> None:
    async with yard() as place:
        naps = Naps(place)
        run_id = await _parked_with_an_activity_running(place, naps)

        _missing(place)
        await place.client.resume(WorkflowId("w"), None)

        assert await place.result(run_id) == [2_000, 7]
        assert naps.begun == [2_000]


@in_virtual_time
async def test_a_run_that_is_resumed_too_early_is_parked_again() -> None:
    async with yard() as place:
        naps = Naps(place)
        run_id = await _parked_with_an_activity_running(place, naps)

        await place.client.resume(WorkflowId("w"), None)
        await asyncio.sleep(10)

        description = await place.client.describe(WorkflowId("w"))
        assert description.parked is not None
        assert description.parked.type == "UnregisteredActivity"
        _missing(place)
        await place.client.resume(WorkflowId("w"), None)
        assert await place.result(run_id) == [2_000, 7]
        assert naps.begun == [2_000]


@in_virtual_time
async def test_a_parked_run_can_be_terminated() -> None:
    async with yard() as place:
        run_id = await _parked_with_an_activity_running(place, Naps(place))

        await place.client.terminate(WorkflowId("w"), None, "it cannot go on")

        assert await place.outcome(run_id) == Terminated("it cannot go on")


@in_virtual_time
async def test_a_parked_child_ends_with_its_parent() -> None:
    async with yard() as place:

        async def lost() -> None:
            await workflow.execute_activity("missing")

        losing = place.workflow(lost)

        async def parent() -> None:
            await workflow.start_child(losing, id="child")
            await asyncio.sleep(5)

        run_id = await place.start(place.workflow(parent))
        await place.process("worker")
        await asyncio.sleep(1)
        child = await place.client.find(WorkflowId("child"))
        assert child.parked is not None

        await place.outcome(run_id)

        assert await place.outcome(child.run_id) == Terminated("parent w closed")


@in_virtual_time
async def test_a_run_whose_start_cannot_be_decoded_is_parked_and_the_rest_goes_on() -> None:
    async with yard() as place:

        async def wants_a_number(number: int) -> int:
            return number

        wanting = place.workflow(wants_a_number)
        process = await place.process("worker")
        bad = await process.ask(lambda engine: engine.start(started(wanting, "no number", id="w1")))
        good = await process.ask(lambda engine: engine.start(started(wanting, 5, id="w2")))

        assert await place.result(good) == 5
        await asyncio.sleep(1)
        (record,) = await place.store.read_runs([bad])
        assert record.parked is not None
        assert codec.failures.decode(record.parked).type == "UndecodablePayload"


@in_virtual_time
async def test_a_damaged_message_parks_its_run_only() -> None:
    async with yard() as place:

        async def waits() -> int:
            return await workflow.channel("go", int).receive()

        waiting = place.workflow(waits)
        bad, good = await place.start(waiting, id="w1"), await place.start(waiting, id="w2")
        await place.process("worker")
        await asyncio.sleep(1)

        message = Signaled("go", to_payload(1), "s1")
        damaged = codec.messages.encode(message)[:-1]
        await place.store.deliver([Delivery(bad, message.id, damaged, place.client._clock.now_ms())])  # pyright: ignore[reportPrivateUsage]
        await place.signal("w2", "go", 5)

        assert await place.result(good) == 5
        await settle()
        (record,) = await place.store.read_runs([bad])
        assert record.parked is not None


@in_virtual_time
async def test_a_damaged_turn_harms_its_run_only() -> None:
    async with yard() as place:
        naps = Naps(place)

        async def calls() -> int:
            return await naps.activity(100)

        calling = place.workflow(calls)
        bad = await place.start(calling, id="w1")
        # A first turn of some later version, and its attempt, which waits for a worker.
        attempt = NewAttempt(1, "nap", "default", 0)
        await place.store.commit(None, [Commit(bad, 1, b"\x02later", 0, consumed=("start",), attempts=(attempt,))])
        process = await place.process("worker")
        before = process.working.host.worker
        good = await place.start(calling, id="w2")

        assert await place.result(good) == 100
        await asyncio.sleep(30)
        assert process.working.host.worker == before, "the worker had to start over"
        (record,) = await place.store.read_runs([bad])
        assert record.status is RunStatus.RUNNING


@in_virtual_time
async def test_a_run_whose_code_has_changed_is_parked_until_the_old_code_is_back() -> None:
    async with yard() as place:
        naps = Naps(place)
        changed = False

        async def calls() -> int:
            if changed:
                await asyncio.sleep(1)
            first = await naps.activity(100)
            await asyncio.sleep(10)
            return first + await naps.activity(200)

        run_id = await place.start(place.workflow(calls))
        first = await place.process("first")
        await asyncio.sleep(1)
        await first.stop()

        changed = True
        await place.process("second")
        await asyncio.sleep(20)

        parked = (await place.client.describe(WorkflowId("w"))).parked
        assert parked is not None
        assert parked.type == "NonDeterminism"
        assert "history has activity 'nap'" in parked.message
        assert "test_worker_parking.py:" in parked.message
        changed = False
        await place.client.resume(WorkflowId("w"), None)
        assert await place.result(run_id) == 300
        assert naps.begun == [100, 200]


@in_virtual_time
async def test_a_run_whose_code_has_changed_can_be_terminated_by_its_parent() -> None:
    async with yard() as place:
        changed = False

        async def child() -> None:
            await asyncio.sleep(1_000 if changed else 2_000)
            await asyncio.sleep(0)

        children = place.workflow(child)

        async def parent() -> None:
            await workflow.start_child(children, id="child")
            await asyncio.sleep(5)

        run_id = await place.start(place.workflow(parent))
        first = await place.process("first")
        await asyncio.sleep(1)
        await first.stop()
        changed = True
        await place.process("second")

        await place.outcome(run_id)
        record = await place.client.find(WorkflowId("child"))

        assert await place.outcome(record.run_id) == Terminated("parent w closed")
