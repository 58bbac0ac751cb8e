"""`perdure check` as people and continuous integration meet it."""

import json
import logging
from pathlib import Path

import pytest

from perdure.cli import main
from perdure.cli.exits import Exit

GOOD = '''
from perdure import Perdure
app = Perdure("memory://")
raise SystemExit("a check never runs the code")
@app.workflow
async def order() -> None:
    """An order."""
'''
BAD = GOOD + "    open('x')\n"
DOUBTFUL = GOOD + "    import asyncio\n    asyncio.create_task(order())\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with a package of workflows."""
    package = tmp_path / "shop"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "good.py").write_text(GOOD)
    (package / "bad.py").write_text(BAD)
    (package / "doubtful.py").write_text(DOUBTFUL)
    (package / "plain.py").write_text("x = 1\n")
    (package / "broken.py").write_text("def\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(logging, "lastResort", logging.lastResort)
    return package


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["shop/good.py"], Exit.OK),
        (["shop.good"], Exit.OK),
        (["shop/bad.py"], Exit.FAILED),
        (["shop.good", "shop.bad"], Exit.FAILED),
        (["shop/doubtful.py"], Exit.OK),
        (["--strict", "shop/doubtful.py"], Exit.FAILED),
        (["shop/plain.py"], Exit.USAGE),
        (["shop/broken.py"], Exit.USAGE),
        (["shop"], Exit.USAGE),
        (["nowhere"], Exit.USAGE),
        (["shop.nothing"], Exit.USAGE),
        (["../"], Exit.USAGE),
    ],
)
def test_the_exit_code_says_what_was_found(folder: Path, words: list[str], code: Exit) -> None:
    assert folder.exists()

    assert main(["check", *words]) == code


def test_a_line_names_place_code_fact_and_remedy(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "broken.py").unlink()

    assert main(["check", "shop"]) == Exit.FAILED

    lines = capsys.readouterr().out.splitlines()
    assert lines == [
        "shop/bad.py:8:5: PDC007 error: open reaches outside, again in every replay; do it in an activity"
        " (workflow order)",
        "shop/doubtful.py:9:5: PDC011 warning: nobody holds the task, so nobody awaits it; await it, or start it in a"
        " TaskGroup (workflow order)",
    ]


def test_programs_read_findings_as_json(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "-o", "json", str(folder / "bad.py")]) == Exit.FAILED

    (finding,) = json.loads(capsys.readouterr().out)
    assert finding == {
        "file": "shop/bad.py",
        "line": 8,
        "column": 5,
        "code": "PDC007",
        "severity": "error",
        "fact": "open reaches outside, again in every replay",
        "remedy": "do it in an activity",
        "workflow": "order",
    }
