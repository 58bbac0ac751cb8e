"""What the kill sweeps share: a scenario in a process that is killed at a call of its store, and another that goes on.

Activities write each execution into a ledger, a file opened for appending, which outlives every process.
"""

import asyncio
import json
import logging
import multiprocessing
import os
import signal
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, Protocol, TypeVar

import msgspec

from perdure import workflow
from perdure.core import codec
from perdure.core.command import RunActivity
from perdure.core.errors import RunClosed, StoreError
from perdure.core.ids import RunId, WorkflowId
from perdure.core.message import ActivityClosed, Completed, Outcome, Signaled, Started
from perdure.core.payload import to_payload, to_payloads
from perdure.core.store import Store
from perdure.engine.engine import Engine
from perdure.programs.code.definition import Activity, Workflow
from perdure.programs.code.program import CodeProgram
from perdure.runtime import Runtime
from perdure.stores.sqlite import SqliteStore
from perdure.testing.invariants import all_runs, fsck
from perdure.testing.wrapper import StoreWrapper
from perdure.worker.options import WorkerOptions
from perdure.worker.registry import Registry

R = TypeVar("R")

PROCESS_S_MAX = 100
ANSWER_S = 2.0
"""A client asks again where no answer comes for so long."""
LEDGER = "PERDURE_TEST_LEDGER"


class Swept(Protocol):
    """What is done in each life, again by the second where the first has done it before."""

    async def lived(self, store: Store) -> Sequence[Outcome]:
        """Carry it out; what comes of its runs."""
        ...

    def wrong(self, outcomes: Sequence[Outcome]) -> list[str]:
        """Which of the outcomes are not what they must be."""
        ...


class Scenario(msgspec.Struct, frozen=True):
    """How many runs, of how many steps; every fourth run also fans out, sleeps, hears a signal and has a child."""

    runs_count: int
    steps_count: int
    in_flight: int = 1_000
    """How many at once."""
    plain: bool = False
    """All runs are sequences of steps and nothing else."""

    def result(self, number: int) -> int:
        """What run `number` returns."""
        return sum(range(self.steps_count)) + number + (0 if self.is_plain(number) else 3 + 7 + 1)

    def is_plain(self, number: int) -> bool:
        """Whether a run has steps only."""
        return self.plain or number % 4 != 0

    async def lived(self, store: Store) -> Sequence[Outcome]:
        """See `Swept`."""
        return await carry_out(store, self)

    def wrong(self, outcomes: Sequence[Outcome]) -> list[str]:
        """See `Swept`."""
        return [
            f"run {number} ended as {outcome}"
            for number, outcome in enumerate(outcomes)
            if outcome != Completed(to_payload(self.result(number)))
        ]


class KillPoint(msgspec.Struct, frozen=True):
    """The call of the store at which the process kills itself."""

    number: int
    after: bool


class KillStore(StoreWrapper):
    """Counts the calls, and kills its process before or after one of them."""

    def __init__(self, inner: Store, point: KillPoint | None) -> None:
        super().__init__(inner)
        self._point = point
        self.calls_count = 0

    async def call(self, verb: str, action: Callable[[], Coroutine[Any, Any, R]]) -> R:
        self.calls_count += 1
        mine = self._point is not None and self._point.number == self.calls_count
        if mine and self._point is not None and not self._point.after:
            os.kill(os.getpid(), signal.SIGKILL)
        result = await action()
        if mine:
            os.kill(os.getpid(), signal.SIGKILL)
        return result


# What runs in the processes


def note(path: str, line: str) -> None:
    """Append a line to a file, in one write."""
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    try:
        os.write(file, f"{line}\n".encode())
    finally:
        os.close(file)


async def step(key: str, value: int) -> int:
    """Note the execution, return the value."""
    note(os.environ[LEDGER], f"{os.getpid()} {key}")
    return value


_step: Activity[[str, int], int] = Activity(step)


async def child(key: str) -> int:
    """One step."""
    return await _step(key, 1)


_child: Workflow[[str], int] = Workflow(child)


