"""Activities that kill their worker: suspected, run alone, and quarantined, without the innocent beside them."""

import asyncio

import pytest

from perdure import workflow
from perdure.core.failure import ActivityError
from perdure.core.ids import WorkerId, WorkflowId
from perdure.core.store import SUSPECT_DEATHS
from perdure.engine.attempts import DEATHS_MAX
from perdure.testing.virtual import VirtualLoop
from perdure.worker.identity import new_worker_id
from tests.unit.virtual_time import in_virtual_time, settle, virtual_clock, virtual_loop
from tests.unit.worker_world import Naps, Process, Yard, until, yard

INNOCENT_COUNT = 4


class Bombs:
    """An activity that ends its process, and innocent ones that only take some time."""

    def __init__(self, place: Yard) -> None:
        self.exploded: list[str] = []
        self.running: dict[str, int] = {}
        self.crowds: list[int] = []
        """How many activities ran in a process when its bomb went off."""

        async def bomb() -> None:
            name = self._enter()
            await asyncio.sleep(1)
            self.exploded.append(name)
            self.crowds.append(self.running[name])
            loop = asyncio.get_running_loop()
            assert isinstance(loop, VirtualLoop)
            loop.crash()
            await asyncio.sleep(3_600)

        async def innocent(number: int) -> int:
            name = self._enter()
            await asyncio.sleep(5)
            self.running[name] -= 1
            return number

        self.bomb = place.activity(bomb)
        self.innocent = place.activity(innocent)

    def _enter(self) -> str:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        self.running[loop.name] = self.running.get(loop.name, 0) + 1
        return loop.name


async def _next(place: Yard, number: int) -> Process:
    """A new process, which takes over what the dead ones held."""
    for worker in await place.store.leaseholders():
        await place.store.release(worker, died=True, now_ms=virtual_clock().now_ms())
    return await place.process(f"worker{number}")


@in_virtual_time
async def test_an_activity_that_kills_its_workers_is_quarantined() -> None:
    async with yard() as place:
        bombs = Bombs(place)

        async def calls() -> str:
            try:
                await bombs.bomb()
            except ActivityError as error:
                return f"{error.type}: {error.failure.message}"
            return "alive"

        run_id = await place.start(place.workflow(calls))
        for number in range(DEATHS_MAX):
            await _next(place, number)
            await until(lambda number=number: len(bombs.exploded) == number + 1, within_s=60)
        await _next(place, DEATHS_MAX)

        assert await place.result(run_id) == ("WorkerDied: quarantined: 3 workers died while they ran activity 'bomb'")
        assert len(bombs.exploded) == DEATHS_MAX


@in_virtual_time
async def test_the_innocent_survive_those_that_kill() -> None:
    async with yard() as place:
        bombs = Bombs(place)

        async def calls() -> list[str]:
            calls = [bombs.bomb(), *(bombs.innocent(number) for number in range(INNOCENT_COUNT))]
            results: list[object] = await asyncio.gather(*calls, return_exceptions=True)
            return [each.type if isinstance(each, ActivityError) else str(each) for each in results]

        run_id = await place.start(place.workflow(calls))
        process = await _next(place, 0)
        number = 0
        while not (await place.store.read_runs([run_id]))[0].closed_at_ms:
            await until(lambda process=process: process.loop.dead or virtual_loop().time() > 200, within_s=300)
            if not process.loop.dead:
                break
            number += 1
            process = await _next(place, number)

        assert await place.result(run_id, within_s=1) == ["WorkerDied", *map(str, range(INNOCENT_COUNT))]
        assert len(bombs.exploded) == DEATHS_MAX
        # Together while nothing is known of them, then each suspect alone.
        assert bombs.crowds == [INNOCENT_COUNT + 1] * SUSPECT_DEATHS + [1]


@in_virtual_time
async def test_a_suspect_leaves_room_for_those_that_are_none() -> None:
    async with yard() as place:
        bombs = Bombs(place)

        async def bombing() -> None:
            await bombs.bomb()

        async def innocents() -> int:
            return sum(await asyncio.gather(*[bombs.innocent(number) for number in range(3)]))

        both = place.workflow(bombing), place.workflow(innocents)
        await place.start(both[0], id="bombing")
        for number in range(SUSPECT_DEATHS):
            await _next(place, number)
            await until(lambda number=number: len(bombs.exploded) == number + 1, within_s=60)
        run_id = await place.start(both[1], id="innocent")

        await _next(place, SUSPECT_DEATHS)
        await until(lambda: len(bombs.exploded) == SUSPECT_DEATHS + 1, within_s=60)

        assert bombs.crowds[-1] == 1 + 3
        await _next(place, 9)
        assert await place.result(run_id) == 3


@in_virtual_time
async def test_a_suspect_that_is_dropped_makes_way_for_the_next_one() -> None:
    async with yard() as place:
        naps = Naps(place)

        async def napping(ms: int) -> None:
            async with asyncio.TaskGroup() as group:
                group.create_task(naps.activity(ms))
                await workflow.channel("more").receive()
                group.create_task(naps.activity(7_000))

        first, second, third = 10_000, 10_001, 10_002
        definition = place.workflow(napping)
        runs = [await place.start(definition, ms, id=f"{ms}") for ms in (first, second, third)]
        for number in range(SUSPECT_DEATHS):
            process = await _next(place, number)
            await until(lambda number=number: len(naps.begun) == 3 * (number + 1), within_s=60)
            process.loop.crash()
        last = await _next(place, SUSPECT_DEATHS)
        # The second one is suspected while its run is held here, and goes with its run.
        await asyncio.sleep(8)
        await place.signal(f"{second}", "more")
        await until(lambda: naps.begun[-1] == second, within_s=60)

        await last.ask(lambda engine: engine.terminate(WorkflowId(f"{second}"), runs[1], "on purpose"))

        await until(lambda: naps.begun[-1] == third, within_s=60)
        assert naps.ended == [first]


@pytest.mark.parametrize("attempts_max", [1, 2])
def test_a_death_counts_as_a_try(attempts_max: int) -> None:
    @in_virtual_time
    async def check() -> None:
        async with yard() as place:
            bombs = Bombs(place)
            bomb = bombs.bomb.options(retries=attempts_max - 1)

            async def calls() -> str:
                try:
                    await bomb()
                except ActivityError as error:
                    return f"{error.failure.message}"
                return "alive"

            run_id = await place.start(place.workflow(calls))
            for number in range(attempts_max):
                await _next(place, number)
                await until(lambda number=number: len(bombs.exploded) == number + 1, within_s=60)
            await _next(place, attempts_max)

            assert await place.result(run_id) == f"the worker died during the last of {attempts_max} attempts"

    check()


@in_virtual_time
async def test_a_new_worker_takes_over_from_a_process_that_is_gone() -> None:
    async with yard() as place:
        # An id of a process of this machine that cannot exist: others are not judged.

        parts = new_worker_id("u").split("|")
        gone = WorkerId("|".join([parts[0], "999999999", "1", "gone"]))
        elsewhere = WorkerId("|".join(["another place", "999999999", "1", "elsewhere"]))
        for worker in (gone, elsewhere):
            await place.store.register(worker, place.client._clock.now_ms() + 3_600_000)  # pyright: ignore[reportPrivateUsage]

        process = await place.process("worker")
        await settle()

        assert set(await place.store.leaseholders()) == {elsewhere, process.working.host.worker}
