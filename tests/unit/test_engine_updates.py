"""Waiting for updates: whatever dies, follows or falls silent, an update is applied once and its sender hears."""

import asyncio
from typing import Any

import pytest

from perdure import workflow
from perdure.core.command import AcceptUpdate, CompleteUpdate, RejectUpdate
from perdure.core.errors import RunClosed, StoreUnavailable
from perdure.core.ids import RunId, WorkflowId
from perdure.core.message import Completed, UpdateRequested
from perdure.core.payload import from_payload, to_payloads
from perdure.engine.engine import Answered, Engine
from perdure.programs.code.classes import workflow_of
from perdure.programs.code.program import CodeProgram
from tests.unit.virtual_time import in_virtual_time
from tests.unit.worker_world import Naps, Yard, yard

ID = WorkflowId("w")


class Scene:
    """A yard with a class workflow that counts and naps."""

    def __init__(self, place: Yard) -> None:
        self.place = place
        naps = self.naps = Naps(place)
        self.applied: list[int] = []
        self._sent_count = 0
        applied = self.applied

        class Counter:
            def __init__(self) -> None:
                self.total = 0
                self.going_on = False

            @workflow.run
            async def run(self) -> int:
                await workflow.wait_condition(lambda: self.total >= 100 or self.going_on)
                if self.going_on:
                    workflow.continue_as_new()
                return self.total

            @workflow.signal
            def go_on(self) -> None:
                self.going_on = True

            @workflow.update
            async def add(self, number: int, ms: int = 0) -> int:
                if ms:
                    await naps.activity(ms)
                self.total += number
                if not workflow.info().replaying:
                    applied.append(number)
                return self.total

            @add.validator
            def positive(self, number: int, ms: int = 0) -> None:
                if number < 0:
                    raise ValueError(number)

        self.counter = workflow_of(Counter, name="counter")
        names = place.registry.activities.keys
        place.registry.add_program("counter", "here", lambda: CodeProgram(self.counter, place.registry.activity, names))

    async def start(self) -> RunId:
        return await self.place.start(self.counter, id=ID)

    async def add(self, *args: int, id: str | None = None, early: bool = False, engine: Engine | None = None) -> Any:
        """Send an update by a client of no process; the result, or the answer itself where there is none."""
        self._sent_count += 1
        message = UpdateRequested("add", to_payloads(args), id or f"fresh-{self._sent_count}")
        asked = engine or self.place.client
        return result(await asked.update(ID, None, message, fresh=id is None, early=early))


def result(answered: Answered) -> Any:
    match answered.answer:
        case CompleteUpdate(outcome=Completed(value)):
            return from_payload(value)
        case answer:
            return answer


@in_virtual_time
async def test_an_accepted_update_survives_the_death_of_its_worker() -> None:
    async with yard() as place:
        scene = Scene(place)
        await scene.start()
        first = await place.process("first")
        waiting = asyncio.create_task(scene.add(5, 60_000))
        assert isinstance(await scene.add(1, 60_000, id="early", early=True), AcceptUpdate)

        first.loop.crash()
        first.store.cut_off = True
        await place.process("second")

        assert {await waiting, await scene.add(1, 60_000, id="early")} <= {1, 5, 6}
        assert sorted(scene.applied) == [1, 5]


@in_virtual_time
async def test_an_update_with_an_id_is_applied_once_whatever_answers_are_lost() -> None:
    async with yard() as place:
        scene = Scene(place)
        await scene.start()
        process = await place.process("worker")
        process.store.lost["deliver"] = {1}

        with pytest.raises(StoreUnavailable):
            await process.ask(lambda engine: scene.add(3, id="once", engine=engine))

        assert await process.ask(lambda engine: scene.add(3, id="once", engine=engine)) == 3
        assert await scene.add(3, id="once") == 3
        assert scene.applied == [3]


