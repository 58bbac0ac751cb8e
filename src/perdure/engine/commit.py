"""From a turn to its commit: one exhaustive match over commands."""

from collections.abc import Callable, Sequence
from typing import assert_never

from msgspec.structs import replace

from perdure.core import codec
from perdure.core.attributes import Attribute
from perdure.core.chain import deadline
from perdure.core.command import (
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
from perdure.core.errors import TurnTooLarge
from perdure.core.failure import Failure, timed_out
from perdure.core.limits import TURN_BYTES_MAX
from perdure.core.message import (
    Cancelled,
    CancelRequested,
    Chain,
    ChildClosed,
    ChildStarted,
    Completed,
    Continued,
    DeadlinePassed,
    Failed,
    Message,
    Outcome,
    Parent,
    Started,
    StartOptions,
    Terminated,
    TerminateRequested,
    TimerFired,
)
from perdure.core.note import RunNote
from perdure.core.policy import queue_deadline_ms
from perdure.core.rank import Rank, effective, inherited
from perdure.core.store import ChildRun, Commit, Delivery, NewAttempt, NewRun, RunStatus
from perdure.core.turn import Turn
from perdure.engine.live import LiveRun
from perdure.programs.schedule.cron import next_after


def outcome_of(closing: Closing) -> Outcome:
    """What a closing command means to whoever waits for the run."""
    following = next_of(closing)
    if following is not None:
        return Continued(following.run_id)
    match closing:
        case ResetRun(run_id):
            return Continued(run_id)
        case CompleteRun(result):
            return Completed(result)
        case FailRun(failure):
            return Failed(failure)
        case CancelRun(failure):
            return Cancelled(failure)
        case TerminateRun(reason):
            return Terminated(reason)
        case TimeOutRun(kind):
            return Failed(timed_out(kind))
        case ContinueRun():
            raise AssertionError("another run goes on for it")


def next_of(closing: Closing) -> NextRun | None:
    """The run that goes on for the one that closes so."""
    return None if isinstance(closing, CancelRun | TerminateRun | ResetRun) else closing.next


def status_of(closing: Closing) -> RunStatus:
    """The status that a closing command leaves."""
    match closing:
        case CompleteRun():
            return RunStatus.COMPLETED
        case FailRun():
            return RunStatus.FAILED
        case CancelRun():
            return RunStatus.CANCELLED
        case TerminateRun() | ResetRun():
            return RunStatus.TERMINATED
        case ContinueRun():
            return RunStatus.CONTINUED_AS_NEW
        case TimeOutRun():
            return RunStatus.TIMED_OUT


class CommitBuilder:
    """Collects what the commands of one turn change."""

    __slots__ = (
        "_keeps",
        "_live",
        "_turn",
        "attempts",
        "attributes",
        "cancelled",
        "children",
        "closing",
        "consumed",
        "deliveries",
        "next",
        "note",
    )

    def __init__(
        self, live: LiveRun, turn: Turn, consumed: Sequence[str], keeps: Callable[[RunActivity], bool]
    ) -> None:
        self._live = live
        self._turn = turn
        self._keeps = keeps
        self.consumed = list(consumed)
        self.deliveries: list[Delivery] = []
        self.children: list[ChildRun] = []
        self.attempts: list[NewAttempt] = []
        self.cancelled: list[int] = []
        self.closing: Closing | None = None
        self.note: RunNote | None = None
        self.attributes: list[Attribute] = []
        self.next: NewRun | None = None
        if turn.number == 1:
            self._arm()
        for command in turn.outputs:
            self.add(command)

    def add(self, command: Command) -> None:
        """Note what one command changes."""
        match command:
            case RunActivity():
                self._add_attempt(command)
            case StartTimer(call_id, due_at_ms):
                self._tell(TimerFired(call_id), due_at_ms)
            case CancelActivity(call_id):
                self.cancelled.append(call_id)
            case CancelTimer(call_id):
                self.consumed.append(TimerFired(call_id).id)
            case StartChild():
                self._add_child(command)
            case CancelChild(call_id, reason):
                self._cancel_child(call_id, reason)
            case TerminateChild(call_id, reason):
                child = self._live.open.calls.get(call_id)
                if isinstance(child, StartChild):
                    self._tell_child(child, TerminateRequested(reason))
            case UpsertAttributes(attributes):
                self.attributes += attributes
            case UpsertMemo() | SetProgress() | SetStatus():
                self.note = self._live.open.note
            case (
                RecordSideEffect()
                | RecordVersion()
                | RecordLocalActivity()
                | AcceptUpdate()
                | RejectUpdate()
                | CompleteUpdate()
                | SkipMessage()
                | EditMessage()
            ):
                pass
            case CompleteRun() | FailRun() | CancelRun() | TerminateRun() | ContinueRun() | TimeOutRun() | ResetRun():
                self._close(command)
            case _:
                assert_never(command)

    def _arm(self) -> None:
        """Let the run hear of its own deadline."""
        started = self._live.open.started
        due = None if started is None else deadline(started)
        if due is not None:
            self._tell(DeadlinePassed(due[1]), due[0])

    def _tell(self, message: Message, visible_at_ms: int) -> None:
        self.deliveries.append(Delivery(self._live.run_id, message.id, codec.messages.encode(message), visible_at_ms))

    def _add_attempt(self, command: RunActivity) -> None:
        kept = self._keeps(command)
        self.attempts.append(
            new_attempt(command, self._live.open.queue, self._turn.at_ms, kept=kept, rank=rank_of(self._live))
        )

    def _add_child(self, command: StartChild) -> None:
        live, at_ms = self._live, self._turn.at_ms
        queue = command.queue or self._live.open.queue
        parent = Parent(live.run_id, live.workflow_id, command.call_id)
        options, starts_at_ms = _inheriting(command.options, rank_of(live)), None
        if options is not None and options.chain is None:
            if options.cron is not None:
                starts_at_ms = next_after(options.cron, at_ms)
            options = replace(options, chain=Chain(command.run_id, at_ms, starts_at_ms or at_ms))
        started = Started(command.workflow_type, command.workflow_id, queue, command.args, parent, options)
        refusal = Failure("AlreadyRunning", f"workflow id {command.workflow_id!r} has an open run", retryable=False)
        yes, no = ChildStarted(command.call_id), ChildStarted(command.call_id, refusal)
        self.children.append(
            ChildRun(
                NewRun(
                    run_id=command.run_id,
                    workflow_id=command.workflow_id,
                    workflow_type=command.workflow_type,
                    queue=queue,
                    created_at_ms=at_ms,
                    request_id=command.run_id,
                    start=codec.messages.encode(started),
                    parent_run_id=live.run_id,
                    route=command.route,
                    starts_at_ms=starts_at_ms,
                    note=note_of(options),
                    attributes=() if options is None else options.attributes,
                ),
                started=Delivery(live.run_id, yes.id, codec.messages.encode(yes), at_ms, follows=True),
                refused=Delivery(live.run_id, no.id, codec.messages.encode(no), at_ms, follows=True),
            )
        )

    def _cancel_child(self, call_id: int, reason: str) -> None:
        child = self._live.open.calls.get(call_id)
        if isinstance(child, StartChild):
            self._tell_child(child, CancelRequested(reason, f"{self._live.run_id}/{call_id}"))

    def _tell_child(self, child: StartChild, message: Message) -> None:
        # A parked child cannot take a cancellation, but must be ended by a termination.
        unparks = isinstance(message, TerminateRequested)
        self.deliveries.append(
            Delivery(child.run_id, message.id, codec.messages.encode(message), self._turn.at_ms, unparks, follows=True)
        )

    def _close(self, command: Closing) -> None:
        self.closing = command
        live = self._live
        reset = isinstance(command, ResetRun)
        for child in live.open.children():
            if reset and child.call_id in command.calls_kept:
                continue
            match child.close_policy:
                case ParentClosePolicy.TERMINATE:
                    self._tell_child(child, TerminateRequested(f"parent {live.workflow_id} closed"))
                case ParentClosePolicy.CANCEL:
                    request_id = f"{live.run_id}/{child.call_id}"
                    self._tell_child(child, CancelRequested(f"parent {live.workflow_id} closed", request_id))
                case ParentClosePolicy.ABANDON:
                    pass
        parent, following = live.parent, next_of(command)
        if following is not None:
            self.next = self._following(following)
        elif parent is not None and not reset:
            closed = ChildClosed(parent.call_id, outcome_of(command))
            data = codec.messages.encode(closed)
            self.deliveries.append(Delivery(parent.run_id, closed.id, data, self._turn.at_ms, follows=True))

    def _following(self, following: NextRun) -> NewRun:
        live, at_ms, started = self._live, self._turn.at_ms, following.started
        assert started.options is not None, "a run that goes on knows its chain"
        assert started.options.chain is not None, "a run that goes on knows its chain"
        return NewRun(
            run_id=following.run_id,
            workflow_id=live.workflow_id,
            workflow_type=started.workflow_type,
            queue=started.queue,
            created_at_ms=at_ms,
            request_id=following.run_id,
            start=codec.messages.encode(started),
            parent_run_id=None if started.parent is None else started.parent.run_id,
            first_run_id=started.options.chain.first_run_id,
            starts_at_ms=following.starts_at_ms,
            # At the moment zero, so that they come before what still waits in the inbox: that was told later.
            deliveries=tuple(
                Delivery(following.run_id, each.id, codec.messages.encode(each), 0, follows=True)
                for each in following.carried
            ),
            note=note_of(started.options),
            attributes=started.options.attributes,
        )


def note_of(options: StartOptions | None) -> bytes | None:
    """What a new run tells of itself."""
    return None if options is None or options.memo is None else codec.notes.encode(RunNote(options.memo))


def rank_of(live: LiveRun) -> Rank | None:
    """What the run's calls inherit."""
    started = live.open.started
    return None if started is None or started.options is None else started.options.rank


def _inheriting(options: StartOptions | None, base: Rank | None) -> StartOptions | None:
    """A child's options with what it inherits."""
    if base is None:
        return options
    options = options or StartOptions()
    return replace(options, rank=inherited(options.rank, base))


def new_attempt(
    command: RunActivity, own_queue: str, at_ms: int, *, kept: bool, rank: Rank | None = None
) -> NewAttempt:
    """The first attempt of a call asked for at `at_ms` by a run of this rank."""
    options = command.options
    expires_at_ms: int | None = None
    if options.schedule_to_close_ms is not None or options.schedule_to_start_ms is not None:
        expires_at_ms = queue_deadline_ms(options, scheduled_at_ms=at_ms, queued_at_ms=at_ms)
    if rank is not None or options.rank is not None:
        rank = effective(options.rank, rank)
    return NewAttempt(command.call_id, command.name, command.queue or own_queue, at_ms, expires_at_ms, kept, rank)


def _begins_plainly(live: LiveRun) -> bool:
    """Whether the run's first turn leaves nothing behind but what its commands say."""
    started = live.open.started
    return live.route is None and (started is None or started.options is None)


def to_commit(
    live: LiveRun,
    turn: Turn,
    *,
    consumed: Sequence[str] = (),
    finished: tuple[int, ...] = (),
    keeps: Callable[[RunActivity], bool],
    busy: bool = False,
    create: NewRun | None = None,
    bytes_max: int = TURN_BYTES_MAX,
) -> Commit:
    """The commit of a turn that `live` has just taken.

    `consumed` are the inbox messages behind its inputs, `finished` the calls whose attempts ended with it, `keeps`
    whether
    the worker runs a new activity itself, `busy` whether it goes on holding the run in any case. Raises `TurnTooLarge`.
    """
    data = codec.turns.encode(turn)
    if len(data) > bytes_max:
        raise TurnTooLarge(run_id=live.run_id, size=len(data), limit=bytes_max)
    outputs, at_ms = turn.outputs, turn.at_ms
    only = outputs[0] if len(outputs) == 1 else None
    if type(only) is RunActivity and (turn.number > 1 or _begins_plainly(live)):
        # The hot path, one activity after the other, spares the builder.
        attempt = new_attempt(only, live.open.queue, at_ms, kept=keeps(only), rank=rank_of(live))
        keep = busy or attempt.kept
        return Commit(
            live.run_id, turn.number, data, at_ms, create, tuple(consumed), (), (), (attempt,), finished, (), None, keep
        )
    built = CommitBuilder(live, turn, consumed, keeps)
    closed = built.closing is not None
    return Commit(
        run_id=live.run_id,
        number=turn.number,
        turn=data,
        at_ms=at_ms,
        create=create,
        consumed=tuple(built.consumed),
        # Timers of a run that closes in the same turn would wait for nobody.
        deliveries=tuple(d for d in built.deliveries if d.run_id != live.run_id) if closed else tuple(built.deliveries),
        children=tuple(built.children),
        attempts=() if closed else tuple(built.attempts),
        finished=finished,
        cancelled=tuple(built.cancelled),
        closes=None if built.closing is None else status_of(built.closing),
        keep=not closed and (busy or any(attempt.kept for attempt in built.attempts)),
        next=built.next,
        route=live.route if turn.number == 1 else None,
        note=None if built.note is None else codec.notes.encode(built.note),
        attributes=tuple(built.attributes),
    )
