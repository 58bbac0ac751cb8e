"""Other workflows from inside a workflow: signalled and cancelled once, by activities of the engine's own."""

import asyncio
from typing import Any

import msgspec
import pytest

from perdure import workflow
from perdure.core.errors import UnsupportedDefinition
from perdure.core.failure import ExternalWorkflowError
from perdure.core.message import CancelRequested, Signaled
from perdure.programs.code.definition import Signal
from perdure.worker.registry import Registry
from perdure.worker.system import SYSTEM
from tests.unit.virtual_time import in_virtual_time
from tests.unit.worker_world import Yard, started, yard

NOTE = Signal("note", int)


def flows(place: Yard) -> tuple[Any, Any]:
    """A workflow that tells another one by its id, and one that listens."""

    async def listen() -> list[int]:
        notes = workflow.channel(NOTE)
        return [await notes.receive(), await notes.receive()]

    async def tell(other: str) -> str:
        handle = workflow.external(other)
        try:
            await asyncio.gather(handle.signal(NOTE, 1), handle.signal("note", 2))
        except ExternalWorkflowError as error:
            return error.type
        return "told"

    return place.workflow(listen), place.workflow(tell)


@in_virtual_time
async def test_a_run_signals_another_one_by_its_id() -> None:
    async with yard() as place:
        listen, tell = flows(place)
        await place.process("worker")
        listening = await place.start(listen, id="listener")

        assert await place.result(await place.start(tell, "listener")) == "told"

        assert await place.result(listening) == [1, 2]


@in_virtual_time
async def test_a_run_may_signal_itself() -> None:
    async with yard() as place:

        async def echo() -> int:
            await workflow.external(workflow.info().workflow_id).signal(NOTE, 7)
            return await workflow.channel(NOTE).receive()

        flow = place.workflow(echo)
        await place.process("worker")

        assert await place.result(await place.start(flow)) == 7


@in_virtual_time
async def test_a_run_of_another_queue_is_told_as_well() -> None:
    async with yard() as place:
        listen, tell = flows(place)
        await place.process("near")
        await place.process("far", queues=("far",))
        far = await place.client.start(msgspec.structs.replace(started(listen, id="listener"), queue="far"))

        assert await place.result(await place.start(tell, "listener")) == "told"

        assert await place.result(far) == [1, 2]


@in_virtual_time
async def test_telling_a_run_that_does_not_exist_raises_at_once() -> None:
    async with yard() as place:
        _, tell = flows(place)
        await place.process("worker")

        assert await place.result(await place.start(tell, "nobody")) == "WorkflowNotFound"


@in_virtual_time
async def test_telling_a_closed_run_raises() -> None:
    async with yard() as place:
        _, tell = flows(place)
        await place.process("worker")
        await place.result(await place.start(tell, "nobody", id="closed"))

        assert await place.result(await place.start(tell, "closed")) == "RunClosed"


@in_virtual_time
async def test_a_run_cancels_another_one_once() -> None:
    async with yard() as place:

        async def sleeper() -> str:
            try:
                await asyncio.sleep(3_600)
            except asyncio.CancelledError as error:
                return f"cancelled: {error}"
            return "slept"

        async def killer(other: str, run_id: str) -> None:
            await workflow.external(other, run_id=run_id).cancel("no time")

        flow, kill = place.workflow(sleeper), place.workflow(killer)
        await place.process("worker")
        sleeping = await place.start(flow, id="sleeper")

        await place.result(await place.start(kill, "sleeper", sleeping))

        assert await place.result(sleeping) == "cancelled: no time"
        inputs = [each for turn in await place.turns(sleeping) for each in turn.inputs]
        assert sum(isinstance(each, CancelRequested) for each in inputs) == 1


@in_virtual_time
async def test_a_store_in_trouble_delays_a_signal_and_never_doubles_it() -> None:
    async with yard() as place:
        listen, tell = flows(place)
        process = await place.process("worker")
        listening = await place.start(listen, id="listener")
        # The answer of each delivery is lost: it was made, and is made again.
        process.store.lost["deliver"] = {1, 2, 3}

        assert await place.result(await place.start(tell, "listener")) == "told"

        assert await place.result(listening) == [1, 2]
        inputs = [each for turn in await place.turns(listening) for each in turn.inputs]
        assert sum(isinstance(each, Signaled) for each in inputs) == 2


@in_virtual_time
async def test_a_worker_that_dies_while_it_signals_leaves_it_to_the_next_one() -> None:
    async with yard() as place:
        listen, tell = flows(place)
        listening = await place.start(listen, id="listener")
        first = await place.process("first", lease_ms=3_000)
        first.store.delays_s["deliver"] = 3_600
        telling = await place.start(tell, "listener")
        await asyncio.sleep(1)

        first.store.cut_off = True
        first.loop.crash()
        await place.process("second")

        assert await place.result(telling) == "told"
        assert await place.result(listening) == [1, 2]


def test_the_names_of_the_engine_are_reserved() -> None:
    registry = Registry()

    with pytest.raises(UnsupportedDefinition, match="reserved"):
        registry.add_program("perdure.x", "here", lambda: registry.known_program("y"))
    with pytest.raises(UnsupportedDefinition, match="reserved"):
        registry.add_activity(SYSTEM["perdure.signal"])
    assert not registry.activities