@in_virtual_time
async def test_the_process_that_commits_answers_without_looking() -> None:
    async with yard() as place:
        scene = Scene(place)
        await scene.start()
        process = await place.process("worker")
        await process.ask(lambda engine: scene.add(1, engine=engine))
        process.store.reset()

        assert await process.ask(lambda engine: scene.add(2, engine=engine)) == 3

        assert process.store.counts["read_turns"] == 0
        assert process.loop.time() < 1


@in_virtual_time
async def test_an_update_that_was_not_accepted_goes_on_with_the_run_that_follows() -> None:
    async with yard() as place:

        async def hopping(left: int) -> int:
            if left:
                workflow.continue_as_new(left - 1)
            total = 0

            @workflow.update
            def add(number: int) -> int:
                nonlocal total
                total += number
                return total

            await workflow.wait_condition(lambda: total > 0)
            return total

        first = await place.start(place.workflow(hopping), 2, id=ID)
        message = UpdateRequested("add", to_payloads((7,)), "u")
        waiting = asyncio.create_task(place.client.update(ID, None, message, fresh=True, early=False))
        await asyncio.sleep(1)
        await place.process("worker")

        answered = await waiting

        assert result(answered) == 7
        assert answered.run_id not in (first, "")
        assert await place.result(first) == 7


@in_virtual_time
async def test_whoever_waits_hears_that_the_run_closed() -> None:
    async with yard() as place:
        scene = Scene(place)
        await scene.start()
        process = await place.process("worker")
        waiting = [
            asyncio.create_task(scene.add(1, 60_000)),
            asyncio.create_task(process.ask(lambda engine: scene.add(1, 60_000, engine=engine))),
        ]
        await asyncio.sleep(1)

        assert await scene.add(100) == 100

        assert await asyncio.gather(*waiting) == [None, None]
        with pytest.raises(RunClosed):
            await scene.add(1)
        with pytest.raises(RunClosed):
            await scene.add(1, id="late")


@in_virtual_time
async def test_a_rejection_is_an_answer_too() -> None:
    async with yard() as place:
        scene = Scene(place)
        await scene.start()
        await place.process("worker")

        answers = [await scene.add(-1, early=early) for early in (True, False)]

        assert [type(answer) for answer in answers] == [RejectUpdate, RejectUpdate]
        assert scene.applied == []


@in_virtual_time
async def test_many_who_wait_share_one_watcher() -> None:
    async with yard() as place:
        scene = Scene(place)
        await scene.start()
        client = await place.process("client", queues=("elsewhere",))

        async def wait_for_many(engine: Engine) -> list[Any]:
            async with asyncio.timeout(600):
                return await asyncio.gather(*[scene.add(0, engine=engine) for _ in range(200)])

        waiting = asyncio.create_task(client.ask(wait_for_many))
        await asyncio.sleep(20)
        client.store.reset()
        await asyncio.sleep(60)
        reads_count = client.store.counts["read_runs"] + client.store.counts["read_turns"]
        await place.process("worker")

        assert await waiting == [0] * 200
        assert reads_count <= 40, "one look for all, and that seldom"


@in_virtual_time
async def test_one_who_gives_up_is_forgotten() -> None:
    async with yard() as place:
        scene = Scene(place)
        run_id = await scene.start()

        with pytest.raises(TimeoutError):
            async with asyncio.timeout(10):
                await scene.add(1)

        assert run_id not in place.client.updates.waiters
        await place.process("worker")
        assert await scene.add(1) == 2, "the update stays sent"


@in_virtual_time
async def test_an_update_sent_again_is_answered_by_the_run_that_took_it_before() -> None:
    async with yard() as place:
        scene = Scene(place)
        await scene.start()
        await place.process("worker")
        assert await scene.add(3, id="once") == 3
        for number in range(2):
            await place.signal(ID, "go_on", request_id=f"go{number}")
            await asyncio.sleep(1)

        assert await asyncio.wait_for(scene.add(3, id="once"), 60) == 3
        assert scene.applied == [3]
