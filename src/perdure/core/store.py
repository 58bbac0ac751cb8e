"""The store port: where runs live. Plain values in, plain values out, batched, time as an argument.

A store applies commits and never decides. Every guarantee is written here once; `perdure.testing.conformance` checks
all of them on every store. Moments are integers in milliseconds since 1970, given by the caller.

What a worker holds (runs and attempts) it holds by its lease: one lease a worker, lost by expiry. A lease saves work,
it does not decide: the fence is the turn number of a commit.
Source: docs/decisions/0002-leases-are-held-by-workers.md.

Each verb is atomic, and durable when it returns. A verb that raises `StoreError` may have happened or not; each one
may be repeated without harm.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

from perdure.core.filter.tree import Filter
from perdure.core.ids import RunId, WorkerId, WorkflowId
from perdure.core.rows import (
    OVERDUE_MAX,
    SUSPECT_DEATHS,
    AttemptKey,
    Beat,
    ChildRun,
    Claimed,
    ClaimedAttempt,
    ClaimedRun,
    ClaimRequest,
    Commit,
    CopiedAttempt,
    Copies,
    Created,
    Delivery,
    Extended,
    Finish,
    NewAttempt,
    NewRun,
    OpenRuns,
    Park,
    Retry,
    RunRecord,
    RunStatus,
    Waiting,
    WaitingAttempt,
    WaitingMessage,
)

__all__ = [
    "AttemptKey",
    "Beat",
    "ChildRun",
    "ClaimRequest",
    "Claimed",
    "ClaimedAttempt",
    "ClaimedRun",
    "Commit",
    "CopiedAttempt",
    "Copies",
    "Created",
    "Delivery",
    "Extended",
    "Finish",
    "NewAttempt",
    "NewRun",
    "OVERDUE_MAX",
    "OpenRuns",
    "Park",
    "Retry",
    "RunRecord",
    "RunStatus",
    "SUSPECT_DEATHS",
    "Store",
    "Waiting",
    "WaitingAttempt",
    "WaitingMessage",
]


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
        """Create each run with its start message, or with turns of another one, free to be claimed; answers in order.

        Where a run of the workflow id, open or closed, has the same request id, it is that run (`same_request`).
        Otherwise, where the workflow id has an open run, or its last one closed as `refused_after` says, nothing is
        created.
        """
        ...

    async def deliver(self, deliveries: Sequence[Delivery]) -> Sequence[bool]:
        """Append each message to its run's inbox, or to its successor's where it follows; False where that run is
        closed or unknown.

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
        """Park each run and stop holding it; a park of a run that the worker does not hold is dropped,
        and so is one that the run was told to give up meanwhile (`Park.seen`)."""
        ...

    async def finish(self, worker: WorkerId | None, finishes: Sequence[Finish]) -> Sequence[bool]:
        """End attempts; False where the worker no longer holds that attempt, and then nothing happens.

        `worker` None (a client) ends an attempt whoever holds it.

        With a `Delivery` the attempt is deleted and the message appended in one; with a `Retry` it becomes the next
        one.
        An attempt that was cancelled is deleted either way and its message dropped (True): nobody waits for it.
        """
        ...

    async def delete(self, runs: Sequence[RunId]) -> int:
        """Delete closed runs with their history; open ones are left alone. Returns how many were deleted."""
        ...

    async def closed_before(self, before_ms: int, limit: int) -> Sequence[RunId]:
        """Up to `limit` runs that closed before a moment and that nobody needs any more, those that closed first first.

        A child is needed as long as a run that goes on for it is open: its parent names it by that run.
        """
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

        Runs: those with a visible message that are free, of the request's queues and routes, oldest due first; also
        those that the claimer itself holds, whatever the request says, to which a message came since its last claim.
        Messages already handed out are handed out again until a commit consumes them. Parked runs are left alone.
        Attempts: free and due, or expired, of the request's queues and activities, in the order of `core.dispatch`:
        oldest due first, where none of these has a rank. Expired ones of the runs that it could take are handed out
        as well, whatever their queue and activity, above the maxima but at most `OVERDUE_MAX`: nobody may serve that
        queue. What a dead worker held comes back with `attempt` and `deaths_count` one higher, due after
        `core.policy.death_delay_ms`; so do its runs that were handed messages which no turn took, by their deaths since
        their last turn. Until then no delivery makes such a run due, but one that unparks.
        Lost answers: what the tries from number `since` on took is handed out again, above the maxima. A try that
        arrives after one with a higher number and a `since` that covers it takes nothing.
        """
        ...

    async def release(self, worker: WorkerId, *, died: bool, now_ms: int) -> None:
        """End the lease and give back all that it holds.

        With `died`, attempts and runs count it as in `claim`. Without, they are as before.
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

    async def list_runs(self, where: Filter, limit: int, before: RunId | None = None) -> Sequence[RunRecord]:
        """At most `limit` of the runs that fit, in the filter's order; those that come after run `before` there.

        Whether a run fits and where it comes is what `core.filter.evaluate` says. Run `before` need not fit; where the
        filter names an order and the run is unknown, nothing comes after it. Raises `FilterTooSlow`.
        """
        ...

    async def count_runs(self, where: Filter) -> Mapping[RunStatus, int]:
        """How many runs fit, by status, without those that no run has. Raises `FilterTooSlow`."""
        ...

    async def count_open(self) -> Sequence[OpenRuns]:
        """The open runs by workflow type, route and queue, sorted by these."""
        ...
