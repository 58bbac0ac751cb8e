"""Histories of every feature, recorded once, are replayed for ever: by this process and by those with other hashes."""

import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from perdure.core.command import Command, RunActivity
from perdure.core.errors import NonDeterminism
from perdure.core.message import Message
from perdure.core.policy import ActivityOptions
from perdure.engine.live import LiveRun
from perdure.engine.recorded import opened_as
from tests.histories.record import SCRIPTS, record_missing
from tests.histories.replay import histories, program_of, replay
from tests.unit.core_samples import kinds_of

ROOT = Path(__file__).resolve().parents[2]
HISTORIES = histories()


@pytest.mark.parametrize("name", HISTORIES)
def test_a_history_is_replayed(name: str) -> None:
    replay(HISTORIES[name])


@pytest.mark.parametrize("seed", ["0", "1", "20261120"])
def test_histories_are_replayed_by_processes_with_other_hashes(seed: str) -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "tests.histories.replay"],
        cwd=ROOT,
        env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        check=False,
    )

    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.split() == sorted(HISTORIES)


def test_every_workflow_and_script_has_a_history() -> None:
    assert sorted(HISTORIES) == sorted(SCRIPTS)


MESSAGES_NOT_RECORDED = set[str]()
"""Kinds of which no history was recorded yet: whoever records one takes its name away here."""
COMMANDS_NOT_RECORDED = {
    "TerminateChild",
}
"""The same."""


def test_the_histories_hold_every_kind_of_message_and_command() -> None:
    turns = [turn for history in HISTORIES.values() for turn in history.decoded()]
    messages: set[type] = {type(message) for turn in turns for message in turn.inputs}
    commands: set[type] = {type(command) for turn in turns for command in turn.outputs}

    assert {kind.__name__ for kind in kinds_of(Message) - messages} == MESSAGES_NOT_RECORDED
    assert {kind.__name__ for kind in kinds_of(Command) - commands} == COMMANDS_NOT_RECORDED


def test_recording_only_ever_adds(tmp_path: Path) -> None:
    for name in SCRIPTS:
        if name != "leaf":
            (tmp_path / f"{name}.json").write_text("what was recorded")

    assert record_missing(tmp_path) == ["leaf"]
    assert record_missing(tmp_path) == []
    assert {path.read_text() for path in tmp_path.iterdir() if path.stem != "leaf"} == {"what was recorded"}


@pytest.mark.parametrize("name", [name for name in HISTORIES if name not in ("reset", "terminated", "timed_out")])
def test_a_history_of_something_else_is_noticed(name: str) -> None:
    history = HISTORIES[name]
    turns = history.decoded()
    one_too_many = RunActivity(10_000, "never", (), ActivityOptions())
    altered = msgspec.structs.replace(turns[-1], outputs=(one_too_many, *turns[-1].outputs))
    live = LiveRun(history.run_id, history.workflow_id, program_of(history).open(opened_as(history.run_id, turns)))
    live.recall(turns[:-1])

    with pytest.raises(NonDeterminism):
        live.recall([altered])


def test_a_history_tells_which_python_recorded_it() -> None:
    assert all(history.recorded_by.startswith("Python 3") for history in HISTORIES.values())
