"""Several processes use one SQLite file."""

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from perdure.core.filter.build import runs_where
from perdure.core.ids import RunId, WorkflowId
from perdure.core.store import RunStatus
from perdure.stores.sqlite import SqliteStore
from perdure.testing.conformance.samples import ANNA, birth, count_of, hire, new_run, turn

CONTENDER = Path(__file__).parent / "sqlite_contender.py"
PROCESSES = 8
RUNS_EACH = 12


def contend(*arguments: object) -> "subprocess.Popen[str]":
    """Start one more process."""
    command = [sys.executable, str(CONTENDER), *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.slow
async def test_eight_processes_make_one_file_and_share_its_work(tmp_path: Path) -> None:
    path = tmp_path / "shared.db"
    processes = [contend("compete", path, f"worker-{number}", RUNS_EACH) for number in range(PROCESSES)]

    outputs = [process.communicate(timeout=100) for process in processes]

    assert [(process.returncode, errors) for process, (_, errors) in zip(processes, outputs, strict=True)] == [
        (0, "")
    ] * PROCESSES
    closed = [run_id for output, _ in outputs for run_id in output.split()]
    assert len(closed) == len(set(closed))
    store = SqliteStore(path)
    await store.open()
    try:
        assert await count_of(store) == PROCESSES * RUNS_EACH
        # A process that found nothing to claim has ended, though another one held runs; nobody died, so all are closed.
        assert await count_of(store, runs_where(status=RunStatus.COMPLETED)) == len(closed) == PROCESSES * RUNS_EACH
    finally:
        await store.close()


@pytest.mark.slow
async def test_what_was_acknowledged_survives_a_killed_process(tmp_path: Path) -> None:
    path = tmp_path / "killed.db"
    for name in ("first", "second", "third"):
        process = contend("pour", path, name)
        assert process.stdout is not None
        assert process.stderr is not None
        acknowledged = [process.stdout.readline().strip() for _ in range(50)]
        process.kill()
        acknowledged += process.stdout.read().split()
        process.wait()
        process.stdout.close()
        process.stderr.close()

        store = SqliteStore(path)
        await store.open()
        # The last line may have been cut by the kill.
        whole = [RunId(run_id) for run_id in acknowledged if len(run_id) == len(f"{name}-000000")]
        found = {record.run_id for record in await store.read_runs(whole)}
        halves = await store.list_runs(runs_where(workflow_id_prefix=name), 100_000)
        await store.close()

        assert found == set(whole)
        assert len(halves) % 2 == 0


async def test_another_processes_write_ends_a_wait(tmp_path: Path) -> None:
    path = tmp_path / "shared.db"
    store = SqliteStore(path)
    await store.open()
    seen = await store.wait(0, 0)
    waiting = asyncio.create_task(store.wait(seen, 60_000))

    process = contend("compete", path, "other", 1)
    try:
        assert await waiting != seen
    finally:
        await asyncio.to_thread(process.communicate)
        await store.close()


async def test_two_stores_of_one_process_share_a_file(tmp_path: Path) -> None:
    one, other = SqliteStore(tmp_path / "shared.db"), SqliteStore(tmp_path / "shared.db")
    await asyncio.gather(one.open(), other.open())
    runs = [new_run(number) for number in range(20)]
    await hire(one, ANNA)

    await asyncio.gather(*(store.create([run]) for store in (one, other) for run in runs))
    await one.commit(ANNA, [turn(run, 1) for run in runs])
    refused = await other.commit(ANNA, [turn(run, 1) for run in runs])

    assert len(refused) == 20
    assert await other.commit(ANNA, [turn(run, 2) for run in runs]) == frozenset()
    assert await count_of(one) == 20
    await one.close()
    await other.close()


async def test_a_remembered_run_that_another_store_deleted_is_not_mistaken(tmp_path: Path) -> None:
    one, other = SqliteStore(tmp_path / "shared.db"), SqliteStore(tmp_path / "shared.db")
    await one.open()
    await other.open()
    await hire(one, ANNA)
    await one.commit(ANNA, [birth(new_run(1))])
    await other.commit(None, [turn(new_run(1), 2, closes=RunStatus.COMPLETED)])
    await other.delete([new_run(1).run_id])
    await other.commit(ANNA, [birth(new_run(2))])

    refused = await one.commit(ANNA, [turn(new_run(1), 2)])

    assert refused == {new_run(1).run_id}
    found = await one.find_run(WorkflowId("order-2"))
    assert found is not None
    assert found.turns_count == 1
    await one.close()
    await other.close()
