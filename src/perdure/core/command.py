"""Commands: what a program asks for in one turn.

`call_id` counts the calls of a run from 1 and joins a command to the messages that answer it.
The numbers of the classes are persisted: they are never changed and never used again.
"""

from enum import IntEnum
from typing import TypeAlias

import msgspec

from perdure.core.attributes import Attribute
from perdure.core.failure import Failure
from perdure.core.ids import RunId, WorkflowId
from perdure.core.message import Completed, Failed, Headers, Message, Outcome, Started, StartOptions
from perdure.core.payload import Payload
from perdure.core.policy import ActivityOptions, TimeoutKind


class ParentClosePolicy(IntEnum):
    """What becomes of a child workflow that is open when its parent closes."""

    TERMINATE = 1
    CANCEL = 2
    ABANDON = 3


class RunActivity(msgspec.Struct, frozen=True, array_like=True, tag=1, gc=False):
    """Run an activity and answer with its outcome; `queue` None is the run's own."""

    call_id: int
    name: str
    args: tuple[Payload, ...]
    options: ActivityOptions
    queue: str | None = None
    headers: Headers | None = None


class CancelActivity(msgspec.Struct, frozen=True, array_like=True, tag=2, gc=False):
    """Cancel an activity; the program no longer waits for it."""

    call_id: int


class StartTimer(msgspec.Struct, frozen=True, array_like=True, tag=3, gc=False):
    """Tell the run when the moment `due_at_ms` has come."""

    call_id: int
    due_at_ms: int


class CancelTimer(msgspec.Struct, frozen=True, array_like=True, tag=4, gc=False):
    """Forget a timer."""

    call_id: int


class StartChild(msgspec.Struct, frozen=True, array_like=True, tag=5, gc=False):
    """Start a child workflow under the run id chosen here; `queue` None is the parent's own."""

    call_id: int
    run_id: RunId
    workflow_id: WorkflowId
    workflow_type: str
    args: tuple[Payload, ...]
    close_policy: ParentClosePolicy = ParentClosePolicy.TERMINATE
    queue: str | None = None
    options: StartOptions | None = None
    route: str | None = None
    """What a worker must serve to begin it; None: the workflow's newest version that the worker has."""


class CancelChild(msgspec.Struct, frozen=True, array_like=True, tag=6, gc=False):
    """Ask a child workflow to cancel itself; the program still waits for its outcome."""

    call_id: int
    reason: str


class RecordSideEffect(msgspec.Struct, frozen=True, array_like=True, tag=7, gc=False):
    """Record a value that the code computed once; a replay hands it back."""

    call_id: int
    value: Payload


