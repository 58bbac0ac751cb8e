"""Recorded histories as documents: read back, refused when damaged, and replayed for whatever stands in the way."""

import asyncio
from pathlib import Path

import msgspec
import pytest

from perdure import Perdure, workflow
from perdure.core.errors import InvalidOption
from perdure.core.ids import WorkflowId
from perdure.engine.recorded import RecordedHistory, parse_histories, recorded_history
from perdure.testing.histories import load, replay
from tests.unit.code_driver import RUN_ID, Driver, done, failed

app = Perdure("memory://")


@app.activity
async def one(value: int) -> int:
    return value


@app.workflow
async def flow() -> int:
    try:
        return await one(1)
    except Exception:  # a failing activity, of whatever kind
        return -1


def history_of(*, fails: bool = False, workflow: str = "flow") -> RecordedHistory:
    """A history of two turns."""
    driver = Driver(flow.fn, one)
    driver.start()
    driver.step(failed(1) if fails else done(1, 1))
    return recorded_history(workflow, WorkflowId("w-1"), RUN_ID, driver.turns, "this test")


def damaged(history: RecordedHistory, *turns: str) -> RecordedHistory:
    """The history with other turns."""
    return msgspec.structs.replace(history, turns=turns)


def test_one_history_and_many_are_read_from_a_file(tmp_path: Path) -> None:
    one_line = msgspec.json.encode(history_of())
    (tmp_path / "a.json").write_bytes(msgspec.json.format(one_line, indent=1))
    (tmp_path / "b.jsonl").write_bytes(one_line + b"\n\n" + one_line + b"\n")
    (tmp_path / "c.txt").write_bytes(b"no history")

    assert load(tmp_path / "b.jsonl") == [history_of()] * 2
    assert load(tmp_path) == [history_of()] * 3


@pytest.mark.parametrize(
    "data", [b"", b"\n", b"{}", b"[]", b"no json", b"\xff\xfe", b'{"workflow": 1}', b"[" * 100_000]
)
def test_what_is_no_history_is_refused(data: bytes) -> None:
    with pytest.raises(InvalidOption, match=r"x\.json"):
        parse_histories(data, "x.json")


@pytest.mark.parametrize("turns", [("!!",), ("AAAA",), ("",)], ids=["no base 64", "another format", "nothing"])
def test_a_damaged_history_is_refused(turns: tuple[str, ...]) -> None:
    with pytest.raises(InvalidOption, match="is damaged"):
        replay(app, [damaged(history_of(), *turns)])


def test_a_history_without_its_first_turn_is_refused() -> None:
    history = history_of()

    with pytest.raises(InvalidOption, match="a turn is missing"):
        replay(app, [damaged(history, *history.turns[1:])])


@pytest.mark.parametrize("path", ["nowhere", "."])
def test_a_path_without_histories_is_refused(path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    with pytest.raises(InvalidOption):
        load(path)


@pytest.mark.parametrize("fails", [False, True])
def test_a_history_replays_whether_or_not_its_activity_failed(*, fails: bool) -> None:
    (replayed,) = replay(app, [history_of(fails=fails)])

    assert replayed.clean


async def test_a_replay_may_be_asked_for_where_a_loop_runs() -> None:
    heard: list[str] = []

    replay(app, [history_of()], lambda replayed: heard.append(replayed.workflow))

    assert heard == ["flow"]
    assert asyncio.current_task() is not None


def test_a_workflow_that_is_gone_is_told() -> None:
    (replayed,) = replay(app, [history_of(workflow="gone")])

    assert replayed.mismatch is not None
    assert replayed.mismatch.code == "PDR1005"
    assert "known: flow" in replayed.mismatch.message


def test_an_activity_that_is_gone_is_told_with_its_turn() -> None:
    other = Perdure("memory://")
    other.workflow(flow.fn)

    @other.workflow(name="by_name")
    async def by_name() -> None:
        await workflow.execute_activity("one", 1)

    (replayed,) = replay(other, [history_of(workflow="by_name")])

    assert replayed.mismatch is not None
    assert (replayed.mismatch.code, replayed.mismatch.turn) == ("PDR3003", 1)
    assert replayed.mismatch.recorded is None
