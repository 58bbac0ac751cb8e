"""The command line as people and scripts meet it: output, exit codes, and errors on one line."""

import json
import logging
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from perdure.cli import main
from perdure.cli.exits import Exit
from tests.e2e.test_cli_shop import SHOP, environment


class Said(NamedTuple):
    """What a command did."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The document that it printed."""
        return json.loads(self.out)


@pytest.fixture
def perdure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """Carries out commands in this process, in a folder that holds `shop.py`, over `shop.db`."""
    (tmp_path / "shop.py").write_text(SHOP)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(logging, "lastResort", logging.lastResort)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setenv("PERDURE_STORE", "sqlite:///shop.db")
    previous = signal.getsignal(signal.SIGTERM)

    def carry_out(*words: str) -> Said:
        sys.modules.pop("shop", None)
        code = main(words)
        captured = capsys.readouterr()
        return Said(code, captured.out, captured.err)

    yield carry_out
    signal.signal(signal.SIGTERM, previous)
    sys.modules.pop("shop", None)


ERROR_LINE = re.compile(r"perdure: PDR\d{4}: [^\n]+ \(try: [^\n]+\)\n")


def assert_refused(said: Said, code: Exit, *parts: str) -> None:
    """The command failed with this exit code, and one line that says why and what to try."""
    assert said.code == code, said
    assert said.out == ""
    assert ERROR_LINE.fullmatch(said.err), said.err
    assert [part for part in parts if part not in said.err] == []


@pytest.mark.parametrize("words", [(), ("--help",), ("help",)])
def test_without_a_command_all_are_listed_with_one_line_each(perdure: Any, words: tuple[str, ...]) -> None:
    said = perdure(*words)

    assert said.code == Exit.OK
    for name in ("run", "worker", "fsck", *(f"workflow {verb}" for verb in VERBS)):
        assert re.search(rf"^  {name} +\w.*$", said.out, re.MULTILINE), name


VERBS = ("list", "show", "query", "result", "start", "signal", "update", "cancel", "terminate", "resume")


def test_each_command_explains_itself(perdure: Any) -> None:
    for name in ("run", "worker", "fsck", *(f"workflow {verb}" for verb in VERBS)):
        with pytest.raises(SystemExit, match="0"):
            perdure(*name.split(), "--help")


def test_run_prints_the_result_as_json(perdure: Any) -> None:
    assert perdure("run", "shop:checkout", "--input", '["tok", 42]', "--id", "a") == (0, '"tok 42"\n', "")
    assert perdure("run", "shop:checkout", "--input", '["other", 1]', "--id", "a") == (0, '"tok 42"\n', "")
    assert perdure("run", "shop:greet", "--input", '"you"').json == {"to": "you", "at": None}
    assert perdure("run", "shop:greet", "--input", '["you"]').json == {"to": "you", "at": None}
    assert perdure("run", "shop:total", "--input", "[[1, 2, 3]]").out == "6\n"
    assert perdure("run", "shop:nothing").out == "null\n"
    assert perdure("run", "shop:nothing", "--input", "[]").out == "null\n"


def test_run_reads_large_input_from_a_file(perdure: Any) -> None:
    Path("input.json").write_text(json.dumps([list(range(50_000))]))

    assert perdure("run", "shop:total", "--input", "@input.json").out == f"{sum(range(50_000))}\n"
    assert_refused(perdure("run", "shop:total", "--input", "@no.json"), Exit.USAGE, "PDR1002", "cannot be read")


@pytest.mark.parametrize(
    ("target", "given", "parts"),
    [
        ("shop:checkout", '["tok"]', ("PDR1008", "checkout(card: str, cents: int)", "missing a required argument")),
        ("shop:checkout", '["tok", "42"]', ("PDR1008", "Expected `int`, got `str`")),
        ("shop:checkout", '{"card": "tok"}', ("PDR1008", "missing a required argument")),
        ("shop:total", "[1, 2]", ("PDR1008", "too many", "a single list is written [[..]]")),
        ("shop:nothing", "1", ("PDR1008", "too many")),
        ("shop:checkout", "[1", ("PDR1002", "is not JSON", "quote it")),
        ("shop:checkout", "tok", ("PDR1002", "is not JSON")),
        ("shop:checkout", "[NaN, 1]", ("PDR1002", "is not JSON")),
        ("shop:checkout", "[" * 100_000, ("PDR1002", "is not JSON")),
        ("shop", "1", ("PDR1018", "not of the form module:name")),
        ("shop.py:checkout", "1", ("PDR1018", "it names a file", "shop:checkout")),
        ("shop:chekout", "1", ("PDR1018", "there is no 'chekout' in it")),
        ("shpo:checkout", "1", ("PDR1018", "there is no module 'shpo'")),
        ("shop:app", "1", ("PDR1018", "it is an app", "checkout")),
        ("shop:plain", "1", ("PDR1018", "it is a function, not registered with @app.workflow")),
        ("shop:charge", "1", ("PDR1018", "it is a Activity, not registered")),
        ("broken:app", "1", ("PDR1018", "importing it raised ZeroDivisionError at broken.py:1")),
        ("needs:app", "1", ("PDR1018", "importing it raised ModuleNotFoundError", "nowhere")),
        ("ends:app", "1", ("PDR1018", "ended the process", "__main__")),
    ],
)
def test_run_refuses_what_does_not_fit(perdure: Any, target: str, given: str, parts: tuple[str, ...]) -> None:
    Path("broken.py").write_text("1 / 0")
    Path("needs.py").write_text("import nowhere")
    Path("ends.py").write_text("raise SystemExit")

    assert_refused(perdure("run", target, "--input", given), Exit.USAGE, *parts)
    assert not Path("shop.db").exists()