class NextRun(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The run that goes on for one that closes, under the same workflow id. See `core.chain`."""

    run_id: RunId
    started: Started
    starts_at_ms: int
    carried: tuple[Message, ...] = ()
    """Messages that the closing run had taken but not used."""


class CompleteRun(msgspec.Struct, frozen=True, array_like=True, tag=8, gc=False):
    """Close the run with its result."""

    result: Payload
    next: NextRun | None = None


class FailRun(msgspec.Struct, frozen=True, array_like=True, tag=9, gc=False):
    """Close the run as failed."""

    failure: Failure
    next: NextRun | None = None


class CancelRun(msgspec.Struct, frozen=True, array_like=True, tag=10, gc=False):
    """Close the run as cancelled."""

    failure: Failure


class TerminateRun(msgspec.Struct, frozen=True, array_like=True, tag=11, gc=False):
    """Close the run as terminated; asked by the engine itself, never by a program."""

    reason: str


class ContinueRun(msgspec.Struct, frozen=True, array_like=True, tag=12, gc=False):
    """Close the run and go on as a new one with a fresh history."""

    next: NextRun


class TimeOutRun(msgspec.Struct, frozen=True, array_like=True, tag=13, gc=False):
    """Close the run as timed out; asked by the engine itself, never by a program."""

    kind: TimeoutKind
    next: NextRun | None = None


class AcceptUpdate(msgspec.Struct, frozen=True, array_like=True, tag=14, gc=False):
    """The update is valid: from here on it will be completed, by this run or not at all."""

    update_id: str


class RejectUpdate(msgspec.Struct, frozen=True, array_like=True, tag=15, gc=False):
    """The update is refused and changes nothing."""

    update_id: str
    failure: Failure


class CompleteUpdate(msgspec.Struct, frozen=True, array_like=True, tag=16, gc=False):
    """Answer an accepted update."""

    update_id: str
    outcome: Completed | Failed


class RecordVersion(msgspec.Struct, frozen=True, array_like=True, tag=17, gc=False):
    """Record which version of a change the run follows.

    It has no call id: asking for one in new code must not move the numbers of the calls after it.
    """

    change_id: str
    version: int
    deprecated: bool = False
    """The code no longer needs the record; it may be gone in a replay."""


class RecordLocalActivity(msgspec.Struct, frozen=True, array_like=True, tag=18, gc=False):
    """Record the outcome of an activity that ran within the turn; a replay hands it back at this place."""

    call_id: int
    name: str
    outcome: Outcome
    attempt: int = 1
    """Number of its last try."""
    at_ms: int = 0
    """When it ended: the run's time goes on to it."""
    retry_at_ms: int | None = None
    """None: it is over. Else another try follows then, in a later turn."""


class UpsertMemo(msgspec.Struct, frozen=True, array_like=True, tag=19, gc=False):
    """Change entries of the memo; None takes one away."""

    entries: dict[str, Payload | None]


class UpsertAttributes(msgspec.Struct, frozen=True, array_like=True, tag=20, gc=False):
    """Change search attributes."""

    attributes: tuple[Attribute, ...]


class SetProgress(msgspec.Struct, frozen=True, array_like=True, tag=21, gc=False):
    """Say how far the run is: so many of so many, and a word to it."""

    done: float
    total: float | None = None
    text: str = ""


class SetStatus(msgspec.Struct, frozen=True, array_like=True, tag=22, gc=False):
    """Say in the run's own words what it does."""

    text: str


class TerminateChild(msgspec.Struct, frozen=True, array_like=True, tag=23, gc=False):
    """End a child workflow at once; the program still waits for its outcome."""

    call_id: int
    reason: str


class SkipMessage(msgspec.Struct, frozen=True, array_like=True, tag=24, gc=False):
    """Drop a message that waits; asked by a client, never by a program."""

    message_id: str
    reason: str


class EditMessage(msgspec.Struct, frozen=True, array_like=True, tag=25, gc=False):
    """Replace a message that waits by another one with the same id; asked by a client, never by a program."""

    message_id: str
    reason: str


class ResetRun(msgspec.Struct, frozen=True, array_like=True, tag=26, gc=False):
    """Close the run: another one goes on from an earlier turn of it. Asked by a client, never by a program."""

    run_id: RunId
    """Of the one that goes on."""
    turns_count: int
    """How many turns it keeps."""
    reason: str
    calls_kept: tuple[int, ...] = ()
    """Child workflows that answer to the one that goes on."""


OUTSIDE = (TerminateRun, TimeOutRun, SkipMessage, EditMessage, ResetRun)
"""A turn that ends with one of these never reached the program."""
Closing: TypeAlias = CompleteRun | FailRun | CancelRun | TerminateRun | ContinueRun | TimeOutRun | ResetRun
CLOSINGS = frozenset(Closing.__args__)
"""The classes of closing commands, for a quick look."""
Command: TypeAlias = (
    RunActivity
    | CancelActivity
    | StartTimer
    | CancelTimer
    | StartChild
    | CancelChild
    | RecordSideEffect
    | CompleteRun
    | FailRun
    | CancelRun
    | TerminateRun
    | ContinueRun
    | TimeOutRun
    | AcceptUpdate
    | RejectUpdate
    | CompleteUpdate
    | RecordVersion
    | RecordLocalActivity
    | UpsertMemo
    | UpsertAttributes
    | SetProgress
    | SetStatus
    | TerminateChild
    | SkipMessage
    | EditMessage
    | ResetRun
)
