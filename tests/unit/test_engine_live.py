"""A run in memory: which messages are news to it, what it knows is open, and the turns that it takes."""

from collections.abc import Callable

import pytest

from perdure.core.command import (
    CancelActivity,
    CancelChild,
    CancelRun,
    CancelTimer,
    Closing,
    Command,
    CompleteRun,
    FailRun,
    RecordSideEffect,
    TerminateRun,
)
from perdure.core.errors import UnknownQuery
from perdure.core.failure import Failure
from perdure.core.message import (
    ActivityClosed,
    Chain,
    ChildClosed,
    Completed,
    Failed,
    Message,
    OpenChild,
    Query,
    Signaled,
    Started,
    StartOptions,
    TerminateRequested,
)
from perdure.core.payload import NULL, PAYLOAD_BYTES_MAX, Payload, from_payload
from perdure.core.turn import Turn
from perdure.engine.live import INPUT_BYTES_MAX, INPUTS_SURE, LiveRun, OpenCalls
from tests.unit.engine_world import (
    AT_MS,
    CHILD_RUN_ID,
    PARENT,
    RUN_ID,
    WORKFLOW_ID,
    ScriptedRun,
    activity,
    activity_closed,
    asking,
    cancel_requested,
    child,
    child_closed,
    child_started,
    live_run,
    resumed,
    signaled,
    started,
    timer,
    timer_fired,
)

REFUSAL = Failure("AlreadyRunning", "taken")

ANSWERS: list[tuple[Command, Message]] = [
    (activity(1), activity_closed(1)),
    (timer(1), timer_fired(1)),
    (child(1), child_closed(1)),
    (child(1), child_started(1)),
    (child(1), child_started(1, REFUSAL)),
]


def kind_of(value: object) -> str:
    """A name for a parameter."""
    return type(value).__name__


# What is news


@pytest.mark.parametrize(("command", "answer"), ANSWERS, ids=kind_of)
def test_an_answer_is_news_while_its_call_is_open(command: Command, answer: Message) -> None:
    live = live_run(command)

    assert live.fresh([answer]) == [answer]
    live.take_turn(AT_MS, [answer])
    assert live.fresh([answer]) == []


@pytest.mark.parametrize(("command", "answer"), ANSWERS, ids=kind_of)
def test_an_answer_to_nothing_is_no_news(command: Command, answer: Message) -> None:
    assert live_run().fresh([answer]) == []
    assert live_run(activity(2), timer(3), child(4)).fresh([answer]) == []


@pytest.mark.parametrize("make", [signaled, cancel_requested, resumed])
def test_what_a_sender_tells_is_news_once_for_each_request_id(make: Callable[[str], Message]) -> None:
    live = live_run()

    live.take_turn(AT_MS, live.fresh([make("one")]))

    assert live.fresh([make("one")]) == []
    assert live.fresh([make("two")]) == [make("two")]


def test_request_ids_of_several_kinds_do_not_meet() -> None:
    live = live_run()
    live.take_turn(AT_MS, [signaled("one")])

    assert live.fresh([cancel_requested("one"), resumed("one")]) == [cancel_requested("one"), resumed("one")]


def test_a_run_starts_once() -> None:
    fresh = LiveRun(RUN_ID, WORKFLOW_ID, ScriptedRun(asking()))

    assert fresh.fresh([started()]) == [started()]
    assert live_run().fresh([started()]) == []


def test_a_child_that_started_still_awaits_its_outcome() -> None:
    live = live_run(child(1))

    live.take_turn(AT_MS, [child_started(1)])

    assert live.fresh([child_started(1), child_closed(1)]) == [child_closed(1)]


def test_a_child_that_was_refused_awaits_nothing() -> None:
    live = live_run(child(1))

    live.take_turn(AT_MS, [child_started(1, REFUSAL)])

    assert live.fresh([child_started(1), child_closed(1)]) == []
    assert live.open.children() == []


def test_a_child_may_close_before_its_start_is_heard_of() -> None:
    live = live_run(child(1))

    live.take_turn(AT_MS, [child_closed(1)])

    assert live.fresh([child_started(1)]) == []


def test_a_termination_is_always_news() -> None:
    assert live_run().fresh([TerminateRequested("now")]) == [TerminateRequested("now")]


def test_of_several_messages_each_counts_once_in_order() -> None:
    live = live_run(activity(1), timer(2))
    again: list[Message] = [signaled("b"), timer_fired(2)]
    messages = [*again, signaled("b"), activity_closed(7), activity_closed(1), timer_fired(2), signaled("a")]

    assert live.fresh(messages) == [signaled("b"), timer_fired(2), activity_closed(1), signaled("a")]


def test_no_messages_are_no_news() -> None:
    assert live_run().fresh([]) == []


# What fits into a turn

