"""What `fsck` finds: each invariant is broken once, in a store that is otherwise whole."""

from collections.abc import Sequence

import pytest
from msgspec.structs import replace

from perdure.core import codec
from perdure.core.command import (
    CancelTimer,
    Command,
    CompleteRun,
    RecordSideEffect,
    RunActivity,
    StartChild,
    StartTimer,
)
from perdure.core.ids import RunId, WorkerId, WorkflowId
from perdure.core.message import (
    ActivityClosed,
    Completed,
    Message,
    Parent,
    Signaled,
    Started,
    TerminateRequested,
    TimerFired,
)
from perdure.core.payload import NULL
from perdure.core.policy import ActivityOptions
from perdure.core.store import Commit, Delivery, NewAttempt, NewRun, RunStatus
from perdure.core.turn import Turn
from perdure.stores.memory import MemoryStore
from perdure.testing.invariants import FsckReport, fsck

ANNA = WorkerId("anna")
RUN = RunId("01900000-0000-7000-8000-000000000001")
NOW = 1_750_000_000_000
STARTED = Started("order", WorkflowId("order-1"), "main", ())
ACTIVITY = RunActivity(1, "charge", (), ActivityOptions())
TIMER = StartTimer(2, NOW + 10)
CHILD_ID = RunId("01900000-0000-7000-8000-000000000002")
CHILD = StartChild(3, CHILD_ID, WorkflowId("child-1"), "order", ())
ATTEMPT = NewAttempt(1, "charge", "main", NOW)


def new_run(run_id: RunId = RUN, started: Started = STARTED) -> NewRun:
    """The run under test."""
    start = codec.messages.encode(started)
    parent = None if started.parent is None else started.parent.run_id
    return NewRun(run_id, started.workflow_id, "order", "main", NOW, run_id, start, parent)


def told(message: Message, *, run_id: RunId = RUN, at_ms: int = NOW) -> Delivery:
    """A message in the inbox."""
    return Delivery(run_id, message.id, codec.messages.encode(message), at_ms)


def turn(
    number: int, inputs: Sequence[Message], outputs: Sequence[Command], *, at_ms: int = NOW, **effects: object
) -> Commit:
    """The commit of a turn."""
    data = codec.turns.encode(Turn(number, at_ms, tuple(inputs), tuple(outputs)))
    return replace(Commit(RUN, number, data, at_ms), **effects)


def first(outputs: Sequence[Command], **effects: object) -> Commit:
    """The commit of a run's first turn."""
    return replace(turn(1, [STARTED], outputs, create=new_run()), **effects)


async def checked(*commits: Commit) -> FsckReport:
    """What is found after these commits."""
    store = MemoryStore()
    await store.register(ANNA, NOW + 1_000)
    for commit in commits:
        assert not await store.commit(ANNA, [commit])
    return await fsck(store)


async def test_a_whole_store_is_clean() -> None:
    fired = TimerFired(2)
    report = await checked(
        first([ACTIVITY, TIMER], attempts=(ATTEMPT,), deliveries=(told(fired, at_ms=NOW + 10),)),
        turn(2, [fired], [], at_ms=NOW + 10, consumed=("t2",), keep=True),
        turn(
            3,
            [ActivityClosed(1, Completed(NULL))],
            [CompleteRun(NULL)],
            at_ms=NOW + 11,
            finished=(1,),
            closes=RunStatus.COMPLETED,
        ),
    )

    assert report == FsckReport(1, 3, ())
    assert report.clean


