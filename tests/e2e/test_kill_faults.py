"""A call of the store that fails, fails to answer or comes late, whichever it is, changes nothing of what comes out."""

import asyncio
import os
from pathlib import Path

import pytest

from perdure.core.errors import StoreError
from perdure.core.message import Outcome
from perdure.engine import pipeline
from perdure.stores.sqlite import SqliteStore
from perdure.testing.faults import Fate, FaultyStore, OneFate
from tests.e2e import kill_world
from tests.e2e.kill_world import LEDGER, Scenario, carry_out, checked

SMALL = Scenario(runs_count=5, steps_count=2)
LATE_MS = 300
FATES = {
    "refused": Fate(refused=True),
    "unknown": Fate(unknown=True),
    "silent": Fate(silent=True),
    "silent and late": Fate(arrives_ms=LATE_MS, silent=True),
    "late": Fate(arrives_ms=LATE_MS),
    "twice": Fate(again_ms=LATE_MS / 2),
}


async def lived(folder: Path, fates: OneFate) -> list[str]:
    """What is wrong after a life in which one call met its fate."""
    path = folder / f"{fates.number}.db"
    store = FaultyStore(SqliteStore(path), fates)
    outcomes: list[Outcome] | None = None
    while outcomes is None:
        try:
            outcomes = await carry_out(store, SMALL)
        except StoreError:
            # A process whose store fails at its start says so, and is started again.
            continue
    found, closed = await checked(SqliteStore(path), SMALL, outcomes)
    steps_count = sum(1 for _ in closed)
    executions = (folder / "ledger").read_text().splitlines()
    (folder / "ledger").unlink()
    if len(executions) > steps_count and fates.verb in ("create", "deliver", "wait", "read_runs", "read_turns"):
        found.append(f"{len(executions)} executions of {steps_count} steps")
    return found


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("fate", FATES.values(), ids=FATES)
def test_whichever_call_meets_a_fate(fate: Fate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(LEDGER, os.fspath(tmp_path / "ledger"))
    # A silent store is found out sooner than in earnest.
    monkeypatch.setattr(pipeline, "WRITE_TIMEOUT_MS", 100)
    monkeypatch.setattr(kill_world, "ANSWER_S", 0.5)

    wrong: dict[int, list[str]] = {}
    number, reached = 1, True
    while reached:
        fates = OneFate(number, fate)
        found = asyncio.run(lived(tmp_path, fates))
        if found:
            wrong[number] = found
        reached = fates.verb is not None
        number += 1

    assert wrong == {}