async def run(number: int, steps_count: int, plain: bool) -> int:  # noqa: FBT001 # workflows take arguments by position
    """The steps, then everything else."""
    total = number
    for index in range(steps_count):
        total += await _step(f"{number}.{index}", index)
    if plain:
        return total
    total += sum(await asyncio.gather(*[_step(f"{number}.fan{index}", index) for index in range(3)]))
    await asyncio.sleep(0.001)
    total += await workflow.channel("seven", int).receive()
    return total + await _child(f"{number}.child")


_run: Workflow[[int, int, bool], int] = Workflow(run, name="run")


def registry() -> Registry:
    """What the processes know."""
    made = Registry()
    made.add_activity(_step)
    made.add_program(_run.name, _run.place, lambda: CodeProgram(_run, made.activity))
    made.add_program(_child.name, _child.place, lambda: CodeProgram(_child, made.activity))
    return made


async def carry_out(store: Store, scenario: Scenario) -> list[Outcome]:
    """Start every run and signal those that wait, again if it was done before; return what comes of them."""
    runtime = Runtime(store, registry(), WorkerOptions())
    await runtime.start()
    try:
        return await runtime.call(lambda engine: _drive(engine, scenario))
    finally:
        await runtime.stop()


async def _drive(engine: Engine, scenario: Scenario) -> list[Outcome]:
    room = asyncio.Semaphore(scenario.in_flight)

    async def one(number: int) -> Outcome:
        plain = scenario.is_plain(number)
        args = to_payloads([number, scenario.steps_count, plain])
        started = Started("run", WorkflowId(f"run{number}"), "default", args)
        async with room:
            run_id = await answered(lambda: engine.start(started, f"request{number}"))
            if not plain:
                await answered(lambda: _signal(engine, started.workflow_id, run_id))
            return await answered(lambda: engine.wait(run_id))

    return await asyncio.gather(*[one(number) for number in range(scenario.runs_count)])


async def answered(verb: Callable[[], Coroutine[Any, Any, R]]) -> R:
    """The answer of a verb, asked again after an error of the store or where none comes."""
    while True:
        try:
            async with asyncio.timeout(ANSWER_S):
                return await verb()
        except (StoreError, TimeoutError):
            await asyncio.sleep(0.01)


async def _signal(engine: Engine, workflow_id: WorkflowId, run_id: RunId) -> None:
    with suppress(RunClosed):  # it has it, and has ended
        await engine.signal(workflow_id, run_id, Signaled("seven", to_payload(7), "seven"))


def first_life(folder: Path, scenario: Swept, point: KillPoint | None) -> None:
    """The life of the process that is killed; without a point it writes how many calls it made."""
    os.environ[LEDGER] = str(folder / "ledger")
    logging.basicConfig(filename=folder / "first.log", level=logging.WARNING)
    store = KillStore(SqliteStore(folder / "runs.db"), point)
    asyncio.run(_lived(scenario, store))
    (folder / "calls").write_text(str(store.calls_count))


async def _lived(scenario: Swept, store: Store) -> None:
    await scenario.lived(store)


def second_life(folder: Path, scenario: Swept) -> None:
    """The life of the process that goes on; it writes what is wrong."""
    os.environ[LEDGER] = str(folder / "ledger")
    logging.basicConfig(filename=folder / "second.log", level=logging.WARNING)
    (folder / "wrong").write_text(json.dumps(asyncio.run(_go_on(folder, scenario))))


async def _go_on(folder: Path, scenario: Swept) -> list[str]:
    store = SqliteStore(folder / "runs.db")
    await store.open()
    recorded, _ = await outcomes_recorded(store)
    await store.close()
    outcomes = await scenario.lived(store)
    found, closed = await checked(store, scenario, outcomes)
    return found + _check_ledger(folder / "ledger", recorded, closed)


