"""What users are told of a run: plain values with `datetime`s."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from perdure.core import codec
from perdure.core.errors import UndecodablePayload
from perdure.core.ids import RunId, WorkflowId
from perdure.core.message import Query, Signaled, UpdateRequested
from perdure.core.payload import JSON, DataConverter, Payload, from_payload
from perdure.core.rank import PRIORITY_DEFAULT
from perdure.core.route import parsed, version_of
from perdure.core.store import RunRecord, RunStatus, Waiting, WaitingMessage
from perdure.engine.doors import is_paused
from perdure.engine.engine import Description, Engine
from perdure.engine.later import started_at_ms
from perdure.programs.code.listed import HANDLERS_QUERY, HandlerSummary
from perdure.programs.code.program import CodeProgram
from perdure.programs.code.search import shown_attributes
from perdure.progress import Progress, progress_of
from perdure.worker.registry import Registry

WAITS_MS = 10_000
"""What has waited so long for a worker is told: the default lease, after which a silent one has lost its runs."""


class RunSummary(msgspec.Struct, frozen=True):
    """One line of a list of runs."""

    workflow_id: WorkflowId
    run_id: RunId
    workflow_type: str
    queue: str
    status: RunStatus
    started_at: datetime
    closed_at: datetime | None
    turns_count: int
    parked: str | None
    """Why a parked run takes no turn."""
    paused: bool = False
    """It is parked because somebody paused it."""
    search_attributes: dict[str, Any] = {}
    """By name: str, int, float, bool, `datetime` or a list of str; `SearchKey.value_in` gives one with its type."""
    memo: dict[str, Any] = {}
    """By name, as plain JSON values."""
    version: int | None = None
    """Of the workflow, once the run has begun."""
    build: str | None = None
    """The build that it is pinned to."""
    progress: Progress | None = None
    """What the run says of how far it is, and what it does; None if it has said nothing."""


class PendingActivity(msgspec.Struct, frozen=True):
    """An activity that has no outcome yet."""

    call_id: int
    name: str
    attempt: int
    running: bool
    next_try_at: datetime | None
    last_failure: str | None
    completed_later: bool = False
    """It waits for somebody outside to complete it, by its token."""
    queue: str = ""
    """The task queue that it waits in, or was taken from."""
    priority: int = PRIORITY_DEFAULT
    fairness_key: str | None = None


class PendingTimer(msgspec.Struct, frozen=True):
    """A timer that has not fired yet."""

    call_id: int
    due_at: datetime


class PendingChild(msgspec.Struct, frozen=True):
    """A child workflow that has not closed yet."""

    call_id: int
    workflow_id: WorkflowId
    workflow_type: str


class PendingMessage(msgspec.Struct, frozen=True):
    """A message that the run has not taken yet."""

    id: str
    """What `Handle.skip` and `Handle.edit` take."""
    kind: str
    """Such as Signaled; empty where it cannot be read."""
    name: str
    """Of the signal or update."""
    came_at: datetime


class RunDescription(msgspec.Struct, frozen=True):
    """A run and what it waits for."""

    run: RunSummary
    activities: tuple[PendingActivity, ...]
    timers: tuple[PendingTimer, ...]
    children: tuple[PendingChild, ...]
    messages_waiting_count: int
    """Signals and answers that the run has not taken yet."""
    messages: tuple[PendingMessage, ...] = ()
    """Those, in the order in which the run gets them."""
    unserved: str | None = None
    """Why nobody takes them, as far as a store can know."""
    handlers: tuple[HandlerSummary, ...] = ()
    """What it can be told and asked, where its code is registered here: by its class, or, for a function, by its run
    if that is in the memory of this process."""


def moment(at_ms: int) -> datetime:
    """A moment of the store as an aware `datetime`."""
    return datetime.fromtimestamp(at_ms / 1_000, UTC)


def summarize(record: RunRecord, converter: DataConverter = JSON) -> RunSummary:
    """One run for a list."""
    note = None if record.note is None else codec.notes.decode(record.note)
    begun = record.turns_count > 0
    said = note is not None and (note.progress is not None or note.status != "")
    return RunSummary(
        workflow_id=record.workflow_id,
        run_id=record.run_id,
        workflow_type=record.workflow_type,
        queue=record.queue,
        status=record.status,
        started_at=moment(record.created_at_ms),
        closed_at=None if record.closed_at_ms is None else moment(record.closed_at_ms),
        turns_count=record.turns_count,
        parked=None if record.parked is None else codec.failures.decode(record.parked).message,
        paused=is_paused(record),
        search_attributes=shown_attributes(record.attributes),
        progress=progress_of(record) if said else None,
        memo={} if note is None or note.memo is None else _shown_memo(converter, note.memo),
        version=version_of(record.route, record.workflow_type, begun=begun),
        build=parsed(record.route, record.workflow_type).build,
    )


def _shown_memo(converter: DataConverter, memo: Mapping[str, Payload]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in memo.items():
        try:
            found[name] = converter.from_payload(value, what=f"memo entry {name!r}")
        except UndecodablePayload as error:
            # One value that cannot be read here must not keep a list of runs from being shown.
            found[name] = f"<{error}>"
    return found


def _unserved(record: RunRecord, waiting: Waiting, now: datetime) -> str | None:
    if record.status is not RunStatus.RUNNING or record.worker is not None or record.parked is not None:
        return None
    since = min((each.visible_at_ms for each in waiting.messages), default=None)
    if since is None or moment(since + WAITS_MS) > now:
        return None
    route = record.route or record.workflow_type
    return f"no worker of queue {record.queue!r} that serves {route!r} has taken the run since {moment(since):%F %T}Z"


def handlers_known(engine: Engine, registry: Registry, record: RunRecord) -> tuple[HandlerSummary, ...]:
    """The handlers of a run as far as they are known without repeating its history. On the engine's thread."""
    program = registry.program_for(record)
    if not isinstance(program, CodeProgram):
        return ()
    if program.definition.listed:
        return program.definition.listed
    live = None if engine.local is None else engine.local.peek(record)
    if live is None or live.program is None:
        return ()
    found: tuple[HandlerSummary, ...] = from_payload(
        live.query(Query(HANDLERS_QUERY, ())), tuple[HandlerSummary, ...], what="the handlers of a run"
    )
    return found


