"""`perdure bulk`: counted first, done with `--yes`, by whatever worker there is."""

import asyncio
import json
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from perdure import Perdure, RunStatus
from perdure.cli import main

URL = "sqlite:///shop.db"
QUERY = "WorkflowType = 'patient'"


class Said(NamedTuple):
    """What a command did."""

    code: int
    out: str
    err: str


@pytest.fixture
def perdure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """Carries out commands over a store with three runs that nobody works on."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PERDURE_STORE", URL)

    def carry_out(*words: str) -> Said:
        code = main(words)
        captured = capsys.readouterr()
        return Said(code, captured.out, captured.err)

    for number in range(3):
        assert carry_out("workflow", "start", "patient", "--id", f"run-{number}").code == 0
    return carry_out


def work_on(id: str) -> None:
    """A worker that knows no workflow carries out the operation."""

    async def work() -> None:
        async with Perdure(URL) as app:
            await app.bulk.handle(id).result()

    asyncio.run(work())


def statuses() -> list[RunStatus]:
    """Those of all runs that no operation is."""

    async def look() -> list[RunStatus]:
        async with Perdure(URL).client() as app:
            return [run.status for run in await app.list(QUERY)]

    return asyncio.run(look())


def test_without_yes_the_runs_are_only_counted(perdure: Any) -> None:
    said = perdure("bulk", "terminate", "--query", "WorkflowId != 'run-0'")

    assert said == (0, "2\n", "perdure: 2 runs fit; with --yes it is done\n")
    assert json.loads(perdure("bulk", "reset", "--turn", "-1", "--query", QUERY, "-o", "json").out) == {"count": 3}
    assert json.loads(perdure("bulk", "delete", "--query", QUERY, "-o", "json").out) == {"count": 0}
    assert perdure("bulk", "signal", "go", "--query", QUERY).out == "3\n"
    assert perdure("bulk", "cancel", "--query", QUERY).out == "3\n"
    assert statuses() == [RunStatus.RUNNING] * 3


def test_with_yes_a_worker_does_it_and_show_tells_what_came_of_it(perdure: Any) -> None:
    begun = perdure("bulk", "terminate", "--query", QUERY, "--yes", "--id", "end", "--reason", "sold out")
    before = perdure("bulk", "show", "end", "-o", "json")
    work_on("end")
    after = perdure("bulk", "show", "end")

    assert begun.code == 0
    assert "operation  end" in begun.out
    assert "perdure bulk show end" in begun.err
    assert json.loads(before.out)["finished"] is False
    assert after.code == 0
    assert after.out.split() == ["operation", "end", "runs", "3", "done", "3", "closed", "0", "failed", "0"]
    assert statuses() == [RunStatus.TERMINATED] * 3


def test_what_failed_is_listed_and_makes_the_exit_code(perdure: Any) -> None:
    perdure("bulk", "reset", "--turn", "7", "--query", "WorkflowId = 'run-1'", "--yes", "--id", "again")
    work_on("again")

    said = perdure("bulk", "show", "again", "--wait")
    document = json.loads(perdure("bulk", "show", "again", "--wait", "-o", "json").out)

    assert said.code == 1
    assert "run-1" in said.out
    assert "PDR2064" in said.out
    assert (document["id"], document["finished"], document["result"]["failed"]) == ("again", True, 1)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("cancel",), "PDR"),
        (("cancel", "--query", ""), "names no runs"),
        (("delete", "--query", "nonsense", "--yes"), "PDR1040"),
        (("reset", "--query", QUERY), "--turn"),
        (("signal", "go", "--query", QUERY, "--input", "[1", "--yes"), "is not JSON"),
        (("terminate", "--query", QUERY, "--rate", "0", "--yes"), "out of bounds"),
        (("show", "nobody"), "PDR2001"),
    ],
    ids=("no-query", "empty", "nonsense", "no-turn", "no-json", "no-rate", "unknown"),
)
def test_what_cannot_be_is_refused_with_a_code(perdure: Any, words: tuple[str, ...], expected: str) -> None:
    said = perdure("bulk", *words)

    assert said.code in (2, 3)
    assert said.out == ""
    assert expected in said.err
    assert statuses() == [RunStatus.RUNNING] * 3