async def checked(store: Store, scenario: Swept, outcomes: Sequence[Outcome]) -> tuple[list[str], Counter[str]]:
    """What is wrong with the store and the outcomes, and how often each step's outcome is recorded."""
    await store.open()
    found = [str(each) for each in (await fsck(store)).violations]
    closed, asked = await outcomes_recorded(store)
    await store.close()
    found += scenario.wrong(outcomes)
    found += [f"step {key} was asked for {count} times" for key, count in asked.items() if count != 1]
    found += [f"step {key} has {count} outcomes" for key, count in closed.items() if count != 1]
    return found, closed


def _check_ledger(path: Path, recorded: Counter[str], closed: Counter[str]) -> list[str]:
    """Every step was executed, and by the second process only those whose outcome was not recorded before."""
    found: list[str] = []
    executions: dict[str, list[int]] = {}
    for line in path.read_text().splitlines():
        pid, key = line.split()
        executions.setdefault(key, []).append(int(pid))
    for key in closed:
        pids = executions.get(key, [])
        if not 1 <= len(pids) <= 2 or len(set(pids)) < len(pids):
            found.append(f"step {key} was executed by {pids}")
        if recorded[key] and os.getpid() in pids:
            found.append(f"step {key} was executed again though its outcome was recorded")
    return found


async def outcomes_recorded(store: Store) -> tuple[Counter[str], Counter[str]]:
    """How often each step's outcome is recorded, and how often it was asked for."""
    closed: Counter[str] = Counter()
    asked: Counter[str] = Counter()
    async for record in all_runs(store):
        (history,) = await store.read_turns([(record.run_id, 0)], 1_000)
        keys: dict[int, str] = {}
        for data in history:
            turn = codec.turns.decode(data)
            answers = [each.call_id for each in turn.inputs if isinstance(each, ActivityClosed)]
            closed.update(keys[call_id] for call_id in answers if call_id in keys)
            calls = [
                each for each in turn.outputs if isinstance(each, RunActivity) and not each.name.startswith("perdure.")
            ]
            keys.update({each.call_id: msgspec.json.decode(each.args[0].data) for each in calls})
            asked.update(keys[each.call_id] for each in calls)
    return closed, asked


# What runs in the test


def begun(target: Callable[..., None], *args: object) -> BaseProcess:
    """A fresh process that does this."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    process = context.Process(target=target, args=args)
    process.start()
    return process


def ended(process: BaseProcess, seconds_max: float = PROCESS_S_MAX) -> int | None:
    """Its exit code; None if it had to be ended."""
    process.join(seconds_max)
    if process.exitcode is None:
        process.kill()
        process.join()
        return None
    return process.exitcode


def in_process(target: Callable[..., None], *args: object) -> int | None:
    """The exit code of a fresh process that does this; None if it had to be ended."""
    return ended(begun(target, *args))


def calls_count(folder: Path, scenario: Swept) -> int:
    """How many calls of the store the scenario makes when nobody kills it."""
    assert in_process(first_life, folder, scenario, None) == 0
    return int((folder / "calls").read_text())


def killed_at(folder: Path, scenario: Swept, point: KillPoint) -> list[str]:
    """What is wrong after a process was killed at the point and another one went on."""
    folder.mkdir()
    code = in_process(first_life, folder, scenario, point)
    if code not in (0, -signal.SIGKILL):
        return [f"the first process ended with {code}: {_log(folder, 'first.log')}"]
    code = in_process(second_life, folder, scenario)
    if code != 0:
        return [f"the second process ended with {code}: {_log(folder, 'second.log')}"]
    found: list[str] = json.loads((folder / "wrong").read_text())
    return found + [f"logged: {_log(folder, name)}" for name in ("first.log", "second.log") if _log(folder, name)]


def _log(folder: Path, name: str) -> str:
    path = folder / name
    return path.read_text() if path.exists() else ""


def sweep(folder: Path, scenario: Swept, points: Sequence[KillPoint]) -> dict[KillPoint, list[str]]:
    """What is wrong at each point where something is."""
    wrong = {point: killed_at(folder / f"{point.number}{point.after}", scenario, point) for point in points}
    return {point: found for point, found in wrong.items() if found}
