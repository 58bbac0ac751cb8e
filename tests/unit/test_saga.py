"""Sagas and detached clean-up: compensations in reverse or at once, on failure and on cancellation, to their end."""

import asyncio
from typing import Any

import pytest

from perdure import workflow
from perdure.core.errors import CompensationFailed
from perdure.core.message import Cancelled, Completed, Failed
from perdure.programs.code.definition import Activity
from tests.unit.virtual_time import in_virtual_time
from tests.unit.worker_world import Yard, yard


class Agency:
    """Books and cancels; notes what was done."""

    def __init__(self, place: Yard, *, fails: str = "", broken: tuple[str, ...] = ()) -> None:
        self.done: list[str] = []

        async def book(what: str) -> str:
            if what == fails:
                raise ConnectionError("sold out")
            self.done.append(f"+{what}")
            return what

        async def cancel(what: str) -> None:
            await asyncio.sleep(1)
            if what in broken:
                raise ConnectionError("no answer")
            self.done.append(f"-{what}")

        self.book: Activity[[str], str] = place.activity(book, retries=0)
        self.cancel: Activity[[str], None] = place.activity(cancel, retries=0)

    async def trip(self, saga: workflow.Saga) -> None:
        """Book three things."""
        async with saga:
            for what in ("car", "hotel", "flight"):
                saga.add(self.cancel, await self.book(what))


@in_virtual_time
async def test_compensations_run_in_reverse_where_a_step_fails() -> None:
    async with yard() as place:
        agency = Agency(place, fails="flight")

        async def trip() -> None:
            await agency.trip(workflow.Saga())

        await place.process("worker")
        outcome = await place.outcome(await place.start(place.workflow(trip)))

        assert isinstance(outcome, Failed)
        assert outcome.failure.type == "ActivityError"
        assert agency.done == ["+car", "+hotel", "-hotel", "-car"]


@in_virtual_time
async def test_nothing_is_undone_where_all_goes_well() -> None:
    async with yard() as place:
        agency = Agency(place)

        async def trip() -> None:
            await agency.trip(workflow.Saga())

        await place.process("worker")

        assert isinstance(await place.outcome(await place.start(place.workflow(trip))), Completed)
        assert agency.done == ["+car", "+hotel", "+flight"]


@in_virtual_time
async def test_a_cancelled_run_undoes_what_it_did_and_ends_as_cancelled() -> None:
    async with yard() as place:
        agency = Agency(place)

        async def trip() -> None:
            async with workflow.Saga() as saga:
                saga.add(agency.cancel, await agency.book("car"))
                saga.add(agency.cancel, await agency.book("hotel"))
                await asyncio.sleep(3_600)

        await place.process("worker")
        run_id = await place.start(place.workflow(trip))
        await asyncio.sleep(10)
        await place.client.cancel(place.main, None, "ill")
        await asyncio.sleep(1.5)
        await place.client.cancel(place.main, None, "ill, I said")

        assert isinstance(await place.outcome(run_id), Cancelled)
        assert agency.done == ["+car", "+hotel", "-hotel", "-car"]


@in_virtual_time
async def test_in_parallel_they_take_the_time_of_one() -> None:
    async with yard() as place:
        agency = Agency(place)

        async def trip() -> float:
            before = workflow.time()
            try:
                async with workflow.Saga(parallel=True) as saga:
                    for what in "abcde":
                        saga.add(agency.cancel, what)
                    raise ValueError("changed my mind")
            except ValueError:
                return workflow.time() - before

        await place.process("worker")

        assert 1 <= await place.result(await place.start(place.workflow(trip))) < 2
        assert sorted(agency.done) == ["-a", "-b", "-c", "-d", "-e"]


@pytest.mark.parametrize(("go_on", "done"), [(True, ["-c", "-a"]), (False, ["-c"])])
def test_failed_compensations_are_told_with_the_cause(go_on: bool, done: list[str]) -> None:  # noqa: FBT001 # a parameter
    @in_virtual_time
    async def run() -> None:
        async with yard() as place:
            agency = Agency(place, broken=("b",))

            async def trip() -> list[Any]:
                try:
                    async with workflow.Saga(continue_on_error=go_on) as saga:
                        for what in "abc":
                            saga.add(agency.cancel, what)
                        raise ValueError("changed my mind")
                except CompensationFailed as error:
                    return [len(error.failures), str(error.__cause__)]

            await place.process("worker")

            assert await place.result(await place.start(place.workflow(trip))) == [1, "changed my mind"]
            assert agency.done == done

    run()


@in_virtual_time
async def test_detached_work_goes_on_through_a_timeout() -> None:
    async with yard() as place:
        agency = Agency(place)

        async def clean() -> str:
            await agency.cancel("one")
            await agency.cancel("two")
            return "clean"

        async def flow() -> str:
            try:
                async with asyncio.timeout(0.5):
                    await workflow.detached(clean())
            except TimeoutError:
                return "late"
            return "in time"

        await place.process("worker")

        assert await place.result(await place.start(place.workflow(flow))) == "late"
        assert agency.done == ["-one", "-two"]


def test_a_saga_works_outside_a_workflow_in_a_unit_test() -> None:
    done: list[str] = []

    def undo(what: str) -> None:
        done.append(what)

    async def main() -> None:
        async with workflow.Saga() as saga:
            saga.add(Activity[[str], None](undo), "a")
            saga.add(workflow.detached, asyncio.sleep(0, "b"))
            raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        asyncio.run(main())
    assert done == ["a"]


def test_detached_work_that_fails_raises_its_own_error() -> None:
    async def fail() -> None:
        await asyncio.sleep(0)
        raise KeyError("own")

    async def main() -> None:
        task = asyncio.ensure_future(workflow.detached(fail()))
        await asyncio.sleep(0)
        task.cancel()
        await task

    with pytest.raises(KeyError, match="own"):
        asyncio.run(main())
