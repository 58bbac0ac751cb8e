"""Live runs: kept in memory, replayed where they are not, told things, ended from outside."""

import asyncio
from random import Random

from perdure import activity, workflow
from perdure.core.failure import Failure
from perdure.core.ids import WorkflowId
from perdure.core.message import Cancelled, Signaled, Terminated
from perdure.core.payload import from_payload, to_payload
from perdure.engine.engine import Engine
from perdure.testing.virtual import VirtualClock
from perdure.worker.loading import RUNS_BETWEEN_YIELDS, TURNS_MAX_A_READ
from tests.unit.virtual_time import in_virtual_time, settle, virtual_loop
from tests.unit.worker_world import Yard, query, started, until, yard


async def add(a: int, b: int) -> int:
    """An activity that takes no time."""
    return a + b


async def nap(ms: int) -> int:
    """An activity that takes some time."""
    await asyncio.sleep(ms / 1_000)
    return ms


async def _sleepers(place: Yard, cache_size: int) -> tuple[list[int], int]:
    napping = place.activity(nap)

    async def sleeper(number: int) -> int:
        for _ in range(3):
            await napping(1)
            await asyncio.sleep(10)
        return number

    sleeping = place.workflow(sleeper)
    process = await place.process("worker", cache_size=cache_size)
    run_ids = [await place.start(sleeping, number, id=f"w{number}") for number in range(4)]
    results = [await place.result(run_id) for run_id in run_ids]
    return results, process.store.counts["read_turns"]


@in_virtual_time
async def test_runs_that_stay_in_memory_are_never_read_again() -> None:
    async with yard() as place:
        assert await _sleepers(place, 100) == ([0, 1, 2, 3], 0)


@in_virtual_time
async def test_runs_that_left_the_memory_are_replayed() -> None:
    async with yard() as place:
        results, reads_count = await _sleepers(place, 1)

        assert results == [0, 1, 2, 3]
        assert reads_count > 0


@in_virtual_time
async def test_many_runs_and_long_ones_are_loaded_whole() -> None:
    async with yard() as place:
        adding = place.activity(add)

        async def long(count: int) -> int:
            total = 0
            for _ in range(count):
                total = await adding(total, 1)
            await workflow.channel("go").receive()
            return total

        counting = place.workflow(long)
        lengths = [TURNS_MAX_A_READ + 10, *range(RUNS_BETWEEN_YIELDS + 5)]
        run_ids = [await place.start(counting, length, id=f"w{length}") for length in lengths]
        first = await place.process("first")
        await until(lambda: first.working.host.held == {} and len(first.working.host.cache) == len(lengths))
        await first.stop()
        for length in lengths:
            await place.signal(f"w{length}", "go")

        await place.process("second")

        assert [await place.result(run_id) for run_id in run_ids] == lengths


@in_virtual_time
async def test_a_run_begins_with_its_start_even_if_another_message_is_visible_first() -> None:
    async with yard() as place:

        async def waits() -> int:
            return await workflow.channel("go", int).receive()

        waiting = place.workflow(waits)
        ahead = Engine(place.store, VirtualClock(virtual_loop().shared, Random(7), skew_ms=5_000))
        await place.process("worker")

        run_id = await ahead.start(started(waiting))
        await place.signal("w", "go", 7)

        assert await place.result(run_id, within_s=20) == 7
        (turn,) = await place.turns(run_id)
        assert [message.id for message in turn.inputs] == ["start", "s/s1"]


@in_virtual_time
async def test_what_this_process_tells_a_run_is_taken_at_once() -> None:
    async with yard() as place:

        async def waits() -> int:
            return await workflow.channel("go", int).receive()

        run_id = await place.start(place.workflow(waits))
        process = await place.process("worker")
        await asyncio.sleep(1)
        process.store.delays_s["wait"] = 3_600

        await process.ask(lambda engine: engine.signal(WorkflowId("w"), None, Signaled("go", to_payload(7), "s1")))

        assert await place.result(run_id, within_s=1) == 7


