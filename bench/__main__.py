"""`./dev bench WORKLOAD [--store sqlite|memory] [--runs N] [--steps N] [--concurrency N] [--dir DIR] [--json]`

or `./dev bench compare --peer PEER`. The last line printed is JSON; with --json it is the only one.
"""

import argparse
import asyncio
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Awaitable, Callable, Generator, Sequence
from contextlib import contextmanager
from pathlib import Path

from bench.compare import compare
from bench.figures import Figures
from bench.peers import PEERS
from bench.settings import WORKLOADS, Settings
from bench.workloads.history import history
from bench.workloads.sleepers import sleepers
from bench.workloads.steps import fanout, latency, sequential, start, tree
from bench.workloads.waiting import signal, timers

RUN: dict[str, Callable[[Settings], Awaitable[Figures]]] = {
    "sequential": sequential,
    "latency": latency,
    "fanout": fanout,
    "signal": signal,
    "start": start,
    "timers": timers,
    "history": history,
    "sleepers": sleepers,
    "tree": tree,
}
FOLDER = Path(__file__).parents[1] / ".dev" / "bench"
FIXED = {
    "signal": ("steps",),
    "start": ("steps",),
    "timers": ("steps",),
    "history": ("runs", "concurrency"),
    "sleepers": ("steps",),
    "tree": ("steps",),
}
"""Sizes that a workload cannot vary."""


def main(arguments: Sequence[str]) -> int:
    """Carry out one command line; return the exit code."""
    parser = _parser()
    asked = parser.parse_args(arguments)
    workload = asked.workload if asked.command == "compare" else asked.command
    for size in FIXED.get(workload, ()):
        if getattr(asked, size) not in (None, getattr(WORKLOADS[workload], size)):
            parser.error(f"{workload} has {size} of its own")
    if asked.command == "compare":
        peer = PEERS[asked.peer]
        if workload not in peer.sizes:
            parser.error(f"there is no program of {workload} for {peer.name}")
        usual = peer.sizes[workload]
        sizes = (asked.runs or usual[0], asked.steps or usual[1], asked.concurrency or usual[2])
        try:
            figures = compare(peer, workload, sizes, asked.rounds)
        except subprocess.CalledProcessError as error:
            print(f"bench: {error}", file=sys.stderr)
            return 1
        print(json.dumps(figures), flush=True)
        return 0
    with _fresh_folder(asked.dir) as folder:
        figures = run(_settings(asked, folder))
    if not asked.json:
        print(summary(figures))
    print(json.dumps(figures), flush=True)
    return 0


def run(settings: Settings) -> Figures:
    """Run one workload in this process."""
    facts: Figures = {
        "workload": settings.workload,
        "store": settings.store,
        "durability": settings.durability,
        "runs": settings.runs,
        "steps": settings.steps,
        "concurrency": settings.concurrency,
    }

    async def body() -> Figures:
        return await RUN[settings.workload](settings)

    return facts | asyncio.run(body())


def summary(figures: Figures) -> str:
    """The figures for people: one a line."""
    width = max(map(len, figures))
    return "\n".join(f"{name:{width}}  {'-' if value is None else value}" for name, value in figures.items())


@contextmanager
def _fresh_folder(parent: Path) -> Generator[Path, None, None]:
    parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(dir=parent))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _settings(asked: argparse.Namespace, folder: Path) -> Settings:
    usual = WORKLOADS[asked.command]
    return Settings(
        workload=asked.command,
        store=asked.store,
        runs=asked.runs or usual.runs,
        steps=asked.steps or usual.steps,
        concurrency=asked.concurrency or usual.concurrency,
        folder=folder,
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="./dev bench", description="Measures Perdure. The last line printed is JSON.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="WORKLOAD")
    for name, usual in WORKLOADS.items():
        command = commands.add_parser(name, help=usual.about)
        command.add_argument("--store", choices=("sqlite", "memory"), default="sqlite")
        _add_sizes(command)
        command.add_argument("--dir", type=Path, default=FOLDER, help="parent of the temporary folder; on a real disk")
        command.add_argument("--json", action="store_true", help="print nothing but the line of JSON")
    command = commands.add_parser("compare", help="the same work on Perdure and on a peer, in turn")
    command.add_argument("--peer", choices=sorted(PEERS), required=True)
    command.add_argument("--workload", choices=WORKLOADS, default="sequential")
    command.add_argument("--rounds", type=_positive, default=3, help="how often each is run; medians are compared")
    _add_sizes(command)
    return parser


def _add_sizes(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--runs", type=_positive)
    parser.add_argument("--steps", type=_positive, help="steps of one run")
    parser.add_argument("--concurrency", type=_positive, help="runs in flight")


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("give 1 or more")
    return value


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
