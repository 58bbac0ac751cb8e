"""From a turn to its commit: what each command changes, and what the end of a run takes with it."""

from collections.abc import Callable
from typing import Any

import pytest

from perdure.core import chain, codec
from perdure.core.command import (
    CancelActivity,
    CancelChild,
    CancelRun,
    CancelTimer,
    Closing,
    Command,
    CompleteRun,
    ContinueRun,
    FailRun,
    ParentClosePolicy,
    RecordSideEffect,
    RunActivity,
    StartChild,
    TerminateRun,
)
from perdure.core.errors import TurnTooLarge
from perdure.core.failure import Failure
from perdure.core.ids import RunId, WorkflowId
from perdure.core.limits import PAYLOAD_BYTES_MAX, TURN_BYTES_MAX
from perdure.core.message import (
    Cancelled,
    CancelRequested,
    ChildClosed,
    ChildStarted,
    Completed,
    Failed,
    Outcome,
    Parent,
    Started,
    Terminated,
    TerminateRequested,
    TimerFired,
)
from perdure.core.payload import NULL, Payload
from perdure.core.policy import ActivityOptions
from perdure.core.store import Commit, Delivery, NewAttempt, NewRun, RunStatus
from perdure.core.turn import Turn
from perdure.engine.commit import outcome_of, status_of, to_commit
from perdure.engine.live import LiveRun
from tests.unit.engine_world import (
    AT_MS,
    PARENT,
    PARENT_RUN_ID,
    RUN_ID,
    WORKFLOW_ID,
    ScriptedRun,
    activity,
    asking,
    child,
    live_run,
    resumed,
    signaled,
    started,
    timer,
)

LATER_MS = AT_MS + 5
FAILURE = Failure("ValueError", "no")


def kept(_: RunActivity) -> bool:
    """The worker runs every new activity itself."""
    return True


def handed_out(_: RunActivity) -> bool:
    """Anyone may run every new activity."""
    return False


def committed(
    *commands: Command,
    before: tuple[Command, ...] = (),
    parent: Parent | None = None,
    keeps: Callable[[RunActivity], bool] = handed_out,
    **facts: Any,
) -> Commit:
    """The commit of the second turn of a run whose first one asked for `before`."""
    live = LiveRun(RUN_ID, WORKFLOW_ID, ScriptedRun(asking(*commands)))
    live.recall([Turn(1, AT_MS, (started(parent=parent, queue="own"),), before)])
    turn = live.take_turn(LATER_MS, [signaled("a")])
    return to_commit(live, turn, keeps=keeps, **facts)


def plain(*commands: Command, **changes: Any) -> Commit:
    """The commit that changes nothing but what `changes` say."""
    turn = Turn(2, LATER_MS, (signaled("a"),), commands)
    return Commit(RUN_ID, 2, codec.turns.encode(turn), LATER_MS, **changes)


def test_a_turn_without_commands_changes_nothing_else() -> None:
    assert committed() == plain()


def test_an_activity_becomes_an_attempt_in_the_runs_own_queue() -> None:
    command = activity(1)

    assert committed(command) == plain(command, attempts=(NewAttempt(1, "charge", "own", LATER_MS),))


@pytest.mark.parametrize(
    ("options", "expires_at_ms"),
    [
        (ActivityOptions(start_to_close_ms=10, heartbeat_ms=10), None),
        (ActivityOptions(schedule_to_close_ms=10), LATER_MS + 10),
        (ActivityOptions(schedule_to_start_ms=20), LATER_MS + 20),
        (ActivityOptions(schedule_to_close_ms=10, schedule_to_start_ms=20), LATER_MS + 10),
    ],
)
def test_an_attempt_expires_where_its_options_bound_the_wait(
    options: ActivityOptions, expires_at_ms: int | None
) -> None:
    command = activity(1, options=options)

    (attempt,) = committed(command).attempts

    assert attempt.expires_at_ms == expires_at_ms


def test_an_activity_may_name_its_queue() -> None:
    (attempt,) = committed(activity(1, queue="gpu")).attempts

    assert attempt.queue == "gpu"


def test_an_activity_that_the_worker_runs_itself_keeps_the_run() -> None:
    commit = committed(activity(1), keeps=kept)

    assert commit.attempts == (NewAttempt(1, "charge", "own", LATER_MS, None, kept=True),)
    assert commit.keep


def test_of_several_activities_each_is_kept_or_handed_out() -> None:
    commands = (activity(1), activity(2, queue="gpu"), activity(3))

    commit = committed(*commands, keeps=lambda call: call.queue is None)

    assert [(attempt.call_id, attempt.kept) for attempt in commit.attempts] == [(1, True), (2, False), (3, True)]
    assert commit.keep


