"""A process that is killed at any call of its store loses nothing: another one goes on and ends everything right."""

from pathlib import Path

import pytest

from tests.e2e.kill_features import Features
from tests.e2e.kill_world import KillPoint, Scenario, calls_count, sweep

SMALL = Scenario(runs_count=5, steps_count=2)
BIG = Scenario(runs_count=100, steps_count=5, plain=True)
SERIAL = Scenario(runs_count=100, steps_count=5, in_flight=4)
"""The same with smaller batches, hence with many more calls, and with everything that a run can wait for."""
MARGIN = 10
"""A scenario makes a few calls more or less each time: a call that is not reached kills nobody."""


def points(count: int) -> list[KillPoint]:
    """Before and after each of `count` calls."""
    return [KillPoint(number, after) for number in range(1, count + 1) for after in (False, True)]


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("scenario", [SMALL, BIG], ids=["small", "100 runs of 5 steps"])
def test_killed_at_every_call(scenario: Scenario, tmp_path: Path) -> None:
    count = calls_count(tmp_path, scenario)

    assert sweep(tmp_path, scenario, points(count + MARGIN)) == {}


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_killed_at_a_spread_of_calls_of_small_batches(tmp_path: Path) -> None:
    count = calls_count(tmp_path, SERIAL)

    assert sweep(tmp_path, SERIAL, points(count)[:: count // 8 | 1]) == {}


@pytest.mark.soak
def test_killed_at_every_call_of_small_batches(tmp_path: Path) -> None:
    count = calls_count(tmp_path, SERIAL)

    assert sweep(tmp_path, SERIAL, points(count + MARGIN)) == {}


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_killed_at_a_spread_of_calls_of_all_features(tmp_path: Path) -> None:
    count = calls_count(tmp_path, Features())

    assert sweep(tmp_path, Features(), points(count)[:: count // 8 | 1]) == {}


@pytest.mark.soak
def test_killed_at_every_call_of_all_features(tmp_path: Path) -> None:
    count = calls_count(tmp_path, Features())

    assert sweep(tmp_path, Features(), points(count + MARGIN)) == {}
