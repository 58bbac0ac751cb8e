"""Eight processes on one SQLite file, workers and clients: no error surfaces, nothing is lost, nothing is doubled."""

import asyncio
from pathlib import Path

import pytest

from tests.e2e.eight_world import PROCESSES_COUNT, member_life, numbers, what_is_wrong
from tests.e2e.kill_world import begun, ended


def lived(folder: Path, seconds: float) -> None:
    """Let the processes live for some time, and look at what they leave."""
    processes = [begun(member_life, folder, index, seconds) for index in range(PROCESSES_COUNT)]
    codes = [ended(process, seconds + 60) for process in processes]
    logs = "".join(path.read_text() for path in sorted(folder.glob("*.log")))

    assert (codes, logs) == ([0] * PROCESSES_COUNT, "")
    assert asyncio.run(what_is_wrong(folder)) == []
    assert len(numbers(folder, "acknowledged")) > PROCESSES_COUNT
    assert numbers(folder, "signalled")


@pytest.mark.slow
def test_eight_processes_on_one_file(tmp_path: Path) -> None:
    lived(tmp_path, 20)


@pytest.mark.soak
def test_eight_processes_on_one_file_for_two_minutes(tmp_path: Path) -> None:
    lived(tmp_path, 120)
