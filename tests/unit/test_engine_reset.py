"""Runs that begin again from an earlier turn: in the place of the old one, or beside it."""

import asyncio
from typing import Any

import pytest

from perdure import workflow
from perdure.core.errors import AlreadyRunning, InvalidTurn
from perdure.core.failure import ChildWorkflowError
from perdure.core.ids import RunId, WorkflowId
from perdure.core.message import Completed, Forked
from perdure.core.payload import from_payload
from perdure.core.store import RunStatus
from perdure.engine.doors import is_paused
from perdure.engine.reset import Point, fork, reset
from perdure.testing.invariants import fsck
from tests.unit.virtual_time import in_virtual_time
from tests.unit.worker_world import Naps, Yard, yard

W = WorkflowId("w")
OTHER = WorkflowId("other")


class Steps:
    """A workflow of three activities whose answers can be told apart, which draws and waits for signals on its way."""

    def __init__(self, place: Yard) -> None:
        self.done: list[str] = []

        async def step(name: str, drawn: int) -> str:
            self.done.append(name)
            return f"{name}{len(self.done)}"

        did = place.activity(step)

        async def steps() -> list[Any]:
            drawn = [workflow.random().randrange(10**9)]
            found = [await did("a", drawn[0]), await did("b", drawn[0])]
            await asyncio.sleep(3_600)
            drawn.append(workflow.random().randrange(10**9))
            found.append(await did("c", drawn[1]))
            found.append(str(await workflow.channel("go", int).receive()))
            return [found, drawn]

        self.workflow = place.workflow(steps)


async def _result(place: Yard, run_id: RunId) -> list[Any]:
    outcome = await place.outcome(run_id, within_s=20_000)
    assert isinstance(outcome, Completed), outcome
    return from_payload(outcome.result)


@in_virtual_time
async def test_an_open_run_goes_on_from_an_earlier_turn_as_a_new_one() -> None:
    async with yard() as place:
        steps = Steps(place)
        old = await place.start(steps.workflow)
        await place.process("worker")
        await asyncio.sleep(4_000)
        assert steps.done == ["a", "b", "c"]

        new = await reset(place.client, W, None, Point(turn=2, reason="b was wrong"))
        await place.signal("w", "go", 7)
        found, drawn = await _result(place, new)

        assert found == ["a1", "b4", "c5", "7"]
        before = (await place.store.read_runs([old]))[0]
        assert (before.status, before.successor) == (RunStatus.TERMINATED, new)
        turns = await place.turns(new)
        assert turns[:2] == (await place.turns(old))[:2]
        assert isinstance(turns[2].inputs[0], Forked)
        assert drawn[0] != drawn[1]
        assert await place.outcome(old) == await place.outcome(new)
        assert (await fsck(place.store)).clean, (await fsck(place.store)).violations


@in_virtual_time
async def test_signals_are_told_again_or_left_out() -> None:
    async with yard() as place:
        steps = Steps(place)
        await place.start(steps.workflow)
        await place.process("worker")
        await place.signal("w", "go", 1, "first")
        await asyncio.sleep(10)
        await place.client.pause(W, None, "")
        await asyncio.sleep(10)
        await place.signal("w", "go", 2, "second")

        await reset(place.client, W, None, Point(turn=1))
        await asyncio.sleep(10)
        assert not is_paused(await place.client.find(W))
        again = await reset(place.client, W, None, Point(turn=1, reapply_signals=False))
        await place.signal("w", "go", 3, "third")

        assert (await _result(place, again))[0][-1] == "3"


@in_virtual_time
async def test_signals_keep_their_order() -> None:
    async with yard() as place:

        async def collects() -> list[int]:
            numbers = workflow.channel("n", int)
            return [await numbers.receive() for _ in range(4)]

        run_id = await place.start(place.workflow(collects))
        await place.process("worker")
        for number in range(2):
            await asyncio.sleep(1)
            await place.signal("w", "n", number, f"s{number}")
        await asyncio.sleep(1)
        place.processes[0].loop.crash()
        await place.signal("w", "n", 2, "s2")

        new = await reset(place.client, W, run_id, Point(turn=1))
        await place.signal("w", "n", 1, "s1")
        await place.signal("w", "n", 3, "s3")
        await place.process("second")

        assert await _result(place, new) == [0, 1, 2, 3]


