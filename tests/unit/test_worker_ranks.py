"""A worker whose room is taken gives way to what is more urgent, before it goes on with its own runs."""

import asyncio

from perdure.core.ids import RunId
from perdure.core.message import StartOptions
from perdure.core.rank import Rank
from perdure.worker.activities import ActivityLimits
from tests.unit.virtual_time import in_virtual_time
from tests.unit.worker_world import Naps, Yard, yard

ONE = ActivityLimits(activities_max=1)


async def begun_in_turn(place: Yard, *runs: tuple[int, Rank | None]) -> list[int]:
    """Runs of three naps of some length, each started a second after the one before: the naps in their order."""
    naps = Naps(place)

    async def calls(ms: int) -> None:
        for _ in range(3):
            await naps.activity(ms)

    workflow = place.workflow(calls)
    ids: list[RunId] = []
    for number, (ms, rank) in enumerate(runs):
        ids.append(await place.start(workflow, ms, id=f"w{number}", options=StartOptions(rank=rank)))
        if not number:
            await place.process("worker", limits=ONE)
        await asyncio.sleep(1)
    for run_id in ids:
        await place.result(run_id)
    return naps.begun


@in_virtual_time
async def test_a_run_under_way_gives_way_to_what_is_more_urgent() -> None:
    async with yard() as place:
        order = await begun_in_turn(place, (10_000, Rank(5)), (10_001, None), (10_002, Rank(1)))

        # Between its naps a run waits for its next turn, and somebody else is served meanwhile.
        assert order[:3] == [10_000, 10_002, 10_001]
        assert order[-2:] == [10_000, 10_000]


@in_virtual_time
async def test_a_run_under_way_goes_on_before_what_is_less_urgent() -> None:
    async with yard() as place:
        order = await begun_in_turn(place, (10_000, Rank(2)), (10_001, None), (10_002, Rank(5)))

        assert order[:3] == [10_000] * 3


@in_virtual_time
async def test_runs_of_other_keys_get_their_turn_between() -> None:
    async with yard() as place:
        order = await begun_in_turn(place, (10_000, Rank(key="a")), (10_001, Rank(key="b")))

        assert order[:2] == [10_000, 10_001]