def describe(
    found: Description,
    now: datetime,
    converter: DataConverter = JSON,
    handlers: tuple[HandlerSummary, ...] = (),
) -> RunDescription:
    """One run with what it waits for."""
    attempts = {attempt.call_id: attempt for attempt in found.waiting.attempts}
    activities: list[PendingActivity] = []
    for call in found.activities:
        attempt = attempts.get(call.call_id)
        if attempt is None:
            continue
        waits = attempt.worker is None
        later = waits and started_at_ms(attempt.due_at_ms) is not None
        activities.append(
            PendingActivity(
                call_id=call.call_id,
                name=call.name,
                attempt=attempt.attempt,
                running=not waits,
                next_try_at=moment(attempt.due_at_ms) if waits and not later else None,
                last_failure=None if attempt.failure is None else codec.failures.decode(attempt.failure).message,
                completed_later=later,
                queue=attempt.queue,
                priority=PRIORITY_DEFAULT if attempt.line is None else int(attempt.line[0]),
                fairness_key=(attempt.line or "")[1:] or None,
            )
        )
    messages = tuple([_pending(each) for each in found.waiting.messages if moment(each.visible_at_ms) <= now])
    return RunDescription(
        run=summarize(found.record, converter),
        activities=tuple(activities),
        timers=tuple(PendingTimer(timer.call_id, moment(timer.due_at_ms)) for timer in found.timers),
        children=tuple(PendingChild(child.call_id, child.workflow_id, child.workflow_type) for child in found.children),
        messages_waiting_count=len(messages),
        messages=messages,
        unserved=_unserved(found.record, found.waiting, now),
        handlers=handlers,
    )


def _pending(waiting: WaitingMessage) -> PendingMessage:
    came_at = moment(waiting.visible_at_ms)
    try:
        message = codec.messages.decode(waiting.data)
    except UndecodablePayload:
        return PendingMessage(waiting.message_id, "", "", came_at)
    name = message.name if isinstance(message, Signaled | UpdateRequested) else ""
    return PendingMessage(waiting.message_id, type(message).__name__, name, came_at)
