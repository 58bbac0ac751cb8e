"""Edits of workflows that have open runs: each is found, with the turn, the event and the line of the new source."""

import asyncio
import re
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from perdure import Perdure
from perdure.core.ids import WorkflowId
from perdure.engine.history import HistoryEvent, flatten
from perdure.engine.recorded import RecordedHistory, recorded_history
from perdure.testing.histories import Mismatch, replay
from tests.unit import replay_shop
from tests.unit.replay_edits import EDITS, NOTHING, Edit
from tests.unit.virtual_time import in_virtual_time
from tests.unit.worker_world import Yard, yard

SOURCE = Path(str(replay_shop.__file__)).read_text()
ARGS: dict[str, tuple[Any, ...]] = {
    "order": ("tea", 500),
    "crowd": (["a", "b", "c"],),
    "approval": ("a plan",),
    "stubborn": (),
}


@cache
def recorded() -> dict[str, RecordedHistory]:
    """A history of each workflow, as its source is."""
    found: dict[str, RecordedHistory] = {}

    @in_virtual_time
    async def record() -> None:
        for name, args in ARGS.items():
            async with yard() as place:
                place.registry = replay_shop.app.registry
                found[name] = await _recorded(place, name, args)

    record()
    return found


async def _recorded(place: Yard, name: str, args: tuple[Any, ...]) -> RecordedHistory:
    run_id = await place.start(getattr(replay_shop, name), *args, id=name)
    await place.process("worker")
    if name == "approval":
        await place.signal(name, "vote", True)
    if name == "stubborn":
        await asyncio.sleep(1)
        await place.client.cancel(WorkflowId(name), None, "enough")
    await place.outcome(run_id, within_s=7_200)
    return recorded_history(name, WorkflowId(name), run_id, await place.turns(run_id), "this test")


def edited(edit: Edit) -> tuple[Perdure, str]:
    """The app of the edited source, and that source."""
    assert SOURCE.count(edit.old) == 1, edit.old
    text = SOURCE.replace(edit.old, edit.new)
    module = ModuleType("edited")
    exec(compile(text, "edited.py", "exec"), module.__dict__)
    return module.app, text


def mismatch_of(app: Perdure, history: RecordedHistory) -> Mismatch:
    """What a replay says of a history that it cannot repeat."""
    (replayed,) = replay(app, [history])
    assert replayed.mismatch is not None
    return replayed.mismatch


def call_of(text: str) -> int | None:
    """The call that a description names."""
    found = re.search(r"\(call (\d+)\)", text)
    return None if found is None else int(found[1])


@pytest.mark.parametrize("name", EDITS)
def test_an_edit_is_found_with_its_event_and_its_line(name: str) -> None:
    edit = EDITS[name]
    history = recorded()[edit.workflow]
    app, text = edited(edit)

    found = mismatch_of(app, history)

    assert found.recorded == edit.recorded
    assert str(found.asked).startswith(edit.asked)
    if edit.line:
        assert text.count(edit.line) == 1, edit.line
        assert found.where == f"edited.py:{text[: text.index(edit.line)].count(chr(10)) + 1}"
    _assert_event(list(flatten(history.decoded())), found)


def _assert_event(events: list[HistoryEvent], found: Mismatch) -> None:
    """The event is the one that history has, or the first after what the turn has."""
    assert found.recorded is not None
    if found.recorded == NOTHING:
        assert events[found.event - 2].turn == found.turn
        assert found.event > len(events) or events[found.event - 1].turn == found.turn + 1
        return
    event = events[found.event - 1]
    assert event.turn == found.turn
    assert event.attributes.get("call_id") == call_of(found.recorded)
    if call_of(found.recorded) is None:
        assert found.event == len(events)


def test_there_are_forty_edits() -> None:
    assert len(EDITS) >= 40


@pytest.mark.parametrize("name", ARGS)
def test_the_unedited_source_replays(name: str) -> None:
    (replayed,) = replay(replay_shop.app, [recorded()[name]])

    assert replayed.clean
    assert replayed.turns_count == len(recorded()[name].turns)
