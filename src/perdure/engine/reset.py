"""Beginning again: a new run with the first turns of another one, in its place (reset) or beside it (fork).

The turns are copied inside the store. What was open after them is asked for again: activities get attempts, timers are
armed for their old moments, deadlines count from now. See docs/decisions/0060-a-reset-run-keeps-its-origin.md.
"""

from collections.abc import Iterator, Sequence
from random import Random

import msgspec
from msgspec.structs import replace

from perdure.core import codec
from perdure.core.chain import deadline, forked
from perdure.core.command import ResetRun, RunActivity, StartChild, StartTimer
from perdure.core.errors import AlreadyRunning, InvalidTurn, UndecodablePayload
from perdure.core.ids import RunId, WorkflowId, uuid7_after
from perdure.core.message import (
    Chain,
    ChildClosed,
    ChildStarted,
    Continued,
    DeadlinePassed,
    Forked,
    Message,
    Signaled,
    Started,
    TimerFired,
    UpdateRequested,
)
from perdure.core.store import CopiedAttempt, Copies, Delivery, NewRun, RunRecord, RunStatus, WaitingMessage
from perdure.core.turn import Turn
from perdure.engine.closings import read_outcome
from perdure.engine.commit import new_attempt, note_of, to_commit
from perdure.engine.engine import Engine
from perdure.engine.history import flatten
from perdure.engine.live import OpenCalls


class Point(msgspec.Struct, frozen=True):
    """From where a run goes on: `turn` is the last one that is kept (-1: all but the last), `event` the last event that
    may be."""

    turn: int | None = None
    event: int | None = None
    reason: str = ""
    reapply_signals: bool = True
    """Signals and updates that the run took after it, or that wait for it, are told again."""
    request_id: str | None = None
    """With it, beginning again gives the same run."""


class _Source:
    """The run to begin with: its history, split at the point, and what waits for it."""

    def __init__(
        self, record: RunRecord, turns: Sequence[Turn], waiting: Sequence[WaitingMessage], point: Point
    ) -> None:
        self.record = record
        self.point = point
        self.count = self._count(turns)
        self.kept, self.whole = OpenCalls(), OpenCalls()
        self.asked_in: dict[int, Turn] = {}
        self.children_in: dict[int, int] = {}
        """The number of the turn in which a kept child was asked for."""
        for turn in turns:
            self.whole.fold(turn)
            if turn.number <= self.count:
                self.kept.fold(turn)
                for each in turn.outputs:
                    if isinstance(each, RunActivity):
                        self.asked_in[each.call_id] = turn
                    elif isinstance(each, StartChild):
                        self.children_in[each.call_id] = turn.number
        if self.kept.closing is not None:
            raise self.refused("that turn closed it", "give an earlier turn")
        self.later = [message for turn in turns[self.count :] for message in turn.inputs]
        self.waiting = [(each, message) for each in waiting if (message := _read(each)) is not None]
        known = (self.whole.started, *(message for _, message in self.waiting))
        started = next((each for each in known if isinstance(each, Started)), None)
        assert started is not None, "whatever has no turn has a start that waits"
        self.started = self.kept.started or next(
            (each for turn in turns[:1] for each in turn.inputs if isinstance(each, Started)), started
        )

    def _count(self, turns: Sequence[Turn]) -> int:
        count, event = self.point.turn, self.point.event
        if (count is None) == (event is None):
            raise self.refused("give either a turn or an event", "the history numbers both")
        if event is not None:
            ends: dict[int, int] = {each.turn: each.id for each in flatten(turns)}
            return max((number for number, last in ends.items() if last <= event), default=0)
        assert count is not None
        if not -len(turns) <= count <= len(turns):
            raise self.refused(f"it has {len(turns)} turns", f"give 0 to {len(turns)}, or -{len(turns)} to -1")
        return count if count >= 0 else len(turns) + count

    def refused(self, fact: str, remedy: str) -> InvalidTurn:
        """Why it cannot go on from there."""
        turn = self.point.turn if self.point.event is None else f"of event {self.point.event}"
        return InvalidTurn(workflow_id=self.record.workflow_id, turn=turn, fact=fact, remedy=remedy)

    def wants(self, message: Message) -> bool:
        """Whether the new run shall hear it."""
        match message:
            case Signaled() | UpdateRequested():
                return self.point.reapply_signals and message.id not in self.kept.requests
            case ChildStarted() | ChildClosed():
                return isinstance(self.kept.calls.get(message.call_id), StartChild)
            case _:
                return False

    def answered(self) -> set[int]:
        """The kept child calls of which the end is known."""
        told = [*self.later, *(message for _, message in self.waiting)]
        return {each.call_id for each in told if isinstance(each, ChildClosed)}

    @property
    def calls_count(self) -> int:
        """The new run counts its own calls from here."""
        forks = [message.chain.calls_count for _, message in self.waiting if isinstance(message, Forked)]
        return max(self.whole.children_calls_max, *forks, 0)


