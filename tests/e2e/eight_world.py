"""What the test with eight processes shares: the life of one of them, and what is wrong in the end."""

import asyncio
import logging
import os
from collections import Counter
from contextlib import suppress
from pathlib import Path
from random import Random

import msgspec

from perdure.core import codec
from perdure.core.command import CompleteRun
from perdure.core.errors import RunClosed
from perdure.core.filter.build import runs_where
from perdure.core.ids import WorkflowId
from perdure.core.message import Completed, Signaled, Started
from perdure.core.payload import to_payload, to_payloads
from perdure.core.store import RunStatus
from perdure.engine.engine import Engine
from perdure.runtime import Runtime
from perdure.stores.sqlite import SqliteStore
from perdure.testing.conformance.samples import count_of
from perdure.testing.invariants import all_runs, fsck
from perdure.worker.options import WorkerOptions
from tests.e2e.kill_world import LEDGER, Scenario, outcomes_recorded, registry

PROCESSES_COUNT = 8
WORKERS_COUNT = 5
IN_FLIGHT = 6
NUMBERS_A_PROCESS = 1_000_000
SCENARIO = Scenario(runs_count=0, steps_count=3)


class Member:
    """One of the processes."""

    def __init__(self, folder: Path, index: int, seconds: float) -> None:
        self._folder = folder
        self._index = index
        self._seconds = seconds
        self._random = Random(index)
        self._count = 0

    async def live(self) -> None:
        """Start runs for some time, signal those of the neighbour, stay until everybody is done."""
        options = WorkerOptions() if self._index < WORKERS_COUNT else None
        runtime = Runtime(SqliteStore(self._folder / "runs.db"), registry(), options)
        await runtime.start()
        try:
            await runtime.call(self._work)
        finally:
            await runtime.stop()

    async def _work(self, engine: Engine) -> None:
        neighbour = asyncio.create_task(self._signal_neighbour(engine))
        end_s = asyncio.get_running_loop().time() + self._seconds
        await asyncio.gather(*[self._start_runs(engine, end_s) for _ in range(IN_FLIGHT)])
        self._write("done", "")
        while len(list(self._folder.glob("done-*"))) < PROCESSES_COUNT:
            await asyncio.sleep(0.05)
        neighbour.cancel()
        with suppress(asyncio.CancelledError):
            await neighbour

    async def _start_runs(self, engine: Engine, end_s: float) -> None:
        loop = asyncio.get_running_loop()
        while loop.time() < end_s:
            number = self._index * NUMBERS_A_PROCESS + self._count
            self._count += 1
            plain = SCENARIO.is_plain(number)
            args = to_payloads([number, SCENARIO.steps_count, plain])
            started = Started("run", WorkflowId(f"run{number}"), "default", args)
            run_id = await engine.start(started, f"request{number}")
            self._write("acknowledged", f"{number}\n")
            if self._random.random() < 0.2:
                assert await engine.start(started, f"request{number}") == run_id
            outcome = await engine.wait(run_id)
            assert outcome == Completed(to_payload(SCENARIO.result(number))), (number, outcome)
            await asyncio.sleep(self._random.random() * 0.1)

    async def _signal_neighbour(self, engine: Engine) -> None:
        path = self._folder / f"acknowledged-{(self._index + 1) % PROCESSES_COUNT}"
        read_count = 0
        while True:
            lines = path.read_text().splitlines(keepends=True) if path.exists() else []
            for line in lines[read_count:]:
                if not line.endswith("\n"):
                    break
                read_count += 1
                if not SCENARIO.is_plain(int(line)):
                    for _ in range(self._random.choice((1, 2))):
                        await self._signal(engine, int(line))
            await asyncio.sleep(0.02)

    async def _signal(self, engine: Engine, number: int) -> None:
        signal = Signaled("seven", to_payload(7), "seven")
        with suppress(RunClosed):  # the one before was enough
            await engine.signal(WorkflowId(f"run{number}"), None, signal)
            self._write("signalled", f"{number}\n")

    def _write(self, what: str, text: str) -> None:
        with (self._folder / f"{what}-{self._index}").open("a") as file:
            file.write(text)


def member_life(folder: Path, index: int, seconds: float) -> None:
    """What one of the processes does from its begin to its end."""
    os.environ[LEDGER] = str(folder / "ledger")
    logging.basicConfig(filename=folder / f"{index}.log", level=logging.WARNING)
    asyncio.run(Member(folder, index, seconds).live())


def numbers(folder: Path, what: str) -> list[int]:
    """What all processes wrote."""
    return [int(line) for path in folder.glob(f"{what}-*") for line in path.read_text().splitlines()]


async def what_is_wrong(folder: Path) -> list[str]:
    """Compare the store, the ledger and the acknowledgements."""
    store = SqliteStore(folder / "runs.db")
    await store.open()
    try:
        found = [str(each) for each in (await fsck(store)).violations]
        acknowledged = numbers(folder, "acknowledged")
        top = [record async for record in all_runs(store) if record.parent_run_id is None]
        names = Counter(record.workflow_id for record in top)
        if names != Counter(f"run{number}" for number in acknowledged):
            found.append("the runs in the store are not those that were acknowledged")
        open_count = await count_of(store) - await count_of(store, runs_where(status=RunStatus.COMPLETED))
        if open_count:
            found.append(f"{open_count} runs are not completed")
        for record in top:
            (history,) = await store.read_turns([(record.run_id, record.turns_count - 1)], 1)
            found += _check_result(str(record.workflow_id), history[-1])
        closed, asked = await outcomes_recorded(store)
    finally:
        await store.close()
    executed = Counter(line.split()[1] for line in (folder / "ledger").read_text().splitlines())
    if not closed == asked == executed:
        found.append(f"steps differ: {closed - executed} {executed - closed} {asked - closed}")
    found += [f"step {key} was executed {count} times" for key, count in executed.items() if count != 1]
    return found


def _check_result(workflow_id: str, last_turn: bytes) -> list[str]:
    closing = codec.turns.decode(last_turn).outputs[-1]
    expected = SCENARIO.result(int(workflow_id.removeprefix("run")))
    if isinstance(closing, CompleteRun) and msgspec.json.decode(closing.result.data) == expected:
        return []
    return [f"{workflow_id} ended as {closing}, not with {expected}"]
