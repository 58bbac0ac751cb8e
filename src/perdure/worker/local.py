"""Local activities: they run while their run's turn is open, and are recorded with it.

Nothing of them is stored before the turn is. A worker that dies meanwhile leaves the run as it was before the turn, and
another one takes the turn, and runs them, again.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import TypeAlias

from perdure.core.command import RecordLocalActivity
from perdure.core.failure import Failure
from perdure.core.message import ActivityClosed, Failed, Message, Outcome
from perdure.core.program import LocalCall, OpenTurn
from perdure.core.store import AttemptKey, Retry
from perdure.engine.attempts import ending
from perdure.engine.clock import Clock
from perdure.worker.activities import ActivityRunner
from perdure.worker.held import HeldRun
from perdure.worker.job import Job, LocalJob
from perdure.worker.outcomes import LATER_TYPE
from perdure.worker.registry import Registry

WITHIN_TURN_MS = 5_000
"""A try that is due later than this after the turn began waits by a durable timer, and the turn is committed."""

GoOn: TypeAlias = Callable[[HeldRun, RecordLocalActivity], None]


class LocalTurn:
    """A turn that waits for its local activities, and what it took in."""

    def __init__(self, messages: list[Message], answers: list[ActivityClosed], began_at_ms: int) -> None:
        self.messages = messages
        self.answers = answers
        self.began_at_ms = began_at_ms
        self.calls: dict[int, LocalCall] = {}
        """Those that run, or wait for their next try here."""
        self.retries: dict[int, asyncio.TimerHandle] = {}


class LocalActivities:
    """Runs the local activities of one host's runs."""

    def __init__(self, clock: Clock, registry: Registry, runner: ActivityRunner, go_on: GoOn) -> None:
        """`go_on` hands a record to the live run of an open turn."""
        self._clock = clock
        self._registry = registry
        self._runner = runner
        self._go_on = go_on

    def run(self, held: HeldRun, opened: OpenTurn) -> None:
        """Begin what an open turn asks for now, and end what it no longer waits for."""
        turn = held.turn
        assert turn is not None
        for call_id in [each for each in turn.calls if each not in opened.awaited]:
            self._drop(held, turn, call_id)
        for call in opened.begun:
            turn.calls[call.call.call_id] = call
        self._start(held, opened.begun)

    def _start(self, held: HeldRun, calls: Sequence[LocalCall]) -> None:
        live = held.live
        jobs: list[Job] = []
        for each in calls:
            held.jobs.add(each.call.call_id)
            jobs.append(
                LocalJob(
                    live.run_id,
                    live.workflow_id,
                    each.call,
                    self._registry.known_activity(each.call.name),
                    attempt=each.attempt,
                    scheduled_at_ms=each.scheduled_at_ms,
                    last_failure=each.last_failure,
                )
            )
        self._runner.start(jobs, local=True)

    def ended(self, held: HeldRun | None, job: Job, outcome: Outcome) -> None:
        """A try ended: the turn goes on, or another try follows."""
        turn = None if held is None else held.turn
        call_id = job.key.call_id
        if held is None or turn is None or call_id not in turn.calls:
            return
        now_ms = self._clock.now_ms()
        if type(outcome) is Failed and outcome.failure.type == LATER_TYPE:
            message = "a local activity cannot be completed later: call it as an ordinary one"
            outcome = Failed(Failure("CompleteLater", message, retryable=False))
        end = ending(job.call, attempt=job.attempt, scheduled_at_ms=job.scheduled_at_ms, outcome=outcome, now_ms=now_ms)
        retry_at_ms: int | None = None
        if isinstance(end, Retry):
            assert type(outcome) is Failed
            if end.due_at_ms - turn.began_at_ms <= WITHIN_TURN_MS:
                self._retry(held, turn, LocalCall(job.call, end.attempt, job.scheduled_at_ms, outcome.failure), end)
                return
            retry_at_ms = end.due_at_ms
        del turn.calls[call_id]
        self._go_on(held, RecordLocalActivity(call_id, job.call.name, outcome, job.attempt, now_ms, retry_at_ms))

    def _retry(self, held: HeldRun, turn: LocalTurn, call: LocalCall, retry: Retry) -> None:
        call_id = call.call.call_id
        turn.calls[call_id] = call
        delay_ms = max(0, retry.due_at_ms - self._clock.now_ms())

        def again() -> None:
            del turn.retries[call_id]
            self._start(held, [call])

        turn.retries[call_id] = asyncio.get_running_loop().call_later(delay_ms / 1_000, again)

    def _drop(self, held: HeldRun, turn: LocalTurn, call_id: int) -> None:
        del turn.calls[call_id]
        held.jobs.discard(call_id)
        timer = turn.retries.pop(call_id, None)
        if timer is not None:
            timer.cancel()
        self._runner.drop(AttemptKey(held.live.run_id, call_id))

    def close(self, held: HeldRun) -> LocalTurn | None:
        """End what still runs for an open turn, if there is one: it is over, or nobody goes on with it."""
        turn, held.turn = held.turn, None
        if turn is not None:
            for call_id in list(turn.calls):
                self._drop(held, turn, call_id)
        return turn