def _read(waiting: WaitingMessage) -> Message | None:
    try:
        return codec.messages.decode(waiting.data)
    except UndecodablePayload:
        return None


async def reset(engine: Engine, workflow_id: WorkflowId, run_id: RunId | None, point: Point) -> RunId:
    """Let a run go on as a new one from an earlier turn of its own; an open one is closed in the same write.

    Raises `InvalidTurn`, `WorkflowNotFound`, or `AlreadyRunning` where a closed run is reset and another one is open.
    """
    while True:
        source = await _source(engine, workflow_id, run_id, point)
        record, now_ms = source.record, engine.clock.now_ms()
        # Behind the one that it goes on for also where clocks differ: a bulk reset meets no run of its own making.
        new_id = RunId(uuid7_after(record.run_id, now_ms, Random(engine.clock.new_id())))
        before = None if source.started.options is None else source.started.options.chain
        chain = replace(
            before or Chain(record.first_run_id, now_ms, now_ms),
            began_at_ms=now_ms,
            started_at_ms=now_ms,
            previous_run_id=record.run_id,
            calls_count=source.calls_count,
            children=(),
        )
        run = _new_run(source, Forked(new_id, workflow_id, record.run_id, source.count, chain, point.reason), now_ms)
        run = replace(run, parent_run_id=record.parent_run_id, first_run_id=record.first_run_id)
        if record.status is not RunStatus.RUNNING:
            assert run.copies is not None, "it names the run that it goes on for"
            ends = await _ends(engine, source, new_id)
            copies, deliveries = replace(run.copies, succeeds=True), (*run.deliveries, *ends)
            made_id = await _create(engine, replace(run, copies=copies, deliveries=deliveries))
            # Those that ended in between told the closed run; those that end from now on tell the new one.
            await engine.store.deliver(await _ends(engine, source, made_id))
            return made_id
        if point.request_id is not None:
            # The open run may be what an earlier try of this request has made.
            assert run.copies is not None, "it names the run that it goes on for"
            (created,) = await engine.store.create([replace(run, copies=replace(run.copies, succeeds=True))])
            if created.same_request:
                return created.run_id
            if created.fresh:
                # It closed meanwhile: the next look makes sure of what follows from that.
                continue
        live = await engine.folded(record)
        if live.turns_count != record.turns_count:
            # It took a turn meanwhile: what it heard there must be told again.
            continue
        calls = tuple([each.call_id for each in source.kept.calls.values() if isinstance(each, StartChild)])
        began = [message for _, message in source.waiting if isinstance(message, Started | Forked)]
        turn = live.note(now_ms, [ResetRun(new_id, source.count, point.reason, calls)], began)
        dropped = tuple([each.message_id for each, message in source.waiting if not source.wants(message)])
        commit = replace(to_commit(live, turn, keeps=lambda _: False), next=run, consumed=dropped)
        if not await engine.store.commit(None, [commit]):
            if engine.local is not None:
                engine.local.forget(record.run_id)
            engine.closings.closed(record.run_id, Continued(new_id))
            engine.look()
            return new_id
        # Somebody took a turn in between: look again.


async def fork(
    engine: Engine, workflow_id: WorkflowId, run_id: RunId | None, point: Point, new_workflow_id: WorkflowId
) -> RunId:
    """Start a run under another workflow id with the first turns of this one, which goes on untouched.

    Raises `InvalidTurn`, also where a child workflow is open after that turn: it belongs to this run.
    """
    source = await _source(engine, workflow_id, run_id, point)
    answered = source.answered()
    kept = [each for each in source.kept.calls.values() if isinstance(each, StartChild)]
    open_children = [each for each in kept if each.call_id not in answered]
    if open_children:
        # One that was handed over by an earlier run of the chain was open from the beginning.
        last = min(source.children_in.get(each.call_id, 1) for each in open_children) - 1
        fact = f"child workflow {open_children[0].workflow_id!r} is open there"
        raise source.refused(fact, f"give turn {last} or an earlier one, or wait for the child's end")
    new_id, now_ms = engine.clock.new_run_id(), engine.clock.now_ms()
    chain = Chain(new_id, now_ms, now_ms, calls_count=source.calls_count)
    run = _new_run(
        source, Forked(new_id, new_workflow_id, source.record.run_id, source.count, chain, point.reason), now_ms
    )
    waiting = [each for each in source.waiting if source.wants(each[1])]
    told = [Delivery(new_id, each.message_id, each.data, each.visible_at_ms, follows=True) for each, _ in waiting]
    return await _create(engine, replace(run, deliveries=(*run.deliveries, *told)))


