"""The values that go into a store and come out of it: plain, frozen, without behaviour. See `core.store`."""

from enum import StrEnum
from typing import NamedTuple

import msgspec

from perdure.core.attributes import Attribute
from perdure.core.ids import RunId, WorkerId, WorkflowId
from perdure.core.queue_limit import QueueLimit
from perdure.core.rank import Rank


class RunStatus(StrEnum):
    """The state of a run, as users see it."""

    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    TERMINATED = "terminated"
    CONTINUED_AS_NEW = "continued_as_new"
    TIMED_OUT = "timed_out"


class AttemptKey(NamedTuple):
    """Names one attempt row: a call has at most one attempt at a time."""

    run_id: RunId
    call_id: int


class Delivery(msgspec.Struct, frozen=True, gc=False):
    """A message for a run's inbox, visible from `visible_at_ms` on."""

    run_id: RunId
    message_id: str
    data: bytes
    visible_at_ms: int
    unparks: bool = False
    """A parked run becomes claimable again."""
    follows: bool = False
    """Meant for the workflow: where the run has a successor, that one gets it, also while it still waits here."""


class NewAttempt(msgspec.Struct, frozen=True, gc=False):
    """A call to be tried: attempt 1 of the `RunActivity` with this call id in the commit's turn."""

    call_id: int
    name: str
    queue: str
    due_at_ms: int
    expires_at_ms: int | None = None
    """A claim hands it out as expired from this moment on; None if it may wait for ever."""
    kept: bool = False
    """Held by the committing worker from the start."""
    rank: Rank | None = None
    """None: it is a plain one."""


class CopiedAttempt(msgspec.Struct, frozen=True, gc=False):
    """The first attempt of a call that a copied turn asks for."""

    turn_number: int
    attempt: NewAttempt
    scheduled_at_ms: int
    """When the call counts as asked for."""


class Copies(msgspec.Struct, frozen=True, gc=False):
    """What a new run has of another one."""

    source_run_id: RunId
    turns_count: int
    """So many turns, from the first one on."""
    attempts: tuple[CopiedAttempt, ...] = ()
    succeeds: bool = False
    """The source gets the new run as its successor, unless it has one."""


class NewRun(msgspec.Struct, frozen=True, gc=False):
    """A run to be created with the message that starts it."""

    run_id: RunId
    workflow_id: WorkflowId
    workflow_type: str
    queue: str
    created_at_ms: int
    request_id: str
    start: bytes
    """The encoded `Started`, delivered as message "start"."""
    parent_run_id: RunId | None = None
    route: str | None = None
    """What a worker must serve to take the run's turns; None: the workflow type."""
    first_run_id: RunId | None = None
    """Of the first run of its chain; None: this is the first one."""
    starts_at_ms: int | None = None
    """When the start message becomes visible; None: at once."""
    deliveries: tuple[Delivery, ...] = ()
    """To the run itself, together with its start."""
    refused_after: tuple[RunStatus, ...] = ()
    """Not created where the last run of the workflow id closed with one of these."""
    note: bytes | None = None
    """What the run tells of itself: opaque to the store, replaced as a whole."""
    attributes: tuple[Attribute, ...] = ()
    copies: Copies | None = None
    """It begins with turns of another run; its `start` is only delivered where these are none."""
    origin_run_id: RunId | None = None
    """The run whose first turn it begins with; None: it begins by itself."""


class Created(msgspec.Struct, frozen=True, gc=False):
    """What `create` found: a fresh run, or the one that stands in its way."""

    run_id: RunId
    fresh: bool
    same_request: bool = False
    """The existing run was created by the same request id: the call is a repetition."""
    status: RunStatus = RunStatus.RUNNING
    """Of the run that stands in the way."""


class ChildRun(msgspec.Struct, frozen=True, gc=False):
    """A child to be created by its parent's commit."""

    run: NewRun
    started: Delivery
    """To the parent's inbox where the child was created."""
    refused: Delivery
    """To the parent's inbox instead, where the workflow id has an open run."""


