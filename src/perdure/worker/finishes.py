"""Ends of attempts that go to the store: answers of runs that are not live here, and next tries."""

import logging
from collections.abc import Awaitable, Callable, Sequence

import msgspec

from perdure.core import codec
from perdure.core.ids import RunId
from perdure.core.message import ActivityClosed
from perdure.core.store import Delivery, Finish, Retry
from perdure.engine.clock import Clock
from perdure.engine.later import waiting
from perdure.engine.pipeline import Pipeline
from perdure.worker.job import Job

logger = logging.getLogger("perdure.worker")


class Finishes:
    """Writes them in batches, beside the commits."""

    def __init__(
        self,
        clock: Clock,
        write: Callable[[Sequence[Finish]], Awaitable[Sequence[bool]]],
        broken: Callable[[Exception], None],
    ) -> None:
        self._clock = clock
        self._pipeline: Pipeline[Finish, Sequence[bool]] = Pipeline(write, self._done, "finish", broken)
        self.drained = self._pipeline.drained
        """Waits until all are durable."""
        self.abandon = self._pipeline.abandon
        """Forgets those that are not durable yet."""

    def answer(self, run_id: RunId, answer: ActivityClosed) -> None:
        """Deliver an answer by the run's inbox, unless somebody else ended that attempt."""
        delivery = Delivery(run_id, answer.id, codec.messages.encode(answer), self._clock.now_ms())
        self._pipeline.put(Finish(run_id, answer.call_id, answer.attempt, delivery))

    def retry(self, job: Job, retry: Retry) -> None:
        """Let another attempt follow; it reads what this one said last."""
        run_id, call_id = job.key
        if job.heartbeat_unsent:
            retry = msgspec.structs.replace(retry, heartbeat=codec.heartbeats.encode(job.heartbeat))
        self._pipeline.put(Finish(run_id, call_id, job.attempt, retry))

    def later(self, job: Job) -> None:
        """Let go of an attempt whose outcome comes by its token; its timeouts go on."""
        run_id, call_id = job.key
        retry = waiting(
            job.call.options,
            attempt=job.attempt,
            scheduled_at_ms=job.scheduled_at_ms,
            started_at_ms=job.started_at_ms,
            beat_at_ms=self._clock.now_ms(),
            heartbeat=codec.heartbeats.encode(job.heartbeat) if job.heartbeat_unsent else None,
        )
        self._pipeline.put(Finish(run_id, call_id, job.attempt, retry))

    def _done(self, finishes: Sequence[Finish], results: Sequence[bool], *, repeated: bool) -> None:
        for finish, applied in zip(finishes, results, strict=True):
            if not applied and not repeated:
                logger.info(
                    "attempt %d of call %d of run %s was no longer ours", finish.attempt, finish.call_id, finish.run_id
                )
