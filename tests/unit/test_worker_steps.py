"""What a worker's steps cost and give: commits, claims, replays, limits."""

import asyncio
import itertools

import pytest

from perdure import workflow
from perdure.core.errors import AlreadyRunning
from perdure.core.failure import ActivityError
from perdure.core.message import Failed
from perdure.core.payload import from_payload
from perdure.worker.activities import ActivityLimits
from tests.unit.virtual_time import in_virtual_time, settle, virtual_loop
from tests.unit.worker_world import started, yard


async def add(a: int, b: int) -> int:
    """An activity that takes no time."""
    return a + b


async def nap(ms: int) -> int:
    """An activity that takes some time."""
    await asyncio.sleep(ms / 1_000)
    return ms


@pytest.mark.parametrize("steps_count", [0, 1, 2, 10])
def test_a_sequential_workflow_costs_one_commit_a_step(steps_count: int) -> None:
    @in_virtual_time
    async def check() -> None:
        async with yard() as place:
            adding = place.activity(add)

            async def sequence(count: int) -> int:
                total = 0
                for number in range(count):
                    total = await adding(total, number)
                return total

            counting = place.workflow(sequence)
            process = await place.process("worker")
            await settle()
            process.store.reset()

            run_id = await process.ask(lambda engine: engine.start(started(counting, steps_count)))
            outcome = await process.ask(lambda engine: engine.wait(run_id))

            assert from_payload(outcome.result) == sum(range(steps_count))  # type: ignore[union-attr]
            assert process.store.counts["commit"] == steps_count + 1
            assert process.store.attempts_claimed == 0
            assert not {"create", "finish", "deliver", "read_waiting"} & set(process.store.counts)
            assert process.store.counts["claim"] <= 2

    check()


@in_virtual_time
async def test_runs_that_are_ready_together_share_their_commits() -> None:
    async with yard() as place:
        adding = place.activity(add)

        async def sequence() -> int:
            return await adding(await adding(1, 2), 3)

        counting = place.workflow(sequence)
        process = await place.process("worker")
        await settle()
        process.store.reset()
        process.store.delays_s["commit"] = 0.01

        async def run(number: int) -> None:
            run_id = await process.engine.start(started(counting, id=f"w{number}"))
            await process.engine.wait(run_id)

        await process.do(lambda: asyncio.gather(*[run(number) for number in range(100)]))

        assert process.store.counts["commit"] <= 6


@in_virtual_time
async def test_a_run_that_was_started_elsewhere_is_claimed() -> None:
    async with yard() as place:
        adding = place.activity(add)

        async def sequence() -> int:
            return await adding(1, 2)

        run_id = await place.start(place.workflow(sequence))
        process = await place.process("worker")

        assert await place.result(run_id) == 3
        assert process.store.counts["commit"] == 2


@in_virtual_time
async def test_starts_here_are_refused_as_anywhere() -> None:
    async with yard() as place:

        async def waits() -> None:
            await asyncio.sleep(3_600)

        waiting = place.workflow(waits)
        process = await place.process("worker")

        first = await process.ask(lambda engine: engine.start(started(waiting), "r1"))

        assert await process.ask(lambda engine: engine.start(started(waiting), "r1")) == first
        with pytest.raises(AlreadyRunning, match=f"as run {first}"):
            await process.ask(lambda engine: engine.start(started(waiting), "r2"))


@in_virtual_time
async def test_timers_fire_on_time_and_never_early() -> None:
    async with yard() as place:

        async def sleeps(ms: int) -> float:
            before = workflow.time()
            await asyncio.sleep(ms / 1_000)
            return workflow.time() - before

        sleeping = place.workflow(sleeps)
        process = await place.process("worker")
        lengths_ms = [1, 250, 3_000, 60_000]

        run_ids = [await place.start(sleeping, ms, id=f"w{ms}") for ms in lengths_ms]
        for ms, run_id in zip(lengths_ms, run_ids, strict=True):
            slept_s = await place.result(run_id)
            assert ms <= round(slept_s * 1_000) < ms + 100
        assert process.store.counts["claim"] <= 60, "the idle budget"


