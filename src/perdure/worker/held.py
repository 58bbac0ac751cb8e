"""What the host keeps of each run that it holds, and of each commit that is under way."""

from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, NamedTuple

from perdure.core.ids import RunId
from perdure.core.message import ActivityClosed, Message, Outcome
from perdure.core.store import Commit
from perdure.engine.live import LiveRun
from perdure.engine.updates import Updates

if TYPE_CHECKING:
    from perdure.worker.local import LocalTurn


class HeldRun:
    """A run that this worker holds, with what waits for its next turn."""

    __slots__ = ("answers", "claimed_count", "in_flight", "jobs", "live", "loading", "messages", "turn")

    def __init__(self, live: LiveRun, *, loading: bool = False) -> None:
        self.live = live
        self.loading = loading
        self.in_flight = False
        """A commit is under way, or the turn is open."""
        self.turn: LocalTurn | None = None
        """The turn that waits for local activities."""
        self.messages: list[Message] = []
        """From the inbox, not yet taken."""
        self.claimed_count = 0
        """How many turns the run had at the last claim of it whose answer is here.

        That may be one more than is known here: the answer of a claim can overtake that of the commit before it.
        """
        self.answers: list[ActivityClosed] = []
        """Of attempts that ended here: they were never in the inbox."""
        self.jobs: set[int] = set()
        """Call ids of the attempts that run here."""


class Entry(NamedTuple):
    """A commit on its way, and the answers that it takes."""

    held: HeldRun
    commit: Commit
    answers: list[ActivityClosed]


class HostEvents:
    """What a host tells its worker; each is called on the engine's loop."""

    def __init__(
        self,
        *,
        closed: Callable[[RunId, Outcome], None],
        timer_set: Callable[[int], None],
        room_made: Callable[[], None],
        claimable: Callable[[], None],
        spawn: Callable[[Coroutine[Any, Any, None]], object],
        broken: Callable[[Exception], None],
        updates: Updates,
    ) -> None:
        """`updates` are those that somebody in this process waits for."""
        self.closed = closed
        self.timer_set = timer_set
        self.room_made = room_made
        self.claimable = claimable
        self.spawn = spawn
        self.broken = broken
        self.updates = updates
