"""Runs, commits and messages as tests need them: plain by default, changed where a test is about the change."""

import itertools
from collections.abc import Sequence
from typing import Any

from msgspec.structs import replace

from perdure.core.filter.tree import EVERYTHING, Filter
from perdure.core.ids import RunId, WorkerId, WorkflowId
from perdure.core.store import (
    ChildRun,
    Claimed,
    ClaimRequest,
    Commit,
    Delivery,
    Finish,
    NewAttempt,
    NewRun,
    Retry,
    RunRecord,
    Store,
    WaitingAttempt,
)

NOW = 1_700_000_000_000
"""When things happen, if a test says nothing else."""
FAR = NOW + 1_000_000_000
"""When a lease ends that is not to end."""
ANNA = WorkerId("anna")
BERT = WorkerId("bert")
_tries = itertools.count(1)


def new_run(number: int = 1, **changes: Any) -> NewRun:
    """Run ids sort by their numbers."""
    run = NewRun(
        run_id=RunId(f"01900000-0000-7000-8000-{number:012}"),
        workflow_id=WorkflowId(f"order-{number}"),
        workflow_type="order",
        queue="main",
        created_at_ms=NOW,
        request_id=f"request-{number}",
        start=b"start",
    )
    return replace(run, **changes)


def turn(run: NewRun, number: int, **changes: Any) -> Commit:
    """A commit of one turn that does nothing else; the worker keeps the run."""
    commit = Commit(run_id=run.run_id, number=number, turn=b"turn %d" % number, at_ms=NOW, keep=True)
    return replace(commit, **changes)


def birth(run: NewRun, **changes: Any) -> Commit:
    """The commit that creates a run with its first turn."""
    return turn(run, 1, create=run, **changes)


def message(run: NewRun, message_id: str = "m", **changes: Any) -> Delivery:
    """A message whose data is its id, visible at once."""
    delivery = Delivery(run_id=run.run_id, message_id=message_id, data=message_id.encode(), visible_at_ms=NOW)
    return replace(delivery, **changes)


def call(call_id: int = 1, **changes: Any) -> NewAttempt:
    """A call of `charge`, free to be claimed at once."""
    return replace(NewAttempt(call_id=call_id, name="charge", queue="main", due_at_ms=NOW), **changes)


def child(parent: NewRun, run: NewRun) -> ChildRun:
    """A child whose parent is told "started" or "refused"."""
    return ChildRun(run=run, started=message(parent, "started"), refused=message(parent, "refused"))


def finish(run: NewRun, call_id: int = 1, *, attempt: int = 1) -> Finish:
    """An answer to the run."""
    return Finish(run.run_id, call_id, attempt, then=message(run, f"a{call_id}"))


def retry(run: NewRun, call_id: int = 1, *, attempt: int = 1, due_at_ms: int = NOW) -> Finish:
    """The next attempt."""
    then = Retry(attempt=attempt + 1, due_at_ms=due_at_ms, expires_at_ms=None, failure=b"it failed")
    return Finish(run.run_id, call_id, attempt, then=then)


def request(worker: WorkerId, **changes: Any) -> ClaimRequest:
    """All that samples are of, as much as there is; a try after all others, which missed no answer."""
    number = next(_tries)
    all_of_it = ClaimRequest(
        worker=worker,
        queues=("main",),
        routes=frozenset({"order"}),
        activities=frozenset({"charge"}),
        runs_max=1_000,
        attempts_max=1_000,
        suspects_max=1_000,
        number=number,
        since=number,
    )
    return replace(all_of_it, **changes)


async def claim(store: Store, worker: WorkerId, *, now_ms: int = NOW) -> Claimed:
    """Claim all there is."""
    return await store.claim(request(worker), now_ms)


async def hire(store: Store, *workers: WorkerId) -> None:
    """Give each a lease that does not end."""
    for worker in workers:
        await store.register(worker, FAR)


async def record_of(store: Store, run: NewRun) -> RunRecord:
    """The record of a run that exists."""
    (found,) = await store.read_runs([run.run_id])
    return found


async def turns_of(store: Store, run: NewRun) -> Sequence[bytes]:
    """All turns of a run."""
    (turns,) = await store.read_turns([(run.run_id, 0)], 1_000)
    return turns


async def inbox_of(store: Store, run: NewRun) -> list[str]:
    """The ids of the messages that wait for a run."""
    return [one.message_id for one in (await store.read_waiting(run.run_id)).messages]


async def attempts_of(store: Store, run: NewRun) -> tuple[WaitingAttempt, ...]:
    """The attempts of a run."""
    return (await store.read_waiting(run.run_id)).attempts


async def count_of(store: Store, where: Filter = EVERYTHING) -> int:
    """How many runs fit."""
    return sum((await store.count_runs(where)).values())


def run_ids(claimed: Claimed) -> list[RunId]:
    """Of the claimed runs, in their order."""
    return [found.run.run_id for found in claimed.runs]


def call_ids(claimed: Claimed) -> list[int]:
    """Of the claimed attempts, in their order."""
    return [found.call_id for found in claimed.attempts]