@in_virtual_time
async def test_a_failed_try_is_followed_by_the_next_one() -> None:
    async with yard() as place:
        tries: list[float] = []

        async def flaky() -> str:
            tries.append(virtual_loop().time())
            if len(tries) < 4:
                raise ValueError(f"try {len(tries)}")
            return "at last"

        trying = place.activity(flaky)

        async def persists() -> str:
            return await trying()

        persisting = place.workflow(persists)
        await place.process("worker")
        run_id = await place.start(persisting)

        assert await place.result(run_id) == "at last"

        assert [round(later - earlier) for earlier, later in itertools.pairwise(tries)] == [1, 2, 4]
        (closed,) = await place.closings_of(run_id, "flaky")
        assert (closed.attempt, closed.last_failure and closed.last_failure.message) == (4, "try 3")


@in_virtual_time
async def test_the_last_failure_is_the_workflows() -> None:
    async with yard() as place:

        async def broken() -> None:
            raise ValueError("no")

        breaking = place.activity(broken, retries=1)

        async def calls() -> str:
            try:
                await breaking()
            except ActivityError as error:
                return f"{error.type} {error.attempt}"
            return "never"

        run_id = await place.start(place.workflow(calls))
        await place.process("worker")

        assert await place.result(run_id) == "ValueError 2"


@in_virtual_time
async def test_an_attempt_that_nobody_takes_expires() -> None:
    async with yard() as place:
        napping = place.activity(nap, schedule_to_start="2s", retries=0)

        async def crowded() -> list[str]:
            results = await asyncio.gather(napping(5_000), napping(5_000), return_exceptions=True)
            return [str(each) for each in results]

        run_id = await place.start(place.workflow(crowded))
        await place.process("worker", limits=ActivityLimits(activities_max=1))

        first, second = await place.result(run_id)

        assert first == "5000"
        assert second == "activity 'nap' failed: TimeoutError: schedule_to_start timeout"


@in_virtual_time
async def test_all_tries_together_have_a_limit_too() -> None:
    async with yard() as place:

        async def broken() -> None:
            raise ValueError("no")

        breaking = place.activity(broken, schedule_to_close="5s")

        async def calls() -> None:
            await breaking()

        run_id = await place.start(place.workflow(calls))
        await place.process("worker")

        outcome = await place.outcome(run_id)

        assert isinstance(outcome, Failed)
        assert virtual_loop().time() < 5
        assert [closed.attempt for closed in await place.closings_of(run_id, "broken")] == [3]


@in_virtual_time
async def test_more_runs_than_a_worker_holds_are_all_done() -> None:
    async with yard() as place:
        napping = place.activity(nap)

        async def naps() -> int:
            return await napping(10) + await napping(10)

        both = place.workflow(naps)
        process = await place.process("worker", runs_max=3, limits=ActivityLimits(activities_max=2))

        run_ids = [await place.start(both, id=f"w{number}") for number in range(20)]

        assert [await place.result(run_id) for run_id in run_ids] == [20] * 20
        assert process.working.host.held == {}


@in_virtual_time
async def test_a_fan_out_beyond_the_limits_is_done_in_parts() -> None:
    async with yard() as place:
        running = most = 0

        async def counted(ms: int) -> int:
            nonlocal running, most
            running += 1
            most = max(most, running)
            await asyncio.sleep(ms / 1_000)
            running -= 1
            return 1

        counting = place.activity(counted)

        async def fan(count: int) -> int:
            return sum(await asyncio.gather(*[counting(10) for _ in range(count)]))

        run_id = await place.start(place.workflow(fan), 50)
        await place.process("worker", limits=ActivityLimits(activities_max=7))

        assert await place.result(run_id) == 50
        assert most == 7
