"""One sample of every message, outcome and command, with every field set and with as few as possible.

The golden files hold exactly these values, so a sample is never changed: a new field comes as a new sample.
"""

from typing import get_args

from msgspec.structs import replace

from perdure.core.attributes import Attribute, AttributeKind
from perdure.core.command import (
    AcceptUpdate,
    CancelActivity,
    CancelChild,
    CancelRun,
    CancelTimer,
    Command,
    CompleteRun,
    CompleteUpdate,
    ContinueRun,
    EditMessage,
    FailRun,
    NextRun,
    ParentClosePolicy,
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
from perdure.core.ids import RunId, WorkflowId
from perdure.core.message import (
    ActivityClosed,
    Cancelled,
    CancelRequested,
    Chain,
    ChildClosed,
    ChildStarted,
    Completed,
    DeadlinePassed,
    Failed,
    Forked,
    Message,
    Moved,
    OpenChild,
    Parent,
    PauseRequested,
    Resumed,
    Signaled,
    Started,
    StartOptions,
    Terminated,
    TerminateRequested,
    TimerFired,
    UpdateRequested,
)
from perdure.core.payload import Payload
from perdure.core.policy import ActivityOptions, RetryPolicy, TimeoutKind
from perdure.core.rank import Rank
from perdure.core.turn import Turn

RUN_ID = RunId("0199f0a0-0000-7000-8000-000000000001")
CHILD_RUN_ID = RunId("0199f0a0-0000-7000-8000-000000000002")
WORKFLOW_ID = WorkflowId("order-1 \u00e9\u4e16")

PLAIN = Payload(data=b'{"cents":4200}')
ENCODED = Payload(data=b"\x00\xff", metadata={"encoding": "binary/zip"})

OPTIONS = ActivityOptions(
    retry=RetryPolicy(
        initial_ms=250,
        coefficient=1.5,
        interval_ms_max=60_000,
        attempts_max=7,
        non_retryable=("Declined", "ValueError"),
    ),
    start_to_close_ms=30_000,
    schedule_to_close_ms=3_600_000,
    schedule_to_start_ms=600_000,
    heartbeat_ms=5_000,
)

FAILURE = Failure(
    type="Declined",
    message="card declined",
    traceback='  File "shop.py", line 12, in charge\n',
    cause=Failure(type="OSError", message="no route"),
    retryable=False,
    details=(PLAIN,),
    next_retry_ms=1_500,
    timeout=TimeoutKind.HEARTBEAT,
)
LEAST_FAILURE = Failure(type="ValueError", message="")

ATTRIBUTES = (
    Attribute("CustomerId", AttributeKind.KEYWORD, "c-1"),
    Attribute("Cents", AttributeKind.INT, 4_200),
    Attribute("Share", AttributeKind.DOUBLE, 0.5),
    Attribute("Paid", AttributeKind.BOOL, value=True),
    Attribute("Due", AttributeKind.DATETIME, 1_763_680_000_123),
    Attribute("Tags", AttributeKind.KEYWORD_LIST, ("a", "b")),
    Attribute("Gone", AttributeKind.TEXT, None),
)
STARTED_AGAIN = Started(
    workflow_type="checkout",
    workflow_id=WORKFLOW_ID,
    queue="default",
    args=(PLAIN,),
    options=StartOptions(
        chain=Chain(
            first_run_id=RUN_ID,
            began_at_ms=1_763_680_000_000,
            started_at_ms=1_763_680_000_500,
            previous_run_id=RUN_ID,
            attempt=3,
            calls_count=17,
            last_result=PLAIN,
            last_failure=LEAST_FAILURE,
        ),
        retry=OPTIONS.retry,
        execution_ms=86_400_000,
        run_ms=3_600_000,
        cron="*/5 * * * *",
        memo={"note": PLAIN},
        attributes=ATTRIBUTES,
        headers={"tenant": ENCODED},
    ),
)
CHAIN_WITH_CHILDREN = Chain(
    first_run_id=RUN_ID,
    began_at_ms=1_763_680_000_000,
    started_at_ms=1_763_680_000_500,
    calls_count=17,
    children=(OpenChild(call_id=4, run_id=CHILD_RUN_ID, workflow_id=WorkflowId("child-1"), workflow_type="ship"),),
)
NEXT = NextRun(
    run_id=CHILD_RUN_ID,
    started=STARTED_AGAIN,
    starts_at_ms=1_763_680_001_000,
    carried=(Signaled(name="approve", payload=PLAIN, request_id="req-6"),),
)

MESSAGES: dict[str, Message] = {
    "started": Started(
        workflow_type="checkout",
        workflow_id=WORKFLOW_ID,
        queue="default",
        args=(PLAIN, ENCODED),
        parent=Parent(run_id=RUN_ID, workflow_id=WorkflowId("parent-1"), call_id=3),
    ),
    "started_children": replace(STARTED_AGAIN, options=StartOptions(chain=CHAIN_WITH_CHILDREN)),
    "started_least": Started(workflow_type="t", workflow_id=WorkflowId("w"), queue="q", args=()),
    "activity_closed": ActivityClosed(
        call_id=2, outcome=Completed(result=PLAIN), attempt=4, started_at_ms=1_763_680_000_123, last_failure=FAILURE
    ),
    "activity_closed_least": ActivityClosed(call_id=1, outcome=Failed(failure=LEAST_FAILURE)),
    "activity_cancelled": ActivityClosed(call_id=1, outcome=Cancelled(failure=FAILURE)),
    "timer_fired": TimerFired(call_id=70_000),
    "signaled": Signaled(name="approve", payload=ENCODED, request_id="req-1"),
    "cancel_requested": CancelRequested(reason="changed my mind", request_id="req-2"),
    "terminate_requested": TerminateRequested(reason="by an operator"),
    "child_started": ChildStarted(call_id=5, refusal=FAILURE),
    "child_started_least": ChildStarted(call_id=5),
    "child_closed": ChildClosed(call_id=5, outcome=Terminated(reason="by its parent")),
    "child_completed": ChildClosed(call_id=5, outcome=Completed(result=PLAIN)),
    "resumed": Resumed(request_id="req-3"),
    "started_options": STARTED_AGAIN,
    "started_rank": replace(STARTED_AGAIN, options=StartOptions(rank=Rank(priority=1))),
    "signaled_headers": Signaled(name="approve", payload=PLAIN, request_id="req-4", headers={"tenant": PLAIN}),
    "update_requested": UpdateRequested(
        name="add", args=(PLAIN, ENCODED), update_id="upd-1", headers={"tenant": PLAIN}
    ),
    "activity_failed_encoded": ActivityClosed(
        call_id=2,
        outcome=Failed(
            failure=Failure(
                type="Declined",
                message="Encoded failure",
                encoded=Payload(data=b"\x00\xff", metadata={"encoding": "perdure/failure-text", "codecs": "rot13"}),
            )
        ),
    ),
    "deadline_passed": DeadlinePassed(kind=TimeoutKind.EXECUTION),
    "pause_requested": PauseRequested(reason="look first", request_id="req-5"),
    "moved": Moved(route="Order@2#abc", request_id="req-7"),
    "forked": Forked(
        run_id=CHILD_RUN_ID,
        workflow_id=WORKFLOW_ID,
        source_run_id=RUN_ID,
        turns_count=12,
        chain=Chain(first_run_id=RUN_ID, began_at_ms=1_763_680_000_000, started_at_ms=1_763_680_000_500),
        reason="the code was mended",
    ),
}

COMMANDS: dict[str, Command] = {
    "run_activity": RunActivity(call_id=1, name="charge", args=(PLAIN, ENCODED), options=OPTIONS, queue="cards"),
    "run_activity_least": RunActivity(call_id=1, name="charge", args=(), options=ActivityOptions()),
    "cancel_activity": CancelActivity(call_id=1),
    "start_timer": StartTimer(call_id=2, due_at_ms=1_763_680_086_400_123),
    "cancel_timer": CancelTimer(call_id=2),
    "start_child": StartChild(
        call_id=3,
        run_id=CHILD_RUN_ID,
        workflow_id=WorkflowId("child-1"),
        workflow_type="ship",
        args=(PLAIN,),
        close_policy=ParentClosePolicy.CANCEL,
        queue="ships",
    ),
    "start_child_least": StartChild(
        call_id=3, run_id=CHILD_RUN_ID, workflow_id=WorkflowId("child-1"), workflow_type="ship", args=()
    ),
    "cancel_child": CancelChild(call_id=3, reason="no longer wanted"),
    "record_side_effect": RecordSideEffect(call_id=4, value=PLAIN),
    "complete_run": CompleteRun(result=PLAIN),
    "fail_run": FailRun(failure=FAILURE),
    "cancel_run": CancelRun(failure=LEAST_FAILURE),
    "terminate_run": TerminateRun(reason="by an operator"),
    "run_activity_headers": RunActivity(
        call_id=1, name="charge", args=(), options=ActivityOptions(), headers={"tenant": PLAIN}
    ),
    "run_activity_rank": RunActivity(
        call_id=1, name="charge", args=(), options=ActivityOptions(rank=Rank(priority=2, key="tenant", weight=0.5))
    ),
    "start_child_options": StartChild(
        call_id=3,
        run_id=CHILD_RUN_ID,
        workflow_id=WORKFLOW_ID,
        workflow_type="ship",
        args=(),
        options=STARTED_AGAIN.options,
    ),
    "complete_run_next": CompleteRun(result=PLAIN, next=NEXT),
    "fail_run_next": FailRun(failure=FAILURE, next=NEXT),
    "continue_run": ContinueRun(next=NEXT),
    "time_out_run": TimeOutRun(kind=TimeoutKind.RUN, next=NEXT),
    "accept_update": AcceptUpdate(update_id="upd-1"),
    "reject_update": RejectUpdate(update_id="upd-1", failure=FAILURE),
    "complete_update": CompleteUpdate(update_id="upd-1", outcome=Completed(result=PLAIN)),
    "record_version": RecordVersion(change_id="tax", version=2, deprecated=True),
    "record_local_activity": RecordLocalActivity(call_id=4, name="charge", outcome=Failed(failure=FAILURE), attempt=2),
    "upsert_memo": UpsertMemo(entries={"note": PLAIN, "gone": None}),
    "upsert_attributes": UpsertAttributes(attributes=ATTRIBUTES),
    "set_progress": SetProgress(done=3, total=7.5, text="rows"),
    "set_status": SetStatus(text="waiting for approval"),
    "terminate_child": TerminateChild(call_id=5, reason="replaced"),
    "skip_message": SkipMessage(message_id="sreq-1", reason="poisoned"),
    "edit_message": EditMessage(message_id="a5", reason="its type has changed"),
    "reset_run": ResetRun(run_id=CHILD_RUN_ID, turns_count=12, reason="the code was mended", calls_kept=(3, 5)),
}

HEARTBEAT = (PLAIN, Payload(data=b"3"))


def turn_of(command: Command) -> Turn:
    """A turn that asks for one command: commands are persisted in turns only."""
    return Turn(number=2, at_ms=1_763_680_000_123, inputs=(), outputs=(command,))


def kinds_of(union: object) -> set[type]:
    """The classes of a union."""
    return set(get_args(union))
