"""The verbs that tell a run something, end it or ask it, over a store on which nobody works."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, TypeVar

import pytest

from perdure.core.command import Command, CompleteRun, ParentClosePolicy
from perdure.core.errors import RunClosed, StoreUnavailable, UnknownQuery, WorkflowNotFound
from perdure.core.message import (
    CancelRequested,
    Query,
    Resumed,
    Signaled,
    Started,
    Terminated,
    TerminateRequested,
)
from perdure.core.payload import NULL, from_payload
from perdure.core.store import RunStatus
from perdure.engine.engine import QUERY_SETTLE_MS, Engine
from perdure.testing.faults import Fate, FaultyStore, OneFate
from tests.unit.engine_office import ORDER, OTHER, Office
from tests.unit.engine_world import ScriptedProgram, activity, asking, child, timer
from tests.unit.virtual_time import in_virtual_time, virtual_loop

R = TypeVar("R")


# Telling


@in_virtual_time
async def test_what_a_run_is_told_waits_in_its_inbox() -> None:
    office = Office()
    run_id = await office.start()

    await office.engine.signal(ORDER, None, Signaled("approve", NULL, "s1"))
    await office.engine.signal(ORDER, run_id, Signaled("approve", NULL, "s1"))
    await office.engine.cancel(ORDER, None, "changed my mind")
    await office.engine.resume(ORDER, None)

    _, signal, cancel, resume = await office.inbox(run_id)
    assert signal == Signaled("approve", NULL, "s1")
    assert isinstance(cancel, CancelRequested)
    assert cancel.reason == "changed my mind"
    assert isinstance(resume, Resumed)


@in_virtual_time
async def test_each_cancellation_is_a_request_of_its_own() -> None:
    office = Office()
    run_id = await office.start()

    await office.engine.cancel(ORDER, None, "once")
    await office.engine.cancel(ORDER, None, "twice")

    assert len(await office.inbox(run_id)) == 3


@in_virtual_time
async def test_a_closed_run_hears_nothing() -> None:
    office = Office()
    run_id = await office.start()
    await office.close(run_id)
    engine = office.engine

    for telling in (
        engine.signal(ORDER, run_id, Signaled("approve", NULL, "s1")),
        engine.signal(ORDER, None, Signaled("approve", NULL, "s1")),
        engine.cancel(ORDER, None, "too late"),
        engine.resume(ORDER, None),
        engine.terminate(ORDER, None, "too late"),
    ):
        with pytest.raises(RunClosed, match=r"PDR2003: workflow 'order-1' is closed \(completed\); start a new run"):
            await telling
    with pytest.raises(WorkflowNotFound):
        await engine.signal(OTHER, None, Signaled("approve", NULL, "s1"))


class ClosingStore(FaultyStore):
    """A store in which a run closes, or takes a turn, just before a client's write arrives."""

    def __init__(self, office: Office, *, before: str, commands: Sequence[Command], again: bool = False) -> None:
        super().__init__(office.store, OneFate(0, Fate()))
        self._office = office
        self._before = before
        self._commands = commands
        self._again = again

    async def call(self, verb: str, action: Callable[[], Coroutine[Any, Any, R]]) -> R:
        if verb == self._before and self._commands:
            commands, self._commands = self._commands, ()
            record = await self._office.store.find_run(ORDER)
            assert record is not None
            await self._office.turn(record.run_id, *commands)
            if self._again:
                await self._office.start()
        return await super().call(verb, action)


@in_virtual_time
async def test_a_run_that_closes_in_between_is_told_to_the_sender() -> None:
    office = Office()
    await office.start()
    engine = Engine(ClosingStore(office, before="deliver", commands=[CompleteRun(NULL)]), office.clock)

    with pytest.raises(RunClosed):
        await engine.signal(ORDER, None, Signaled("approve", NULL, "s1"))


@in_virtual_time
async def test_a_signal_to_the_workflow_id_reaches_the_run_that_followed() -> None:
    office = Office()
    first = await office.start()
    engine = Engine(ClosingStore(office, before="deliver", commands=[CompleteRun(NULL)], again=True), office.clock)

    await engine.signal(ORDER, None, Signaled("approve", NULL, "s1"))

    record = await office.engine.find(ORDER)
    assert record.run_id != first
    assert Signaled("approve", NULL, "s1") in await office.inbox(record.run_id)


# Terminating


@in_virtual_time
async def test_a_run_that_never_started_is_terminated_without_its_code() -> None:
    office = Office()
    run_id = await office.start()
    await office.engine.signal(ORDER, None, Signaled("approve", NULL, "s1"))

    await office.engine.terminate(ORDER, None, "by an operator")

    record = await office.engine.find(ORDER)
    assert record.status is RunStatus.TERMINATED
    assert await office.engine.wait(record.run_id) == Terminated("by an operator")
    (turn,) = [turn async for turn in office.engine.turns(run_id)]
    assert turn.inputs == (Started("scripted", ORDER, "default", ()), TerminateRequested("by an operator"))
    assert await office.inbox(run_id) == []


