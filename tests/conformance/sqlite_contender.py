"""One of several processes that use one SQLite file; started by test_sqlite_processes.py.

`compete PATH NAME COUNT` makes runs, then claims and closes whatever there is, and prints what it closed.
`pour PATH NAME` makes runs for ever and prints each one that was acknowledged.
"""

import asyncio
import itertools
import sys
from pathlib import Path

from perdure.core.ids import RunId, WorkerId, WorkflowId
from perdure.core.store import NewRun, RunStatus
from perdure.stores.sqlite import SqliteStore
from perdure.testing.conformance.samples import FAR, claim, new_run, turn


def named_run(name: str, number: int) -> NewRun:
    """A run that no other process makes."""
    run_id = f"{name}-{number:06}"
    return new_run(run_id=RunId(run_id), workflow_id=WorkflowId(run_id), request_id=run_id)


async def compete(path: Path, name: str, count: int) -> None:
    """Make `count` runs, then work until nothing is left."""
    store, worker = SqliteStore(path), WorkerId(name)
    await store.open()
    await store.register(worker, FAR)
    for number in range(count):
        await store.create([named_run(name, number)])
    while claimed := (await claim(store, worker)).runs:
        for found in claimed:
            run = new_run(run_id=found.run.run_id)
            if not await store.commit(worker, [turn(run, 1, closes=RunStatus.COMPLETED)]):
                print(found.run.run_id)
    await store.close()


async def pour(path: Path, name: str) -> None:
    """Make runs until killed."""
    store = SqliteStore(path)
    await store.open()
    for number in itertools.count():
        run = named_run(name, number)
        await store.create([run, new_run(run_id=RunId(f"{run.run_id}-more"), workflow_id=WorkflowId(run.run_id + "-"))])
        print(run.run_id, flush=True)


if __name__ == "__main__":
    if sys.argv[1] == "compete":
        asyncio.run(compete(Path(sys.argv[2]), sys.argv[3], int(sys.argv[4])))
    else:
        asyncio.run(pour(Path(sys.argv[2]), sys.argv[3]))
