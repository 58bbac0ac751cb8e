"""The command line in processes of their own: workers, signals, kills, and what other processes see meanwhile."""

import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from perdure.cli.exits import Exit
from tests.e2e.test_cli_shop import SHOP, environment

WAIT_S = 30


class Terminal:
    """Runs commands in a folder that holds `shop.py`, over `shop.db`; ends what is left."""

    def __init__(self, folder: Path) -> None:
        (folder / "shop.py").write_text(SHOP)
        self.folder = folder
        self.environment = environment(PERDURE_STORE="sqlite:///shop.db", PYTHONUNBUFFERED="1")
        self._started: list[subprocess.Popen[str]] = []

    def start(self, *words: str, interrupts: signal.Handlers = signal.SIG_DFL) -> subprocess.Popen[str]:
        """Start a command. Shells have what they start in the background ignore interrupts."""
        process = subprocess.Popen(
            [sys.executable, "-m", "perdure", *words],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, interrupts),
        )
        self._started.append(process)
        return process

    def run(self, *words: str) -> tuple[int, str, str]:
        """Exit code, output and errors of a command."""
        process = self.start(*words)
        out, err = process.communicate(timeout=WAIT_S)
        return process.returncode, out, err

    def json(self, *words: str) -> Any:
        """What a command that succeeds prints."""
        code, out, err = self.run(*words)
        assert code == 0, err
        return json.loads(out)

    def until(self, seen: Callable[[dict[str, Any]], bool], id: str) -> dict[str, Any]:
        """What `workflow show` says of a run, once it is so."""
        give_up_s = time.monotonic() + WAIT_S
        while True:
            code, out, err = self.run("workflow", "show", id, "-o", "json")
            if code == 0 and seen(json.loads(out)):
                return json.loads(out)
            assert time.monotonic() < give_up_s, (out, err)

    def end(self) -> None:
        """Kill what still runs."""
        for process in self._started:
            if process.poll() is None:
                process.kill()
                process.communicate(timeout=WAIT_S)


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    """A terminal of this test."""
    made = Terminal(tmp_path)
    yield made
    made.end()


def ended(process: subprocess.Popen[str], number: signal.Signals) -> tuple[int, str, str]:
    """Exit code, output and errors of a process that gets a signal."""
    process.send_signal(number)
    out, err = process.communicate(timeout=WAIT_S)
    return process.returncode, out, err


@pytest.mark.slow
def test_a_run_that_was_killed_goes_on_under_its_id(terminal: Terminal) -> None:
    first = terminal.start("run", "shop:waits", "--input", "0", "--id", "a")
    terminal.until(lambda run: run["run"]["turns_count"] >= 1, "a")
    first.kill()
    first.communicate(timeout=WAIT_S)

    assert terminal.run("workflow", "signal", "a", "go", "--input", '"on"') == (0, "", "")
    assert terminal.run("run", "shop:waits", "--input", "0", "--id", "a") == (0, '"got on"\n', "")
    assert terminal.run("fsck")[0] == Exit.OK


@pytest.mark.slow
@pytest.mark.parametrize("interrupts", [signal.SIG_DFL, signal.SIG_IGN], ids=["foreground", "background"])
@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, Exit.INTERRUPTED), (signal.SIGTERM, Exit.TERMINATED)], ids=["INT", "TERM"]
)
def test_a_run_that_is_interrupted_says_how_it_goes_on(
    terminal: Terminal, number: signal.Signals, code: Exit, interrupts: signal.Handlers
) -> None:
    process = terminal.start("run", "shop:waits", "--input", "0", "--id", "a", interrupts=interrupts)
    terminal.until(lambda run: run["run"]["turns_count"] >= 1, "a")

    found, out, err = ended(process, number)

    assert (found, out) == (code, "")
    assert err == "perdure: interrupted; the same command with --id a goes on\n"
    terminal.run("workflow", "signal", "a", "go", "--input", "1")
    assert terminal.run("run", "shop:waits", "--input", "0", "--id", "a") == (0, '"got 1"\n', "")


