"""Updates: validated, accepted and answered once, in this turn or in a later one; the same in every replay."""

import pytest

from perdure import workflow
from perdure.core.command import (
    CompleteUpdate,
    FailRun,
    RejectUpdate,
)
from perdure.core.errors import ForbiddenInWorkflow, NonDeterminism, UnsupportedDefinition
from perdure.core.message import Failed
from tests.unit.code_driver import Driver, names, program_of, result_of
from tests.unit.code_ledger import Ledger, accepted, answers, echo


def test_an_update_is_accepted_and_answered_in_one_turn() -> None:
    driver = Driver(Ledger, echo)
    driver.start()

    asked = driver.step(driver.update("put", "tea"))

    assert names(asked) == ["AcceptUpdate", "CompleteUpdate"]
    assert answers(asked) == {"u1": 2}


def test_an_async_update_is_answered_in_a_later_turn() -> None:
    driver = Driver(Ledger, echo)
    driver.start()
    asked = driver.step(driver.update("slow_put", "tea", id="mine"))
    assert (accepted(asked), names(asked)) == (["mine"], ["AcceptUpdate", "echo"])

    assert answers(driver.finish(1, "tea")) == {"mine": ["mine", 3]}
    assert result_of(driver.step(driver.signal("close"))) == ["run", "mine", "tea"]


def test_a_validator_rejects_before_anything_happened() -> None:
    driver = Driver(Ledger, echo)
    driver.start()

    asked = driver.step(driver.signal("lock"), driver.update("put", "tea"))

    assert answers(asked) == {"u1": "rejected: PermissionError"}
    assert result_of(driver.step(driver.signal("close"))) == ["run"]


def test_a_validator_cannot_change_the_run() -> None:
    driver = Driver(Ledger, echo)

    assert answers(driver.start(driver.update("put", "change"))) == {"u1": "rejected: ForbiddenInWorkflow"}


def test_arguments_that_do_not_fit_are_rejected() -> None:
    driver = Driver(Ledger, echo)
    driver.start()

    asked = driver.step(driver.update("put", 1, id="u1"), driver.update("put", id="u2"))

    assert answers(asked) == {"u1": "rejected: UndecodablePayload", "u2": "rejected: UndecodablePayload"}


def test_an_unknown_update_is_rejected() -> None:
    driver = Driver(Ledger, echo)

    (rejected,) = driver.start(driver.update("never"))

    assert isinstance(rejected, RejectUpdate)
    assert "takes no update 'never' (known: broken, put, slow_put)" in rejected.failure.message


@pytest.mark.parametrize(("kind", "type"), [("Odd", "Odd"), ("cancel", "CancelledError")])
def test_what_an_update_raises_is_its_answer_and_not_the_end_of_the_run(kind: str, type: str) -> None:
    driver = Driver(Ledger, echo)
    driver.start()

    asked = driver.step(driver.update("broken", kind))

    (answer,) = [each for each in asked if isinstance(each, CompleteUpdate)]
    assert isinstance(answer.outcome, Failed)
    assert answer.outcome.failure.type == type
    assert result_of(driver.step(driver.signal("close"))) == ["run"]


def test_an_update_that_does_what_is_refused_parks_the_run() -> None:
    driver = Driver(Ledger, echo)
    driver.start()

    with pytest.raises(ForbiddenInWorkflow):
        driver.run.step(driver.at_ms, (driver.update("broken", "forbidden"),))


def test_a_replay_asks_no_validator_again() -> None:
    asked: list[str] = []

    class Checked:
        @workflow.run
        async def run(self) -> None:
            await workflow.wait_condition(lambda: False)

        @workflow.update
        def put(self, line: str) -> str:  # pyright: ignore[reportRedeclaration]
            return line

        @put.validator
        def put(self, line: str) -> None:  # named like a property's setter
            asked.append(line)
            if line == "bad":
                raise ValueError(line)

    driver = Driver(Checked)
    driver.start()

    found = answers(driver.step(driver.update("put", "good", id="u1"), driver.update("put", "bad", id="u2")))

    assert found == {"u1": "good", "u2": "rejected: ValueError"}
    assert asked == ["good", "bad"]


def test_an_update_that_was_rejected_as_unknown_stays_so_when_its_handler_comes() -> None:
    class Before:
        @workflow.run
        async def run(self) -> None:
            await echo(1)

    class After(Before):
        @workflow.update
        def put(self) -> int:
            return 1

    driver = Driver(Before, echo)
    driver.start(driver.update("put"))

    recalled = driver.recalled(program_of(After, echo))

    again = recalled.inner.step(driver.at_ms, (driver.update("put", id="u2"),))
    assert answers(list(again)) == {"u2": 1}


def test_a_handler_that_is_gone_is_noticed() -> None:
    class Before:
        @workflow.run
        async def run(self) -> None:
            await echo(1)

        @workflow.update
        def put(self) -> int:
            return 1

    class After:
        @workflow.run
        async def run(self) -> None:
            await echo(1)

    driver = Driver(Before, echo)
    driver.start(driver.update("put"))

    with pytest.raises(NonDeterminism, match="history has the acceptance of update 'u1'"):
        driver.recalled(program_of(After, echo))


def test_a_function_takes_updates_by_handlers_that_it_registers() -> None:
    async def cart() -> dict[str, int]:
        items: dict[str, int] = {}
        open = True

        @workflow.update
        async def add(item: str, count: int = 1) -> int:
            await echo(item)
            items[item] = items.get(item, 0) + count
            return items[item]

        @add.validator
        def positive(item: str, count: int = 1) -> None:
            if count < 1:
                raise ValueError(item)

        @workflow.signal
        def check_out() -> None:
            nonlocal open
            open = False

        await workflow.wait_condition(lambda: not open and workflow.all_handlers_finished())
        return items

    driver = Driver(cart, echo)
    asked = driver.start(driver.update("add", "tea", 2, id="a"), driver.update("add", "tea", 0, id="b"))
    assert (accepted(asked), answers(asked)) == (["a"], {"b": "rejected: ValueError"})
    assert driver.step(driver.signal("check_out")) == []

    ended = driver.finish(1)

    assert answers(ended) == {"a": 2}
    assert result_of(ended) == {"tea": 2}


def test_a_function_cannot_register_what_is_no_handler() -> None:
    async def wrong() -> None:
        @workflow.update
        def put(number: int) -> None: ...

        @put.validator  # pyright: ignore[reportArgumentType]
        def check() -> None: ...

    driver = Driver(wrong)
    (failed,) = driver.start()

    assert isinstance(failed, FailRun)
    assert failed.failure.type == UnsupportedDefinition.__name__
