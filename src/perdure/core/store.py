"""The store port: where runs live. Plain values in, plain values out, batched, time as an argument.

A store applies commits and never decides. Every guarantee is written here once; `perdure.testing.conformance` checks
all of them on every store. Moments are integers in milliseconds since 1970, given by the caller.

What a worker holds (runs and attempts) it holds by its lease: one lease a worker, lost by expiry. A lease saves work,
it does not decide: the fence is the turn number of a commit.
Source: docs/decisions/0002-leases-are-held-by-workers.md.

Each verb is atomic, and durable when it returns. A verb that raises `StoreError` may have happened or not; each one
may be repeated without harm.
"""

from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple, Protocol

import msgspec

from perdure.core.ids import RunId, WorkerId, WorkflowId


class RunStatus(StrEnum):
    """The state of a run, as users see it."""

    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    TERMINATED = "terminated"


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


class Created(msgspec.Struct, frozen=True, gc=False):
    """What `create` found: a fresh run, or the one that stands in its way."""

    run_id: RunId
    fresh: bool
    same_request: bool = False
    """The existing run was created by the same request id: the call is a repetition."""


class ChildRun(msgspec.Struct, frozen=True, gc=False):
    """A child to be created by its parent's commit."""

    run: NewRun
    started: Delivery
    """To the parent's inbox where the child was created."""
    refused: Delivery
    """To the parent's inbox instead, where the workflow id has an open run."""


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


class Park(msgspec.Struct, frozen=True, gc=False):
    """A run that cannot go on: no claim returns it until a delivery unparks it."""

    run_id: RunId
    turns_count: int
    """The park is dropped unless the run has exactly as many turns."""
    failure: bytes


class Retry(msgspec.Struct, frozen=True, gc=False):
    """The next attempt of a call, free to be claimed by anyone."""

    attempt: int
    due_at_ms: int
    expires_at_ms: int | None
    failure: bytes
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


class ClaimRequest(msgspec.Struct, frozen=True, gc=False):
    """What a worker can take. Empty `workflow_types` or `activities` means none."""

    worker: WorkerId
    queues: tuple[str, ...]
    workflow_types: frozenset[str]
    activities: frozenset[str]
    runs_max: int
    attempts_max: int
    suspects_max: int
    """At most so many attempts with `deaths_count` of at least `SUSPECT_DEATHS`."""
    number: int = 1
    """Counts this worker's tries to claim."""
    since: int = 1
    """The first of its latest tries whose answer it may have missed; `number` if there is none."""


SUSPECT_DEATHS = 2
"""An attempt that saw so many workers die runs with no other of its kind beside it, so that only a culprit gets to
three.
"""


class Claimed(msgspec.Struct, frozen=True, gc=False):
    """The answer to `claim`."""

    runs: tuple[ClaimedRun, ...]
    attempts: tuple[ClaimedAttempt, ...]
    next_due_at_ms: int | None
    """The earliest later moment at which something that fits the request becomes due by time alone.

    None if nothing does.
    """


class RunFilter(msgspec.Struct, frozen=True, gc=False):
    """Which runs to list; None means any."""

    status: RunStatus | None = None
    workflow_type: str | None = None
    workflow_id: WorkflowId | None = None
    workflow_id_prefix: str | None = None
    parked: bool | None = None


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


class Waiting(msgspec.Struct, frozen=True, gc=False):
    """What waits for or works on a run."""

    messages: tuple[WaitingMessage, ...]
    attempts: tuple[WaitingAttempt, ...]


