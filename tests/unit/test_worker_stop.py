"""The end of a worker's service: what runs may finish, the rest is given back."""

import asyncio

from perdure.core.errors import StoreUnavailable
from tests.unit.virtual_time import in_virtual_time, settle
from tests.unit.worker_world import Naps, started, yard

UNAVAILABLE = StoreUnavailable(store="memory://", reason="on purpose")


@in_virtual_time
async def test_a_graceful_stop_gives_back_and_counts_no_death() -> None:
    async with yard() as place:
        naps = Naps(place)

        async def calls() -> int:
            return await naps.activity(30_000)

        run_id = await place.start(place.workflow(calls))
        first = await place.process("first")
        await asyncio.sleep(1)

        await first.stop(grace_ms=100)
        (attempt,) = (await place.store.read_waiting(run_id)).attempts
        assert (attempt.attempt, attempt.deaths_count, attempt.worker) == (1, 0, None)
        await place.process("second")

        assert await place.result(run_id) == 30_000
        assert [each.attempt for each in await place.closings_of(run_id, "nap")] == [1]
        assert await place.store.leaseholders() == (place.processes[1].working.host.worker,)


@in_virtual_time
async def test_a_stop_lets_what_runs_finish() -> None:
    async with yard() as place:
        naps = Naps(place)

        async def calls() -> int:
            return await naps.activity(3_000) + await naps.activity(4_000)

        run_id = await place.start(place.workflow(calls))
        first = await place.process("first")
        await asyncio.sleep(1)

        await first.stop()

        # The outcome is recorded, and the next activity is left to others.
        assert naps.ended == [3_000]
        assert [turn.number for turn in await place.turns(run_id)] == [1, 2]
        (attempt,) = (await place.store.read_waiting(run_id)).attempts
        assert (attempt.call_id, attempt.worker) == (2, None)
        await place.process("second")
        assert await place.result(run_id) == 7_000
        assert naps.begun == [3_000, 4_000]


@in_virtual_time
async def test_a_stop_lets_what_a_commit_under_way_starts_finish() -> None:
    async with yard() as place:
        naps = Naps(place)

        async def calls() -> int:
            return await naps.activity(1_000)

        calling = place.workflow(calls)
        first = await place.process("first")
        await settle()
        first.store.delays_s["commit"] = 0.5
        run_id = await place.start(calling)
        await asyncio.sleep(0.1)

        await first.stop()
        await place.process("second")

        assert await place.result(run_id) == 1_000
        assert naps.begun == naps.ended == [1_000]


@in_virtual_time
async def test_a_stopping_worker_takes_no_new_runs() -> None:
    async with yard() as place:
        naps = Naps(place)

        async def calls() -> int:
            return await naps.activity(3_000)

        calling = place.workflow(calls)
        process = await place.process("worker")
        first = await place.start(calling, id="w1")
        await asyncio.sleep(1)

        stopping = asyncio.ensure_future(process.stop())
        await asyncio.sleep(0.1)
        second = await process.ask(lambda engine: engine.start(started(calling, id="w2")))
        await stopping

        assert await place.result(first) == 3_000
        assert await place.turns(second) == []
        assert [message.message_id for message in (await place.store.read_waiting(second)).messages] == ["start"]


@in_virtual_time
async def test_a_stop_does_not_wait_for_a_store_that_is_away() -> None:
    async with yard() as place:
        process = await place.process("worker")
        await settle()
        process.store.cut_off = True

        await process.stop(grace_ms=1_000)

        assert len(await place.store.leaseholders()) == 1
