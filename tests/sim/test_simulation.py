"""The promises hold in simulated worlds, and these worlds reach the rare branches."""

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

from perdure.testing.simulate import seeds_of, simulate_all
from perdure.testing.simulator import SeedReport, simulate
from perdure.testing.witness import RARE

SEEDS = seeds_of(0, 500)
SOAK_SEEDS = seeds_of(1_000, 20_000)
SOAK_FAILURES_MAX = 5
CORPUS = Path(__file__).with_name("seeds.txt")


def corpus() -> list[int]:
    """Seeds that once failed."""
    lines = [line.split(maxsplit=1) for line in CORPUS.read_text().splitlines() if not line.startswith("#")]
    assert all(len(line) == 2 for line in lines), "each seed has its story"
    return [int(seed) for seed, _ in lines]


@pytest.fixture(scope="module")
def reports() -> Sequence[SeedReport]:
    """Of all seeds of every test run."""
    return list(simulate_all(SEEDS))


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_no_seed_finds_a_violation(reports: Sequence[SeedReport]) -> None:
    assert {report.seed: report.violations for report in reports if not report.clean} == {}


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_every_rare_branch_is_reached(reports: Sequence[SeedReport]) -> None:
    counts = Counter[str]()
    for report in reports:
        counts.update(report.counts)

    assert [what for what in RARE if not counts[what]] == []


@pytest.mark.parametrize("seed", corpus())
def test_a_seed_that_once_failed(seed: int) -> None:
    assert simulate(seed).violations == ()


def test_a_seed_gives_the_same_world_in_every_process() -> None:
    seeds = seeds_of(3, 6)
    code = f"from perdure.testing.simulator import simulate; print([simulate(seed).digest for seed in {seeds}])"
    commands = [[sys.executable, "-c", code] for _ in range(2)]

    digests = {
        subprocess.run(
            command, env=os.environ | {"PYTHONHASHSEED": str(number)}, capture_output=True, text=True, check=True
        ).stdout
        for number, command in enumerate(commands, 1)
    }

    assert len(digests) == 1


@pytest.mark.soak
def test_twenty_thousand_seeds() -> None:
    failed: dict[int, tuple[str, ...]] = {}
    for report in simulate_all(SOAK_SEEDS):
        if not report.clean:
            failed[report.seed] = report.violations
            if len(failed) == SOAK_FAILURES_MAX:
                break

    assert failed == {}