def test_a_run_that_fails_ends_with_1_and_one_line(perdure: Any) -> None:
    said = perdure("run", "shop:fails", "--input", '"no\\nmoney"', "--id", "it's")

    assert_refused(said, Exit.FAILED, "PDR2006", "ValueError: no\\nmoney", """perdure workflow show 'it'"'"'s'""")


def test_a_run_that_is_parked_ends_with_5_and_goes_on_when_its_code_is_mended(perdure: Any) -> None:
    said = perdure("run", "shop:parks", "--id", "a")
    assert said.code == Exit.PARKED
    assert said.err.startswith("perdure: PDR2009: workflow 'a' is parked: PDR3003")
    assert perdure("workflow", "list", "--parked", "-o", "json").json[0]["workflow_id"] == "a"
    shown = perdure("workflow", "show", "a")
    assert "perdure workflow resume a" in shown.err
    assert re.search(r"^parked +PDR3003", shown.out, re.MULTILINE)

    Path("shop.py").write_text(SHOP.replace('"missing"', '"charge"'))
    assert perdure("run", "shop:parks", "--id", "a") == (0, '"tok 1"\n', "")


def test_list_shows_columns_as_wide_as_their_content(perdure: Any) -> None:
    for id in ("short", "much-longer-id", "\u4e2d\u6587", "a\u202eb\nc"):
        perdure("run", "shop:nothing", "--id", id)

    said = perdure("workflow", "list")

    head, *lines = said.out.splitlines()
    assert re.fullmatch(r"WORKFLOW ID +TYPE +STATUS +STARTED +CLOSED +RUN ID", head)
    assert [line.split("  ")[0] for line in lines] == ["a\\u202eb\\nc", "\u4e2d\u6587", "much-longer-id", "short"]
    columns = [line.index("nothing") + (2 if "\u4e2d" in line else 0) for line in lines]
    assert columns == [head.index("TYPE")] * 4


def test_list_filters_and_pages(perdure: Any) -> None:
    for number in range(5):
        perdure("run", "shop:nothing", "--id", f"n-{number}")
    perdure("run", "shop:fails", "--input", '"x"', "--id", "f-1")

    def ids(*options: str) -> list[str]:
        return [run["workflow_id"] for run in perdure("workflow", "list", "-o", "json", *options).json]

    assert ids() == ["f-1", "n-4", "n-3", "n-2", "n-1", "n-0"]
    assert ids("--status", "failed") == ["f-1"]
    assert ids("--type", "nothing", "--limit", "2") == ["n-4", "n-3"]
    assert ids("--id-prefix", "n-3") == ["n-3"]
    assert ids("--parked") == []
    page = perdure("workflow", "list", "--limit", "2", "-o", "json").json
    assert ids("--limit", "2", "--before", page[-1]["run_id"]) == ["n-3", "n-2"]
    assert f"--before {page[-1]['run_id']}" in perdure("workflow", "list", "--limit", "2").err
    assert_refused(perdure("workflow", "list", "--status", "open"), Exit.USAGE, "PDR1017", "invalid choice: 'open'")
    assert_refused(perdure("workflow", "list", "--limit", "0"), Exit.USAGE, "PDR1002", "limit=0")


def test_show_tells_the_whole_story_of_a_run(perdure: Any) -> None:
    perdure("run", "shop:checkout", "--input", '["tok", 42]', "--id", "a")

    said = perdure("workflow", "show", "a", "--history")
    document = perdure("workflow", "show", "a", "--history", "-o", "json").json

    assert re.search(r"^status +completed$", said.out, re.MULTILINE)
    assert re.search(r'^result +"tok 42"$', said.out, re.MULTILINE)
    assert "ActivityTaskScheduled" in said.out
    assert (document["run"]["status"], document["result"], document["failure"]) == ("completed", "tok 42", None)
    types = [event["type"] for event in document["history"]]
    assert (types[0], types[-1]) == ("WorkflowExecutionStarted", "WorkflowExecutionCompleted")
    assert "history" not in perdure("workflow", "show", "a", "-o", "json").json


