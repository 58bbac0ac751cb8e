"""Changes of code under open runs: decided once a run and id, recorded, and followed by every replay."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from perdure import workflow
from perdure.core.command import RecordVersion
from perdure.core.errors import InvalidId, InvalidOption, NonDeterminism, NotInWorkflow, VersionUnsupported
from perdure.programs.code.definition import Activity
from tests.unit.code_driver import Driver, done, names, program_of, result_of


async def _any(value: Any = None) -> Any:
    return value


one: Activity[..., Any] = Activity(_any, name="one")
two: Activity[..., Any] = Activity(_any, name="two")
new: Activity[..., Any] = Activity(_any, name="new")


async def before() -> str:
    await one()
    await two()
    return "end"


async def patched() -> str:
    await one()
    if workflow.patched("tax"):
        await new()
    else:
        await two()
    return "end"


async def deprecated() -> str:
    await one()
    workflow.deprecate_patch("tax")
    await new()
    return "end"


async def after() -> str:
    await one()
    await new()
    return "end"


def play(fn: Callable[..., Any], *, steps: int = 2) -> Driver:
    """A run of which so many activities have ended."""
    driver = Driver(fn, one, two, new)
    driver.start()
    for call_id in range(1, steps + 1):
        driver.step(done(call_id))
    return driver


def recalls(driver: Driver, fn: Callable[..., Any]) -> None:
    """The run recalls its history with other code; raises where that differs."""
    driver.recalled(program_of(fn, one, two, new)).close()


def asked(driver: Driver) -> list[list[str]]:
    """What was asked for, by turn."""
    return [names(list(turn.outputs)) for turn in driver.turns]


def test_a_new_run_takes_the_new_way_and_records_it() -> None:
    driver = play(patched)

    assert asked(driver) == [["one"], ["RecordVersion", "new"], ["CompleteRun"]]
    assert driver.turns[1].outputs[0] == RecordVersion("tax", 1)


@pytest.mark.parametrize("steps", [0, 1, 2])
def test_a_run_from_before_a_patch_goes_its_way(steps: int) -> None:
    recalls(play(before, steps=steps), patched)


def test_a_run_that_had_not_passed_the_place_takes_the_new_way() -> None:
    driver = play(before, steps=0)
    run = driver.recalled(program_of(patched, one, two, new))

    outputs = run.step(driver.at_ms, (done(1),))

    assert names(list(outputs)) == ["RecordVersion", "new"]


@pytest.mark.parametrize(
    ("recorded", "code", "fits"),
    [
        (before, patched, True),
        (before, deprecated, False),
        (before, after, False),
        (patched, deprecated, True),
        (patched, after, False),
        (patched, before, False),
        (deprecated, patched, True),
        (deprecated, after, True),
        (deprecated, before, False),
        (after, deprecated, True),
        (after, patched, False),
    ],
    ids=lambda value: getattr(value, "__name__", str(value)),
)
def test_the_stages_of_a_patch_fit_as_they_should(
    recorded: Callable[..., Any], code: Callable[..., Any], *, fits: bool
) -> None:
    driver = play(recorded)

    if fits:
        recalls(driver, code)
    else:
        with pytest.raises(NonDeterminism):
            recalls(driver, code)


def test_a_patch_that_was_removed_too_early_is_told_with_its_name_and_line() -> None:
    with pytest.raises(NonDeterminism) as caught:
        recalls(play(patched), after)

    assert caught.value.facts["recorded"] == "version 1 of change 'tax'"
    assert caught.value.facts["asked"] == "activity 'new' (call 2)"
    assert "test_code_versions.py:" in caught.value.facts["where"]


def test_what_was_decided_once_holds_for_the_whole_run() -> None:
    async def loop() -> None:
        for _ in range(3):
            await one()

    async def changed() -> list[bool]:
        found: list[bool] = []
        for _ in range(3):
            found.append(workflow.patched("tax"))  # asked for again in each turn
            await one()
        return found

    old, fresh = play(loop, steps=1), play(changed, steps=3)
    run = old.recalled(program_of(changed, one, two, new))
    run.step(old.at_ms, (done(2),))

    assert result_of(list(run.step(old.at_ms, (done(3),)))) == [False, False, False]
    assert result_of(list(fresh.turns[-1].outputs)) == [True, True, True]
    assert asked(fresh) == [["RecordVersion", "one"], ["one"], ["one"], ["CompleteRun"]]


def test_the_place_of_a_record_in_its_turn_does_not_count() -> None:
    async def early() -> None:
        workflow.patched("a")
        await asyncio.gather(one(), two())

    async def late() -> None:
        tasks = [asyncio.create_task(one()), asyncio.create_task(two())]
        await asyncio.sleep(0)
        workflow.patched("a")
        await asyncio.gather(*tasks)

    recalls(play(early), late)
    recalls(play(late), early)


@pytest.mark.parametrize("ids", [("a", "b"), ("b", "a")])
def test_several_changes_in_a_turn_are_told_apart(ids: tuple[str, str]) -> None:
    async def both() -> list[int]:
        found = [workflow.version(each, -1, 5 if each == "a" else 7) for each in ids]
        await one()
        return [*found, workflow.version("a", -1, 9), workflow.version("b", -1, 9)]

    async def reverse() -> list[int]:
        found = [workflow.version(each, -1, 50) for each in reversed(ids)]
        await one()
        return [*reversed(found), workflow.version("a", -1, 9), workflow.version("b", -1, 9)]

    driver = play(both, steps=0)
    run = driver.recalled(program_of(reverse, one, two, new))

    expected = [5, 7] if ids == ("a", "b") else [7, 5]
    assert result_of(list(run.step(driver.at_ms, (done(1),)))) == [*expected, 5, 7]


def versioned(lowest: int, highest: int) -> Callable[..., Any]:
    """Code that supports these versions."""

    async def flow() -> int:
        await one()
        found = workflow.version("tax", lowest, highest)
        await two()
        return found

    return flow


def unversioned() -> Callable[..., Any]:
    """The same code before there were versions."""

    async def flow() -> int:
        await one()
        await two()
        return 0

    return flow


def test_a_run_keeps_the_version_that_it_recorded() -> None:
    driver = play(versioned(-1, 2), steps=1)
    run = driver.recalled(program_of(versioned(1, 4), one, two, new))

    assert result_of(list(run.step(driver.at_ms, (done(2),)))) == 2


def test_a_run_from_before_any_version_has_the_default_one() -> None:
    driver = play(unversioned(), steps=1)
    run = driver.recalled(program_of(versioned(-1, 4), one, two, new))

    assert result_of(list(run.step(driver.at_ms, (done(2),)))) == workflow.DEFAULT_VERSION


@pytest.mark.parametrize(
    ("recorded", "supported"),
    [(versioned(-1, 2), (3, 4)), (versioned(-1, 2), (-1, 1)), (unversioned(), (0, 4))],
    ids=["too old", "too new", "from before"],
)
def test_a_version_that_the_code_does_not_support_parks_the_run(
    recorded: Callable[..., Any], supported: tuple[int, int]
) -> None:
    with pytest.raises(VersionUnsupported) as caught:
        recalls(play(recorded, steps=1), versioned(*supported))

    assert caught.value.code == "PDR3004"
    assert (caught.value.facts["lowest"], caught.value.facts["highest"]) == supported
    assert "test_code_versions.py:" in str(caught.value)


def test_what_is_asked_later_is_within_the_range_or_parks_too() -> None:
    async def flow() -> None:
        workflow.version("tax", -1, 2)
        await one()
        workflow.version("tax", 3, 4)

    driver = play(flow, steps=0)

    with pytest.raises(VersionUnsupported):
        driver.run.step(driver.at_ms, (done(1),))


@pytest.mark.parametrize(("lowest", "highest"), [(2, 1), (-2, 1), (0, True), (0.5, 1), ("1", 2), (None, 1), (0, 10**9)])
def test_a_range_that_is_none_is_refused(lowest: Any, highest: Any) -> None:
    async def flow() -> str:
        with pytest.raises(InvalidOption):
            workflow.version("tax", lowest, highest)
        return "refused"

    assert result_of(Driver(flow).start()) == "refused"


@pytest.mark.parametrize("name", ["", 5, "x" * 1_001, None])
def test_a_name_that_is_none_is_refused(name: Any) -> None:
    async def flow() -> str:
        for ask in (workflow.patched, workflow.deprecate_patch):
            with pytest.raises(InvalidId):
                ask(name)
        with pytest.raises(InvalidId):
            workflow.version(name, 0, 1)
        return "refused"

    assert result_of(Driver(flow).start()) == "refused"


@pytest.mark.parametrize("ask", [workflow.patched, workflow.deprecate_patch])
def test_changes_are_asked_for_in_workflows_only(ask: Callable[[str], Any]) -> None:
    with pytest.raises(NotInWorkflow):
        ask("tax")


def test_a_query_reads_what_is_decided_and_decides_nothing() -> None:
    async def flow() -> None:
        @workflow.query
        def ways() -> list[bool]:
            return [workflow.patched("early"), workflow.patched("late")]

        workflow.patched("early")
        await one()
        workflow.patched("late")
        await two()

    driver = play(flow, steps=0)
    at_first = driver.query("ways")
    driver.step(done(1))

    assert at_first == [True, False]
    assert driver.query("ways") == [True, True]
    recalls(driver, flow)


def test_a_patch_inside_a_task_that_is_cancelled_keeps_its_record() -> None:
    async def ask() -> None:
        workflow.patched("tax")
        await asyncio.sleep(60)

    async def flow() -> None:
        task = asyncio.create_task(ask())
        await asyncio.sleep(0)
        task.cancel()
        await one()

    driver = play(flow, steps=1)

    assert asked(driver)[0] == ["RecordVersion", "one"]
    recalls(driver, flow)


class Order:
    """A class workflow whose parts ask for changes."""

    def __init__(self) -> None:
        self.seen: list[bool] = []

    @workflow.run
    async def run(self) -> list[bool]:
        """Ask, and go when there is a signal."""
        self.seen.append(workflow.patched("run"))
        await workflow.wait_condition(lambda: len(self.seen) > 1)
        await one()
        return self.seen

    @workflow.signal
    def note(self) -> None:
        """Ask in a handler."""
        self.seen.append(workflow.patched("note"))

    @workflow.query
    def ways(self) -> list[bool]:
        """What is decided so far."""
        return [workflow.patched("run"), workflow.patched("note")]


def test_the_parts_of_a_class_ask_for_changes_as_a_function_does() -> None:
    driver = Driver(Order, one)
    driver.start()
    at_first = driver.query("ways")
    outputs = driver.step(driver.signal("note"))

    assert (at_first, driver.query("ways")) == ([True, False], [True, True])
    assert outputs[0] == RecordVersion("note", 1)
    assert result_of(driver.step(done(1))) == [True, True]
