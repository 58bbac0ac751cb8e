"""Replays each run from its start after every turn: code that a replay could not repeat is found in the test."""

from collections.abc import Callable, Sequence

from perdure.core import codec
from perdure.core.errors import ParkedError
from perdure.core.ids import RunId
from perdure.core.store import Commit, Store
from perdure.engine.live import LiveRun
from perdure.testing.kit.mocked import MockProgram
from perdure.worker.registry import Registry

TURNS_MAX = 1_000_000


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
            live = LiveRun(record.run_id, record.workflow_id, program.open(record.run_id))
            try:
                live.recall(codec.turns.decode(data) for data in history)
            except ParkedError as error:
                error.add_note(f"found by replaying workflow {record.workflow_id!r} after turn {len(history)}")
                self._found.add(record.run_id)
                self._report(error)
            finally:
                live.close()
