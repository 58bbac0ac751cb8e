"""Runs that follow each other in a world that has ended: who came before whom, and what they were told together."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from perdure.core.command import (
    AcceptUpdate,
    Closing,
    CompleteUpdate,
    NextRun,
    RejectUpdate,
    ResetRun,
)
from perdure.core.ids import RunId
from perdure.core.message import (
    CancelRequested,
    Forked,
    Message,
    PauseRequested,
    Signaled,
    Started,
    UpdateRequested,
)
from perdure.core.payload import from_payload
from perdure.core.store import RunRecord
from perdure.core.turn import Turn
from perdure.engine.commit import next_of
from perdure.testing.plans import Plan
from perdure.testing.world import FORK

Requested = Signaled | CancelRequested | UpdateRequested | PauseRequested


class PastRun(msgspec.Struct, frozen=True):
    """A run with its whole history, which begins with its start."""

    record: RunRecord
    turns: tuple[Turn, ...]
    started: Started
    closing: Closing | None

    @property
    def run_id(self) -> RunId:
        """Its id."""
        return self.record.run_id

    @property
    def plan(self) -> Plan:
        """What it was to do; the runs that go on for it do the rest."""
        return from_payload(self.started.args[0], Plan)

    @property
    def before_count(self) -> int:
        """How many results it was handed."""
        return len(from_payload(self.started.args[1], list[Any])) if len(self.started.args) > 1 else 0

    @property
    def inputs(self) -> list[Message]:
        """All that it was told, also in turns that it has of another run."""
        return [message for turn in self.turns for message in turn.inputs]

    @property
    def next(self) -> NextRun | None:
        """The run that goes on for it by its own closing."""
        return None if self.closing is None else next_of(self.closing)

    @property
    def fork(self) -> Forked | None:
        """How it came by turns of another run; None if it has none, or closed before it heard so."""
        for message in self.inputs:
            if isinstance(message, Forked) and message.run_id == self.run_id:
                return message
        return None

    @property
    def copied_count(self) -> int:
        """How many of its turns it has of another run."""
        if self.record.origin_run_id is None:
            return 0
        # Closed from outside before it heard so, it has one turn of its own: that one.
        return len(self.turns) - 1 if self.fork is None else self.fork.turns_count

    @property
    def own_turns(self) -> Sequence[Turn]:
        """The turns that it took itself."""
        return self.turns[self.copied_count :]

    @property
    def previous_run_id(self) -> RunId | None:
        """Of the run that its start names as the one before."""
        options = self.started.options
        return None if options is None or options.chain is None else options.chain.previous_run_id


def past_run(record: RunRecord, turns: Sequence[Turn]) -> PastRun | None:
    """None where the history does not begin with a start."""
    started = turns[0].inputs[0] if turns and turns[0].inputs else None
    if not isinstance(started, Started):
        return None
    closing = turns[-1].outputs[-1] if turns[-1].outputs else None
    return PastRun(record, tuple(turns), started, closing if isinstance(closing, Closing) else None)


class Lineages:
    """All runs of a store, and whom each one goes on for."""

    def __init__(self, runs: Mapping[RunId, PastRun]) -> None:
        self._runs = runs

    def of(self, run: PastRun) -> list[PastRun]:
        """The run and those that it goes on for, oldest first; what a reset has undone is left out."""
        found = [run]
        while (before := self._before(found[-1])) is not None:
            found.append(before)
        return found[::-1]

    def _before(self, run: PastRun) -> PastRun | None:
        successor_id, previous_id = run.record.opened_as, run.previous_run_id
        while previous_id is not None and previous_id in self._runs:
            previous = self._runs[previous_id]
            if previous.next is not None and previous.next.run_id == successor_id:
                return previous
            # The run was reset to its very beginning: the other one stands in its place.
            successor_id, previous_id = previous.record.opened_as, previous.previous_run_id
        return None

    def last(self, run_id: RunId) -> PastRun:
        """The run that goes on for it in the end."""
        run = self._runs[run_id]
        while run.record.successor is not None and run.record.successor in self._runs:
            run = self._runs[run.record.successor]
        return run

    def reborn_count(self, runs: Sequence[PastRun]) -> int:
        """How many of the runs began with turns of another one, or in the place of another one, or apart from it."""
        return sum(1 for run in runs if self._is_reborn(run))

    def _is_reborn(self, run: PastRun) -> bool:
        if run.record.origin_run_id is not None:
            return True
        if run.record.workflow_id.endswith(FORK) and run.previous_run_id is None:
            return True
        previous = self._runs.get(run.previous_run_id or RunId(""))
        return previous is not None and (previous.next is None or previous.next.run_id != run.run_id)

    def wrong_successors(self) -> Iterator[str]:
        """Each closing has exactly the successor that it names, or at most one that was begun anew from outside."""
        followers: dict[RunId, list[RunId]] = {}
        for run in self._runs.values():
            fork = run.fork
            own = run.previous_run_id if run.record.origin_run_id is None else None
            previous = own if fork is None else fork.chain.previous_run_id
            if previous is not None:
                followers.setdefault(previous, []).append(run.run_id)
        for run in self._runs.values():
            found = followers.get(run.run_id, [])
            named = run.closing.run_id if isinstance(run.closing, ResetRun) else None
            named = named if run.next is None else run.next.run_id
            if named is not None and (run.record.successor != named or named not in self._runs):
                yield f"run {run.run_id} closed for run {named}, and its successor is {run.record.successor}"
            if len(found) > 1 or (found and run.record.successor != found[0]):
                yield f"runs {found} go on for run {run.run_id}, whose successor is {run.record.successor}"


def repeated(line: Sequence[PastRun]) -> list[str]:
    """What runs of a lineage did more than once: hear a request that was not handed on, or decide upon an update."""
    heard: Counter[str] = Counter()
    decided: Counter[str] = Counter()
    for run in line:
        heard.update(message.id for message in run.inputs if isinstance(message, Requested))
        for turn in run.turns:
            for command in turn.outputs:
                match command:
                    case AcceptUpdate(update_id):
                        decided[f"update {update_id} was accepted"] += 1
                    case CompleteUpdate(update_id):
                        decided[f"update {update_id} was answered"] += 1
                    case RejectUpdate(update_id):
                        decided[f"update {update_id} was rejected"] += 1
                    case _:
                        pass
        if run.next is not None:
            heard.subtract(message.id for message in run.next.carried)
    texts = [f"{what} {count} times" for what, count in decided.items() if count > 1]
    return texts + [f"request {name} was heard {count} times" for name, count in heard.items() if count > 1]


def signals_heard(line: Sequence[PastRun], name: str) -> list[bytes]:
    """The values of the signals of a name that runs of a lineage heard, in order; what was handed on counts once."""
    values: list[bytes] = []
    for run in line:
        values += [m.payload.data for m in run.inputs if isinstance(m, Signaled) and m.name == name]
        for message in () if run.next is None else run.next.carried:
            if isinstance(message, Signaled) and message.name == name:
                values.remove(message.payload.data)
    return values
