"""Runs that follow each other under one workflow id: continued as new, tried again, by their cron. Pure."""

from collections.abc import Sequence
from random import Random

from msgspec.structs import replace

from perdure.core.attributes import Attribute
from perdure.core.command import NextRun
from perdure.core.failure import Failure
from perdure.core.ids import RunId, uuid7_after
from perdure.core.message import Chain, Forked, Message, OpenChild, Started, StartOptions
from perdure.core.payload import Payload
from perdure.core.policy import RetryPolicy, TimeoutKind, delay_ms

NO_OPTIONS = StartOptions()
REQUESTS_MAX = 500
"""So many of the last request ids are remembered from run to run."""


def deadline(started: Started) -> tuple[int, TimeoutKind] | None:
    """When the run must end, and as which timeout; None if it may go on for ever."""
    options = started.options
    if options is None or options.chain is None:
        return None
    deadlines: list[tuple[int, TimeoutKind]] = []
    if options.run_ms is not None:
        deadlines.append((options.chain.started_at_ms + options.run_ms, TimeoutKind.RUN))
    if options.execution_ms is not None:
        deadlines.append((options.chain.began_at_ms + options.execution_ms, TimeoutKind.EXECUTION))
    return min(deadlines, default=None)


def retry_at_ms(started: Started, failure: Failure, at_ms: int) -> int | None:
    """When a workflow that failed is tried again; None if it is not."""
    options = started.options
    if options is None or options.retry is None or options.chain is None:
        return None
    policy: RetryPolicy = options.retry
    attempt = options.chain.attempt
    if not failure.retryable or failure.type in policy.non_retryable or 0 < policy.attempts_max <= attempt:
        return None
    delay = delay_ms(policy, attempt + 1) if failure.next_retry_ms is None else failure.next_retry_ms
    due_at_ms = at_ms + delay
    if options.execution_ms is not None and due_at_ms >= options.chain.began_at_ms + options.execution_ms:
        return None
    return due_at_ms


def next_run(
    started: Started,
    run_id: RunId,
    at_ms: int,
    *,
    calls_count: int,
    starts_at_ms: int | None = None,
    attempt: int = 1,
    last_result: Payload | None = None,
    last_failure: Failure | None = None,
    carried: Sequence[Message] = (),
    children: Sequence[OpenChild] = (),
) -> NextRun:
    """The run that goes on, at the moment `at_ms`, for run `run_id`, which was started so and made so many calls."""
    options = started.options or NO_OPTIONS
    before = options.chain or Chain(run_id, at_ms, at_ms)
    starts_at_ms = at_ms if starts_at_ms is None else starts_at_ms
    chain = replace(
        before,
        previous_run_id=run_id,
        started_at_ms=starts_at_ms,
        attempt=attempt,
        calls_count=calls_count,
        last_result=before.last_result if last_result is None else last_result,
        last_failure=last_failure,
        children=tuple(children),
    )
    return NextRun(
        run_id=RunId(uuid7_after(run_id, at_ms, Random(f"{run_id}/next"))),
        started=replace(started, options=replace(options, chain=chain)),
        starts_at_ms=starts_at_ms,
        carried=tuple(carried),
    )


def forked(started: Started, fork: Forked) -> Started:
    """How a run was started that began with turns of another one, which was started so.

    A fork under another workflow id answers no parent: the run that it was taken from does.
    """
    parent = started.parent if fork.workflow_id == started.workflow_id else None
    options = replace(started.options or NO_OPTIONS, chain=fork.chain)
    return replace(started, workflow_id=fork.workflow_id, parent=parent, options=options)


def inheriting(
    next: NextRun, memo: dict[str, Payload] | None, attributes: Sequence[Attribute], requests: Sequence[str]
) -> NextRun:
    """The same with the memo and the search attributes that the run before has now, and the requests that it took."""
    options = next.started.options or NO_OPTIONS
    assert options.chain is not None, "a run that goes on knows its chain"
    carried = {message.id for message in next.carried}
    kept = [request for request in requests if request not in carried][-REQUESTS_MAX:]
    chain = replace(options.chain, requests=tuple(kept))
    options = replace(options, chain=chain, memo=memo, attributes=tuple(attributes))
    return replace(next, started=replace(next.started, options=options))
