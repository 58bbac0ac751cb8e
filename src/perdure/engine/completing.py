"""Ends attempts from outside: completions by token, and by hand, whoever holds the attempt and whether it runs or not.

An attempt that runs meanwhile may end first; then this one is refused. What is recorded is recorded once.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from perdure.core import codec
from perdure.core.command import RunActivity
from perdure.core.errors import ActivityNotOpen, StoreCorrupt
from perdure.core.ids import RunId, WorkflowId
from perdure.core.message import ActivityClosed, Outcome
from perdure.core.payload import Payload
from perdure.core.store import Delivery, Finish, Retry, WaitingAttempt
from perdure.engine import later
from perdure.engine.attempts import ending
from perdure.engine.clock import Clock
from perdure.engine.engine import Engine
from perdure.engine.later import Token


class ActivityRef(NamedTuple):
    """An open activity of a workflow, by its name (where only one of it is open) or by its call id."""

    workflow_id: str
    activity: str | int
    run_id: str | None = None
    """None: the open run."""


class _Open(NamedTuple):
    """An attempt that can be ended, and the call that it is a try of."""

    run_id: RunId
    attempt: WaitingAttempt
    call: RunActivity
    scheduled_at_ms: int

    @property
    def started_at_ms(self) -> int:
        """When it was started, if it waits for a completion; 0 where nobody knows."""
        return later.started_at_ms(self.attempt.due_at_ms) or 0


class Completing:
    """The verbs on attempts, over those of an engine."""

    def __init__(self, engine: Engine, clock: Clock) -> None:
        self._engine = engine
        self._clock = clock

    async def end(self, target: Token | ActivityRef, outcome: Callable[[str], Outcome]) -> None:
        """End an attempt; `outcome` is told the activity's name. A failure may be followed by another attempt.

        Raises `ActivityNotOpen` or `WorkflowNotFound`.
        """
        while True:
            found = await self._find(target)
            now_ms, attempt = self._clock.now_ms(), found.attempt
            end = ending(
                found.call,
                attempt=attempt.attempt,
                scheduled_at_ms=found.scheduled_at_ms,
                outcome=outcome(attempt.name),
                now_ms=now_ms,
            )
            if await self._finish(found, end if isinstance(end, Retry) else self._answer(found, end, now_ms)):
                return
            # Somebody changed it in between: look again.

    async def beat(self, target: Token | ActivityRef, details: Sequence[Payload]) -> None:
        """Note a sign of life of an attempt that waits for its completion. Raises `ActivityNotOpen`."""
        while True:
            found = await self._find(target)
            began_at_ms = later.started_at_ms(found.attempt.due_at_ms)
            if began_at_ms is None:
                raise ActivityNotOpen(target=_named(target), fact="does not wait for a later completion")
            again = later.waiting(
                found.call.options,
                attempt=found.attempt.attempt,
                scheduled_at_ms=found.scheduled_at_ms,
                started_at_ms=began_at_ms,
                beat_at_ms=self._clock.now_ms(),
                heartbeat=codec.heartbeats.encode(tuple(details)) if details else None,
            )
            if await self._finish(found, again):
                return

    async def _finish(self, found: _Open, then: Delivery | Retry) -> bool:
        finish = Finish(found.run_id, found.attempt.call_id, found.attempt.attempt, then)
        (done,) = await self._engine.store.finish(None, [finish])
        if done and self._engine.local is not None:
            self._engine.local.look()
        return done

    def _answer(self, found: _Open, outcome: Outcome, now_ms: int) -> Delivery:
        attempt = found.attempt
        failure = None if attempt.failure is None else codec.failures.decode(attempt.failure)
        answer = ActivityClosed(attempt.call_id, outcome, attempt.attempt, found.started_at_ms, failure)
        return Delivery(found.run_id, answer.id, codec.messages.encode(answer), now_ms)

    async def _find(self, target: Token | ActivityRef) -> _Open:
        if isinstance(target, Token):
            run_id = target.run_id
        else:
            own = None if target.run_id is None else RunId(target.run_id)
            run_id = (await self._engine.find(WorkflowId(target.workflow_id), own)).run_id
        attempts = (await self._engine.store.read_waiting(run_id)).attempts
        attempt = _chosen(target, [each for each in attempts if not each.cancelled])
        (turns,) = await self._engine.store.read_turns([(run_id, attempt.turn_number - 1)], 1)
        for data in turns:
            turn = codec.turns.decode(data)
            for command in turn.outputs:
                if isinstance(command, RunActivity) and command.call_id == attempt.call_id:
                    return _Open(run_id, attempt, command, turn.at_ms)
        raise StoreCorrupt(store=self._engine.store.url, reason=f"turn {attempt.turn_number} of run {run_id} is lost")


def _named(target: Token | ActivityRef) -> str:
    if isinstance(target, Token):
        return f"activity {target.call_id} of run {target.run_id} in attempt {target.attempt}"
    return f"activity {target.activity!r} of workflow {target.workflow_id!r}"


def _chosen(target: Token | ActivityRef, attempts: Sequence[WaitingAttempt]) -> WaitingAttempt:
    if isinstance(target, Token):
        fitting = [each for each in attempts if (each.call_id, each.attempt) == target[1:]]
    else:
        fitting = [each for each in attempts if target.activity in (each.name, each.call_id)]
    if not fitting:
        raise ActivityNotOpen(target=_named(target), fact="has an outcome, was cancelled, or never was")
    if len(fitting) > 1:
        calls = ", ".join(str(each.call_id) for each in fitting)
        raise ActivityNotOpen(target=_named(target), fact=f"is open {len(fitting)} times (calls {calls})")
    return fitting[0]
