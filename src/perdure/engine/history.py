"""History as users see it: turns flattened to events, with the field's names. Event ids are positions."""

from collections.abc import Iterable, Iterator
from typing import Any, TypeAlias, assert_never

import msgspec

from perdure.core.command import (
    OUTSIDE,
    AcceptUpdate,
    CancelActivity,
    CancelChild,
    CancelRun,
    CancelTimer,
    Closing,
    Command,
    CompleteRun,
    CompleteUpdate,
    ContinueRun,
    EditMessage,
    FailRun,
    RecordLocalActivity,
    RecordSideEffect,
    RecordVersion,
    RejectUpdate,
    ResetRun,
    RunActivity,
    SetProgress,
    SetStatus,
    SkipMessage,
    StartChild,
    StartTimer,
    TerminateChild,
    TerminateRun,
    TimeOutRun,
    UpsertAttributes,
    UpsertMemo,
)
from perdure.core.failure import Failure
from perdure.core.message import (
    ActivityClosed,
    Cancelled,
    CancelRequested,
    ChildClosed,
    ChildStarted,
    Completed,
    Continued,
    DeadlinePassed,
    Failed,
    Forked,
    Message,
    Moved,
    Outcome,
    PauseRequested,
    Resumed,
    Signaled,
    Started,
    Terminated,
    TerminateRequested,
    TimerFired,
    UpdateRequested,
)
from perdure.core.payload import Payload
from perdure.core.turn import Turn
from perdure.engine.commit import next_of


class HistoryEvent(msgspec.Struct, frozen=True):
    """One event: `id` is its position from 1, `attributes` are JSON values."""

    id: int
    at_ms: int
    type: str
    turn: int
    attributes: dict[str, Any]


def flatten(turns: Iterable[Turn]) -> Iterator[HistoryEvent]:
    """The events of a history: for each turn its inputs, the workflow task, its outputs."""
    event_id = 0
    for turn in turns:
        for kind, attributes in _events(turn):
            event_id += 1
            yield HistoryEvent(event_id, turn.at_ms, kind, turn.number, attributes)


def _events(turn: Turn) -> Iterator[tuple[str, dict[str, Any]]]:
    for message in turn.inputs:
        yield from _input_events(message)
    if not any(isinstance(output, OUTSIDE) for output in turn.outputs):
        yield "WorkflowTaskScheduled", {}
        yield "WorkflowTaskStarted", {}
        yield "WorkflowTaskCompleted", {}
    for command in turn.outputs:
        # An update that was refused leaves no trace.
        if isinstance(command, AcceptUpdate):
            yield _accepted_event(command, turn)
        elif not isinstance(command, RejectUpdate):
            yield _output_event(command)


def shown(payload: Payload) -> Any:
    """A payload as a JSON value, or as a description where it is none."""
    try:
        return msgspec.json.decode(payload.data) if payload.metadata is None else {"encoding": payload.metadata}
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return {"bytes": len(payload.data)}


def _shown_outcome(outcome: Outcome) -> tuple[str, dict[str, Any]]:
    match outcome:
        case Completed(result):
            return "Completed", {"result": shown(result)}
        case Failed(failure):
            kind = "Failed" if failure.timeout is None else "TimedOut"
            return kind, {"failure": shown_failure(failure)}
        case Cancelled(failure):
            return "Canceled", {"reason": failure.message}
        case Terminated(reason):
            return "Terminated", {"reason": reason}
        case Continued():
            raise AssertionError("an answer is never that another run goes on")


def shown_failure(failure: Failure) -> dict[str, Any]:
    """A failure as JSON values, its cause chain included."""
    return {
        "type": failure.type,
        "message": failure.message,
        "retryable": failure.retryable,
        "details": [shown(each) for each in failure.details],
        "traceback": failure.traceback,
        "cause": None if failure.cause is None else shown_failure(failure.cause),
    }


def _input_events(message: Message) -> Iterator[tuple[str, dict[str, Any]]]:
    match message:
        case Started():
            parent = None if message.parent is None else message.parent.workflow_id
            args = [shown(each) for each in message.args]
            yield (
                "WorkflowExecutionStarted",
                {"workflow_type": message.workflow_type, "queue": message.queue, "input": args, "parent": parent},
            )
        case ActivityClosed():
            yield (
                "ActivityTaskStarted",
                {"call_id": message.call_id, "attempt": message.attempt, "started_at_ms": message.started_at_ms},
            )
            kind, attributes = _shown_outcome(message.outcome)
            yield f"ActivityTask{kind}", {"call_id": message.call_id, **attributes}
        case TimerFired():
            yield "TimerFired", {"call_id": message.call_id}
        case Signaled():
            yield (
                "WorkflowExecutionSignaled",
                {"name": message.name, "input": shown(message.payload), "request_id": message.request_id},
            )
        case CancelRequested():
            yield "WorkflowExecutionCancelRequested", {"reason": message.reason}
        case TerminateRequested():
            return
        case ChildStarted():
            if message.refusal is None:
                yield "ChildWorkflowExecutionStarted", {"call_id": message.call_id}
            else:
                yield (
                    "StartChildWorkflowExecutionFailed",
                    {"call_id": message.call_id, "reason": message.refusal.message},
                )
        case ChildClosed():
            kind, attributes = _shown_outcome(message.outcome)
            yield f"ChildWorkflowExecution{kind}", {"call_id": message.call_id, **attributes}
        case Resumed():
            yield "WorkflowExecutionResumed", {}
        case Moved():
            yield "WorkflowExecutionMoved", {"route": message.route}
        case PauseRequested():
            yield "WorkflowExecutionPaused", {"reason": message.reason}
        case Forked():
            names = {"source_run_id": message.source_run_id, "turns_kept": message.turns_count}
            yield "WorkflowExecutionForked", {**names, "reason": message.reason}
        case UpdateRequested() | DeadlinePassed():
            # What came of it says it all.
            return