BLOB = Payload(b"x" * (PAYLOAD_BYTES_MAX - 100))
LARGE: list[Message] = [
    Signaled("blob", BLOB, "s1"),
    ActivityClosed(1, Completed(BLOB)),
    ChildClosed(1, Completed(BLOB)),
    ActivityClosed(1, Failed(Failure("E", "x", details=(BLOB,)))),
    ChildClosed(1, Failed(Failure("E", "x", details=(BLOB,)))),
    Started("t", WORKFLOW_ID, "q", (BLOB,)),
]


@pytest.mark.parametrize("message", LARGE, ids=kind_of)
def test_a_turn_takes_in_no_more_than_leaves_room_for_what_it_asks_for(message: Message) -> None:
    fitting = LiveRun.fitting([message] * 100)

    assert fitting == INPUT_BYTES_MAX // (PAYLOAD_BYTES_MAX - 100)


def test_a_few_messages_fit_whatever_they_are() -> None:
    assert LiveRun.fitting([LARGE[0]] * INPUTS_SURE) == INPUTS_SURE
    assert LiveRun.fitting([]) == 0


def test_small_messages_all_fit() -> None:
    assert LiveRun.fitting([timer_fired(1), signaled("a"), cancel_requested("b")] * 1_000) == 3_000


def test_a_message_that_is_too_large_alone_is_taken_alone() -> None:
    huge = Started("t", WORKFLOW_ID, "q", (BLOB,) * 20)

    assert LiveRun.fitting([huge, *[signaled("a")] * 10]) == 1


# What is open


@pytest.mark.parametrize(
    ("command", "withdrawal"), [(activity(1), CancelActivity(1)), (timer(1), CancelTimer(1))], ids=kind_of
)
def test_what_was_cancelled_awaits_no_answer(command: Command, withdrawal: Command) -> None:
    live = live_run(command)

    live.recall([Turn(2, AT_MS, (), (withdrawal,))])

    assert live.open.calls == {}


def test_a_child_that_is_asked_to_cancel_itself_is_open_until_it_closes() -> None:
    live = live_run(child(1))

    live.recall([Turn(2, AT_MS, (), (CancelChild(1, "enough"),))])

    assert live.open.children() == [child(1)]


def test_a_side_effect_opens_nothing() -> None:
    assert live_run(RecordSideEffect(1, NULL)).open.calls == {}


CLOSINGS: list[Closing] = [
    CompleteRun(NULL),
    FailRun(Failure("E", "x")),
    CancelRun(Failure("E", "x")),
    TerminateRun("now"),
]


@pytest.mark.parametrize("closing", CLOSINGS, ids=kind_of)
def test_the_closing_command_is_known(closing: Closing) -> None:
    assert live_run(closing).open.closing == closing
    assert live_run().open.closing is None


def test_open_calls_are_folded_without_any_program() -> None:
    calls = OpenCalls()

    calls.fold(Turn(1, AT_MS, (started(queue="gpu"),), (activity(1), timer(2), child(3))))
    calls.fold(Turn(2, AT_MS, (activity_closed(1), signaled("a")), (activity(4),)))

    assert calls.queue == "gpu"
    assert list(calls.calls.values()) == [timer(2), child(3), activity(4)]
    assert calls.children() == [child(3)]


def test_a_turn_that_answers_itself_leaves_nothing_open() -> None:
    calls = OpenCalls()

    calls.fold(Turn(1, AT_MS, (started(),), (timer(1), CancelTimer(1))))

    assert calls.calls == {}


def test_the_parent_is_known_from_the_start_on() -> None:
    assert LiveRun(RUN_ID, WORKFLOW_ID, None).parent is None
    assert live_run().parent is None
    assert live_run(parent=PARENT).parent == PARENT


# Turns


def test_a_turn_holds_what_went_in_and_what_came_out() -> None:
    live = LiveRun(RUN_ID, WORKFLOW_ID, ScriptedRun(asking(activity(1), timer(2))))

    turn = live.take_turn(AT_MS, [started(), signaled("a")])

    assert turn == Turn(1, AT_MS, (started(), signaled("a")), (activity(1), timer(2)))
    assert (live.turns_count, live.at_ms) == (1, AT_MS)
    assert list(live.open.calls) == [1, 2]


def test_the_time_of_a_run_never_goes_back() -> None:
    seen: list[int] = []

    def note(at_ms: int, _: object) -> list[Command]:
        seen.append(at_ms)
        return []

    live = LiveRun(RUN_ID, WORKFLOW_ID, ScriptedRun(note))
    live.recall([Turn(1, AT_MS, (started(),), ())])

    turns = [live.take_turn(AT_MS + after_ms, []) for after_ms in (-5_000, 7, 3)]

    assert [turn.at_ms for turn in turns] == seen == [AT_MS, AT_MS + 7, AT_MS + 7]
    assert [turn.number for turn in turns] == [2, 3, 4]


