"""Messages that a run cannot take are skipped or edited, and its history shows it."""

import asyncio

import pytest

from perdure import workflow
from perdure.core.command import EditMessage, SkipMessage
from perdure.core.errors import MessageNeeded, MessageNotWaiting, RunClosed, RunNotParked, RunOpen, WorkflowNotFound
from perdure.core.ids import RunId, WorkflowId
from perdure.core.payload import to_payload
from perdure.core.store import Delivery
from perdure.engine.doors import Edit, delete, edit, is_paused, skip
from perdure.testing.invariants import fsck
from tests.unit.virtual_time import in_virtual_time
from tests.unit.worker_world import Yard, yard

W = WorkflowId("w")


def _says(value: object, reason: str = "") -> Edit:
    return Edit(to_payload(value), (to_payload(value),), reason)


async def _poisoned(place: Yard) -> RunId:
    """A run that received 1, and is parked by a signal that is no number; a third one waits."""

    async def adds() -> int:
        numbers = workflow.channel("add", int)
        return sum([await numbers.receive() for _ in range(3)])

    run_id = await place.start(place.workflow(adds))
    await place.process("worker")
    await place.signal("w", "add", 1, "first")
    await asyncio.sleep(1)
    await place.signal("w", "add", "poison", "second")
    await asyncio.sleep(1)
    await place.signal("w", "add", 5, "third")
    await asyncio.sleep(1)
    assert (await place.client.find(W)).parked is not None
    return run_id


@in_virtual_time
async def test_a_poisoned_signal_is_skipped_and_the_run_goes_on() -> None:
    async with yard() as place:
        run_id = await _poisoned(place)

        await skip(place.client, W, None, "s/second", "it is no number")
        await place.signal("w", "add", 7, "fourth")

        assert await place.result(run_id) == 1 + 5 + 7
        turns = await place.turns(run_id)
        assert [turn.outputs for turn in turns if not turn.inputs] == [(SkipMessage("s/second", "it is no number"),)]
        assert (await fsck(place.store)).clean


@in_virtual_time
async def test_a_skipped_signal_that_is_sent_again_is_dropped() -> None:
    async with yard() as place:
        run_id = await _poisoned(place)
        await skip(place.client, W, None, "s/second", "")

        await place.signal("w", "add", "poison", "second")
        await place.signal("w", "add", 7, "fourth")

        assert await place.result(run_id) == 1 + 5 + 7


@in_virtual_time
async def test_an_edited_signal_is_taken_at_its_place() -> None:
    async with yard() as place:
        run_id = await _poisoned(place)

        await edit(place.client, W, None, "s/second", _says(2, "a typing error"))

        assert await place.result(run_id) == 1 + 2 + 5
        turns = await place.turns(run_id)
        assert [turn.outputs for turn in turns if not turn.inputs] == [(EditMessage("s/second", "a typing error"),)]


@in_virtual_time
async def test_a_poisoned_answer_is_edited_and_cannot_be_skipped() -> None:
    async with yard() as place:

        async def speaks() -> str:
            return "one"

        async def listens() -> int:
            return await workflow.execute_activity("speaks", result_type=int)

        place.activity(speaks)
        run_id = await place.start(place.workflow(listens))
        await place.process("worker")
        await asyncio.sleep(1)

        with pytest.raises(MessageNeeded, match=r"PDR2063.*'a1' of workflow 'w' is what the run waits for; edit it"):
            await skip(place.client, W, None, "a1", "")
        await edit(place.client, W, None, "a1", _says(1))

        assert await place.result(run_id) == 1


@in_virtual_time
async def test_what_nobody_can_read_is_skipped_and_an_answer_is_replaced() -> None:
    async with yard() as place:
        run_id = await _poisoned(place)
        now_ms = place.client.clock.now_ms()
        await place.store.deliver([Delivery(run_id, "s/garbage", b"\xffgarbage", now_ms)])

        with pytest.raises(MessageNeeded, match="cannot be read; it can only be skipped"):
            await edit(place.client, W, None, "s/garbage", _says(2))
        await skip(place.client, W, None, "s/second", "")
        await asyncio.sleep(1)
        assert (await place.client.find(W)).parked is not None
        await skip(place.client, W, None, "s/garbage", "")
        await place.signal("w", "add", 7, "fourth")

        assert await place.result(run_id) == 1 + 5 + 7


@in_virtual_time
async def test_a_paused_run_stays_paused_when_a_message_is_skipped() -> None:
    async with yard() as place:
        run_id = await _poisoned(place)
        await skip(place.client, W, None, "s/second", "")
        await asyncio.sleep(1)
        await place.client.pause(W, None, "")
        await asyncio.sleep(1)
        await place.signal("w", "add", 100, "fourth")

        await skip(place.client, W, None, "s/fourth", "")
        await asyncio.sleep(1)

        assert is_paused(await place.client.find(W))
        await place.client.resume(W, None)
        await place.signal("w", "add", 7, "fifth")
        assert await place.result(run_id) == 1 + 5 + 7


@in_virtual_time
async def test_what_cannot_be_skipped_is_refused() -> None:
    async with yard() as place:
        run_id = await _poisoned(place)

        with pytest.raises(MessageNotWaiting, match=r"PDR2062: no message 's/other' .*waiting: s/second, s/third"):
            await skip(place.client, W, None, "s/other", "")
        await place.client.resume(W, None)
        with pytest.raises(RunNotParked, match="PDR2061"):
            await skip(place.client, W, None, "s/second", "")
        await asyncio.sleep(1)
        await place.client.terminate(W, None, "")
        with pytest.raises(RunClosed):
            await edit(place.client, W, run_id, "s/second", _says(1))


@in_virtual_time
async def test_only_a_closed_run_is_deleted() -> None:
    async with yard() as place:
        run_id = await _poisoned(place)

        with pytest.raises(RunOpen, match=f"PDR2060: workflow 'w' is open .run {run_id}."):
            await delete(place.client, W, None)
        await place.client.terminate(W, None, "")
        await delete(place.client, W, run_id)

        with pytest.raises(WorkflowNotFound):
            await place.client.find(W)
