"""Handlers under random messages: begun in order of arrival, each decided and answered once, replayed identically."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from perdure import workflow
from perdure.core.command import AcceptUpdate, Command, CompleteRun, CompleteUpdate, RejectUpdate, RunActivity
from perdure.core.message import Message
from perdure.core.payload import from_payload
from perdure.programs.code.definition import Activity
from tests.unit.code_driver import Driver, done


async def _echo(value: Any) -> Any:
    return value


echo: Activity[[Any], Any] = Activity(_echo, name="echo")


class Log:
    """Writes down what begins."""

    def __init__(self) -> None:
        self.lines: list[Any] = []
        self.closed = False

    @workflow.run
    async def run(self) -> list[Any]:
        while not self.closed:
            count = len(self.lines)
            await workflow.wait_condition(lambda count=count: self.closed or len(self.lines) >= count + 3)
        await workflow.wait_condition(workflow.all_handlers_finished)
        return self.lines

    @workflow.signal
    def sync_signal(self, number: int) -> None:
        self.lines.append(number)

    @workflow.signal
    async def async_signal(self, number: int) -> None:
        self.lines.append(number)
        await echo(number)

    @workflow.update
    def sync_update(self, number: int) -> int:
        self.lines.append(number)
        return number

    @workflow.update
    async def async_update(self, number: int) -> int:
        self.lines.append(number)
        return await echo(number)

    @async_update.validator
    def even(self, number: int) -> None:
        if number % 2:
            raise ValueError(number)

    @workflow.signal
    def close(self) -> None:
        self.closed = True


KINDS = st.sampled_from(["sync_signal", "async_signal", "sync_update", "async_update", "answer", "unknown"])
TURNS = st.lists(st.lists(KINDS, max_size=6), max_size=8)


class Play:
    """Sends what was drawn, and notes what must come of it."""

    def __init__(self) -> None:
        self.driver = Driver(Log, echo)
        self.number = 0
        self.begun: list[int] = []
        self.updates: dict[str, bool] = {}
        """By id, whether it is valid."""
        self.asked: list[Command] = []

    def message(self, kind: str) -> Message | None:
        """The next message of a kind; None if there is nothing to answer."""
        if kind == "answer":
            return self._answer()
        self.number = number = self.number + 1
        if kind.endswith("signal"):
            self.begun.append(number)
            return self.driver.signal(kind, number)
        valid = kind != "unknown" and not (kind == "async_update" and number % 2)
        self.updates[f"u{number}"] = valid
        if valid:
            self.begun.append(number)
        return self.driver.update(kind, number, id=f"u{number}")

    def _answer(self) -> Message | None:
        waiting = [each for each in self.asked if isinstance(each, RunActivity)]
        if not waiting:
            return None
        self.asked.remove(waiting[0])
        return done(waiting[0].call_id, waiting[0].call_id)

    def step(self, messages: list[Message | None]) -> list[Command]:
        """One turn."""
        given = [each for each in messages if each is not None]
        asked = self.driver.step(*given) if self.driver.turns else self.driver.start(*given)
        self.asked += asked
        return asked


@settings(max_examples=150, deadline=None)
@given(turns=TURNS)
def test_handlers_begin_in_order_and_every_update_is_answered_once(turns: list[list[str]]) -> None:
    play = Play()
    for kinds in turns:
        play.step([play.message(kind) for kind in kinds])
    ended = play.step([play.driver.signal("close")])
    while not isinstance(ended[-1] if ended else None, CompleteRun):
        ended = play.step([play.message("answer")])

    commands = [each for turn in play.driver.turns for each in turn.outputs]
    accepted = [each.update_id for each in commands if isinstance(each, AcceptUpdate)]
    rejected = [each.update_id for each in commands if isinstance(each, RejectUpdate)]
    answered = [each.update_id for each in commands if isinstance(each, CompleteUpdate)]
    closing = commands[-1]
    assert isinstance(closing, CompleteRun)
    assert from_payload(closing.result) == play.begun
    assert accepted == [id for id, valid in play.updates.items() if valid]
    assert sorted(rejected) == sorted(id for id, valid in play.updates.items() if not valid)
    assert sorted(answered) == sorted(accepted)
    play.driver.run.close()
