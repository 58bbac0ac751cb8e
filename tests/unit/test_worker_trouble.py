"""A worker in trouble: refused and unknown commits, lost leases, bugs of our own."""

import asyncio
import logging
from collections.abc import Sequence

import pytest

from perdure import workflow
from perdure.core import codec
from perdure.core.command import Command
from perdure.core.errors import StoreUnavailable
from perdure.core.ids import WorkerId, WorkflowId
from perdure.core.message import ActivityClosed, Message, Signaled, Started
from perdure.core.payload import from_payload, to_payload
from perdure.core.store import Commit, RunStatus
from perdure.core.turn import Turn
from perdure.testing.faults import Fate
from tests.unit.engine_world import ScriptedProgram
from tests.unit.virtual_time import in_virtual_time, settle, virtual_clock, virtual_loop
from tests.unit.worker_world import Naps, query, started, until, yard

UNAVAILABLE = StoreUnavailable(store="memory://", reason="on purpose")


# Commits


@in_virtual_time
async def test_a_refused_commit_costs_no_execution() -> None:
    async with yard() as place:
        naps = Naps(place)

        async def calls() -> list[int]:
            first = await naps.activity(1_000)
            return [first, await naps.activity(2_000), len(workflow.channel("note"))]

        run_id = await place.start(place.workflow(calls))
        await place.process("worker")
        await asyncio.sleep(0.5)

        # Somebody else takes a turn: the one that the worker takes next comes too late.
        turn = Turn(2, place.client._clock.now_ms(), (Signaled("note", to_payload(1), "s1"),), ())  # pyright: ignore[reportPrivateUsage]
        assert not await place.store.commit(None, [Commit(run_id, 2, codec.turns.encode(turn), turn.at_ms)])

        assert await place.result(run_id) == [1_000, 2_000, 1]
        assert naps.begun == [1_000, 2_000]
        turns = await place.turns(run_id)
        assert turns[1] == turn
        assert [type(message) for each in turns[2:] for message in each.inputs] == [ActivityClosed, ActivityClosed]


@pytest.mark.parametrize("number", range(1, 26))
@pytest.mark.parametrize(
    "fate", [Fate(unknown=True), Fate(refused=True), Fate(silent=True)], ids=["unknown", "refused", "silent"]
)
def test_no_call_of_the_store_may_fail_to_any_effect(number: int, fate: Fate) -> None:
    @in_virtual_time
    async def check() -> None:
        async with yard() as place:
            naps = Naps(place)

            async def calls() -> list[int]:
                first = await naps.activity(10)
                await asyncio.sleep(0.05)
                both = await asyncio.gather(naps.activity(20), naps.activity(30))
                return [first, *both]

            calling = place.workflow(calls)
            process = await place.process("worker", lease_ms=60_000)
            process.store.reset()
            process.store.fate.number, process.store.fate.fate = number, fate
            run_id = await place.start(calling)

            assert await place.result(run_id) == [10, 20, 30]
            assert sorted(naps.begun) == [10, 20, 30]
            assert [each.attempt for each in await place.closings_of(run_id, "nap")] == [1, 1, 1]

    check()


@in_virtual_time
async def test_a_repeated_commit_is_recognised() -> None:
    async with yard() as place:
        naps = Naps(place)

        async def calls() -> int:
            return await naps.activity(10) + await naps.activity(20)

        calling = place.workflow(calls)
        process = await place.process("worker")
        process.store.lost["commit"] = {1, 3, 5}
        run_id = await place.start(calling)

        assert await place.result(run_id) == 30
        # Each was refused when it came again, and found to be there.
        await until(lambda: process.store.counts["read_turns"] == 3)
        assert process.store.counts["commit"] == 6
        assert naps.begun == [10, 20]
        assert [turn.number for turn in await place.turns(run_id)] == [1, 2, 3]


