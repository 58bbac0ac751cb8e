"""Commands: what a program asks for in one turn.

`call_id` counts the calls of a run from 1 and joins a command to the messages that answer it.
The numbers of the classes are persisted: they are never changed and never used again.
"""

from enum import IntEnum
from typing import TypeAlias

import msgspec

from perdure.core.failure import Failure
from perdure.core.ids import RunId, WorkflowId
from perdure.core.payload import Payload
from perdure.core.policy import ActivityOptions


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


class CancelChild(msgspec.Struct, frozen=True, array_like=True, tag=6, gc=False):
    """Ask a child workflow to cancel itself; the program still waits for its outcome."""

    call_id: int
    reason: str


class RecordSideEffect(msgspec.Struct, frozen=True, array_like=True, tag=7, gc=False):
    """Record a value that the code computed once; a replay hands it back."""

    call_id: int
    value: Payload


class CompleteRun(msgspec.Struct, frozen=True, array_like=True, tag=8, gc=False):
    """Close the run with its result."""

    result: Payload


class FailRun(msgspec.Struct, frozen=True, array_like=True, tag=9, gc=False):
    """Close the run as failed."""

    failure: Failure


class CancelRun(msgspec.Struct, frozen=True, array_like=True, tag=10, gc=False):
    """Close the run as cancelled."""

    failure: Failure


class TerminateRun(msgspec.Struct, frozen=True, array_like=True, tag=11, gc=False):
    """Close the run as terminated; asked by the engine itself, never by a program."""

    reason: str


Closing: TypeAlias = CompleteRun | FailRun | CancelRun | TerminateRun
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
)