async def _source(engine: Engine, workflow_id: WorkflowId, run_id: RunId | None, point: Point) -> _Source:
    while True:
        record = await engine.find(workflow_id, run_id)
        waiting = (await engine.store.read_waiting(record.run_id)).messages
        turns = [turn async for turn in engine.turns(record.run_id)]
        if len(turns) == record.turns_count and (turns or waiting):
            return _Source(record, turns, waiting, point)
        # It took a turn between the reads.


async def _ends(engine: Engine, source: _Source, new_id: RunId) -> list[Delivery]:
    """How the kept child workflows ended that told a run which was closed already."""
    found: list[Delivery] = []
    for call in source.kept.calls.values():
        if isinstance(call, StartChild) and call.call_id not in source.answered():
            child = next(iter(await engine.store.read_runs([call.run_id])), None)
            while child is not None and child.successor is not None:
                child = next(iter(await engine.store.read_runs([child.successor])), None)
            if child is not None and child.status is not RunStatus.RUNNING:
                closed = ChildClosed(call.call_id, await read_outcome(engine.store, child))
                found.append(Delivery(new_id, closed.id, codec.messages.encode(closed), 0, follows=True))
    return found


async def _create(engine: Engine, run: NewRun) -> RunId:
    (created,) = await engine.store.create([run])
    if not created.fresh and not created.same_request:
        raise AlreadyRunning(workflow_id=run.workflow_id, run_id=created.run_id)
    engine.look()
    return created.run_id


def _new_run(source: _Source, fork: Forked, now_ms: int) -> NewRun:
    record, kept = source.record, source.kept
    started = forked(source.started, fork)
    options = started.options
    if source.count:
        attributes = tuple(kept.attributes.values())
        note = None if kept.note is None else codec.notes.encode(kept.note)
    else:
        attributes, note = () if options is None else options.attributes, note_of(options)
    return NewRun(
        run_id=fork.run_id,
        workflow_id=fork.workflow_id,
        workflow_type=record.workflow_type,
        queue=record.queue,
        created_at_ms=now_ms,
        request_id=source.point.request_id or fork.run_id,
        start=codec.messages.encode(started),
        route=record.route,
        note=note,
        attributes=attributes,
        deliveries=tuple(_deliveries(source, fork, started, now_ms)),
        copies=Copies(record.run_id, source.count, tuple(_attempts(source, now_ms))),
        origin_run_id=record.opened_as if source.count else None,
    )


def _attempts(source: _Source, now_ms: int) -> Iterator[CopiedAttempt]:
    for call in source.kept.calls.values():
        if isinstance(call, RunActivity):
            options = source.started.options
            rank = None if options is None else options.rank
            attempt = new_attempt(call, source.record.queue, now_ms, kept=False, rank=rank)
            yield CopiedAttempt(source.asked_in[call.call_id].number, attempt, now_ms)


def _deliveries(source: _Source, fork: Forked, started: Started, now_ms: int) -> Iterator[Delivery]:
    # At the moment zero, so that they come before whatever waits for the run already, and in this order.
    told: list[Message] = [fork] if source.count else []
    told += [each for each in source.later if source.wants(each)]
    for message in told:
        yield Delivery(fork.run_id, message.id, codec.messages.encode(message), 0, follows=message is not fork)
    calls = source.kept.calls.values()
    timers: list[tuple[Message, int]] = [
        (TimerFired(each.call_id), each.due_at_ms) for each in calls if isinstance(each, StartTimer)
    ]
    due = deadline(started) if source.count else None
    if due is not None:
        timers.append((DeadlinePassed(due[1]), due[0]))
    for message, visible_at_ms in timers:
        yield Delivery(fork.run_id, message.id, codec.messages.encode(message), visible_at_ms)
