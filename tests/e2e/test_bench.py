"""Tiny runs of every benchmark: the line of JSON is complete and its counts are right. Nothing is timed here."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]

COMMON = {
    "workload",
    "store",
    "durability",
    "runs",
    "steps",
    "concurrency",
    "runs_per_s",
    "steps_per_s",
    "p50_ms",
    "p99_ms",
    "cpu_us_per_step",
    "store_commits",
    "rss_mb",
    "python",
}
OWN = {
    "sequential": set[str](),
    "latency": {"commit_p50_ms", "commits_ratio"},
    "fanout": set[str](),
    "signal": set[str](),
    "start": {"cpu_us_per_run"},
    "timers": {"skew_p50_ms", "skew_p99_ms", "skew_max_ms", "early_count", "finished_ms", "started_ahead_ms"},
    "history": {"first_ms_per_step", "last_ms_per_step", "recovery_ms"},
    "sleepers": {"idle_rss_mb", "above_idle_mb", "reopened_above_idle_mb"},
    "tree": set[str](),
}
SIZES = {
    "sequential": ("--runs=6", "--steps=3", "--concurrency=2"),
    "latency": ("--runs=3",),
    "fanout": ("--runs=1", "--steps=20"),
    "signal": ("--runs=3",),
    "start": ("--runs=10", "--concurrency=5"),
    "timers": ("--runs=20",),
    "history": ("--steps=20",),
    "sleepers": ("--runs=20",),
    "tree": ("--runs=2", "--concurrency=2"),
}


def bench(*arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run the benchmark as `./dev bench` does."""
    return subprocess.run([sys.executable, "-m", "bench", *arguments], cwd=ROOT, capture_output=True, text=True)


def figures_of(folder: Path, workload: str, *arguments: str) -> dict[str, Any]:
    """The line of JSON of a tiny run."""
    done = bench(workload, *SIZES[workload], f"--dir={folder}", "--json", *arguments)
    assert done.returncode == 0, done.stderr
    figures: dict[str, Any] = json.loads(done.stdout)
    return figures


@pytest.mark.parametrize("workload", SIZES)
def test_a_workload_prints_every_figure(workload: str, tmp_path: Path) -> None:
    figures = figures_of(tmp_path, workload)

    assert COMMON | OWN[workload] <= figures.keys()
    assert (figures["workload"], figures["store"]) == (workload, "sqlite")
    for size in SIZES[workload]:
        name, _, value = size.removeprefix("--").partition("=")
        assert figures[name] == int(value)
    assert figures["store_commits"] > 0
    assert figures["rss_mb"] > 0
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("workload", ["sequential", "history", "sleepers"])
def test_a_workload_runs_on_the_memory_store(workload: str, tmp_path: Path) -> None:
    figures = figures_of(tmp_path, workload, "--store=memory")

    assert COMMON | OWN[workload] <= figures.keys()
    assert (figures["store"], figures["durability"]) == ("memory", "none")
    assert figures.get("recovery_ms") is None


def test_every_step_is_counted_once(tmp_path: Path) -> None:
    figures = figures_of(tmp_path, "sequential")

    # A group commit may hold the turns of both runs in flight, never two turns of one run.
    turns_count = figures["runs"] * (figures["steps"] + 1)
    assert turns_count / figures["concurrency"] <= figures["store_commits"] <= turns_count
    assert figures["steps_per_s"] == pytest.approx(figures["runs_per_s"] * figures["steps"], rel=0.01)


def test_timers_are_never_early(tmp_path: Path) -> None:
    figures = figures_of(tmp_path, "timers")

    assert figures["early_count"] == 0
    assert figures["skew_max_ms"] >= figures["skew_p50_ms"] >= 0


def test_a_killed_run_repeats_only_the_step_that_was_in_flight(tmp_path: Path) -> None:
    figures = figures_of(tmp_path, "history")

    assert figures["recovery_ms"] > 0
    assert figures["repeated_count"] == 1


def test_the_last_line_is_json_and_the_others_are_for_people(tmp_path: Path) -> None:
    done = bench("sequential", *SIZES["sequential"], "--store=memory", f"--dir={tmp_path}")

    *summary, last = done.stdout.splitlines()
    assert json.loads(last)["workload"] == "sequential"
    assert summary[0].split() == ["workload", "sequential"]


def test_a_size_that_a_workload_cannot_vary_is_refused(tmp_path: Path) -> None:
    done = bench("tree", "--steps=3", f"--dir={tmp_path}")

    assert done.returncode == 2
    assert "tree has steps of its own" in done.stderr