class Store(Protocol):
    """Where runs live. See the module for what holds for every verb."""

    @property
    def url(self) -> str:
        """Names the store in messages, without secrets."""
        ...

    async def open(self) -> None:
        """Connect, and bring the schema up to date. Raises `StoreError`."""
        ...

    async def close(self) -> None:
        """Finish the verbs under way, then let go of everything."""
        ...

    # Writing

    async def create(self, runs: Sequence[NewRun]) -> Sequence[Created]:
        """Create each run with its start message, free to be claimed; answers in the order asked.

        Where a run of the workflow id, open or closed, has the same request id, it is that run (`same_request`).
        Otherwise, where the workflow id has an open run, nothing is created.
        """
        ...

    async def deliver(self, deliveries: Sequence[Delivery]) -> Sequence[bool]:
        """Append each message to its run's inbox; False where the run is closed or unknown.

        A message whose id already waits in that inbox is dropped (True). Order of arrival is kept among messages
        with the same `visible_at_ms`.
        """
        ...

    async def commit(self, worker: WorkerId | None, commits: Sequence[Commit]) -> frozenset[RunId]:
        """Apply each commit whole or not at all; return the runs whose commit was refused.

        A commit is refused if the run is closed or unknown, if its turn number is not the next one, or if its `create`
        meets an open run of the workflow id or any run of it with the same request id. All are refused if `worker` is
        given and has no lease. One batch holds at
        most one commit a run. `worker` None (a client's commit) takes the run from whoever holds it.
        """
        ...

    async def park(self, worker: WorkerId, parks: Sequence[Park]) -> None:
        """Park each run and stop holding it; a park of a run that the worker does not hold is dropped."""
        ...

    async def finish(self, worker: WorkerId, finishes: Sequence[Finish]) -> Sequence[bool]:
        """End attempts; False where the worker no longer holds that attempt, and then nothing happens.

        With a `Delivery` the attempt is deleted and the message appended in one; with a `Retry` it becomes the next
        one.
        An attempt that was cancelled is deleted either way and its message dropped (True): nobody waits for it.
        """
        ...

    async def delete(self, runs: Sequence[RunId]) -> int:
        """Delete closed runs with their history; open ones are left alone. Returns how many were deleted."""
        ...

    # Holding

    async def register(self, worker: WorkerId, until_ms: int) -> None:
        """Give a worker id a lease, or move its end as `extend` does."""
        ...

    async def extend(self, worker: WorkerId, until_ms: int, beats: Sequence[Beat]) -> Extended:
        """Move the lease's end, never back, store heartbeats, and learn what was lost or cancelled."""
        ...

    async def claim(self, request: ClaimRequest, now_ms: int) -> Claimed:
        """Take runs and attempts that are due and free; first give back what other workers with expired
        leases held. A worker without a lease gets nothing.

        Runs: those with a visible message that are free, of the request's queues and types, oldest due first; also
        those that the claimer itself holds, whatever the request says, to which a message came since its last claim.
        Messages already handed out
        are handed out again until a commit consumes them. Parked runs are left alone.
        Attempts: free and due, or expired, of the request's queues and activities, oldest due first. What a dead
        worker held comes back
        with `attempt` and `deaths_count` one higher, due at once.
        Lost answers: what the tries from number `since` on took is handed out again, above the maxima. A try that
        arrives
        after one with a higher number and a `since` that covers it takes nothing.
        """
        ...

    async def release(self, worker: WorkerId, *, died: bool) -> None:
        """End the lease and give back all that it holds.

        With `died`, attempts count it as in `claim`. Without, they are as before.
        """
        ...

    async def leaseholders(self) -> Sequence[WorkerId]:
        """The workers that have a lease, expired or not."""
        ...

    async def wait(self, seen: int, timeout_ms: int) -> int:
        """Return when something may have become claimable or closed since `wait` returned `seen` (0 at first), or
        after `timeout_ms`.
        """
        ...

    # Reading

    async def read_runs(self, runs: Sequence[RunId]) -> Sequence[RunRecord]:
        """The records of those that exist, in any order."""
        ...

    async def find_run(self, workflow_id: WorkflowId) -> RunRecord | None:
        """The open run of a workflow id, else the one created last."""
        ...

    async def read_turns(self, wants: Sequence[tuple[RunId, int]], limit: int) -> Sequence[Sequence[bytes]]:
        """For each (run id, n) wanted.

        Up to `limit` of its turns with numbers above n, in order. One round trip for all.
        """
        ...

    async def read_waiting(self, run_id: RunId) -> Waiting:
        """The run's inbox and attempts."""
        ...

    async def list_runs(self, where: RunFilter, limit: int, before: RunId | None = None) -> Sequence[RunRecord]:
        """Newest first (by run id), at most `limit`, those older than run `before`."""
        ...

    async def count_runs(self, where: RunFilter) -> int:
        """How many runs fit."""
        ...
