"""History as users see it: the names of the events, their order, their numbers."""

from typing import Any

import pytest

from perdure.core.command import Command, RejectUpdate
from perdure.core.failure import Failure
from perdure.core.message import (
    ActivityClosed,
    Cancelled,
    ChildClosed,
    Completed,
    Failed,
    Message,
    Outcome,
    Terminated,
    TerminateRequested,
)
from perdure.core.payload import NULL, Payload, to_payload
from perdure.core.policy import TimeoutKind
from perdure.core.turn import Turn
from perdure.engine.history import flatten, shown, shown_failure
from tests.unit.core_samples import CHILD_RUN_ID, COMMANDS, MESSAGES, RUN_ID, WORKFLOW_ID
from tests.unit.engine_world import AT_MS, activity, activity_closed, signaled, started, timer

TASK = ["WorkflowTaskScheduled", "WorkflowTaskStarted", "WorkflowTaskCompleted"]
FAILURE_SHOWN: dict[str, Any] = {
    "type": "Declined",
    "message": "card declined",
    "retryable": False,
    "details": [{"cents": 4200}],
    "traceback": '  File "shop.py", line 12, in charge\n',
    "cause": {
        "type": "OSError", "message": "no route", "retryable": True, "details": [], "traceback": "", "cause": None,
    },
}  # fmt: skip
BINARY = {"encoding": {"encoding": "binary/zip"}}


def events_of(message: Message) -> list[tuple[str, dict[str, Any]]]:
    """The events of one input."""
    events = list(flatten([Turn(1, AT_MS, (message,), ())]))
    assert [event.type for event in events[-3:]] == TASK
    return [(event.type, event.attributes) for event in events[:-3]]


def event_of(command: Command) -> tuple[str, dict[str, Any]]:
    """The event of one output."""
    (event,) = [event for event in flatten([Turn(1, AT_MS, (), (command,))]) if event.type not in TASK]
    return event.type, event.attributes


def test_events_are_numbered_by_position_over_all_turns() -> None:
    turns = [
        Turn(1, AT_MS, (started(), signaled("a")), (activity(1), timer(2))),
        Turn(2, AT_MS + 7, (activity_closed(1),), (COMMANDS["complete_run"],)),
    ]

    events = list(flatten(turns))

    assert [event.id for event in events] == list(range(1, len(events) + 1))
    assert [(event.turn, event.type) for event in events] == [
        (1, "WorkflowExecutionStarted"),
        (1, "WorkflowExecutionSignaled"),
        *((1, task) for task in TASK),
        (1, "ActivityTaskScheduled"),
        (1, "TimerStarted"),
        (2, "ActivityTaskStarted"),
        (2, "ActivityTaskCompleted"),
        *((2, task) for task in TASK),
        (2, "WorkflowExecutionCompleted"),
    ]
    assert {event.turn: event.at_ms for event in events} == {1: AT_MS, 2: AT_MS + 7}


def test_an_empty_history_has_no_events() -> None:
    assert list(flatten([])) == []