class Commit(msgspec.Struct, frozen=True, gc=False):
    """Everything one turn changes, applied whole or not at all."""

    run_id: RunId
    number: int
    """Number of the turn: exactly one more than the run has."""
    turn: bytes
    at_ms: int
    create: NewRun | None = None
    """Set where this is the run's first turn and nothing of the run is stored yet; its `start` is not delivered."""
    consumed: tuple[str, ...] = ()
    """Ids of the messages that leave the inbox: inputs of the turn, duplicates and cancelled timers."""
    deliveries: tuple[Delivery, ...] = ()
    """To the run itself (timers) or to others; those to closed or unknown runs are dropped."""
    children: tuple[ChildRun, ...] = ()
    attempts: tuple[NewAttempt, ...] = ()
    finished: tuple[int, ...] = ()
    """Call ids whose attempts are over."""
    cancelled: tuple[int, ...] = ()
    """Call ids whose attempts are cancelled: a waiting one is deleted, a held one marked (see `extend`)."""
    closes: RunStatus | None = None
    """The run closes: its inbox and its attempts are deleted."""
    keep: bool = False
    """The worker goes on holding the run; otherwise anyone may claim it when something is due."""
    next: NewRun | None = None
    """With `closes`: created free as the run's successor, with the messages of its inbox that follow."""
    route: str | None = None
    """Replaces the run's route."""
    note: bytes | None = None
    """Replaces the run's note."""
    attributes: tuple[Attribute, ...] = ()
    """Added, replaced, or taken away where the value is None."""


class Park(msgspec.Struct, frozen=True, gc=False):
    """A run that cannot go on: no claim returns it until a delivery unparks it."""

    run_id: RunId
    turns_count: int
    """The park is dropped unless the run has exactly as many turns."""
    failure: bytes
    seen: tuple[str, ...] = ()
    """Ids of the messages that unpark and that the worker knew: the park is dropped where another one waits."""


class Retry(msgspec.Struct, frozen=True, gc=False):
    """The next attempt of a call, free to be claimed by anyone."""

    attempt: int
    due_at_ms: int
    expires_at_ms: int | None
    failure: bytes | None
    """None leaves the one that is stored."""
    heartbeat: bytes | None = None
    """Details that no `extend` has stored yet; None leaves those that are stored."""


class Finish(msgspec.Struct, frozen=True, gc=False):
    """The end of one attempt that the worker holds: an answer to the run, or the next attempt."""

    run_id: RunId
    call_id: int
    attempt: int
    """Number of the attempt that ended."""
    then: Delivery | Retry


class Beat(msgspec.Struct, frozen=True, gc=False):
    """A heartbeat of an attempt that the worker holds; `details` None only asks whether it shall go on."""

    run_id: RunId
    call_id: int
    details: bytes | None


class Extended(msgspec.Struct, frozen=True, gc=False):
    """The answer to `extend`."""

    lost: bool
    """The lease had expired and others took what the worker held: drop everything, register under a new id."""
    cancelled: tuple[AttemptKey, ...] = ()
    """Of the attempts that beat: those that were cancelled, or are no longer held by the worker."""


class RunRecord(msgspec.Struct, frozen=True, gc=False):
    """What is known of a run without its history."""

    run_id: RunId
    workflow_id: WorkflowId
    workflow_type: str
    queue: str
    status: RunStatus
    created_at_ms: int
    closed_at_ms: int | None
    turns_count: int
    parent_run_id: RunId | None
    parked: bytes | None
    """The encoded failure of a parked run."""
    worker: WorkerId | None
    """Who holds it."""
    route: str = ""
    """What a worker must serve to take its turns."""
    first_run_id: RunId = RunId("")
    """Of the first run of its chain."""
    successor: RunId | None = None
    """The run that goes on for it."""
    note: bytes | None = None
    attributes: tuple[Attribute, ...] = ()
    origin_run_id: RunId | None = None
    """The run whose first turn it begins with; None: it began by itself."""

    @property
    def opened_as(self) -> RunId:
        """Under which run id its program begins: what it drew by chance in copied turns came from there."""
        return self.origin_run_id or self.run_id


