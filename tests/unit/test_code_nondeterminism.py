"""Code that decides something else than its history is stopped, with the turn, both decisions and the line."""

import asyncio
import inspect
from collections.abc import Callable
from typing import Any

import pytest

from perdure import workflow
from perdure.core.errors import NonDeterminism
from perdure.core.turn import Turn
from perdure.programs.code.definition import Activity
from tests.unit.code_driver import Driver, done, failed, program_of


async def _any(value: Any = None) -> Any:
    return value


one: Activity[..., Any] = Activity(_any, name="one")
two: Activity[..., Any] = Activity(_any, name="two")


async def original() -> str:
    await one(1)
    await two(2)
    await asyncio.sleep(5)
    return "end"


def line_of(fn: Callable[..., Any], text: str) -> str:
    """The place of the line of `fn` that contains `text`."""
    lines, first = inspect.getsourcelines(fn)
    return f"test_code_nondeterminism.py:{first + next(n for n, line in enumerate(lines) if text in line)}"


def mismatch(fn: Callable[..., Any], old: Callable[..., Any] = original, *, steps: int = 2) -> NonDeterminism:
    """The error of `fn` recalling a history of `old`."""
    driver = Driver(old, one, two)
    driver.start()
    for step in range(steps):
        driver.step(done(step + 1))
    with pytest.raises(NonDeterminism) as caught:
        driver.recalled(program_of(fn, one, two))
    return caught.value


async def changed_order() -> str:
    await two(2)
    await one(1)
    return "end"


async def removed() -> str:
    await one(1)
    await asyncio.sleep(5)
    return "end"


async def added() -> str:
    await one(1)
    await asyncio.gather(two(2), one(3))
    return "end"


async def returns_early() -> str:
    await one(1)
    if workflow.time() > 0:
        return "early"
    return "end"


async def raises() -> str:
    await one(1)
    helper()
    return "end"


def helper() -> None:
    raise LookupError("new bug")


async def waits() -> str:
    await one(1)
    await workflow.channel("never").receive()
    return "end"


async def in_a_task() -> str:
    await one(1)
    await asyncio.gather(one(2))
    return "end"


@pytest.mark.parametrize(
    ("fn", "turn", "recorded", "asked", "text"),
    [
        (changed_order, 1, "activity 'one' (call 1)", "activity 'two' (call 1)", "await two"),
        (removed, 2, "activity 'two' (call 2)", "a timer (call 2)", "asyncio.sleep"),
        (added, 2, "nothing more", "activity 'one' (call 3)", "asyncio.gather"),
        (returns_early, 2, "activity 'two' (call 2)", "the run's completion", 'return "early"'),
        (raises, 2, "activity 'two' (call 2)", "the run's failure (LookupError: new bug)", ""),
        (waits, 2, "activity 'two' (call 2)", "nothing more", "receive()"),
        (in_a_task, 2, "activity 'two' (call 2)", "activity 'one' (call 2)", "asyncio.gather"),
    ],
)
def test_changed_code_is_told_with_turn_decisions_and_line(
    fn: Callable[..., Any], turn: int, recorded: str, asked: str, text: str
) -> None:
    error = mismatch(fn)

    assert (error.facts["turn"], error.facts["recorded"], error.facts["asked"]) == (turn, recorded, asked)
    where = line_of(helper, "raise") if fn is raises else line_of(fn, text)
    assert error.facts["where"] == f" at {where}"
    assert f"turn {turn} of run" in str(error)


def test_going_on_where_history_ends_is_told() -> None:
    async def short() -> str:
        await one(1)
        return "end"

    async def longer() -> str:
        await one(1)
        await two(2)
        return "end"

    error = mismatch(longer, short, steps=1)

    assert error.facts["recorded"] == "the run's completion"
    assert error.facts["where"] == f" at {line_of(longer, 'await two')}"


def test_a_cancellation_that_is_gone_is_told() -> None:
    keep = False

    async def cancels() -> None:
        task = asyncio.create_task(_ask())
        await asyncio.sleep(0)
        await two(2)
        if not keep:
            task.cancel()
        await two(3)

    async def _ask() -> None:
        await one(1)

    driver = Driver(cancels, one, two)
    driver.start()
    driver.step(done(2))
    keep = True

    with pytest.raises(NonDeterminism) as caught:
        driver.recalled(program_of(cancels, one, two))

    assert caught.value.facts["recorded"] == "the cancellation of an activity (call 1)"
    assert caught.value.facts["asked"] == "nothing more"
    assert caught.value.facts["where"] == f" at {line_of(cancels, 'two(3)')}"


def test_a_side_effect_that_is_new_is_told_and_not_run() -> None:
    ran: list[int] = []

    async def fresh() -> str:
        await one(1)
        workflow.side_effect(lambda: ran.append(1))
        await two(2)
        return "end"

    error = mismatch(fresh)

    assert error.facts["asked"] == "a side effect (call 2)"
    assert not ran


@pytest.mark.parametrize("changed", ["argument", "options", "delay", "message"])
def test_what_is_no_decision_may_change(changed: str) -> None:
    variant = "old"

    async def flow() -> str:
        new = variant == "new"
        await one(1 if not new or changed != "argument" else {"other": 1})
        await (two.options(retries=9) if new and changed == "options" else two)(2)
        await asyncio.sleep(5 if not new or changed != "delay" else 50)
        if changed == "message":
            raise ValueError(variant)
        return "end"

    driver = Driver(flow, one, two)
    driver.start()
    driver.step(done(1))
    driver.step(done(2))
    variant = "new"

    driver.recalled(program_of(flow, one, two)).close()


def test_a_failing_activity_is_never_a_mismatch() -> None:
    async def flow() -> str:
        await one(1)
        return "end"

    driver = Driver(flow, one, two)
    driver.start()
    driver.step(failed(1))


def test_a_mismatch_late_in_a_long_history_names_its_turn() -> None:
    limit = 200

    async def flow() -> None:
        for n in range(1_000):
            await (one if n < limit else two)(n)

    driver = Driver(flow, one, two)
    run = driver.run
    messages: tuple[Any, ...] = (driver.started,)
    for number in range(1, 300):
        outputs = tuple(run.step(driver.at_ms, messages))
        driver.turns.append(Turn(number, driver.at_ms, messages, outputs))
        messages = (done(number),)
    limit = 250

    with pytest.raises(NonDeterminism) as caught:
        driver.recalled(program_of(flow, one, two))

    assert caught.value.facts["turn"] == 201
    assert caught.value.facts["where"] == f" at {line_of(flow, 'await (one')}"