INPUTS: dict[str, list[tuple[str, dict[str, Any]]]] = {
    "started": [
        (
            "WorkflowExecutionStarted",
            {"workflow_type": "checkout", "queue": "default", "input": [{"cents": 4200}, BINARY], "parent": "parent-1"},
        )
    ],
    "started_least": [("WorkflowExecutionStarted", {"workflow_type": "t", "queue": "q", "input": [], "parent": None})],
    "activity_closed": [
        ("ActivityTaskStarted", {"call_id": 2, "attempt": 4, "started_at_ms": 1_763_680_000_123}),
        ("ActivityTaskCompleted", {"call_id": 2, "result": {"cents": 4200}}),
    ],
    "timer_fired": [("TimerFired", {"call_id": 70_000})],
    "signaled": [("WorkflowExecutionSignaled", {"name": "approve", "input": BINARY, "request_id": "req-1"})],
    "cancel_requested": [("WorkflowExecutionCancelRequested", {"reason": "changed my mind"})],
    "child_started": [("StartChildWorkflowExecutionFailed", {"call_id": 5, "reason": "card declined"})],
    "child_started_least": [("ChildWorkflowExecutionStarted", {"call_id": 5})],
    "child_closed": [("ChildWorkflowExecutionTerminated", {"call_id": 5, "reason": "by its parent"})],
    "child_completed": [("ChildWorkflowExecutionCompleted", {"call_id": 5, "result": {"cents": 4200}})],
    "resumed": [("WorkflowExecutionResumed", {})],
    "terminate_requested": [],
    "update_requested": [],
    "deadline_passed": [],
    "pause_requested": [("WorkflowExecutionPaused", {"reason": "look first"})],
    "moved": [("WorkflowExecutionMoved", {"route": "Order@2#abc"})],
    "forked": [
        (
            "WorkflowExecutionForked",
            {"source_run_id": RUN_ID, "turns_kept": 12, "reason": "the code was mended"},
        )
    ],
}


@pytest.mark.parametrize("name", INPUTS)
def test_an_input_has_the_fields_names(name: str) -> None:
    assert events_of(MESSAGES[name]) == INPUTS[name]


def test_every_kind_of_input_is_looked_at() -> None:
    assert {type(MESSAGES[name]) for name in INPUTS} == {type(each) for each in MESSAGES.values()}


OUTCOMES: list[tuple[Outcome, str, dict[str, Any]]] = [
    (Completed(NULL), "Completed", {"result": None}),
    (Failed(Failure("E", "x")), "Failed", {"failure": shown_failure(Failure("E", "x"))}),
    (
        Failed(Failure("E", "x", timeout=TimeoutKind.HEARTBEAT)),
        "TimedOut",
        {"failure": shown_failure(Failure("E", "x"))},
    ),
    (Cancelled(Failure("E", "enough")), "Canceled", {"reason": "enough"}),
    (Terminated("now"), "Terminated", {"reason": "now"}),
]


@pytest.mark.parametrize(("outcome", "suffix", "attributes"), OUTCOMES)
def test_an_outcome_names_the_event(outcome: Outcome, suffix: str, attributes: dict[str, Any]) -> None:
    activity_events = events_of(ActivityClosed(1, outcome))
    child_events = events_of(ChildClosed(1, outcome))

    assert activity_events[-1] == (f"ActivityTask{suffix}", {"call_id": 1, **attributes})
    assert child_events == [(f"ChildWorkflowExecution{suffix}", {"call_id": 1, **attributes})]


