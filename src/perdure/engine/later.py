"""Attempts whose outcome comes later, by a token: how they wait in the store, and when they must end. Pure arithmetic.

Such an attempt is held by nobody and due in a far future, so that no claim runs it; its deadline is when it expires.
The far moment also tells when it was started: nothing else in its row would.
"""

from typing import NamedTuple

from perdure.core.errors import InvalidOption
from perdure.core.ids import RunId
from perdure.core.policy import ActivityOptions, TimeoutKind, run_deadline
from perdure.core.store import Retry

LATER_AT_MS = 100_000_000_000_000
"""Added to the moment at which the attempt was started: the year 5138 and later."""


class Token(NamedTuple):
    """Names one attempt, for whoever completes it."""

    run_id: RunId
    call_id: int
    attempt: int

    def __str__(self) -> str:
        return f"{self.run_id}/{self.call_id}/{self.attempt}"


def parsed_token(text: str) -> Token:
    """The attempt that a token names; raises `InvalidOption`."""
    run_id, _, numbers = text.partition("/")
    call_id, _, attempt = numbers.partition("/")
    if not (run_id and call_id.isascii() and call_id.isdigit() and attempt.isascii() and attempt.isdigit()):
        remedy = "give activity.info().token as it is"
        raise InvalidOption(name="token", value=repr(text)[:120], fact="is no token of an activity", remedy=remedy)
    return Token(RunId(run_id), int(call_id), int(attempt))


def started_at_ms(due_at_ms: int) -> int | None:
    """When the attempt was started; None if it does not wait for a later completion."""
    return due_at_ms - LATER_AT_MS if due_at_ms >= LATER_AT_MS else None


def soon(due_at_ms: int | None) -> int | None:
    """The moment, or None where nothing is to be waited for: it only says that something waits to be completed."""
    return None if due_at_ms is None or due_at_ms >= LATER_AT_MS else due_at_ms


def waiting(
    options: ActivityOptions,
    *,
    attempt: int,
    scheduled_at_ms: int,
    started_at_ms: int,
    beat_at_ms: int,
    heartbeat: bytes | None,
) -> Retry:
    """The attempt as it waits, last heard of at `beat_at_ms`."""
    deadline = run_deadline(options, scheduled_at_ms=scheduled_at_ms, started_at_ms=started_at_ms)
    ends = [] if deadline is None else [deadline[0]]
    if options.heartbeat_ms is not None:
        ends.append(beat_at_ms + options.heartbeat_ms)
    return Retry(attempt, LATER_AT_MS + started_at_ms, min(ends, default=None), None, heartbeat)


def overdue(options: ActivityOptions, *, scheduled_at_ms: int, started_at_ms: int, now_ms: int) -> TimeoutKind:
    """As which timeout a waiting attempt ends that has expired."""
    deadline = run_deadline(options, scheduled_at_ms=scheduled_at_ms, started_at_ms=started_at_ms)
    if deadline is not None and (deadline[0] <= now_ms or options.heartbeat_ms is None):
        return deadline[1]
    return TimeoutKind.HEARTBEAT