def test_a_timer_is_never_early_by_the_time_of_the_run() -> None:
    live = live_run(timer(1, due_at_ms=AT_MS + 1_000))

    turn = live.take_turn(AT_MS + 5, [timer_fired(1)])

    assert turn.at_ms == AT_MS + 1_000


def test_turns_are_recalled_by_the_program_in_order() -> None:
    program = ScriptedRun(asking())
    live = LiveRun(RUN_ID, WORKFLOW_ID, program)
    turns = [Turn(1, AT_MS, (started(),), (activity(1),)), Turn(2, AT_MS + 1, (activity_closed(1),), ())]

    live.recall(turns)

    assert program.recalled == turns
    assert (live.turns_count, live.at_ms) == (2, AT_MS + 1)


@pytest.mark.parametrize("number", [1, 3])
def test_a_turn_that_does_not_follow_is_our_bug(number: int) -> None:
    live = live_run()

    with pytest.raises(AssertionError):
        live.recall([Turn(number, AT_MS, (), ())])


# Termination


def test_a_termination_needs_no_program() -> None:
    live = LiveRun(RUN_ID, WORKFLOW_ID, None)
    live.recall([Turn(1, AT_MS, (started(parent=PARENT),), (child(1),))])

    turn = live.take_turn(AT_MS + 1, [TerminateRequested("now")])

    assert turn == Turn(2, AT_MS + 1, (TerminateRequested("now"),), (TerminateRun("now"),))
    assert live.open.closing == TerminateRun("now")
    assert live.open.children() == [child(1)]


def test_a_termination_leaves_out_all_but_the_start() -> None:
    program = ScriptedRun(asking(activity(1)))
    live = LiveRun(RUN_ID, WORKFLOW_ID, program)

    turn = live.take_turn(AT_MS, [started(), signaled("a"), TerminateRequested("now"), signaled("b")])

    assert turn.inputs == (started(), TerminateRequested("now"))
    assert turn.outputs == (TerminateRun("now"),)
    assert program.steps_count == 0


def test_the_last_turn_of_a_terminated_run_never_reaches_the_program() -> None:
    program = ScriptedRun(asking())
    live = LiveRun(RUN_ID, WORKFLOW_ID, program)
    first = Turn(1, AT_MS, (started(),), ())

    live.recall([first, Turn(2, AT_MS, (TerminateRequested("now"),), (TerminateRun("now"),))])

    assert program.recalled == [first]
    assert live.turns_count == 2
    assert live.open.closing == TerminateRun("now")


def test_without_a_program_nothing_but_a_termination_can_be_taken() -> None:
    live = LiveRun(RUN_ID, WORKFLOW_ID, None)

    with pytest.raises(AssertionError):
        live.take_turn(AT_MS, [started()])
    live.close()


# Children that are handed over


def test_what_comes_with_the_start_may_answer_a_child_that_the_start_hands_over() -> None:
    handed = OpenChild(7, CHILD_RUN_ID, WORKFLOW_ID, "ship")
    chain = Chain(RUN_ID, AT_MS, AT_MS, calls_count=9, children=(handed,))
    start = Started("scripted", WORKFLOW_ID, "default", (), options=StartOptions(chain))
    live = LiveRun(RUN_ID, WORKFLOW_ID, ScriptedRun(asking()))

    fresh = live.fresh([start, child_started(7), child_closed(7), child_closed(8)])
    live.take_turn(AT_MS, fresh)

    assert fresh == [start, child_started(7), child_closed(7)]
    assert live.open.calls == {}


def test_the_end_of_a_child_that_was_handed_over_is_heard_once() -> None:
    handed = OpenChild(7, CHILD_RUN_ID, WORKFLOW_ID, "ship")
    chain = Chain(RUN_ID, AT_MS, AT_MS, calls_count=9, children=(handed,))
    live = LiveRun(RUN_ID, WORKFLOW_ID, ScriptedRun(asking()))
    live.take_turn(AT_MS, [Started("scripted", WORKFLOW_ID, "default", (), options=StartOptions(chain))])

    assert [child.run_id for child in live.open.children()] == [CHILD_RUN_ID]
    live.take_turn(AT_MS, live.fresh([child_closed(7)]))

    assert live.fresh([child_closed(7)]) == []


# The program


def test_queries_go_to_the_program() -> None:
    live = live_run()
    live.take_turn(AT_MS, [signaled("a")])

    assert from_payload(live.query(Query("told", ()))) == ["start", "s/a"]
    with pytest.raises(UnknownQuery):
        live.query(Query("other", ()))


def test_closing_lets_go_of_the_program() -> None:
    program = ScriptedRun(asking())

    LiveRun(RUN_ID, WORKFLOW_ID, program).close()

    assert program.closed
