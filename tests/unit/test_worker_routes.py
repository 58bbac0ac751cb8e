"""Versions and builds: which run a worker takes, on which version and build one begins, and how it is moved."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from perdure.core.command import RunActivity
from perdure.core.errors import DuplicateName, InvalidOption, RunClosed, UnknownWorkflow, WorkflowNotFound
from perdure.core.ids import RunId, WorkflowId
from perdure.core.message import Moved
from perdure.core.route import parsed, route_of, version_of
from perdure.core.store import RunRecord, RunStatus
from perdure.engine.moving import move
from perdure.programs.code.definition import Activity, Workflow
from perdure.programs.code.program import CodeProgram
from perdure.testing.virtual import VirtualClock
from perdure.worker.registry import Registry
from tests.unit.engine_world import ScriptedProgram, asking
from tests.unit.virtual_time import in_virtual_time, virtual_clock
from tests.unit.worker_world import Process, Yard, started, yard

ORDER = WorkflowId("w")


async def _note(text: str) -> str:
    return text


note: Activity[..., str] = Activity(_note, name="note")


async def first() -> str:
    """Version 1."""
    await note("1a")
    await asyncio.sleep(60)
    return await note("1b")


async def second() -> str:
    """Version 2."""
    await asyncio.sleep(60)
    return await note("2")


ORDER_WORKFLOW: Workflow[..., Any] = Workflow(second, name="Order")
VERSIONS: dict[int, Callable[..., Any]] = {1: first, 2: second, 3: second}


def registry(
    *versions: int, build: str | None = None, pinned: bool | None = None, app_pinned: bool = False
) -> Registry:
    """What a worker with these versions of one workflow knows."""
    made = Registry(build, pinned=app_pinned)
    made.add_activity(note)
    for version in versions:
        workflow: Workflow[..., Any] = Workflow(VERSIONS[version], name="Order")
        program = CodeProgram(workflow, made.activity)
        made.add_program("Order", f"v{version}.py:1", lambda program=program: program, version=version, pinned=pinned)
    return made


async def process(place: Yard, name: str, known: Registry) -> Process:
    """A process with a registry of its own."""
    place.registry = known
    return await place.process(name)


async def begun(place: Yard, run_id: RunId, turns_count: int = 1) -> RunRecord:
    """The run, once it has so many turns."""
    found: list[RunRecord] = []
    while not found or found[0].turns_count < turns_count:
        await asyncio.sleep(0.01)
        found = list(await place.store.read_runs([run_id]))
    return found[0]


async def start(place: Yard) -> RunId:
    """Start a run by name, by way of the store."""
    return await place.start(ORDER_WORKFLOW)


# Routes


@pytest.mark.parametrize("name", ["Order", "a@2", "b#c", "d@1#e"])
@pytest.mark.parametrize("version", [None, 1, 2, 17])
@pytest.mark.parametrize("build", [None, "abc", "x@1#y", ""])
def test_a_route_is_read_as_it_was_written(name: str, version: int | None, build: str | None) -> None:
    assert parsed(route_of(name, version, build), name) == (version, build)


def test_a_plain_route_is_of_version_1_once_the_run_has_begun() -> None:
    assert version_of("Order", "Order", begun=False) is None
    assert version_of("Order", "Order", begun=True) == 1
    assert version_of("Order#abc", "Order", begun=False) == 1
    assert version_of("Order@3#abc", "Order", begun=True) == 3


# The registry


@pytest.mark.parametrize(
    ("made", "routes"),
    [
        (registry(1), {"Order"}),
        (registry(1, 2), {"Order", "Order@1", "Order@2"}),
        (registry(2), {"Order", "Order@2"}),
        (registry(1, build="b"), {"Order", "Order#b"}),
        (registry(2, 3, build="b"), {"Order", "Order@2", "Order@2#b", "Order@3", "Order@3#b"}),
    ],
    ids=["one", "two", "the second only", "with a build", "all"],
)
def test_a_worker_serves_its_versions_and_its_build(made: Registry, routes: set[str]) -> None:
    assert {each for each in made.routes if not each.startswith("perdure")} == routes


@pytest.mark.parametrize(
    ("made", "before", "after"),
    [
        (registry(1), "Order", None),
        (registry(1, 3, 2), "Order", "Order@3"),
        (registry(1, 2), "Order@1", None),
        (registry(1, build="b"), "Order", None),
        (registry(1, build="b", app_pinned=True), "Order", "Order#b"),
        (registry(1, build="b", pinned=True), "Order", "Order#b"),
        (registry(1, build="b", app_pinned=True, pinned=False), "Order", None),
        (registry(2, build="b", app_pinned=True), "Order", "Order@2#b"),
        (registry(1, build="b", app_pinned=True), "Order#c", None),
        (registry(1, build="b", app_pinned=True), "Order@1", "Order@1#b"),
    ],
)
def test_a_run_begins_on_the_newest_version_and_where_it_is_pinned_on_this_build(
    made: Registry, before: str, after: str | None
) -> None:
    assert made.first_route("Order", before) == after


def test_versions_are_found_by_number_and_without_one_the_newest() -> None:
    made = registry(1, 2)
    one, two = made.program("Order", 1), made.program("Order", 2)

    assert isinstance(one, CodeProgram)
    assert one.function is first
    assert made.program("Order") is made.known_program("Order") is two is not one
    assert made.program("Order", 3) is None


@pytest.mark.parametrize("version", [0, -1, True, 1.5, "2", None, 10**9])
def test_what_is_no_version_is_refused(version: Any) -> None:
    with pytest.raises(InvalidOption, match="version"):
        Registry().add_program("Order", "x.py:1", lambda: ScriptedProgram(asking()), version=version)


def test_a_version_is_registered_once() -> None:
    made = registry(1, 2)

    with pytest.raises(DuplicateName, match=r"already registered in v2\.py:1"):
        made.add_program("Order", "x.py:1", lambda: ScriptedProgram(asking()), version=2)
    with pytest.raises(DuplicateName):
        made.add_program("Order@2", "x.py:1", lambda: ScriptedProgram(asking()))


def test_what_is_pinned_needs_a_build() -> None:
    with pytest.raises(InvalidOption, match="needs a build"):
        Registry(pinned=True)
    with pytest.raises(InvalidOption, match="needs a build"):
        registry(1, pinned=True)


# Workers


@in_virtual_time
async def test_new_runs_take_the_newest_version_and_old_ones_stay_on_theirs() -> None:
    async with yard() as place:
        old = await start(place)
        one = await process(place, "one", registry(1))
        await begun(place, old, 2)
        await one.stop()
        await process(place, "both", registry(1, 2))
        new = await place.client.start(started(ORDER_WORKFLOW, id="other"))

        assert await place.result(old) == "1b"
        assert await place.result(new) == "2"
        routes = [each.route for each in await place.store.read_runs([old, new])]
        assert sorted(routes) == ["Order", "Order@2"]


@in_virtual_time
async def test_a_version_that_nobody_serves_waits() -> None:
    async with yard() as place:
        run_id = await start(place)
        two = await process(place, "two", registry(1, 2))
        await begun(place, run_id)
        await two.stop()
        one = await process(place, "one", registry(1))
        await asyncio.sleep(600)
        waiting = (await place.store.read_runs([run_id]))[0]
        await one.stop()

        await process(place, "again", registry(2, 3))

        assert (waiting.turns_count, waiting.route, waiting.worker, waiting.parked) == (1, "Order@2", None, None)
        assert await place.result(run_id) == "2"


@in_virtual_time
async def test_a_run_of_version_1_is_handed_on_by_a_worker_that_has_only_newer_ones() -> None:
    async with yard() as place:
        run_id = await start(place)
        one = await process(place, "one", registry(1))
        await begun(place, run_id, 2)
        await one.stop()
        two = await process(place, "two", registry(2))
        await asyncio.sleep(600)
        waiting = (await place.store.read_runs([run_id]))[0]
        await two.stop()

        await process(place, "both", registry(1, 2))

        assert (waiting.route, waiting.worker, waiting.parked) == ("Order@1", None, None)
        assert await place.result(run_id) == "1b"


@in_virtual_time
async def test_a_new_run_is_taken_by_a_worker_that_has_only_newer_versions() -> None:
    async with yard() as place:
        run_id = await start(place)
        await process(place, "two", registry(2))

        assert await place.result(run_id) == "2"
        assert (await begun(place, run_id)).route == "Order@2"


@in_virtual_time
async def test_a_pinned_run_stays_on_the_build_that_took_its_first_turn() -> None:
    async with yard() as place:
        run_id = await start(place)
        await process(place, "a", registry(1, build="a", app_pinned=True))
        await begun(place, run_id, 2)
        await place.processes[0].stop()
        b = await process(place, "b", registry(1, build="b", app_pinned=True))
        await asyncio.sleep(600)
        waiting = (await place.store.read_runs([run_id]))[0]
        await b.stop()

        await process(place, "a again", registry(1, build="a"))

        assert (waiting.route, waiting.turns_count, waiting.worker) == ("Order#a", 2, None)
        assert await place.result(run_id) == "1b"


@in_virtual_time
async def test_a_run_that_is_not_pinned_goes_on_with_any_build() -> None:
    async with yard() as place:
        run_id = await start(place)
        a = await process(place, "a", registry(1, build="a"))
        await begun(place, run_id, 2)
        await a.stop()
        await process(place, "b", registry(1, build="b", app_pinned=True))

        assert await place.result(run_id) == "1b"
        assert (await place.store.read_runs([run_id]))[0].route == "Order"


@in_virtual_time
async def test_a_run_started_where_it_is_worked_on_is_pinned_from_the_start() -> None:
    async with yard() as place:
        a = await process(place, "a", registry(1, 2, build="a", app_pinned=True))

        run_id = await a.ask(lambda engine: engine.start(started(ORDER_WORKFLOW)))

        assert (await begun(place, run_id)).route == "Order@2#a"
        assert await place.result(run_id) == "2"


# Moving


async def pinned_and_left(place: Yard) -> tuple[RunId, VirtualClock]:
    """A run that is pinned to build a, of which no worker is left."""
    run_id = await start(place)
    a = await process(place, "a", registry(1, build="a", app_pinned=True))
    await begun(place, run_id, 2)
    await a.stop()
    return run_id, virtual_clock()


@pytest.mark.parametrize("build", ["b", None])
def test_a_pinned_run_is_moved_to_another_build(build: str | None) -> None:
    @in_virtual_time
    async def run() -> None:
        async with yard() as place:
            run_id, clock = await pinned_and_left(place)
            await process(place, "b", registry(1, build="b", app_pinned=True))

            moved = await move(place.client, clock, ORDER, None, build)
            again = await move(place.client, clock, ORDER, None, build)

            assert (moved, again) == (True, False)
            assert await place.result(run_id) == "1b"
            turns = await place.turns(run_id)
            assert [type(each) for each in turns[2].inputs] == [Moved]
            calls = [each.name for turn in turns for each in turn.outputs if isinstance(each, RunActivity)]
            assert calls == ["note", "note"]

    run()


@in_virtual_time
async def test_a_run_is_moved_away_from_the_worker_that_holds_it() -> None:
    async with yard() as place:
        run_id = await start(place)
        await process(place, "a", registry(1, build="a", app_pinned=True))
        await begun(place, run_id, 2)
        b = await process(place, "b", registry(1, build="b", app_pinned=True))

        await move(place.client, virtual_clock(), ORDER, None, "b")

        assert await place.result(run_id) == "1b"
        assert b.store.counts["commit"] > 0
        assert (await place.store.read_runs([run_id]))[0].route == "Order#b"


@in_virtual_time
async def test_what_cannot_be_moved_is_told() -> None:
    async with yard() as place:
        clock = virtual_clock()
        with pytest.raises(WorkflowNotFound):
            await move(place.client, clock, ORDER, None, "b")
        run_id = await start(place)
        with pytest.raises(InvalidOption, match="has not begun"):
            await move(place.client, clock, ORDER, None, "b")
        await process(place, "a", registry(1))
        await place.result(run_id)
        with pytest.raises(RunClosed):
            await move(place.client, clock, ORDER, None, "b")


def test_the_program_of_a_run_that_nobody_has_is_unknown() -> None:
    running = RunStatus.RUNNING
    record = RunRecord(RunId("r"), ORDER, "Order", "q", running, 0, None, 3, None, None, None, route="Order@9")

    with pytest.raises(UnknownWorkflow, match=r"'Order@9' is not registered here \(known: Order, Order@1, Order@2\)"):
        registry(1, 2).known_program_for(record)
