"""What the code of an activity can know and say while it runs, and the handle on it that the executors share.

A `RunningAttempt` is made and ended on the engine's loop. The activity's own code finds it by `current`.
"""

import asyncio
from collections.abc import Callable
from contextvars import ContextVar
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import msgspec

from perdure.core.errors import NotInActivity, PayloadTooLarge
from perdure.core.ids import RunId, WorkflowId
from perdure.core.limits import DETAILS_BYTES_MAX
from perdure.core.payload import Payload, from_payload
from perdure.engine.later import Token

if TYPE_CHECKING:
    from perdure.worker.executors import Room
    from perdure.worker.job import Job


class ActivityCancelled(asyncio.CancelledError):
    """Raised by `heartbeat` in an activity that shall end: it was cancelled, or its deadline has passed.

    A `CancelledError`, so that `try/finally` cleans up and `except Exception` does not swallow it.
    """


class ActivityInfo(msgspec.Struct, frozen=True):
    """The facts about a running activity."""

    workflow_id: WorkflowId
    run_id: RunId
    call_id: int
    """Counts the calls of the run; with the run id it names this activity call, the same in every attempt."""
    name: str
    attempt: int
    """From 1."""
    scheduled_at: datetime
    """When the workflow asked for it."""
    started_at: datetime
    """When this attempt began."""
    heartbeat_timeout: timedelta | None
    heartbeat_details: tuple[Any, ...]
    """Details of the last heartbeat of an earlier attempt, as plain JSON values; empty if there was none."""
    token: str = ""
    """Names this attempt: whoever has it can complete it from outside, see `CompleteLater`."""


class RunningAttempt:
    """One attempt, from the moment the runner took it until its code has really ended."""

    room: "Room"
    """Set by the runner; in a child process there is none."""

    __slots__ = (
        "_on_beat",
        "asked",
        "beat_at_ms",
        "beaten",
        "begun",
        "earlier",
        "flushed_at_ms",
        "job",
        "over",
        "room",
        "stop_reason",
        "task",
        "waiting",
    )

    def __init__(self, job: "Job", on_beat: "Callable[[RunningAttempt], None]") -> None:
        """`on_beat` is called in the activity's own thread at each heartbeat."""
        self.job = job
        self.earlier = job.heartbeat
        self._on_beat = on_beat
        self.waiting = True
        """It waits for room of its kind."""
        self.begun = False
        """Its task has taken its first step; only the user's loop looks at it."""
        self.asked = False
        """It was cancelled, so it may be cleaning up."""
        self.over = False
        """Nobody waits for its outcome any more; written by the engine's loop only."""
        self.stop_reason: str | None = None
        """Why it shall end; None while it may go on."""
        self.beaten = False
        """The engine's loop was told of a heartbeat and has not yet passed it on."""
        self.beat_at_ms = 0
        """Last sign of life."""
        self.flushed_at_ms = 0
        """When its heartbeats were last passed on."""
        self.task: asyncio.Task[None] | None = None

    def heartbeat(self, details: tuple[Any, ...]) -> None:
        """Note a sign of life; raises `ActivityCancelled` where the code shall end and no task is cancelled for it."""
        reason = self.stop_reason
        if self.over or (reason is not None and not self.job.definition.is_async):
            raise ActivityCancelled(reason or "the attempt has ended")
        # Encoded now: later the caller may have changed the objects, and an error belongs to the caller's line.
        convert = self.job.definition.converter
        encoded = convert.to_payloads(details, what="heartbeat detail") if details else None
        size = sum([len(detail.data) for detail in encoded or ()])
        if size > DETAILS_BYTES_MAX:
            raise PayloadTooLarge(what="heartbeat details", size=size, limit=DETAILS_BYTES_MAX)
        self.beat(encoded)

    def beat(self, details: tuple[Payload, ...] | None) -> None:
        """Note a sign of life; without details the last ones stay."""
        if details is not None:
            self.job.heartbeat = details
            self.job.heartbeat_unsent = True
        self._on_beat(self)

    def info(self) -> ActivityInfo:
        """The facts, as users see them."""
        job = self.job
        heartbeat_ms = job.call.options.heartbeat_ms
        return ActivityInfo(
            workflow_id=job.workflow_id,
            run_id=job.key.run_id,
            call_id=job.key.call_id,
            name=job.call.name,
            attempt=job.attempt,
            scheduled_at=_moment(job.scheduled_at_ms),
            started_at=_moment(job.started_at_ms),
            token=str(Token(job.key.run_id, job.key.call_id, job.attempt)),
            heartbeat_timeout=None if heartbeat_ms is None else timedelta(milliseconds=heartbeat_ms),
            heartbeat_details=tuple([from_payload(each, what="heartbeat detail") for each in self.earlier]),
        )


def _moment(at_ms: int) -> datetime:
    return datetime.fromtimestamp(at_ms / 1_000, UTC)


_current: ContextVar[RunningAttempt] = ContextVar("perdure_activity")

enter = _current.set
"""Make an attempt the current one of this context."""


def current(asker: str) -> RunningAttempt:
    """The attempt whose code is running; raises `NotInActivity`, naming the `asker`."""
    found = _current.get(None)
    if found is None:
        raise NotInActivity(name=asker)
    return found


def running_attempt() -> RunningAttempt | None:
    """The attempt whose code is running, if one is."""
    return _current.get(None)


def entered() -> bool:
    """Whether an attempt's code is running."""
    return _current.get(None) is not None
