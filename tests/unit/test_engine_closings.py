"""Waiting for runs to close: by word of this process, or by looking at the store."""

import asyncio

import pytest

from perdure.core import codec
from perdure.core.command import CompleteRun, RunActivity, TerminateRun
from perdure.core.errors import StoreCorrupt, StoreUnavailable
from perdure.core.ids import RunId, WorkflowId
from perdure.core.message import Completed, Outcome, Started, Terminated, TerminateRequested
from perdure.core.payload import NULL
from perdure.core.policy import ActivityOptions
from perdure.core.store import Commit, NewRun, RunStatus
from perdure.core.turn import Turn
from perdure.engine.closings import WATCH_MS, Closings, read_outcome
from perdure.stores.memory import MemoryStore
from perdure.testing.faults import Fate, FaultyStore, OneFate
from tests.unit.virtual_time import in_virtual_time, settle, virtual_clock, virtual_loop

DONE = Completed(NULL)


class Scene:
    """A memory store with open runs, and closings over it; `here` are the runs that this process holds."""

    def __init__(self) -> None:
        self.memory = MemoryStore()
        self.fates = OneFate(0, Fate())
        self.store = FaultyStore(self.memory, self.fates)
        self.here: set[RunId] = set()
        self.closings = Closings(self.store, self.here.__contains__)
        self._clock = virtual_clock()

    async def start(self, name: str = "w") -> RunId:
        """Create an open run."""
        run_id = self._clock.new_run_id()
        start = codec.messages.encode(Started("t", WorkflowId(name), "q", ()))
        await self.memory.create([NewRun(run_id, WorkflowId(name), "t", "q", self._clock.now_ms(), run_id, start)])
        return run_id

    async def close(self, run_id: RunId) -> None:
        """Close a run elsewhere."""
        turn = Turn(1, self._clock.now_ms(), (), (CompleteRun(NULL),))
        refused = await self.memory.commit(
            None, [Commit(run_id, 1, codec.turns.encode(turn), turn.at_ms, closes=RunStatus.COMPLETED)]
        )
        assert not refused

    def waiting(self, run_id: RunId) -> "asyncio.Task[Outcome]":
        """Somebody waits for the run."""
        return asyncio.get_running_loop().create_task(self.closings.wait(run_id))


@in_virtual_time
async def test_a_run_that_closes_elsewhere_is_heard_of() -> None:
    scene = Scene()
    run_id = await scene.start()
    waiting = scene.waiting(run_id)
    await asyncio.sleep(7)
    assert not waiting.done()

    await scene.close(run_id)

    assert await waiting == DONE
    # The store's word is enough: nobody waits for the next look.
    assert virtual_loop().time() < 7.1


@in_virtual_time
async def test_a_run_that_was_closed_before_is_heard_of_at_once() -> None:
    scene = Scene()
    run_id = await scene.start()
    await scene.close(run_id)

    assert await scene.closings.wait(run_id) == DONE
    assert virtual_loop().time() == 0.0


@in_virtual_time
async def test_a_run_that_closes_here_is_heard_of_without_the_store() -> None:
    scene = Scene()
    run_id = await scene.start()
    scene.here.add(run_id)
    waiting = scene.waiting(run_id)
    await settle()

    scene.closings.closed(run_id, DONE)

    assert await waiting == DONE
    assert "read_runs" not in scene.store.counts


@in_virtual_time
async def test_a_run_that_leaves_this_process_is_looked_after() -> None:
    scene = Scene()
    run_id = await scene.start()
    scene.here.add(run_id)
    waiting = scene.waiting(run_id)
    await asyncio.sleep(1)

    scene.here.clear()
    await scene.close(run_id)

    assert await waiting == DONE


@in_virtual_time
async def test_a_missed_wake_up_costs_no_more_than_a_look() -> None:
    scene = Scene()
    run_id = await scene.start()
    waiting = scene.waiting(run_id)
    await asyncio.sleep(1)
    run = scene.memory._runs[run_id]  # pyright: ignore[reportPrivateUsage] # closing it without a word is the point
    turn = Turn(1, 0, (), (CompleteRun(NULL),))
    run.turns.append(codec.turns.encode(turn))
    run.status, run.closed_at_ms = RunStatus.COMPLETED, 0

    assert await waiting == DONE
    assert virtual_loop().time() <= 1 + WATCH_MS / 1_000 + 0.1


@in_virtual_time
async def test_several_wait_and_one_gives_up() -> None:
    scene = Scene()
    run_id = await scene.start()
    hasty, patient, late = scene.waiting(run_id), scene.waiting(run_id), scene.waiting(run_id)
    await settle()

    hasty.cancel()
    await settle()
    await scene.close(run_id)

    assert hasty.cancelled()
    assert await patient == await late == DONE
    assert await scene.closings.wait(run_id) == DONE


