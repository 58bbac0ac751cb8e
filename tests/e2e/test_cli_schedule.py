"""`perdure schedule`: rules by options, and changes of a schedule that is there."""

import json
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from perdure import Perdure
from perdure.cli import main

URL = "sqlite:///shop.db"


class Said(NamedTuple):
    """What a command did."""

    code: int
    out: str
    err: str


@pytest.fixture
def perdure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """Carries out commands over one store."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PERDURE_STORE", URL)

    def carry_out(*words: str) -> Said:
        code = main(words)
        captured = capsys.readouterr()
        return Said(code, captured.out, captured.err)

    return carry_out


RULES = (
    *(
        "--calendar",
        "hour=9-10 day_of_week=mon-fri",
        "--skip",
        "month=12 day_of_month=24-26",
        "--zone",
        "Europe/Berlin",
    ),
    *("--start", "2026-12-23T00:00:00Z", "--end", "2026-12-29T23:00:00Z"),
)


def test_calendars_exclusions_and_bounds_make_the_moments(perdure: Any) -> None:
    said = perdure("schedule", "preview", *RULES, "--after", "2026-01-01T00:00:00Z")

    assert said.code == 0
    assert [line[:13] for line in said.out.splitlines()] == [
        "2026-12-23T09", "2026-12-23T10", "2026-12-28T09", "2026-12-28T10", "2026-12-29T09", "2026-12-29T10",
    ]  # fmt: skip


def test_an_update_changes_what_it_names_and_nothing_else(perdure: Any) -> None:
    def described() -> Any:
        return json.loads(perdure("schedule", "describe", "daily", "-o", "json").out)

    created = perdure(
        "schedule", "create", "daily", "report", "--input", '["eu"]', *RULES, "--overlap", "buffer_one",
        "--actions-max", "3", "--pause-on-failure",
    )  # fmt: skip
    before = described()

    with Perdure(URL).blocking() as worker:
        changed = perdure(
            "schedule", "update", "daily", "--cron", "@hourly", "--end", "none", "--skip", "none", "--actions-max",
            "none", "--no-pause-on-failure", "--timeout", "60",
        )  # fmt: skip
        after = described()
        again = perdure("schedule", "update", "daily", "--workflow", "other", "--input", "[1, 2]", "--queue", "q")
        found = worker.schedules.handle("daily").describe().schedule.action

    assert (created.code, changed.code, again.code) == (0, 0, 0), (created, changed, again)
    assert before["spec"]["calendars"][0]["hour"] == "9-10"
    assert before["actions_left"] == 3
    assert (after["spec"]["crons"], after["spec"]["calendars"], after["spec"]["skip"]) == (["@hourly"], [], [])
    assert (after["spec"]["zone"], after["spec"]["end"]) == ("Europe/Berlin", None)
    assert after["spec"]["start"] == before["spec"]["start"]
    assert (after["overlap"], after["actions_left"], after["pause_on_failure"]) == ("buffer_one", None, False)
    assert after["workflow"] == "report"
    assert (found.workflow_type, found.queue, len(found.args)) == ("other", "q", 2)


def test_an_update_that_nobody_takes_gives_up_in_time(perdure: Any) -> None:
    perdure("schedule", "create", "daily", "report", "--cron", "@daily")

    said = perdure("schedule", "update", "daily", "--cron", "@hourly", "--timeout", "0.2")

    assert said.code == 7
    assert "PDR2010" in said.err


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("--calendar", "hour"), "has no use for 'hour'"),
        (("--calendar", "hours=9"), "has no use for 'hours=9'"),
        (("--calendar", "hour=9 hour=10"), "has no use for 'hour=10'"),
        (("--calendar", "hour=25"), "PDR"),
        (("--cron", "@daily", "--start", "soon"), "is no moment"),
        (("--cron", "@daily", "--actions-max", "x"), "is no count"),
        (("--cron", "@daily", "--actions-max", "0"), "is no count"),
    ],
    ids=("no-value", "unknown", "twice", "out-of-bounds", "no-moment", "no-count", "zero"),
)
def test_what_cannot_be_is_refused_before_anything_is_stored(
    perdure: Any, words: tuple[str, ...], expected: str
) -> None:
    said = perdure("schedule", "create", "daily", "report", *words)

    assert said.code == 2
    assert expected in said.err
    assert perdure("schedule", "list", "-o", "json").out in ("", "[]\n")