@in_virtual_time
async def test_the_next_try_reads_the_details_of_the_last_heartbeat() -> None:
    async with yard() as place:

        async def beats() -> list[int | None]:
            before = activity.heartbeat_details(int)
            activity.heartbeat(activity.info().attempt * 10)
            if activity.info().attempt < 3:
                raise ValueError("again")
            return [before]

        beating = place.activity(beats, heartbeat="1h")

        async def calls() -> list[int | None]:
            return await beating()

        run_id = await place.start(place.workflow(calls))
        await place.process("worker")

        assert await place.result(run_id) == [20]


@in_virtual_time
async def test_a_live_run_answers_queries_without_its_history() -> None:
    async with yard() as place:

        async def counts() -> None:
            values: list[int] = []

            @workflow.query
            def seen() -> list[int]:
                return values

            async for value in workflow.channel("note", int):
                values.append(value)  # noqa: PERF401 # the query looks at it meanwhile

        await place.start(place.workflow(counts))
        process = await place.process("worker")
        for number in (1, 2, 2):
            await place.signal("w", "note", number, f"s{number}")
        await settle()

        answer = await process.ask(lambda engine: engine.query(WorkflowId("w"), None, query("seen"), None))

        assert from_payload(answer) == [1, 2]
        assert process.store.counts["read_turns"] == 0


# Ends from outside


@in_virtual_time
async def test_a_cancelled_run_cancels_its_activity_and_cleans_up() -> None:
    async with yard() as place:
        napping, adding = place.activity(nap), place.activity(add)

        async def cleans() -> None:
            try:
                await napping(3_600_000)
            finally:
                await adding(1, 2)

        run_id = await place.start(place.workflow(cleans))
        process = await place.process("worker")
        await asyncio.sleep(1)

        await place.client.cancel(WorkflowId("w"), None, "changed my mind")

        assert await place.outcome(run_id, within_s=5) == Cancelled(
            Failure("CancelledError", "changed my mind", retryable=False)
        )
        assert len(await place.closings_of(run_id, "add")) == 1
        assert process.working.host.held == {}


@in_virtual_time
async def test_a_terminated_run_stops_what_works_on_it_here() -> None:
    async with yard() as place:
        ended: list[str] = []

        async def endless() -> None:
            try:
                await asyncio.sleep(3_600)
            finally:
                ended.append("ended")

        running = place.activity(endless)

        async def calls() -> None:
            await running()

        calling = place.workflow(calls)
        process = await place.process("worker")
        run_id = await process.ask(lambda engine: engine.start(started(calling)))
        await asyncio.sleep(1)

        await process.ask(lambda engine: engine.terminate(WorkflowId("w"), None, "now"))
        await settle()

        assert ended == ["ended"]
        assert process.working.host.held == {}
        assert await place.outcome(run_id) == Terminated("now")


@in_virtual_time
async def test_a_run_that_was_terminated_elsewhere_is_dropped_when_its_commit_is_refused() -> None:
    async with yard() as place:
        napping = place.activity(nap)

        async def calls() -> int:
            return await napping(2_000)

        run_id = await place.start(place.workflow(calls))
        process = await place.process("worker")
        await asyncio.sleep(1)

        await place.client.terminate(WorkflowId("w"), None, "now")
        await until(lambda: not process.working.host.held, within_s=5)

        assert await place.outcome(run_id) == Terminated("now")
        assert [turn.number for turn in await place.turns(run_id)] == [1, 2]


@in_virtual_time
async def test_children_are_worked_on_and_answer_their_parents() -> None:
    async with yard() as place:
        napping = place.activity(nap)

        async def leaf(number: int) -> int:
            return await napping(number)

        leafing = place.workflow(leaf)

        async def root() -> int:
            return sum(await asyncio.gather(*[leafing(number) for number in (1, 2, 3)]))

        run_id = await place.start(place.workflow(root))
        await place.process("one")
        await place.process("two")

        assert await place.result(run_id) == 6