@in_virtual_time
async def test_an_outage_delays_and_loses_nothing() -> None:
    async with yard() as place:
        naps = Naps(place)

        async def calls() -> int:
            return await naps.activity(1_000) + await naps.activity(2_000)

        run_id = await place.start(place.workflow(calls))
        process = await place.process("worker", lease_ms=600_000)
        await asyncio.sleep(0.5)

        process.store.cut_off = True
        await asyncio.sleep(60)
        assert naps.ended == [1_000]
        process.store.cut_off = False

        assert await place.result(run_id) == 3_000
        assert naps.begun == [1_000, 2_000]


# Leases


@in_virtual_time
async def test_a_worker_that_lost_its_lease_starts_over_under_another_id() -> None:
    async with yard() as place:
        naps = Naps(place)

        async def calls() -> int:
            return await naps.activity(100) + await naps.activity(20_000) + await naps.activity(300)

        run_id = await place.start(place.workflow(calls))
        first = await place.process("first", lease_ms=3_000)
        await asyncio.sleep(1)
        before = first.working.host.worker
        await place.process("second", lease_ms=3_000)

        first.loop.pause()
        await until(lambda: naps.begun.count(20_000) == 2, within_s=20)
        first.loop.resume()
        await until(lambda: first.working.host.worker != before, within_s=10)

        assert first.working.host.held == {}
        assert await place.result(run_id) == 20_400
        # The zombie's copy was dropped before it ended: what counts ran once.
        assert naps.ended == [100, 20_000, 300]
        assert [each.attempt for each in await place.closings_of(run_id, "nap")] == [1, 2, 1]


@in_virtual_time
async def test_a_worker_that_starts_over_goes_on_with_everything() -> None:
    async with yard() as place:
        naps = Naps(place)

        async def calls() -> int:
            await asyncio.sleep(5)
            return await naps.activity(100)

        run_id = await place.start(place.workflow(calls))
        process = await place.process("worker", lease_ms=3_000)
        await asyncio.sleep(1)

        await place.store.release(process.working.host.worker, died=True, now_ms=virtual_clock().now_ms())

        assert await place.result(run_id) == 100


@in_virtual_time
async def test_a_claim_under_way_while_the_worker_starts_over_is_not_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    async with yard() as place:
        naps = Naps(place)

        async def calls() -> int:
            return await naps.activity(100)

        calling = place.workflow(calls)
        process = await place.process("worker", lease_ms=60_000)
        await settle()
        before = process.working.host.worker
        register = process.store.register

        async def slow(worker: WorkerId, until_ms: int) -> None:
            # The new identity is known in the store for a while before the worker hears of it.
            await register(worker, until_ms)
            process.store.lost.clear()
            await asyncio.sleep(5)

        monkeypatch.setattr(process.store, "register", slow)
        process.store.lost["claim"] = set(range(1_000))
        run_id = await place.start(calling)
        await asyncio.sleep(0.1)

        process.store.bugs["wait"] = [RuntimeError("a bug of ours")]

        assert await place.result(run_id) == 100
        assert process.working.host.worker != before


@in_virtual_time
async def test_a_claim_is_tried_again_at_no_earlier_moment() -> None:
    async with yard() as place:
        naps = Naps(place)

        async def calls() -> int:
            return await naps.activity(100)

        calling = place.workflow(calls)
        process = await place.process("worker", lease_ms=60_000)
        await settle()
        process.store.lost["claim"] = {process.store.counts["claim"] + 1}
        run_id = await place.start(calling)
        await until(lambda: process.store.counts["claim"] in process.store.lost["claim"])

        # What the lost answer had taken is due; by this clock it is not yet.
        process.clock.skew_ms = -1_000_000

        assert await place.result(run_id) == 100


@in_virtual_time
async def test_a_start_under_way_when_the_lease_is_lost_can_be_repeated() -> None:
    async with yard() as place:
        naps = Naps(place)

        async def calls() -> int:
            return await naps.activity(100)

        calling = place.workflow(calls)
        process = await place.process("worker", lease_ms=3_000)
        await settle()
        process.store.delays_s["commit"] = 5
        starting = asyncio.ensure_future(process.ask(lambda engine: engine.start(started(calling), "r1")))
        await asyncio.sleep(0.1)

        await place.store.release(process.working.host.worker, died=True, now_ms=virtual_clock().now_ms())

        with pytest.raises(StoreUnavailable, match="the call may be repeated"):
            await starting
        process.store.delays_s.clear()
        run_id = await process.ask(lambda engine: engine.start(started(calling), "r1"))
        assert await place.result(run_id) == 100