@in_virtual_time
async def test_a_closed_run_is_reset_unless_another_one_is_open() -> None:
    async with yard() as place:
        naps = Naps(place)

        async def sleepy() -> list[int]:
            return [await naps.activity(10), await naps.activity(20)]

        known = place.workflow(sleepy)
        old = await place.start(known)
        await place.process("worker")
        await place.result(old)

        new = await reset(place.client, W, old, Point(turn=2))
        with pytest.raises(AlreadyRunning):
            await reset(place.client, W, old, Point(turn=1))

        assert await place.result(new) == [10, 20]
        assert naps.begun == [10, 20, 20]
        for wrong in (3, 4, -4):
            with pytest.raises(InvalidTurn, match="PDR2064"):
                await reset(place.client, W, old, Point(turn=wrong))
        anew = await reset(place.client, W, old, Point(turn=0))
        assert await place.result(anew) == [10, 20]
        assert naps.begun == [10, 20, 20, 10, 20]
        assert (await fsck(place.store)).clean, (await fsck(place.store)).violations


@in_virtual_time
async def test_a_request_that_is_repeated_resets_once_whatever_became_of_the_run() -> None:
    async with yard() as place:
        naps = Naps(place)

        async def sleepy() -> list[int]:
            return [await naps.activity(10), await naps.activity(20)]

        old = await place.start(place.workflow(sleepy))
        await place.process("worker")
        await place.result(old)
        point = Point(turn=-1, request_id="again")

        new = await reset(place.client, W, old, point)
        assert await reset(place.client, W, old, point) == new
        assert await place.result(new) == [10, 20]
        assert await reset(place.client, W, old, point) == new
        other = await fork(place.client, W, old, point, OTHER)
        assert await fork(place.client, W, old, point, OTHER) == other

        # Two turns were kept: only the answer of the second nap was forgotten.
        assert await place.result(other) == [10, 20]
        assert naps.begun == [10, 20, 20, 20]


@in_virtual_time
async def test_a_request_that_is_repeated_leaves_the_open_run_that_it_made_alone() -> None:
    async with yard() as place:
        steps = Steps(place)
        await place.start(steps.workflow)
        await place.process("worker")
        await asyncio.sleep(10)
        point = Point(turn=1, request_id="again")

        new = await reset(place.client, W, None, point)
        await asyncio.sleep(10)
        assert await reset(place.client, W, None, point) == new
        assert (await place.client.find(W)).run_id == new
        other = await reset(place.client, W, None, Point(turn=1, request_id="once more"))

        assert other != new
        await place.signal("w", "go", 7)
        await _result(place, other)
        assert (await fsck(place.store)).clean, (await fsck(place.store)).violations


@in_virtual_time
async def test_a_child_that_was_open_answers_the_run_that_goes_on() -> None:
    async with yard() as place:
        naps = Naps(place)

        async def child(ms: int) -> int:
            result: int = await naps.activity(ms)
            return result

        known = place.workflow(child)

        async def parent() -> list[int]:
            first = await workflow.start_child(known, 60_000)
            second = await workflow.start_child(known, 90_000)
            return [await first, await second]

        await place.start(place.workflow(parent))
        await place.process("worker")
        await asyncio.sleep(10)
        turns = await place.turns((await place.client.find(W)).run_id)
        assert len(turns) >= 3

        new = await reset(place.client, W, None, Point(turn=1))

        assert await place.result(new) == [60_000, 90_000]
        assert naps.begun == [60_000, 90_000, 90_000]
        assert naps.ended.count(60_000) == 1
        assert (await fsck(place.store)).clean, (await fsck(place.store)).violations


@in_virtual_time
async def test_a_run_can_be_reset_again_and_again() -> None:
    async with yard() as place:
        steps = Steps(place)
        await place.start(steps.workflow)
        await place.process("worker")
        await asyncio.sleep(10)

        for turn in (3, 2, 4):
            await reset(place.client, W, None, Point(turn=turn))
            await asyncio.sleep(10)
            place.processes[-1].loop.crash()
            await place.process(f"worker-{turn}")
            await asyncio.sleep(60)
        await place.signal("w", "go", 7)

        found, _ = await _result(place, (await place.client.find(W)).run_id)
        assert found[0] == "a1"
        assert (await fsck(place.store)).clean, (await fsck(place.store)).violations


