"""The simulator finds what it is there to find: a planted bug fails some seed, and the seed is clean without it."""

import pytest

from perdure.testing.simulator import SeedReport, simulate
from tests.sim.planted import BUGS, Bug

SEEDS_MAX = 150


def first_failure(bug: Bug) -> SeedReport | None:
    """The first seed that a bug fails."""
    with bug.planted():
        for seed in range(bug.first, bug.first + SEEDS_MAX):
            report = simulate(seed, bug.store)
            if not report.clean:
                return report
    return None


@pytest.mark.parametrize("bug", BUGS, ids=[bug.name for bug in BUGS])
def test_a_planted_bug_is_found(bug: Bug) -> None:
    found = first_failure(bug)

    assert found is not None, f"{SEEDS_MAX} seeds are clean with the bug"
    assert simulate(found.seed).violations == ()
