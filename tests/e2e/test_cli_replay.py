"""`perdure workflow export` and `perdure replay`: histories out of a store, into files, against other code."""

import importlib
import json
import logging
import sys
from pathlib import Path
from typing import Any

import pytest

from perdure.cli import main
from perdure.cli.exits import Exit
from tests.e2e.test_cli import Said

SHOP = """
from perdure import Perdure
app = Perdure("sqlite:///shop.db")
@app.activity
async def charge(cents: int) -> int:
    return cents
@app.activity(retries=0)
async def ship() -> str:
    raise ValueError("no")
@app.workflow
async def order(cents: int) -> str:
    await charge(cents)
    try:
        await ship()
    except Exception:
        return "failed"
    return "shipped"
@app.workflow
async def other() -> None:
    await charge(1)
"""
EDITED = SHOP.replace("    try:\n", "    await charge(0)\n    try:\n").replace("async def other", "async def another")


@pytest.fixture
def perdure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """Carries out commands in a folder with a store that holds four runs."""
    (tmp_path / "shop.py").write_text(SHOP)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(logging, "lastResort", logging.lastResort)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.setenv("PERDURE_STORE", "sqlite:///shop.db")

    def carry_out(*words: str) -> Said:
        sys.modules.pop("shop", None)
        code = main(words)
        captured = capsys.readouterr()
        return Said(code, captured.out, captured.err)

    sys.path.insert(0, str(tmp_path))
    shop = importlib.import_module("shop")
    for number in (1, 2, 3):
        shop.app.run(shop.order, number, id=f"order-{number}")
    shop.app.run(shop.other, id="other-1")
    capsys.readouterr()
    yield carry_out
    sys.modules.pop("shop", None)


def test_unchanged_code_replays_what_the_store_holds(perdure: Any) -> None:
    said = perdure("replay", "--app", "shop:app")

    assert said.code == Exit.OK
    assert said.out == ""
    assert "4 histories replayed, 4 clean, 0 not" in said.err


def test_edited_code_is_told_with_run_event_and_line(perdure: Any) -> None:
    Path("shop.py").write_text(EDITED)

    said = perdure("replay", "--app", "shop:app", "--id-prefix", "order-2")

    assert said.code == Exit.FAILED
    assert said.out.startswith("shop.py:13: PDR3001: turn 2, event 11 of run ")
    assert "(order 'order-2'): history has activity 'ship' (call 2), the code asks for activity 'charge'" in said.out
    assert "1 histories replayed, 0 clean, 1 not" in said.err


def test_runs_of_workflows_that_the_app_does_not_know_are_left_out(perdure: Any) -> None:
    Path("shop.py").write_text(SHOP.replace("async def other", "async def another"))

    said = perdure("replay", "--app", "shop:app")

    assert said.code == Exit.OK
    assert "3 histories replayed, 3 clean, 0 not; 1 runs of workflows that this app does not know" in said.err


def test_exported_histories_are_replayed_from_files(perdure: Any) -> None:
    exported = perdure("workflow", "export", "--type", "order")
    Path("orders.jsonl").write_text(exported.out)
    single = perdure("workflow", "export", "other-1")
    Path("kept").mkdir()
    Path("kept/other.json").write_text(single.out)

    clean = perdure("replay", "orders.jsonl", "kept", "--app", "shop:app")
    Path("shop.py").write_text(EDITED)
    broken = perdure("replay", "orders.jsonl", "kept", "--app", "shop:app", "-o", "json")

    assert [json.loads(line)["workflow_id"] for line in exported.out.splitlines()] == ["order-3", "order-2", "order-1"]
    assert (clean.code, broken.code) == (Exit.OK, Exit.FAILED)
    codes = [each["mismatch"]["code"] for each in broken.json]
    assert codes == ["PDR3001", "PDR3001", "PDR3001", "PDR1005"]
    assert broken.json[0]["mismatch"]["where"] == "shop.py:13"


def test_limit_takes_the_newest(perdure: Any) -> None:
    said = perdure("replay", "--app", "shop:app", "--limit", "2", "-o", "json")

    assert [each["workflow_id"] for each in said.json] == ["other-1", "order-3"]


def test_a_filter_chooses_what_is_replayed(perdure: Any) -> None:
    said = perdure("replay", "--app", "shop:app", "--query", "WorkflowId in ('order-1', 'order-3')", "-o", "json")
    wrong = perdure("replay", "--app", "shop:app", "--query", "WorkflowId is")

    assert [each["workflow_id"] for each in said.json] == ["order-3", "order-1"]
    assert wrong.code == Exit.USAGE


@pytest.mark.parametrize(
    "words",
    [
        ("replay",),
        ("replay", "nowhere.json", "--app", "shop:app"),
        ("replay", "shop.py", "--app", "shop:app"),
        ("replay", "--app", "shop:app", "--limit", "0"),
        ("replay", "--app", "shop:nothing"),
    ],
)
def test_a_wrong_command_line_ends_with_two(perdure: Any, words: tuple[str, ...]) -> None:
    assert perdure(*words).code == Exit.USAGE
