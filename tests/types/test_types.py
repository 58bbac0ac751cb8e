"""The public API for a type checker: what is correct passes, and each wrong line is reported by the rule it names."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).parent
MARK = re.compile(r"# error: (?P<rules>\w+(?:, \w+)*)$")
FILES = sorted([*FOLDER.glob("correct/*.py"), *FOLDER.glob("wrong/*.py")])


@pytest.fixture(scope="module")
def reported() -> dict[Path, list[tuple[int, str, str]]]:
    """Line, rule and message of everything that pyright reports, by file."""
    command = [sys.executable, "-m", "pyright", "--pythonpath", sys.executable, "--outputjson", "-p", str(FOLDER)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=110)
    assert done.returncode in (0, 1), done.stderr or done.stdout
    found: dict[Path, list[tuple[int, str, str]]] = {path: [] for path in FILES}
    diagnostics: list[dict[str, Any]] = json.loads(done.stdout)["generalDiagnostics"]
    for each in diagnostics:
        line = each["range"]["start"]["line"] + 1
        found[Path(each["file"])].append((line, each.get("rule", each["severity"]), each["message"]))
    return found


def marked(path: Path) -> list[tuple[int, str]]:
    """Line and rule of every mark in a file."""
    lines = enumerate(path.read_text().splitlines(), 1)
    marks = [(number, match["rules"]) for number, line in lines if (match := MARK.search(line))]
    return sorted((number, rule) for number, rules in marks for rule in rules.split(", "))


@pytest.mark.slow
@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_the_checker_reports_exactly_the_marked_lines(
    path: Path, reported: dict[Path, list[tuple[int, str, str]]]
) -> None:
    found = sorted({(line, rule) for line, rule, _ in reported[path]})

    assert found == marked(path), "\n".join(f"{line}: {rule}: {message}" for line, rule, message in reported[path])


def test_only_wrong_files_have_marks() -> None:
    assert [path for path in FILES if bool(marked(path)) != (path.parent.name == "wrong")] == []