SIGNAL = Signaled("note", NULL, "again")
CLOSES = {"closes": RunStatus.COMPLETED}
BROKEN: dict[str, tuple[Commit, ...]] = {
    "activity 1 has no attempt, and no answer waits": (first([ACTIVITY]),),
    "timer 2 does not wait": (first([TIMER]),),
    "nobody said whether child 3 started": (first([CHILD]),),
    "which does not exist": (first([CHILD]),),
    "its turns are numbered [2], not 1 to 1": (first([], turn=codec.turns.encode(Turn(2, NOW, (STARTED,), ()))),),
    "turn 2 is at": (first([]), turn(2, [SIGNAL], [], at_ms=NOW - 1)),
    "turn 1 has Signaled as input 1": (turn(1, [SIGNAL], [], create=new_run()),),
    "turn 2 has Started as input 1": (first([]), turn(2, [STARTED], [])),
    "turn 2 hears message s/again again": (turn(1, [STARTED, SIGNAL], [], create=new_run()), turn(2, [SIGNAL], [])),
    "turn 2 has ActivityClosed for call 1, which is not open": (
        first([]),
        turn(2, [ActivityClosed(1, Completed(NULL))], []),
    ),
    "has timer 2, due at": (
        first([TIMER], deliveries=(told(TimerFired(2), at_ms=NOW + 10),)),
        turn(2, [TimerFired(2)], [], at_ms=NOW + 9, consumed=("t2",)),
    ),
    "turn 1 asks again as call 1": (first([ACTIVITY, RecordSideEffect(1, NULL)], attempts=(ATTEMPT,)),),
    "turn 1 cancels call 2, which is not open": (first([CancelTimer(2)]),),
    "turn 1 goes on after its closing command": (first([CompleteRun(NULL), RecordSideEffect(1, NULL)], **CLOSES),),
    "turn 2 follows the turn that closed the run": (first([CompleteRun(NULL)]), turn(2, [SIGNAL], [])),
    "turn 2 hears a termination and does not terminate": (first([]), turn(2, [TerminateRequested("")], [])),
    "it is running, its history says completed": (first([CompleteRun(NULL)]),),
    "it is completed, its history says running": (first([], **CLOSES),),
    "the attempt of call 1 names turn 1, which did not ask for it": (first([], attempts=(ATTEMPT,)),),
    "the attempt of call 1 goes on, but the call is not open": (
        first([ACTIVITY], attempts=(ATTEMPT,)),
        turn(2, [ActivityClosed(1, Completed(NULL))], []),
    ),
    "activity 1 was answered and is still tried": (
        first([ACTIVITY], attempts=(ATTEMPT,), deliveries=(told(ActivityClosed(1, Completed(NULL))),)),
    ),
    "is activity 'charge', its attempt 'refund'": (first([ACTIVITY], attempts=(replace(ATTEMPT, name="refund"),)),),
    "a timer waits for call 2, which is not open": (first([], deliveries=(told(TimerFired(2)),)),),
    "timer 2 is visible before it is due": (first([TIMER], deliveries=(told(TimerFired(2)),)),),
    "waiting message junk: ": (first([], deliveries=(Delivery(RUN, "junk", b"junk", NOW),)),),
    "message s/again waits under the id other": (
        first([], deliveries=(replace(told(SIGNAL), message_id="other"),)),
    ),
    "turn 1: PDR": (first([], turn=b"junk"),),
    "its record and its start name different workflows or queues": (
        turn(1, [Started("other", WorkflowId("order-1"), "main", ())], [], create=new_run()),
    ),
    "its start 01900000-0000-7000-8000-000000000002": (
        turn(1, [replace(STARTED, parent=Parent(CHILD_ID, WorkflowId("p"), 1))], [], create=new_run()),
    ),
}  # fmt: skip


@pytest.mark.parametrize(("text", "commits"), BROKEN.items(), ids=BROKEN)
async def test_what_is_broken_is_found(text: str, commits: tuple[Commit, ...]) -> None:
    report = await checked(*commits)

    assert [each for each in report.violations if text in each.text], report.violations
    assert all(each.run_id == RUN for each in report.violations)
    assert not report.clean


async def test_a_run_whose_holder_has_no_lease_is_found() -> None:
    class Forgetful(MemoryStore):
        """Forgets its leases."""

        async def leaseholders(self) -> Sequence[WorkerId]:
            return ()

    store = Forgetful()
    await store.register(ANNA, NOW + 1_000)
    await store.commit(ANNA, [first([ACTIVITY], attempts=(replace(ATTEMPT, kept=True),), keep=True)])

    report = await fsck(store)

    assert [each.text for each in report.violations] == ["it is held by anna, who has no lease"]
    assert str(report.violations[0]) == f"run {RUN}: it is held by anna, who has no lease"


async def test_a_child_that_ended_without_a_word_is_found() -> None:
    started = Started("order", WorkflowId("child-1"), "main", (), Parent(RUN, WorkflowId("order-1"), 3))
    child = new_run(CHILD_ID, started)
    data = codec.turns.encode(Turn(1, NOW, (started,), (CompleteRun(NULL),)))
    store = MemoryStore()
    await store.register(ANNA, NOW + 1_000)
    await store.commit(ANNA, [first([CHILD])])
    await store.commit(ANNA, [Commit(CHILD_ID, 1, data, NOW, create=child, closes=RunStatus.COMPLETED)])

    report = await fsck(store)

    assert "child 3 is completed, and its answer does not wait" in [each.text for each in report.violations]


async def test_a_store_that_is_in_use_is_no_violation() -> None:
    class Busy(MemoryStore):
        """Takes a turn between two reads."""

        turns_count = 1

        async def read_turns(self, wants: Sequence[tuple[RunId, int]], limit: int) -> Sequence[Sequence[bytes]]:
            found = await super().read_turns(wants, limit)
            if self.turns_count < 4:
                self.turns_count += 1
                signal = Signaled("note", NULL, f"{self.turns_count}")
                await self.commit(ANNA, [turn(self.turns_count, [signal], [])])
            return found

    store = Busy()
    await store.register(ANNA, NOW + 1_000)
    await store.commit(ANNA, [first([])])

    assert (await fsck(store)).clean


async def test_more_runs_than_a_page_holds_are_all_checked() -> None:
    store = MemoryStore()
    runs = [
        new_run(RunId(f"{RUN[:-4]}{number:04}"), replace(STARTED, workflow_id=WorkflowId(f"order-{number}")))
        for number in range(450)
    ]
    await store.create(runs)

    report = await fsck(store)

    assert (report.runs_count, report.violations) == (450, ())