@in_virtual_time
async def test_a_termination_takes_children_and_attempts_along() -> None:
    office = Office()
    run_id = await office.start()
    await office.turn(run_id, activity(1), child(2), child(3, ParentClosePolicy.ABANDON))

    await office.engine.terminate(ORDER, run_id, "by an operator")

    assert (await office.store.read_waiting(run_id)).attempts == ()
    assert [type(message) for message in await office.inbox(child(2).run_id)] == [Started, TerminateRequested]
    assert [type(message) for message in await office.inbox(child(3).run_id)] == [Started]


@in_virtual_time
async def test_a_parked_run_can_be_terminated() -> None:
    office = Office()
    run_id = await office.start()
    await office.park(run_id)

    await office.engine.terminate(ORDER, None, "it cannot go on")

    record = await office.engine.find(ORDER)
    assert (record.status, record.parked) == (RunStatus.TERMINATED, None)


@in_virtual_time
async def test_whoever_waits_hears_of_a_termination() -> None:
    office = Office()
    run_id = await office.start()
    waiting = asyncio.ensure_future(office.engine.wait(run_id))
    await asyncio.sleep(1)

    await office.engine.terminate(ORDER, None, "now")

    assert await waiting == Terminated("now")


@in_virtual_time
async def test_a_turn_in_between_is_looked_at_before_the_run_is_terminated() -> None:
    office = Office()
    run_id = await office.start()
    engine = Engine(ClosingStore(office, before="commit", commands=[child(1)]), office.clock)

    await engine.terminate(ORDER, None, "now")

    assert [turn.number async for turn in engine.turns(run_id)] == [1, 2]
    assert [type(message) for message in await office.inbox(child(1).run_id)] == [Started, TerminateRequested]


@in_virtual_time
async def test_a_run_that_closes_in_between_is_not_terminated() -> None:
    office = Office()
    await office.start()
    engine = Engine(ClosingStore(office, before="commit", commands=[CompleteRun(NULL)]), office.clock)

    with pytest.raises(RunClosed, match="completed"):
        await engine.terminate(ORDER, None, "now")


@in_virtual_time
async def test_an_outage_is_told_and_the_call_may_be_repeated() -> None:
    office = Office()
    await office.start()
    fates = OneFate(0, Fate(unknown=True))
    store = FaultyStore(office.store, fates)
    engine = Engine(store, office.clock)
    fates.number = 4

    with pytest.raises(StoreUnavailable, match="the call may be repeated"):
        await engine.terminate(ORDER, None, "now")

    assert fates.verb == "commit"
    with pytest.raises(RunClosed, match="terminated"):
        await engine.terminate(ORDER, None, "now")


# Asking


@in_virtual_time
async def test_a_query_is_answered_by_recalling_the_history() -> None:
    office = Office()
    run_id = await office.start()
    await office.engine.signal(ORDER, None, Signaled("approve", NULL, "s1"))
    await office.turn(run_id)
    program = ScriptedProgram(asking())

    answer = await office.engine.query(ORDER, None, Query("told", ()), program)

    assert from_payload(answer) == ["start", "s/s1"]
    assert program.opened[0].closed
    assert [turn.number async for turn in office.engine.turns(run_id)] == [1]


@in_virtual_time
async def test_a_closed_run_answers_queries() -> None:
    office = Office()
    await office.close(await office.start())

    answer = await office.engine.query(ORDER, None, Query("told", ()), ScriptedProgram(asking()))

    assert from_payload(answer) == ["start"]


@in_virtual_time
async def test_a_query_that_fails_lets_go_of_the_program_too() -> None:
    office = Office()
    await office.turn(await office.start())
    program = ScriptedProgram(asking())

    with pytest.raises(UnknownQuery):
        await office.engine.query(ORDER, None, Query("other", ()), program)

    assert program.opened[0].closed


@in_virtual_time
async def test_a_query_waits_for_what_was_told_before_it() -> None:
    office = Office()
    run_id = await office.start()
    await office.turn(run_id)
    await office.engine.signal(ORDER, None, Signaled("approve", NULL, "s1"))
    asking_now = asyncio.ensure_future(office.engine.query(ORDER, None, Query("told", ()), ScriptedProgram(asking())))
    await asyncio.sleep(0.5)
    assert not asking_now.done()

    await office.turn(run_id)

    assert from_payload(await asking_now) == ["start", "s/s1"]


@in_virtual_time
async def test_a_query_does_not_wait_for_ever_nor_for_timers() -> None:
    office = Office()
    run_id = await office.start()
    await office.turn(run_id, timer(1, office.clock.now_ms() + 3_600_000))
    program = ScriptedProgram(asking())

    await office.engine.query(ORDER, None, Query("told", ()), program)
    assert virtual_loop().time() == 0.0
    await office.engine.signal(ORDER, None, Signaled("approve", NULL, "s1"))
    answer = await office.engine.query(ORDER, None, Query("told", ()), program)

    assert from_payload(answer) == ["start"]
    assert QUERY_SETTLE_MS <= virtual_loop().time() * 1_000 < QUERY_SETTLE_MS + 100