@in_virtual_time
async def test_what_a_dead_worker_held_is_taken_over_when_its_lease_expires() -> None:
    async with yard() as place:
        naps = Naps(place)

        async def calls() -> int:
            return await naps.activity(5_000)

        run_id = await place.start(place.workflow(calls))
        first = await place.process("first", lease_ms=3_000)
        await asyncio.sleep(1)
        first.loop.crash()

        await place.process("second", lease_ms=3_000)

        assert await place.result(run_id) == 5_000
        assert naps.begun == [5_000, 5_000]
        assert [each.attempt for each in await place.closings_of(run_id, "nap")] == [2]
        assert virtual_loop().time() < 20


# Bugs


@pytest.mark.parametrize("verb", ["claim", "wait", "extend", "commit", "read_turns", "finish"])
def test_a_bug_makes_the_worker_start_over_and_lose_nothing(verb: str, caplog: pytest.LogCaptureFixture) -> None:
    @in_virtual_time
    async def check() -> None:
        async with yard() as place:
            naps = Naps(place)
            tries: list[int] = []

            async def flaky() -> int:
                tries.append(1)
                if len(tries) == 1:
                    raise ValueError("once")
                return len(tries)

            trying = place.activity(flaky)

            async def calls() -> int:
                await trying()
                await asyncio.sleep(30)
                return await naps.activity(100)

            run_id = await place.start(place.workflow(calls))
            other = await place.start(place.workflow(_sleeps), id="other")
            process = await place.process("worker", lease_ms=3_000, cache_size=1)
            process.store.bugs[verb] = [ValueError("a bug")]

            assert await place.result(run_id) == 100
            await place.outcome(other)
            assert not process.store.bugs[verb]

    caplog.set_level(logging.CRITICAL)
    check()
    assert "internal error; the worker starts over" in caplog.text


async def _sleeps() -> None:
    await asyncio.sleep(20)


@in_virtual_time
async def test_a_start_whose_first_turn_is_a_bug_is_stored_and_parked() -> None:
    def bug(_at_ms: int, _messages: Sequence[Message]) -> Sequence[Command]:
        raise ValueError("a bug of the interpreter")

    async with yard() as place:
        place.registry.add_program("scripted", "nowhere.py:1", lambda: ScriptedProgram(bug))
        process = await place.process("worker")
        start = Started("scripted", WorkflowId("w"), "default", ())

        run_id = await process.ask(lambda engine: engine.start(start))
        await asyncio.sleep(1)

        description = await place.client.describe(WorkflowId("w"))
        assert (description.record.run_id, description.record.status) == (run_id, RunStatus.RUNNING)
        assert description.parked is not None
        assert description.parked.message == "a bug of the interpreter"


@in_virtual_time
async def test_a_query_meanwhile_sees_only_what_is_durable() -> None:
    async with yard() as place:
        naps = Naps(place)

        async def calls() -> None:
            seen: list[int] = []

            @workflow.query
            def done() -> list[int]:
                return seen

            seen.append(await naps.activity(100))
            seen.append(await naps.activity(100_000))

        calling = place.workflow(calls)
        await place.start(calling)
        process = await place.process("worker")
        await until(lambda: naps.begun == [100])
        process.store.delays_s["commit"] = 1
        await asyncio.sleep(0.5)

        program = place.registry.known_program("calls")
        answer = await process.ask(lambda engine: engine.query(WorkflowId("w"), None, query("done"), program))
        assert from_payload(answer) == []
        await asyncio.sleep(1)
        answer = await process.ask(lambda engine: engine.query(WorkflowId("w"), None, query("done"), program))
        assert from_payload(answer) == [100]
