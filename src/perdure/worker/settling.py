"""What a refused commit means: our own earlier try, a run that is closed, or one that others took."""

import logging
from collections.abc import Callable, Sequence

from perdure.core.ids import WorkerId
from perdure.core.message import ActivityClosed
from perdure.core.store import AttemptKey, ClaimedRun, RunRecord, RunStatus, Store
from perdure.engine.clock import Clock
from perdure.engine.pipeline import surely
from perdure.worker.activities import ActivityRunner
from perdure.worker.finishes import Finishes
from perdure.worker.held import Entry

logger = logging.getLogger("perdure.worker")


class Settling:
    """Reads what the store has, after a refusal."""

    def __init__(
        self, store: Store, clock: Clock, runner: ActivityRunner, finishes: Finishes, *, drop: Callable[[Entry], None]
    ) -> None:
        """`drop` lets go of the live run whose commit was refused."""
        self._store = store
        self._clock = clock
        self._runner = runner
        self._finishes = finishes
        self._drop = drop

    async def is_ours(self, entry: Entry) -> bool:
        """Whether a commit that was repeated had been applied by an earlier try."""
        run_id, number = entry.commit.run_id, entry.commit.number
        (stored,), _ = await surely(lambda: self._store.read_turns([(run_id, number - 1)], 1), "read")
        return bool(stored) and stored[0] == entry.commit.turn

    async def lost(self, worker: WorkerId, entry: Entry) -> Sequence[ClaimedRun]:
        """Let go of a run; returns it as claimed where the store counts it as held here by a later claim."""
        run_id, held = entry.commit.run_id, entry.held
        # The outcomes that the refused turn took are recorded by the store, unless somebody else ended those attempts.
        answers: list[ActivityClosed] = [*entry.answers, *held.answers]
        for answer in answers:
            self._finishes.answer(run_id, answer)
        self._drop(entry)
        if entry.commit.create is not None:
            return ()
        logger.info("turn %d of run %s was refused: somebody else took it", entry.commit.number, run_id)
        records, _ = await surely(lambda: self._store.read_runs([run_id]), "read")
        if not records or records[0].status is not RunStatus.RUNNING:
            for call_id in held.jobs:
                self._runner.drop(AttemptKey(run_id, call_id))
        elif records[0].worker == worker:
            # A claim has given it back since, while the live run was behind: nobody else will be told of its messages.
            return await self._waiting(records[0])
        return ()

    async def _waiting(self, record: RunRecord) -> Sequence[ClaimedRun]:
        waiting, _ = await surely(lambda: self._store.read_waiting(record.run_id), "read")
        now_ms = self._clock.now_ms()
        messages = tuple(each.data for each in waiting.messages if each.visible_at_ms <= now_ms)
        return [ClaimedRun(record, messages)] if messages else ()
