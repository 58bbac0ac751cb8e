"""`python -m perdure.testing.simulate`: simulates many seeds, prints those that failed and how to replay one.

    python -m perdure.testing.simulate --seeds 500        seeds 0 to 249, and of wide worlds, from 1000000 on, and of
                                                          ranked ones, from 10000000 on
    python -m perdure.testing.simulate --first 1000 --seeds 500
    python -m perdure.testing.simulate --seed 1234 -v     one seed, with its story

Exits with 1 if any seed failed.
"""

import argparse
import multiprocessing
import os
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from perdure.testing.simulator import SeedReport, simulate
from perdure.testing.witness import RARE
from perdure.testing.world import RANKED_SEEDS_FROM, WIDE_SEEDS_FROM

SEEDS_DEFAULT = 500
FAILURES_MAX = 10
"""After so many failed seeds the others are not simulated."""
SEEDS_A_BATCH = 10


def seeds_of(first: int, count: int) -> list[int]:
    """So many seeds, each kind beginning with `first`: every second one of a wide world, and of these every fourth of a
    ranked one.
    """
    kinds = (0, WIDE_SEEDS_FROM) * 3 + (0, RANKED_SEEDS_FROM)
    return [first + index // 2 + kinds[index % len(kinds)] for index in range(count)]


def simulate_all(seeds: Iterable[int], *, processes: int | None = None) -> Iterator[SeedReport]:
    """The reports of seeds, in their order, from several processes; None: as many as there are processors."""
    count = processes or len(os.sched_getaffinity(0))
    if count == 1:
        yield from map(simulate, seeds)
        return
    # A fresh interpreter for each, so that nothing of the caller's (threads, loops, patches) comes along.
    with multiprocessing.get_context("spawn").Pool(count) as pool:
        yield from pool.imap(simulate, seeds, SEEDS_A_BATCH)


def main(arguments: Sequence[str] | None = None) -> int:
    """Simulate as the command line says; return the exit code."""
    parser = argparse.ArgumentParser("perdure.testing.simulate", description="Simulate seeds and check the promises.")
    parser.add_argument("--seeds", type=int, default=SEEDS_DEFAULT, help="how many (default: %(default)s)")
    parser.add_argument("--first", type=int, default=0, help="the first of each kind (default: %(default)s)")
    parser.add_argument("--seed", type=int, help="only this one")
    parser.add_argument("--processes", type=int, help="how many work at once (default: one a processor)")
    parser.add_argument(
        "-v", "--verbose", action="store_true", help="tell the story of each failed seed, and of --seed"
    )
    options = parser.parse_args(arguments)
    if options.seed is not None:
        report = simulate(options.seed)
        if options.verbose:
            print(report.story)
            print_counts(Counter(report.counts))
        print_report(report)
        return int(not report.clean)
    return _simulate_many(seeds_of(options.first, options.seeds), options)


def _simulate_many(seeds: Sequence[int], options: argparse.Namespace) -> int:
    started = time.monotonic()
    counts: Counter[str] = Counter()
    failed: list[int] = []
    done_count = 0
    for report in simulate_all(seeds, processes=options.processes):
        done_count += 1
        counts.update(report.counts)
        if not report.clean:
            failed.append(report.seed)
            print_report(report)
            if options.verbose:
                print(report.story)
            if len(failed) == FAILURES_MAX:
                break
    seconds = time.monotonic() - started
    if options.verbose:
        print_counts(counts)
    never = [what for what in RARE if not counts[what]]
    if never:
        print(f"never reached: {', '.join(never)}")
    print(
        f"{done_count} seeds in {seconds:.1f} s ({done_count / seconds:.1f} a second), {len(failed)} failed: {failed}"
    )
    return int(bool(failed))


def print_report(report: SeedReport) -> None:
    """What was wrong with a seed, and how to replay it."""
    if report.clean:
        print(f"seed {report.seed}: clean")
        return
    print(f"seed {report.seed}: {len(report.violations)} violations; replay it with --seed {report.seed} -v")
    for text in report.violations:
        print(f"    {text}")


def print_counts(counts: Counter[str]) -> None:
    """How often what happened, the rarest first."""
    for what, count in sorted(counts.items(), key=lambda each: (each[1], each[0])):
        print(f"{count:8} {what}")


if __name__ == "__main__":
    sys.exit(main())
