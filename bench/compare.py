"""The same work on Perdure and on a peer, in turn in one call, so that both meet the same machine."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from bench.figures import Figures, median
from bench.peers import Peer
from bench.peers.environment import python_of

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / ".dev" / "bench"
SHOWN = ("runs_per_s", "steps_per_s", "cpu_us_per_step", "p50_ms", "p99_ms", "rss_mb", "foreign_cores")
Sizes = tuple[int, int, int]


def compare(peer: Peer, workload: str, sizes: Sizes, rounds: int) -> Figures:
    """Run both `rounds` times (A B A B), print a table, return the medians and the ratios."""
    python = python_of(peer)
    FOLDER.mkdir(parents=True, exist_ok=True)
    own: list[Figures] = []
    others: list[Figures] = []
    for _ in range(rounds):
        own.append(_run_perdure(workload, sizes))
        others.append(_run_peer(peer, python, workload, sizes))
    figures = _compared(own, others)
    runs, steps, concurrency = sizes
    facts: Figures = {
        "workload": workload,
        "peer": peer.name,
        "peer_version": others[0]["version"],
        "runs": runs,
        "steps": steps,
        "concurrency": concurrency,
        "rounds": rounds,
    }
    print(_table(peer.name, facts | figures))
    return facts | figures


def _run_perdure(workload: str, sizes: Sizes) -> Figures:
    runs, steps, concurrency = map(str, sizes)
    command = (sys.executable, "-m", "bench", workload, "--store", "sqlite", "--json")
    return _last_line([*command, "--runs", runs, "--steps", steps, "--concurrency", concurrency])


def _run_peer(peer: Peer, python: Path, workload: str, sizes: Sizes) -> Figures:
    with tempfile.TemporaryDirectory(dir=FOLDER) as folder:
        return _last_line([str(python), "-m", peer.module, workload, *map(str, sizes), folder])


def _last_line(command: Sequence[str]) -> Figures:
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    figures: Figures = json.loads(done.stdout.splitlines()[-1])
    return figures


def _compared(own: Sequence[Figures], others: Sequence[Figures]) -> Figures:
    ours, theirs = _medians(own), _medians(others)
    return {
        "perdure": ours,
        "theirs": theirs,
        "throughput_ratio": round(ours["runs_per_s"] / theirs["runs_per_s"], 1),
        "cpu_ratio": round(theirs["cpu_us_per_step"] / ours["cpu_us_per_step"], 1),
        "p50_ratio": round(theirs["p50_ms"] / ours["p50_ms"], 1),
    }


def _medians(figures: Sequence[Figures]) -> Figures:
    return {name: round(median([each[name] for each in figures]), 3) for name in SHOWN}


def _table(peer: str, figures: Figures) -> str:
    header = "{workload}: {runs} runs of {steps} steps, {concurrency} in flight; medians of {rounds} rounds"
    lines = [header.format(**figures), f"{'':16} {'perdure':>12} {peer:>12}"]
    lines += [f"{name:16} {figures['perdure'][name]:12} {figures['theirs'][name]:12}" for name in SHOWN]
    lines.append(
        "perdure does {throughput_ratio} times the runs a second, with {cpu_ratio} times less CPU a step, "
        "and answers {p50_ratio} times sooner".format(**figures)
    )
    return "\n".join(lines)