class ClaimedRun(msgspec.Struct, frozen=True, gc=False):
    """A run with something due, now held by the claimer; `messages` are all that are visible, oldest first."""

    run: RunRecord
    messages: tuple[bytes, ...]


class ClaimedAttempt(msgspec.Struct, frozen=True, gc=False):
    """An attempt that the claimer now holds."""

    run_id: RunId
    workflow_id: WorkflowId
    call_id: int
    attempt: int
    turn: bytes
    """The encoded turn whose outputs hold the call's `RunActivity`."""
    queued_at_ms: int
    """Since when it was due."""
    deaths_count: int
    """How many workers died holding an attempt of this call."""
    expired: bool
    """Its `expires_at_ms` has passed: end it, do not run it."""
    heartbeat: bytes | None
    """Details of the last heartbeat of an earlier attempt."""
    failure: bytes | None
    """The encoded failure of the attempt before."""
    scheduled_at_ms: int | None = None
    """When the call counts as asked for; None: at the turn's moment."""


class ClaimRequest(msgspec.Struct, frozen=True, gc=False):
    """What a worker can take. Empty `routes` or `activities` means none."""

    worker: WorkerId
    queues: tuple[str, ...]
    routes: frozenset[str]
    activities: frozenset[str]
    runs_max: int
    attempts_max: int
    suspects_max: int
    """At most so many attempts with `deaths_count` of at least `SUSPECT_DEATHS`."""
    number: int = 1
    """Counts this worker's tries to claim."""
    since: int = 1
    """The first of its latest tries whose answer it may have missed; `number` if there is none."""
    full: frozenset[str] = frozenset()
    """Activities for which there is no room now: none is handed out, but see `Claimed.best_left`."""
    limits: tuple[QueueLimit, ...] = ()
    """Of its queues: no more attempts are handed out than they allow. What the worker did not claim is not counted."""


SUSPECT_DEATHS = 2
"""An attempt that saw so many workers die runs with no other of its kind beside it, so that only a culprit gets to
three.
"""


OVERDUE_MAX = 1_000
"""Most attempts that one claim hands out only because they have expired."""


class Claimed(msgspec.Struct, frozen=True, gc=False):
    """The answer to `claim`."""

    runs: tuple[ClaimedRun, ...]
    attempts: tuple[ClaimedAttempt, ...]
    next_due_at_ms: int | None
    """The earliest later moment at which something that fits the request becomes due by time alone, or any attempt
    expires.

    None if nothing does.
    """
    best_left: int | None = None
    """The best priority of the attempts that are due and for which the request had no room.

    None where there are none, and where none of its queues' attempts has a rank.
    """


class OpenRuns(msgspec.Struct, frozen=True, gc=False):
    """How many open runs there are of one workflow type, route and queue."""

    workflow_type: str
    route: str
    queue: str
    runs_count: int
    held_count: int
    """Of those that a worker holds."""
    parked_count: int
    due_at_ms: int | None
    """Since when, or from when on, the first of those that nobody holds and that are not parked has something due."""


class WaitingMessage(msgspec.Struct, frozen=True, gc=False):
    """A message in an inbox."""

    message_id: str
    visible_at_ms: int
    data: bytes


class WaitingAttempt(msgspec.Struct, frozen=True, gc=False):
    """An attempt row."""

    call_id: int
    turn_number: int
    name: str
    queue: str
    attempt: int
    due_at_ms: int
    deaths_count: int
    cancelled: bool
    worker: WorkerId | None
    failure: bytes | None
    heartbeat: bytes | None
    line: str | None = None
    """Its priority and its fairness key, see `Rank.line`; None: it is a plain one."""


class Waiting(msgspec.Struct, frozen=True, gc=False):
    """What waits for or works on a run."""

    messages: tuple[WaitingMessage, ...]
    attempts: tuple[WaitingAttempt, ...]
