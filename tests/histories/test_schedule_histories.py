"""Histories of schedules, recorded once, are recalled for ever, to the same answer."""

import pytest

from perdure.core.command import CancelChild, ContinueRun, RecordSideEffect, StartChild, TerminateChild
from perdure.core.ids import RunId
from perdure.programs.schedule import spec
from perdure.programs.schedule.program import ScheduleProgram
from tests.histories.schedules import SCRIPTS, described, kept

KEPT = kept()


@pytest.mark.parametrize("name", KEPT)
def test_a_history_leads_to_what_the_schedule_knew(name: str) -> None:
    assert described(KEPT[name].history) == KEPT[name].described


def test_every_script_has_a_history() -> None:
    assert sorted(KEPT) == sorted(SCRIPTS)


def test_the_histories_hold_what_schedules_ask_for() -> None:
    turns = [turn for each in KEPT.values() for turn in each.history.decoded()]
    asked = {type(command) for turn in turns for command in turn.outputs}

    assert {StartChild, CancelChild, TerminateChild, RecordSideEffect} <= asked
    assert ContinueRun not in asked


@pytest.mark.parametrize("name", KEPT)
def test_a_recall_needs_neither_rules_nor_zones(name: str, monkeypatch: pytest.MonkeyPatch) -> None:

    def refuse(_: object) -> None:
        raise AssertionError("a recall decides nothing")

    monkeypatch.setattr(spec.SpecRecord, "timetable", refuse)
    run = ScheduleProgram().open(RunId("r"))

    for turn in KEPT[name].history.decoded():
        run.recall(turn)

    assert run.state.calls_count > 0