def test_show_tells_why_a_run_failed_down_to_the_first_cause(perdure: Any) -> None:
    perdure("run", "shop:fails", "--input", '"no money"', "--id", "a")

    said = perdure("workflow", "show", "a")
    failure = perdure("workflow", "show", "a", "-o", "json").json["failure"]

    assert re.findall(r"^failure +(\w+)", said.out, re.MULTILINE) == ["ActivityError", "ValueError"]
    assert failure["cause"]["message"] == "no money"
    assert "raise ValueError" in failure["cause"]["traceback"]


def test_a_closed_run_and_an_unknown_one_have_exit_codes_of_their_own(perdure: Any) -> None:
    perdure("run", "shop:nothing", "--id", "a")

    for verb in (("signal", "a", "go"), ("update", "a", "go"), ("cancel", "a"), ("terminate", "a"), ("resume", "a")):
        assert_refused(
            perdure("workflow", *verb), Exit.REFUSED, "PDR2003", "perdure workflow show a --store sqlite:///shop.db"
        )
    for verb in (
        ("signal", "b", "go"),
        ("update", "b", "go"),
        ("cancel", "b"),
        ("terminate", "b"),
        ("resume", "b"),
        ("show", "b"),
        ("result", "b"),
    ):
        assert_refused(perdure("workflow", *verb), Exit.NOT_FOUND, "PDR2001", "perdure workflow list")


def test_a_store_that_is_not_there_is_not_made_by_looking(perdure: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for verb in (("workflow", "list"), ("workflow", "show", "a"), ("fsck",)):
        assert_refused(perdure(*verb, "--store", "sqlite:///typo.db"), Exit.USAGE, "PDR1003", "does not exist")
        assert_refused(perdure(*verb, "--store", "memory://"), Exit.USAGE, "PDR1002", "lives only inside the process")
        assert_refused(perdure(*verb, "--store", "mysql://x"), Exit.USAGE, "PDR1003")
    monkeypatch.delenv("PERDURE_STORE")
    assert_refused(perdure("workflow", "list"), Exit.USAGE, "PDR1002", "--store", "PERDURE_STORE")
    assert [path.name for path in Path().iterdir() if path.suffix == ".db"] == []


def test_a_store_that_is_no_store_ends_with_6(perdure: Any) -> None:
    Path("notes.db").write_text("Dear diary, " * 1_000)

    for verb in (("workflow", "list"), ("fsck",)):
        said = perdure(*verb, "--store", "sqlite:///notes.db")
        assert said.code == Exit.STORE
        assert ERROR_LINE.fullmatch(said.err), said.err


def test_fsck_ends_with_1_where_something_is_wrong(perdure: Any) -> None:
    import sqlite3

    perdure("run", "shop:checkout", "--input", '["tok", 42]', "--id", "a")
    assert perdure("fsck") == (0, "1 runs, 2 turns, 0 violations\n", "")
    with sqlite3.connect("shop.db") as connection:
        connection.execute("delete from turns where number = 2")
    connection.close()

    said = perdure("fsck")
    document = perdure("fsck", "-o", "json")

    assert said.code == document.code == Exit.FAILED
    assert said.out.startswith("RUN ID")
    assert document.json["violations"][0]["text"]


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (("workflow", "lst"), ("there is no command 'workflow lst'", "did you mean `perdure workflow list`?")),
        (("xyzzy",), ("there is no command 'xyzzy'", "`perdure --help` lists them all")),
        (("run",), ("required: MODULE:WORKFLOW", "`perdure run --help`")),
        (("workflow", "show", "a", "--histroy"), ("unrecognized arguments: --histroy",)),
        (("workflow", "list", "-o", "xml"), ("invalid choice: 'xml'",)),
        (("workflow", "list", "--limit", "x"), ("invalid int value: 'x'",)),
        (("workflow",), ("there is no command 'workflow'",)),
        (("--store", "x"), ("there is no command",)),
    ],
)
def test_a_command_line_that_says_nothing_is_refused(
    perdure: Any, words: tuple[str, ...], parts: tuple[str, ...]
) -> None:
    assert_refused(perdure(*words), Exit.USAGE, "PDR1017", *parts)


def test_the_module_and_the_version(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "perdure", "--version"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=tmp_path, env=environment())

    assert done.returncode == 0
    assert re.fullmatch(r"perdure (\d+\.\d+\.\d+\S*|\(not installed\))\n", done.stdout)


def test_a_reader_that_goes_away_is_no_error(perdure: Any, tmp_path: Path) -> None:
    perdure("run", "shop:nothing", "--id", "a")
    command = f"{sys.executable} -m perdure workflow list -o json | true"

    bash = ["bash", "-o", "pipefail", "-c", command]
    done = subprocess.run(bash, capture_output=True, text=True, timeout=60, env=environment())

    assert (done.returncode, done.stderr) == (0, "")