def _output_event(command: Command) -> tuple[str, dict[str, Any]]:
    match command:
        case RunActivity():
            args = [shown(each) for each in command.args]
            return "ActivityTaskScheduled", {"call_id": command.call_id, "activity": command.name, "input": args}
        case CancelActivity():
            return "ActivityTaskCancelRequested", {"call_id": command.call_id}
        case StartTimer():
            return "TimerStarted", {"call_id": command.call_id, "due_at_ms": command.due_at_ms}
        case CancelTimer():
            return "TimerCanceled", {"call_id": command.call_id}
        case StartChild():
            names = {
                "workflow_type": command.workflow_type,
                "workflow_id": command.workflow_id,
                "run_id": command.run_id,
            }
            return "StartChildWorkflowExecutionInitiated", {
                "call_id": command.call_id,
                **names,
                "input": [shown(each) for each in command.args],
            }
        case CancelChild():
            return "RequestCancelExternalWorkflowExecutionInitiated", {
                "call_id": command.call_id,
                "reason": command.reason,
            }
        case RecordSideEffect():
            return "MarkerRecorded", {"call_id": command.call_id, "value": shown(command.value)}
        case TerminateChild():
            names = {"call_id": command.call_id, "reason": command.reason}
            return "TerminateExternalWorkflowExecutionInitiated", names
        case _:
            return _told_event(command)


Told: TypeAlias = (
    AcceptUpdate
    | CompleteUpdate
    | RejectUpdate
    | RecordVersion
    | RecordLocalActivity
    | UpsertMemo
    | UpsertAttributes
    | SetProgress
    | SetStatus
    | SkipMessage
    | EditMessage
)


def _accepted_event(command: AcceptUpdate, turn: Turn) -> tuple[str, dict[str, Any]]:
    """An update is recorded where it is accepted, with what its sender asked for."""
    kind, attributes = _told_event(command)
    for message in turn.inputs:
        if isinstance(message, UpdateRequested) and message.update_id == command.update_id:
            attributes |= {"name": message.name, "input": [shown(each) for each in message.args]}
    return kind, attributes


def _told_event(command: Told | Closing) -> tuple[str, dict[str, Any]]:
    match command:
        case AcceptUpdate() | RejectUpdate():
            return "WorkflowExecutionUpdateAccepted", {"update_id": command.update_id}
        case CompleteUpdate():
            _, attributes = _shown_outcome(command.outcome)
            return "WorkflowExecutionUpdateCompleted", {"update_id": command.update_id, **attributes}
        case RecordVersion():
            names = {"change_id": command.change_id, "version": command.version, "deprecated": command.deprecated}
            return "MarkerRecorded", names
        case RecordLocalActivity():
            _, attributes = _shown_outcome(command.outcome)
            return "MarkerRecorded", {"call_id": command.call_id, "activity": command.name, **attributes}
        case UpsertMemo():
            entries = {name: None if entry is None else shown(entry) for name, entry in command.entries.items()}
            return "WorkflowPropertiesModified", {"memo": entries}
        case UpsertAttributes():
            return "UpsertWorkflowSearchAttributes", {each.name: each.value for each in command.attributes}
        case SetProgress():
            return "MarkerRecorded", {"done": command.done, "total": command.total, "text": command.text}
        case SetStatus():
            return "MarkerRecorded", {"status": command.text}
        case SkipMessage():
            return "WorkflowMessageSkipped", {"message_id": command.message_id, "reason": command.reason}
        case EditMessage():
            return "WorkflowMessageEdited", {"message_id": command.message_id, "reason": command.reason}
        case _:
            following = next_of(command)
            kind, attributes = _closing_event(command)
            return kind, attributes if following is None else attributes | {"new_run_id": following.run_id}


def _closing_event(command: Closing) -> tuple[str, dict[str, Any]]:
    match command:
        case CompleteRun():
            return "WorkflowExecutionCompleted", {"result": shown(command.result)}
        case FailRun():
            return "WorkflowExecutionFailed", _shown_outcome(Failed(command.failure))[1]
        case ContinueRun():
            return "WorkflowExecutionContinuedAsNew", {}
        case TimeOutRun():
            return "WorkflowExecutionTimedOut", {"kind": str(command.kind)}
        case CancelRun():
            return "WorkflowExecutionCanceled", {"reason": command.failure.message}
        case TerminateRun():
            return "WorkflowExecutionTerminated", {"reason": command.reason}
        case ResetRun():
            names = {"new_run_id": command.run_id, "turns_kept": command.turns_count}
            return "WorkflowExecutionReset", {**names, "reason": command.reason}
        case _:
            assert_never(command)
