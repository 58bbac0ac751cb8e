"""Replays each run from its start after every turn: code that a replay could not repeat is found in the test."""

import asyncio
import os
import platform
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from perdure.app import Perdure
from perdure.core import codec
from perdure.core.errors import InvalidOption, ParkedError
from perdure.core.filter.build import runs_where
from perdure.core.ids import RunId
from perdure.core.store import Commit, Store
from perdure.core.turn import Turn
from perdure.engine.live import LiveRun
from perdure.engine.recorded import Replayed, recorded_history
from perdure.testing.kit.errors import NotReplayable
from perdure.testing.kit.mocked import MockProgram
from perdure.testing.targets import name_of
from perdure.worker.registry import Registry

TURNS_MAX = 1_000_000
RUNS_MAX = 10_000
"""So many runs at most are replayed in another process."""
HASH_SEEDS = ("1", "2")
"""Strings hash otherwise under each of them, so that sets are iterated in another order."""


class Replayer:
    """Told of turns that became durable; reports what a fresh run of the same history decides otherwise."""

    def __init__(self, store: Store, registry: Registry, report: Callable[[ParkedError], None]) -> None:
        self._store = store
        self._registry = registry
        self._report = report
        self._found: set[RunId] = set()

    async def committed(self, commits: Sequence[Commit]) -> None:
        """Replay the runs that have taken a turn."""
        for record in await self._store.read_runs([commit.run_id for commit in commits]):
            program = self._registry.program_for(record)
            if program is None or isinstance(program, MockProgram) or record.run_id in self._found:
                continue
            (history,) = await self._store.read_turns([(record.run_id, 0)], TURNS_MAX)
            live = LiveRun(record.run_id, record.workflow_id, program.open(record.opened_as))
            try:
                live.recall(codec.turns.decode(data) for data in history)
            except ParkedError as error:
                error.add_note(f"found by replaying workflow {record.workflow_id!r} after turn {len(history)}")
                self._found.add(record.run_id)
                self._report(error)
            finally:
                live.close()

    async def histories(self) -> list[bytes]:
        """All runs of workflows that are not mocked, each as a line that `perdure replay` reads."""
        lines: list[bytes] = []
        for record in await self._store.list_runs(runs_where(), RUNS_MAX):
            program = self._registry.program_for(record)
            if program is None or isinstance(program, MockProgram):
                continue
            (history,) = await self._store.read_turns([(record.run_id, 0)], TURNS_MAX)
            turns: list[Turn] = [codec.turns.decode(data) for data in history]
            by = f"Python {platform.python_version()}"
            made = recorded_history(record.workflow_type, record.workflow_id, record.run_id, turns, by)
            lines.append(msgspec.json.encode(made))
        return lines


async def replay_in_processes(app: Perdure, histories: Sequence[bytes]) -> None:
    """Replay histories in processes with other hash seeds. Raises `NotReplayable`; `InvalidOption` without a module."""
    target = name_of(app)
    if target is None:
        fact, remedy = "needs an app in a module's variable", "put it there, or give replay=True"
        raise InvalidOption(name="replay", value="'processes'", fact=fact, remedy=remedy)
    with tempfile.TemporaryDirectory() as folder:
        file = _written(Path(folder, "histories.jsonl"), histories)
        for seed in HASH_SEEDS:
            await _replay_under(seed, target, file)


def _written(file: Path, histories: Sequence[bytes]) -> Path:
    file.write_bytes(b"\n".join(histories))
    return file


async def _replay_under(seed: str, target: str, file: Path) -> None:
    environment = os.environ | {
        "PYTHONHASHSEED": seed,
        "PYTHONPATH": os.pathsep.join(each for each in sys.path if each),
    }
    command = (sys.executable, "-m", "perdure", "replay", "--app", target, "--output", "json", str(file))
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, env=environment, stdout=pipe, stderr=pipe)
    out, err = await process.communicate()
    try:
        replayed = msgspec.json.decode(out, type=list[Replayed])
    except msgspec.MsgspecError as error:
        raise NotReplayable(seed=seed, reason=err.decode(errors="replace").strip()) from error
    for each in replayed:
        if each.mismatch is not None:
            raise NotReplayable(seed=seed, reason=f"workflow {each.workflow_id!r}: {each.mismatch.message}")