def test_several_activities_that_are_handed_out_let_the_run_go() -> None:
    assert not committed(activity(1), activity(2)).keep


@pytest.mark.parametrize("commands", [(), (activity(1),), (activity(1), activity(2)), (timer(1),)])
def test_a_busy_worker_keeps_the_run_in_any_case(commands: tuple[Command, ...]) -> None:
    assert committed(*commands, busy=True).keep
    assert not committed(*commands, busy=False).keep


def test_a_timer_is_a_message_to_oneself() -> None:
    command = timer(1, due_at_ms=LATER_MS + 700)
    fired = Delivery(RUN_ID, "t1", codec.messages.encode(TimerFired(1)), LATER_MS + 700)

    assert committed(command) == plain(command, deliveries=(fired,))


def test_a_timer_that_is_cancelled_leaves_the_inbox() -> None:
    commit = committed(CancelTimer(1), before=(timer(1),), consumed=["sa"])

    assert commit == plain(CancelTimer(1), consumed=("sa", "t1"))


def test_an_activity_is_cancelled_by_its_number() -> None:
    assert committed(CancelActivity(1), before=(activity(1),)) == plain(CancelActivity(1), cancelled=(1,))


def test_a_side_effect_is_in_the_turn_only() -> None:
    assert committed(RecordSideEffect(1, NULL)) == plain(RecordSideEffect(1, NULL))


def test_a_child_is_created_with_both_answers_to_its_parent() -> None:
    command = StartChild(4, RunId("run-4"), WorkflowId("ship-4"), "ship", (NULL,))

    (made,) = committed(command).children

    start = Started("ship", WorkflowId("ship-4"), "own", (NULL,), Parent(RUN_ID, WORKFLOW_ID, 4))
    assert made.run == NewRun(
        run_id=RunId("run-4"),
        workflow_id=WorkflowId("ship-4"),
        workflow_type="ship",
        queue="own",
        created_at_ms=LATER_MS,
        request_id="run-4",
        start=codec.messages.encode(start),
        parent_run_id=RUN_ID,
    )
    assert made.started == Delivery(RUN_ID, "b4", codec.messages.encode(ChildStarted(4)), LATER_MS, follows=True)
    assert (made.refused.run_id, made.refused.message_id) == (RUN_ID, "b4")
    refused = codec.messages.decode(made.refused.data)
    assert isinstance(refused, ChildStarted)
    assert refused.refusal == Failure("AlreadyRunning", "workflow id 'ship-4' has an open run", retryable=False)


def test_a_child_may_name_its_queue() -> None:
    command = StartChild(4, RunId("run-4"), WorkflowId("ship-4"), "ship", (), queue="ships")

    (made,) = committed(command).children

    assert made.run.queue == "ships"
    start = codec.messages.decode(made.run.start)
    assert isinstance(start, Started)
    assert start.queue == "ships"


def test_a_child_is_asked_to_cancel_itself_once_for_each_call() -> None:
    command = CancelChild(1, "enough")
    request = CancelRequested("enough", f"{RUN_ID}/1")

    commit = committed(command, before=(child(1),))

    told = Delivery(child(1).run_id, request.id, codec.messages.encode(request), LATER_MS, follows=True)
    assert commit == plain(command, deliveries=(told,))


def test_a_child_that_is_gone_is_asked_nothing() -> None:
    assert committed(CancelChild(1, "enough")) == plain(CancelChild(1, "enough"))


def test_what_went_in_is_told_to_the_store() -> None:
    new = NewRun(RUN_ID, WORKFLOW_ID, "scripted", "own", AT_MS, "r", b"start")

    commit = committed(consumed=["sa", "sb"], finished=(7, 8), create=new)

    assert (commit.consumed, commit.finished, commit.create) == (("sa", "sb"), (7, 8), new)


def test_the_hot_path_tells_the_store_as_much() -> None:
    new = NewRun(RUN_ID, WORKFLOW_ID, "scripted", "own", AT_MS, "r", b"start")

    commit = committed(activity(9), consumed=["sa"], finished=(7, 8), create=new)

    attempt = NewAttempt(9, "charge", "own", LATER_MS)
    assert commit == plain(activity(9), consumed=("sa",), finished=(7, 8), create=new, attempts=(attempt,))


# The end

CLOSINGS: list[tuple[Closing, Outcome, RunStatus]] = [
    (CompleteRun(NULL), Completed(NULL), RunStatus.COMPLETED),
    (FailRun(FAILURE), Failed(FAILURE), RunStatus.FAILED),
    (CancelRun(FAILURE), Cancelled(FAILURE), RunStatus.CANCELLED),
    (TerminateRun("now"), Terminated("now"), RunStatus.TERMINATED),
]