@in_virtual_time
async def test_a_fork_goes_its_own_way_and_leaves_the_other_alone() -> None:
    async with yard() as place:
        steps = Steps(place)
        old = await place.start(steps.workflow)
        await place.process("worker")
        await asyncio.sleep(10)
        turns = await place.turns(old)

        new = await fork(place.client, W, None, Point(turn=3), OTHER)
        await place.signal("other", "go", 1)
        await place.signal("w", "go", 2)
        (found, drawn), (others, other_drawn) = await _result(place, old), await _result(place, new)

        assert (found[:2], others[:2]) == (["a1", "b2"], ["a1", "b2"])
        assert (found[-1], others[-1]) == ("2", "1")
        assert drawn[0] == other_drawn[0]
        assert drawn[1] != other_drawn[1]
        assert (await place.turns(old))[: len(turns)] == turns
        assert (await place.store.read_runs([old]))[0].successor is None
        with pytest.raises(AlreadyRunning):
            await fork(place.client, W, old, Point(turn=1), (await _open_other(place, steps)))
        assert (await fsck(place.store)).clean, (await fsck(place.store)).violations


async def _open_other(place: Yard, steps: Steps) -> WorkflowId:
    await place.start(steps.workflow, id="third")
    return WorkflowId("third")


@in_virtual_time
async def test_a_fork_before_the_end_of_a_child_is_refused() -> None:
    async with yard() as place:
        naps = Naps(place)

        async def child() -> int:
            result: int = await naps.activity(60_000)
            return result

        known = place.workflow(child)

        async def parent() -> int:
            await naps.activity(5)
            result: int = await known()
            return result

        await place.start(place.workflow(parent))
        await place.process("worker")
        await asyncio.sleep(10)
        turns = await place.turns((await place.client.find(W)).run_id)
        match = r"child workflow '.*/2' is open there; give turn 1 or an earlier one, or wait"
        with pytest.raises(InvalidTurn, match=match):
            await fork(place.client, W, None, Point(turn=len(turns)), OTHER)
        before = await fork(place.client, W, None, Point(turn=1), WorkflowId("before"))
        await asyncio.sleep(60)

        new = await fork(place.client, W, None, Point(turn=2), OTHER)

        assert await place.result(new) == 60_000
        # The fork that began before the child started has one of its own.
        assert await place.result(before) == 60_000
        assert naps.begun == [5, 60_000, 5, 60_000]
        assert (await fsck(place.store)).clean, (await fsck(place.store)).violations


@in_virtual_time
async def test_an_event_names_the_turns_that_were_complete_by_then() -> None:
    async with yard() as place:
        steps = Steps(place)
        await place.start(steps.workflow)
        await place.process("worker")
        await asyncio.sleep(10)

        new = await reset(place.client, W, None, Point(event=6))

        kept = [turn for turn in await place.turns(new) if turn.number == 1]
        assert len(await place.turns(new)) == 1
        assert kept
        with pytest.raises(InvalidTurn, match="give either a turn or an event"):
            await reset(place.client, W, None, Point())


@in_virtual_time
async def test_a_run_that_never_took_a_turn_can_be_reset() -> None:
    async with yard() as place:
        steps = Steps(place)
        old = await place.start(steps.workflow)

        new = await reset(place.client, W, None, Point(turn=0))
        again = await reset(place.client, W, None, Point(turn=0))

        assert (await fsck(place.store)).clean, (await fsck(place.store)).violations
        await place.process("worker")
        await place.signal("w", "go", 1)
        assert (await _result(place, again))[0] == ["a1", "b2", "c3", "1"]
        assert await place.outcome(old) == await place.outcome(new)


@in_virtual_time
async def test_a_closed_run_that_is_reset_hears_how_its_child_ended() -> None:
    async with yard() as place:
        naps = Naps(place)

        async def child() -> int:
            result: int = await naps.activity(60_000)
            return result

        known = place.workflow(child)

        async def parent() -> str:
            try:
                await known()
            except ChildWorkflowError as error:
                return error.type
            return "ended"

        await place.start(place.workflow(parent))
        await place.process("worker")
        await asyncio.sleep(10)
        await place.client.terminate(W, None, "by mistake")
        await asyncio.sleep(10)

        new = await reset(place.client, W, None, Point(turn=1))

        assert await place.result(new) == "Terminated"