@pytest.mark.slow
def test_a_worker_does_what_clients_ask_and_gives_back_at_its_end(terminal: Terminal) -> None:
    started = terminal.json("workflow", "start", "waits", "--input", "0", "--id", "a", "-o", "json")
    assert started["workflow_id"] == "a"
    again = ("workflow", "start", "checkout", "--input", '["tok", 1]', "--id", "b", "--request-id", "r", "-o", "json")
    assert terminal.json(*again) == terminal.json(*again)
    code, _, err = terminal.run("workflow", "start", "waits", "--id", "a")
    assert (code, "PDR2002" in err, "perdure workflow show a" in err) == (Exit.REFUSED, True, True)
    worker = terminal.start("worker", "shop:app")

    assert terminal.json("workflow", "result", "b") == "tok 1"
    terminal.until(lambda run: run["run"]["turns_count"] >= 1, "a")
    assert terminal.json("workflow", "query", "a", "state", "--app", "shop:app") == "waiting"
    assert terminal.json("workflow", "query", "a", "state", "--input", '"is "', "--app", "shop:app") == "is waiting"
    code, _, err = terminal.run("workflow", "query", "a", "stat", "--app", "shop:app")
    assert (code, "PDR2004" in err, "known: __stack_trace, state" in err) == (Exit.REFUSED, True, True)
    code, _, err = terminal.run("workflow", "query", "a", "state")
    assert (code, "--app module:app" in err) == (Exit.USAGE, True)
    code, _, err = terminal.run("workflow", "result", "a", "--timeout", "0.2")
    assert (code, "PDR2010" in err) == (Exit.TIMEOUT, True)
    code, out, err = ended(worker, signal.SIGTERM)

    assert (code, out) == (0, "")
    assert re.search(r"working on sqlite:///shop\.db, queue default: \d+ workflows, 3 activities; Ctrl-C or", err)
    assert err.endswith("perdure: stopped; what was not finished is given back\n")
    assert "Traceback" not in err
    assert terminal.run("workflow", "signal", "a", "go")[0] == 0
    second = terminal.start("worker", "shop:app")
    assert terminal.json("workflow", "result", "a") == "got None"
    assert ended(second, signal.SIGINT)[0] == 0
    assert terminal.run("fsck") == (0, "2 runs, 4 turns, 0 violations\n", "")


@pytest.mark.slow
def test_show_says_what_a_run_waits_for(terminal: Terminal) -> None:
    worker = terminal.start("worker", "shop:app")
    for name, arguments in (("retries", '"no money"'), ("waits", "3600"), ("family", "[]")):
        assert terminal.run("workflow", "start", name, "--input", arguments, "--id", name)[0] == 0

    (activity,) = terminal.until(lambda run: any(each["last_failure"] for each in run["activities"]), "retries")[
        "activities"
    ]
    (timer,) = terminal.until(lambda run: run["timers"], "waits")["timers"]
    (child,) = terminal.until(lambda run: run["children"] and run["timers"], "family")["children"]

    assert (activity["name"], activity["last_failure"]) == ("again", "no money")
    assert activity["attempt"] >= 2
    assert timer["due_at"].endswith("Z")
    assert (child["workflow_id"], child["workflow_type"]) == ("child", "waits")
    assert re.search(
        r"^\d+ +again +\d+ +(waiting|running) +.* +no money$",
        terminal.run("workflow", "show", "retries")[1],
        re.MULTILINE,
    )
    assert re.search(r"Timers\nCALL +DUE\n\d+ +\S+ \S+Z$", terminal.run("workflow", "show", "waits")[1], re.MULTILINE)
    assert re.search(
        r"Child workflows\n.*\n\d+ +child +waits$", terminal.run("workflow", "show", "family")[1], re.MULTILINE
    )
    assert terminal.run("workflow", "cancel", "waits", "--reason", "enough") == (0, "", "")
    assert terminal.run("workflow", "terminate", "family", "--reason", "enough") == (0, "", "")
    assert terminal.until(lambda run: run["run"]["status"] == "cancelled", "waits")["failure"]["message"] == "enough"
    assert terminal.until(lambda run: run["run"]["status"] == "terminated", "child")["failure"]["type"] == "Terminated"
    code, _, err = terminal.run("workflow", "result", "waits")
    assert (code, "PDR2007" in err) == (Exit.FAILED, True)
    assert ended(worker, signal.SIGTERM)[0] == 0
    assert terminal.run("fsck")[0] == 0


@pytest.mark.slow
def test_a_parked_run_is_resumed_from_another_process(terminal: Terminal) -> None:
    worker = terminal.start("worker", "shop:app")
    assert terminal.run("workflow", "start", "parks", "--id", "a")[0] == 0
    terminal.until(lambda run: run["run"]["parked"], "a")
    ended(worker, signal.SIGTERM)
    (terminal.folder / "shop.py").write_text(SHOP.replace('"missing"', '"charge"'))
    terminal.start("worker", "shop:app")

    assert terminal.run("workflow", "resume", "a") == (0, "", "")
    assert terminal.json("workflow", "result", "a") == "tok 1"


@pytest.mark.slow
def test_warnings_are_lines_and_never_tracebacks(terminal: Terminal) -> None:
    code, out, err = terminal.run("run", "shop:parks", "--id", "a")

    assert (code, out) == (Exit.PARKED, "")
    log, error = err.splitlines()
    assert log.startswith("error: run ")
    assert error.startswith("perdure: PDR2009: ")