@pytest.mark.parametrize(("closing", "outcome", "status"), CLOSINGS, ids=lambda each: type(each).__name__)
def test_a_closing_command_closes_the_run(closing: Closing, outcome: Outcome, status: RunStatus) -> None:
    assert outcome_of(closing) == outcome
    assert status_of(closing) is status
    assert committed(closing, busy=True) == plain(closing, closes=status)


@pytest.mark.parametrize(("closing", "outcome", "status"), CLOSINGS, ids=lambda each: type(each).__name__)
def test_a_parent_hears_of_the_end(closing: Closing, outcome: Outcome, status: RunStatus) -> None:
    closed = ChildClosed(PARENT.call_id, outcome)

    commit = committed(closing, parent=PARENT)

    told = Delivery(PARENT_RUN_ID, "c9", codec.messages.encode(closed), LATER_MS, follows=True)
    assert commit == plain(closing, closes=status, deliveries=(told,))


def test_open_children_get_what_their_policy_says() -> None:
    policies = (ParentClosePolicy.TERMINATE, ParentClosePolicy.CANCEL, ParentClosePolicy.ABANDON)
    children = [child(number, policy) for number, policy in enumerate(policies, 1)]

    commit = committed(CompleteRun(NULL), before=tuple(children))

    terminate = TerminateRequested("parent order-1 closed")
    cancel = CancelRequested("parent order-1 closed", f"{RUN_ID}/2")
    # A parked child cannot take a cancellation, but a termination must end it.
    assert commit.deliveries == (
        Delivery(
            children[0].run_id, terminate.id, codec.messages.encode(terminate), LATER_MS, unparks=True, follows=True
        ),
        Delivery(children[1].run_id, cancel.id, codec.messages.encode(cancel), LATER_MS, unparks=False, follows=True),
    )


def test_a_child_that_is_started_by_the_last_turn_gets_what_its_policy_says() -> None:
    commit = committed(child(1), CompleteRun(NULL))

    assert [made.run.workflow_id for made in commit.children] == ["child-1"]
    assert [delivery.run_id for delivery in commit.deliveries] == [child(1).run_id]


def test_a_run_that_closes_starts_no_timers_and_no_activities() -> None:
    commit = committed(timer(1), activity(2), CompleteRun(NULL), keeps=kept, busy=True)

    assert commit.deliveries == ()
    assert commit.attempts == ()
    assert not commit.keep


def test_a_termination_needs_no_program() -> None:
    live = LiveRun(RUN_ID, WORKFLOW_ID, None)
    live.recall([Turn(1, AT_MS, (started(parent=PARENT),), (child(1), timer(2)))])
    turn = live.take_turn(LATER_MS, [TerminateRequested("now")])

    commit = to_commit(live, turn, keeps=handed_out)

    assert commit.closes is RunStatus.TERMINATED
    assert [delivery.run_id for delivery in commit.deliveries] == [child(1).run_id, PARENT_RUN_ID]


# Limits


@pytest.mark.parametrize("closes", [True, False])
def test_a_turn_that_is_too_large_is_refused(*, closes: bool) -> None:
    blob = Payload(b'"' + b"x" * (PAYLOAD_BYTES_MAX - 2) + b'"')
    effects = [RecordSideEffect(number, blob) for number in range(TURN_BYTES_MAX // PAYLOAD_BYTES_MAX)]
    live = live_run()
    outputs = (*effects, CompleteRun(NULL)) if closes else tuple(effects)
    turn = Turn(2, LATER_MS, (), outputs)

    with pytest.raises(TurnTooLarge) as caught:
        to_commit(live, turn, keeps=handed_out)

    assert str(caught.value).startswith(f"PDR1011: one turn of run {RUN_ID} has ")
    assert to_commit(live, Turn(2, LATER_MS, (), tuple(effects[1:])), keeps=handed_out).number == 2


def test_what_a_run_hands_on_comes_before_what_still_waits_for_it() -> None:
    live = live_run()
    carried = (signaled("first"), signaled("second"))
    following = chain.next_run(started(), live.run_id, AT_MS, calls_count=0, carried=carried)
    live.program = ScriptedRun(asking(ContinueRun(following)))
    turn = live.take_turn(AT_MS + 5, [resumed("go on")])

    commit = to_commit(live, turn, keeps=lambda _: False)

    assert commit.next is not None
    assert [(each.message_id, each.visible_at_ms) for each in commit.next.deliveries] == [
        ("s/first", 0),
        ("s/second", 0),
    ]