@in_virtual_time
async def test_one_may_give_up_in_the_moment_in_which_the_run_closes() -> None:
    scene = Scene()
    run_id = await scene.start()
    scene.here.add(run_id)
    hasty, patient = scene.waiting(run_id), scene.waiting(run_id)
    await settle()

    hasty.cancel()
    scene.closings.closed(run_id, DONE)
    await settle()

    assert hasty.cancelled()
    assert await patient == DONE


@in_virtual_time
async def test_many_runs_are_looked_at_in_one_read() -> None:
    scene = Scene()
    run_ids = [await scene.start(f"w{number}") for number in range(20)]
    waiting = [scene.waiting(run_id) for run_id in run_ids]
    await asyncio.sleep(1)
    before = scene.store.counts["read_runs"]

    await scene.close(run_ids[3])
    assert await waiting[3] == DONE
    await asyncio.sleep(1)

    assert scene.store.counts["read_runs"] == before + 1
    assert [task.done() for task in waiting].count(True) == 1
    for run_id in run_ids:
        scene.closings.closed(run_id, DONE)
    await asyncio.gather(*waiting)


@in_virtual_time
async def test_an_outage_of_the_store_delays_the_answer() -> None:
    scene = Scene()
    run_id = await scene.start()
    waiting = scene.waiting(run_id)
    await asyncio.sleep(1)
    scene.fates.number = scene.store.calls_count + 1
    scene.fates.fate = Fate(refused=True)

    await scene.close(run_id)

    assert await waiting == DONE
    assert scene.fates.verb is not None


@in_virtual_time
async def test_the_first_look_tells_the_caller_of_an_outage() -> None:
    scene = Scene()
    run_id = await scene.start()
    scene.fates.number, scene.fates.fate = 1, Fate(refused=True)

    with pytest.raises(StoreUnavailable):
        await scene.closings.wait(run_id)
    again = scene.waiting(run_id)
    await scene.close(run_id)

    assert await again == DONE


@in_virtual_time
async def test_stopping_cancels_whoever_still_waits() -> None:
    scene = Scene()
    waiting = scene.waiting(await scene.start())
    await settle()

    await scene.closings.stop()
    await settle()

    assert waiting.cancelled()


@in_virtual_time
async def test_closings_that_nobody_used_can_be_stopped() -> None:
    await Scene().closings.stop()


@in_virtual_time
async def test_the_outcome_is_that_of_the_last_turn() -> None:
    store = MemoryStore()
    run_id = RunId("run-1")
    await store.create([NewRun(run_id, WorkflowId("w"), "t", "q", 1, "r", b"start")])
    turns = [Turn(1, 1, (), ()), Turn(2, 2, (TerminateRequested("now"),), (TerminateRun("now"),))]
    for turn, closes in zip(turns, (None, RunStatus.TERMINATED), strict=True):
        await store.commit(None, [Commit(run_id, turn.number, codec.turns.encode(turn), turn.at_ms, closes=closes)])
    (record,) = await store.read_runs([run_id])

    assert await read_outcome(store, record) == Terminated("now")


@pytest.mark.parametrize("turn", [Turn(1, 1, (), ()), Turn(1, 1, (), (RunActivity(1, "a", (), ActivityOptions()),))])
def test_a_closed_run_without_a_closing_turn_is_damage(turn: Turn) -> None:
    @in_virtual_time
    async def check() -> None:
        store = MemoryStore()
        run_id = RunId("run-1")
        await store.create([NewRun(run_id, WorkflowId("w"), "t", "q", 1, "r", b"start")])
        commit = Commit(run_id, 1, codec.turns.encode(turn), 1, closes=RunStatus.COMPLETED)
        await store.commit(None, [commit])
        (record,) = await store.read_runs([run_id])

        with pytest.raises(StoreCorrupt, match="closed run run-1 has no closing turn"):
            await read_outcome(store, record)

    check()


@in_virtual_time
async def test_a_slow_look_does_not_make_the_watcher_rest_for_minutes() -> None:
    scene = Scene()
    first, second = await scene.start("first"), await scene.start("second")
    waiting = scene.waiting(first)
    await asyncio.sleep(1)
    scene.fates.number, scene.fates.fate = scene.store.calls_count + 1, Fate(arrives_ms=60_000)
    await asyncio.sleep(90)
    assert scene.fates.verb == "read_runs"
    other = scene.waiting(second)
    await settle()

    await scene.close(second)
    await scene.close(first)
    began_s = virtual_loop().time()

    assert await waiting == await other == DONE
    assert virtual_loop().time() - began_s < 3 * WATCH_MS / 1_000
