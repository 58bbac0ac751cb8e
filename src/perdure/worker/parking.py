"""Parking: a run that takes no turn is let go of, with the reason, until someone resumes or ends it."""

import logging
from collections.abc import Iterator, Sequence

from perdure.core import codec
from perdure.core.errors import Paused, UndecodablePayload
from perdure.core.failure import to_failure
from perdure.core.ids import WorkerId
from perdure.core.message import Message, Resumed, TerminateRequested
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

    def park(self, worker: WorkerId, held: HeldRun, error: Exception, messages: Sequence[Message]) -> None:
        """Park a run that `worker` holds, and that was told these messages and those that it has not taken yet."""
        live = held.live
        failure = to_failure(error)
        if isinstance(error, Paused):
            logger.info("run %s of workflow %r is paused: %s", live.run_id, live.workflow_id, error.facts["reason"])
        else:
            logger.error(
                "run %s of workflow %r is parked: %s", live.run_id, live.workflow_id, failure.message, exc_info=error
            )
        for answer in held.answers:
            self._finishes.answer(live.run_id, answer)
        told = [*messages, *held.messages]
        seen = tuple([each.id for each in told if isinstance(each, Resumed | TerminateRequested)])
        turns_count = max(live.turns_count, held.claimed_count)
        self._events.spawn(self._write(worker, Park(live.run_id, turns_count, codec.failures.encode(failure), seen)))

    async def _write(self, worker: WorkerId, park: Park) -> None:
        # The answers come first: the park lets go of the run, and a resumed run must find them.
        await self._finishes.drained()
        await surely(lambda: self._store.park(worker, [park]), "park")


def decodable(messages: Sequence[bytes]) -> Iterator[Message]:
    """Those that can be read."""
    for data in messages:
        try:
            yield codec.messages.decode(data)
        except UndecodablePayload:
            continue
