"""Conditions: looked at whenever the code has run, in the order in which their waiters came."""

import asyncio
from typing import Any

import pytest

from perdure import workflow
from perdure.core.command import CancelTimer, FailRun, StartTimer
from perdure.core.errors import InvalidOption, NotInWorkflow
from perdure.core.message import TimerFired
from tests.unit.code_driver import Driver, names, result_of


async def guarded(count: int) -> list[Any]:
    """So many that share one slot."""
    order: list[Any] = []
    free = 0

    @workflow.signal
    def release() -> None:
        nonlocal free
        free += 1

    async def one(number: int) -> None:
        nonlocal free
        await workflow.wait_condition(lambda: free > 0)
        assert free > 0, "it holds when its waiter goes on"
        free -= 1
        order.append(number)

    await asyncio.gather(*[one(number) for number in range(count)])
    return order


def test_a_waiter_finds_its_condition_still_true() -> None:
    driver = Driver(guarded, args=(3,))
    driver.start()
    driver.step(driver.signal("release"))

    ended = driver.step(driver.signal("release"), driver.signal("release"))

    assert result_of(ended) == [0, 1, 2]


def test_hundreds_wait_and_each_step_asks_each_of_them_once() -> None:
    asked = 0

    async def many() -> int:
        opened: set[int] = set()

        @workflow.signal
        def open(number: int) -> None:
            opened.add(number)

        def condition(number: int) -> Any:
            def holds() -> bool:
                nonlocal asked
                asked += 1
                return number in opened

            return holds

        await asyncio.gather(*[workflow.wait_condition(condition(number)) for number in range(500)])
        return len(opened)

    driver = Driver(many)
    run = driver.program.open(driver.run_id)
    run.step(driver.at_ms, (driver.started,))
    asked = 0

    run.step(driver.at_ms, (driver.signal("open", 250),))

    assert asked == 251 + 499, "up to the one that holds, and then all the others once"


def test_what_holds_at_once_neither_waits_nor_asks_for_a_timer() -> None:
    async def at_once() -> str:
        await workflow.wait_condition(lambda: True, timeout="1h")
        return "done"

    assert result_of(Driver(at_once).start()) == "done"


async def patient(seconds: float) -> str:
    held = False

    @workflow.signal
    def hold() -> None:
        nonlocal held
        held = True

    try:
        await workflow.wait_condition(lambda: held, timeout=seconds)
    except TimeoutError as error:
        return str(error)
    return "held"


def test_a_wait_ends_with_its_timeout() -> None:
    driver = Driver(patient, args=(5,))
    (timer,) = driver.start()
    assert isinstance(timer, StartTimer)

    ended = driver.step(TimerFired(timer.call_id), after_ms=5_000)

    assert result_of(ended) == "the condition did not hold within 5 s"


def test_a_wait_that_ends_well_withdraws_its_timer() -> None:
    driver = Driver(patient, args=(5,))
    driver.start()

    ended = driver.step(driver.signal("hold"))

    assert isinstance(ended[0], CancelTimer)
    assert result_of(ended) == "held"


def test_what_comes_in_the_same_step_as_the_timeout_counts() -> None:
    driver = Driver(patient, args=(5,))
    (timer,) = driver.start()
    assert isinstance(timer, StartTimer)

    ended = driver.step(TimerFired(timer.call_id), driver.signal("hold"), after_ms=5_000)

    assert result_of(ended) == "held"


def test_what_a_predicate_raises_is_raised_where_it_is_waited_for() -> None:
    async def broken() -> str:
        state: dict[str, bool] = {"ready": False}

        @workflow.signal
        def spoil() -> None:
            del state["ready"]

        try:
            await workflow.wait_condition(lambda: state["ready"])
        except KeyError as error:
            return repr(error)
        return "?"

    driver = Driver(broken)
    driver.start()

    assert result_of(driver.step(driver.signal("spoil"))) == "KeyError('ready')"


def test_a_predicate_can_change_nothing() -> None:
    async def meddling() -> str:
        await workflow.wait_condition(lambda: asyncio.get_running_loop().call_later(1, print))
        return "?"

    driver = Driver(meddling)

    with pytest.raises(Exception, match="changing the run in a condition"):
        driver.run.step(driver.at_ms, (driver.started,))


def test_one_that_gives_up_no_longer_waits() -> None:
    async def hasty() -> list[str]:
        found: list[str] = []
        waiting = asyncio.create_task(workflow.wait_condition(lambda: False))
        await asyncio.sleep(0)
        waiting.cancel()
        try:
            async with asyncio.timeout(1):
                await workflow.wait_condition(lambda: len(found) > 5)
        except TimeoutError:
            found.append("timeout")
        await workflow.wait_condition(lambda: waiting.cancelled())
        return found

    driver = Driver(hasty)
    (timer,) = driver.start()
    assert isinstance(timer, StartTimer)

    assert result_of(driver.step(TimerFired(timer.call_id), after_ms=1_000)) == ["timeout"]


@pytest.mark.parametrize("wrong", [{"timeout": -1}, {"timeout": "soon"}])
def test_options_are_checked(wrong: dict[str, Any]) -> None:
    async def careless() -> None:
        await workflow.wait_condition(lambda: False, **wrong)

    (failed,) = Driver(careless).start()

    assert isinstance(failed, FailRun)
    assert failed.failure.type == InvalidOption.__name__


def test_a_condition_is_a_function() -> None:
    async def careless() -> None:
        await workflow.wait_condition(False)  # pyright: ignore[reportArgumentType]

    (failed,) = Driver(careless).start()

    assert isinstance(failed, FailRun)
    assert names([failed]) == ["FailRun"]
    assert "lambda" in failed.failure.message


async def test_outside_a_workflow_there_is_nothing_to_wait_for() -> None:
    with pytest.raises(NotInWorkflow):
        await workflow.wait_condition(lambda: True)
