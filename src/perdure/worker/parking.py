"""Parking: a run that cannot go on is let go of, with the reason, until someone resumes or ends it."""

import logging

from perdure.core import codec
from perdure.core.failure import Failure, to_failure
from perdure.core.ids import RunId, WorkerId
from perdure.core.store import Park, Store
from perdure.engine.pipeline import surely
from perdure.worker.finishes import Finishes
from perdure.worker.held import HeldRun, HostEvents

logger = logging.getLogger("perdure.worker")


class Parking:
    """Writes parks, each after the answers that a resumed run must find."""

    def __init__(self, store: Store, finishes: Finishes, events: HostEvents) -> None:
        self._store = store
        self._finishes = finishes
        self._events = events

    def park(self, worker: WorkerId, held: HeldRun, error: Exception) -> None:
        """Park a run that `worker` holds."""
        live = held.live
        failure = to_failure(error)
        logger.error(
            "run %s of workflow %r is parked: %s", live.run_id, live.workflow_id, failure.message, exc_info=error
        )
        for answer in held.answers:
            self._finishes.answer(live.run_id, answer)
        self._events.spawn(self._write(worker, live.run_id, failure))

    async def _write(self, worker: WorkerId, run_id: RunId, failure: Failure) -> None:
        # The answers come first: the park lets go of the run, and a resumed run must find them.
        await self._finishes.drained()
        records, _ = await surely(lambda: self._store.read_runs([run_id]), "read")
        parks = [Park(run_id, record.turns_count, codec.failures.encode(failure)) for record in records]
        await surely(lambda: self._store.park(worker, parks), "park")