CHILD = {"workflow_type": "ship", "workflow_id": "child-1", "run_id": CHILD_RUN_ID}
OUTPUTS: dict[str, tuple[str, dict[str, Any]]] = {
    "run_activity": (
        "ActivityTaskScheduled",
        {"call_id": 1, "activity": "charge", "input": [{"cents": 4200}, BINARY]},
    ),
    "cancel_activity": ("ActivityTaskCancelRequested", {"call_id": 1}),
    "start_timer": ("TimerStarted", {"call_id": 2, "due_at_ms": 1_763_680_086_400_123}),
    "cancel_timer": ("TimerCanceled", {"call_id": 2}),
    "start_child": (
        "StartChildWorkflowExecutionInitiated",
        {"call_id": 3, **CHILD, "input": [{"cents": 4200}]},
    ),
    "cancel_child": (
        "RequestCancelExternalWorkflowExecutionInitiated",
        {"call_id": 3, "reason": "no longer wanted"},
    ),
    "record_side_effect": ("MarkerRecorded", {"call_id": 4, "value": {"cents": 4200}}),
    "complete_run": ("WorkflowExecutionCompleted", {"result": {"cents": 4200}}),
    "fail_run": ("WorkflowExecutionFailed", {"failure": FAILURE_SHOWN}),
    "cancel_run": ("WorkflowExecutionCanceled", {"reason": ""}),
    "terminate_run": ("WorkflowExecutionTerminated", {"reason": "by an operator"}),
    "complete_run_next": ("WorkflowExecutionCompleted", {"result": {"cents": 4200}, "new_run_id": CHILD_RUN_ID}),
    "continue_run": ("WorkflowExecutionContinuedAsNew", {"new_run_id": CHILD_RUN_ID}),
    "time_out_run": ("WorkflowExecutionTimedOut", {"kind": "run", "new_run_id": CHILD_RUN_ID}),
    "accept_update": ("WorkflowExecutionUpdateAccepted", {"update_id": "upd-1"}),
    "complete_update": ("WorkflowExecutionUpdateCompleted", {"update_id": "upd-1", "result": {"cents": 4200}}),
    "record_version": ("MarkerRecorded", {"change_id": "tax", "version": 2, "deprecated": True}),
    "record_local_activity": ("MarkerRecorded", {"call_id": 4, "activity": "charge", "failure": FAILURE_SHOWN}),
    "upsert_memo": ("WorkflowPropertiesModified", {"memo": {"note": {"cents": 4200}, "gone": None}}),
    "upsert_attributes": (
        "UpsertWorkflowSearchAttributes",
        {"CustomerId": "c-1", "Cents": 4200, "Share": 0.5, "Paid": True, "Due": 1_763_680_000_123}
        | {"Tags": ("a", "b"), "Gone": None},
    ),
    "set_progress": ("MarkerRecorded", {"done": 3, "total": 7.5, "text": "rows"}),
    "set_status": ("MarkerRecorded", {"status": "waiting for approval"}),
    "terminate_child": ("TerminateExternalWorkflowExecutionInitiated", {"call_id": 5, "reason": "replaced"}),
    "skip_message": ("WorkflowMessageSkipped", {"message_id": "sreq-1", "reason": "poisoned"}),
    "edit_message": ("WorkflowMessageEdited", {"message_id": "a5", "reason": "its type has changed"}),
    "reset_run": (
        "WorkflowExecutionReset",
        {"new_run_id": CHILD_RUN_ID, "turns_kept": 12, "reason": "the code was mended"},
    ),
}
UNSEEN = {RejectUpdate}
"""An update that was refused leaves no trace."""


@pytest.mark.parametrize("name", OUTPUTS)
def test_an_output_has_the_fields_names(name: str) -> None:
    assert event_of(COMMANDS[name]) == OUTPUTS[name]


def test_every_kind_of_output_is_looked_at() -> None:
    assert {type(COMMANDS[name]) for name in OUTPUTS} == {type(each) for each in COMMANDS.values()} - UNSEEN
    assert list(flatten([Turn(1, AT_MS, (), (COMMANDS["reject_update"],))])) == list(flatten([Turn(1, AT_MS, (), ())]))


def test_a_termination_is_no_step_of_the_code() -> None:
    events = flatten([Turn(1, AT_MS, (started(), TerminateRequested("now")), (COMMANDS["terminate_run"],))])

    assert [event.type for event in events] == ["WorkflowExecutionStarted", "WorkflowExecutionTerminated"]


@pytest.mark.parametrize(
    ("payload", "value"),
    [
        (to_payload({"a": [1, None]}), {"a": [1, None]}),
        (Payload(b"\x00", {"encoding": "x"}), {"encoding": {"encoding": "x"}}),
        (Payload(b"\x00\xff"), {"bytes": 2}),
        (Payload(b'"\xff"'), {"bytes": 3}),
        (Payload(b"[" * 100_000), {"bytes": 100_000}),
        (Payload(b""), {"bytes": 0}),
    ],
)
def test_any_payload_can_be_shown(payload: Payload, value: Any) -> None:
    assert shown(payload) == value


def test_ids_that_are_no_ascii_are_shown_as_they_are() -> None:
    ((_, attributes),) = events_of(MESSAGES["started_least"])

    assert attributes["workflow_type"] == "t"
    assert WORKFLOW_ID.endswith("\u4e16")
