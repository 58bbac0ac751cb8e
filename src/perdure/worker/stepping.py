"""Steps live runs under the watchdog's eye and makes the commits of their turns, reserving room for what it keeps."""

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

from perdure.core.command import RecordLocalActivity, RunActivity
from perdure.core.errors import TurnTooLarge
from perdure.core.limits import TURN_BYTES_MAX
from perdure.core.message import ActivityClosed, Message
from perdure.core.program import OpenTurn
from perdure.core.rank import inherited, priority_of
from perdure.core.store import Commit, NewRun
from perdure.core.turn import Turn
from perdure.engine.commit import rank_of, to_commit
from perdure.engine.live import LiveRun
from perdure.worker.activities import ActivityRunner
from perdure.worker.held import HeldRun
from perdure.worker.registry import Registry
from perdure.worker.watchdog import Watched


class Served(NamedTuple):
    """Task queues of a worker."""

    queues: frozenset[str]
    limited: frozenset[str] = frozenset()
    """Those whose attempts all go through the store, which alone can count them."""


class Stepper:
    """Takes turns for one host."""

    def __init__(
        self,
        registry: Registry,
        runner: ActivityRunner,
        *,
        queues: Served,
        watched: Watched,
        turn_bytes_max: int = TURN_BYTES_MAX,
    ) -> None:
        self._activities = registry.runnable
        self._runner = runner
        self._queues, self._limited = queues
        self._watched = watched
        self._turn_bytes_max = turn_bytes_max
        self.draining = False
        """No activity is started here any more."""
        self.reserved_count = 0
        """Attempts kept by commits that are under way: their room is taken."""
        self.best_left: int | None = None
        """The best priority of what waits in the store for room: see `Claimed.best_left`."""

    def begin(self, live: LiveRun, inputs: Sequence[Message], now_ms: int) -> Turn | OpenTurn:
        """Take the next turn. Raises `ParkedError`."""
        watched = self._watched
        watched.number += 1
        watched.run_id = live.run_id
        try:
            return live.begin_turn(now_ms, inputs)
        finally:
            watched.run_id = None

    def go_on(self, live: LiveRun, record: RecordLocalActivity) -> Turn | OpenTurn:
        """Go on with an open turn. Raises `ParkedError`."""
        watched = self._watched
        watched.number += 1
        watched.run_id = live.run_id
        try:
            return live.go_on(record)
        finally:
            watched.run_id = None

    def commit(
        self,
        held: HeldRun,
        turn: Turn,
        messages: Sequence[Message],
        answers: Sequence[ActivityClosed],
        create: NewRun | None = None,
    ) -> Commit:
        """The commit of a turn that took in these messages of the inbox and these answers. Raises `TurnTooLarge`."""
        try:
            return to_commit(
                held.live,
                turn,
                consumed=[message.id for message in messages] if messages and create is None else (),
                finished=tuple([answer.call_id for answer in answers]),
                keeps=self._keep
                if self.best_left is None and not self._limited
                else partial(self._keep_with_care, held.live),
                busy=bool(held.jobs or held.messages or held.answers or held.live.open.paused),
                create=create,
                bytes_max=self._turn_bytes_max,
            )
        except TurnTooLarge:
            # It is no turn: whoever parks the run names the turns that the store has.
            held.live.turns_count = turn.number - 1
            raise

    def _keep_with_care(self, live: LiveRun, call: RunActivity) -> bool:
        """As `_keep`, but of no queue with limits, and only what goes before all that waits in the store for room."""
        if (call.queue or live.open.queue) in self._limited:
            return False
        if self.best_left is not None and priority_of(inherited(call.options.rank, rank_of(live))) >= self.best_left:
            return False
        return self._keep(call)

    def _keep(self, call: RunActivity) -> bool:
        """Whether this worker runs a new activity itself; if so, its room is reserved."""
        if self.draining or (call.queue is not None and call.queue not in self._queues):
            return False
        definition = self._activities.get(call.name)
        if definition is None or self._runner.room(definition) <= self.reserved_count:
            return False
        self.reserved_count += 1
        return True
