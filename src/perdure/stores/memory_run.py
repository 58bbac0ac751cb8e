"""The memory store's rows: a run with its inbox and attempts. They decide nothing."""

from collections.abc import Iterable, Sequence

import msgspec

from perdure.core.attributes import Attribute
from perdure.core.dispatch import Candidate
from perdure.core.ids import RunId, WorkerId
from perdure.core.policy import death_delay_ms
from perdure.core.store import (
    SUSPECT_DEATHS,
    ClaimedAttempt,
    Delivery,
    NewRun,
    OpenRuns,
    RunRecord,
    RunStatus,
    WaitingAttempt,
)


class MemoryMessage(msgspec.Struct):
    """A message in an inbox; `arrival` counts all deliveries to the store."""

    arrival: int
    delivery: Delivery


class MemoryAttempt(msgspec.Struct):
    """An attempt row."""

    run: "MemoryRun"
    call_id: int
    turn_number: int
    name: str
    queue: str
    due_at_ms: int
    expires_at_ms: int | None
    worker: WorkerId | None
    attempt: int = 1
    deaths_count: int = 0
    cancelled: bool = False
    claim_number: int = 0
    """Of the claim that its holder took it by; 0 if it was kept."""
    failure: bytes | None = None
    heartbeat: bytes | None = None
    scheduled_at_ms: int | None = None
    line: str | None = None
    weight_milli: int = 1_000

    @property
    def key(self) -> tuple[int, int]:
        """Sorts attempts by the age of their runs."""
        return self.run.index, self.call_id

    @property
    def ready_at_ms(self) -> int:
        """When a claim may take it: it is due, or it expires before."""
        return self.due_at_ms if self.expires_at_ms is None else min(self.due_at_ms, self.expires_at_ms)

    def waiting(self) -> WaitingAttempt:
        """What readers see of it."""
        return WaitingAttempt(
            call_id=self.call_id,
            turn_number=self.turn_number,
            name=self.name,
            queue=self.queue,
            attempt=self.attempt,
            due_at_ms=self.due_at_ms,
            deaths_count=self.deaths_count,
            cancelled=self.cancelled,
            worker=self.worker,
            failure=self.failure,
            heartbeat=self.heartbeat,
            line=self.line,
        )

    def candidate(self) -> Candidate:
        """What the choice among attempts sees of it."""
        suspect = self.deaths_count >= SUSPECT_DEATHS
        return Candidate(self.ready_at_ms, self.key, self.weight_milli, suspect, self.expires_at_ms)

    def claimed(self, now_ms: int) -> ClaimedAttempt:
        """What its new holder is told."""
        return ClaimedAttempt(
            run_id=self.run.new.run_id,
            workflow_id=self.run.new.workflow_id,
            call_id=self.call_id,
            attempt=self.attempt,
            turn=self.run.turns[self.turn_number - 1],
            queued_at_ms=self.due_at_ms,
            deaths_count=self.deaths_count,
            expired=self.expires_at_ms is not None and self.expires_at_ms <= now_ms,
            heartbeat=self.heartbeat,
            failure=self.failure,
            scheduled_at_ms=self.scheduled_at_ms,
        )


class MemoryRun(msgspec.Struct):
    """A run, its turns, its inbox and its attempts.

    Its holder was handed what had arrived up to `handed_arrival` and was visible at `handed_at_ms`.
    """

    index: int
    new: NewRun
    route: str
    note: bytes | None
    attributes: dict[str, Attribute]
    status: RunStatus = RunStatus.RUNNING
    closed_at_ms: int | None = None
    parked: bytes | None = None
    worker: WorkerId | None = None
    successor: RunId | None = None
    turns: list[bytes] = msgspec.field(default_factory=list[bytes])
    inbox: dict[str, MemoryMessage] = msgspec.field(default_factory=dict[str, MemoryMessage])
    attempts: dict[int, MemoryAttempt] = msgspec.field(default_factory=dict[int, MemoryAttempt])
    due_at_ms: int | None = None
    handed_arrival: int = 0
    handed_at_ms: int = 0
    claim_number: int = 0
    """Of the claim that handed it out last."""
    deaths_count: int = 0
    """Of workers that held it while it had `deaths_turn` turns."""
    deaths_turn: int = 0
    rests_until_ms: int = 0
    """For these deaths; 0 while it is held."""

    def rest(self, now_ms: int) -> None:
        """Its worker died, perhaps of a message that it was handed and took into no turn."""
        if any(
            message.arrival <= self.handed_arrival and message.delivery.visible_at_ms <= self.handed_at_ms
            for message in self.inbox.values()
        ):
            self.deaths_count = self.deaths_count + 1 if self.deaths_turn == len(self.turns) else 1
            self.deaths_turn = len(self.turns)
            self.rests_until_ms = now_ms + death_delay_ms(self.deaths_count)

    def earliest_ms(self) -> int | None:
        """When its next message is due: of all of them, or of those that its holder was not yet handed."""
        first = min(
            (
                message.delivery.visible_at_ms
                for message in self.inbox.values()
                if self.worker is None
                or message.arrival > self.handed_arrival
                or message.delivery.visible_at_ms > self.handed_at_ms
            ),
            default=None,
        )
        return None if first is None else max(first, self.rests_until_ms)

    def sorted_inbox(self) -> list[MemoryMessage]:
        """Its messages, oldest first."""
        return sorted(self.inbox.values(), key=lambda message: (message.delivery.visible_at_ms, message.arrival))

    def record(self) -> RunRecord:
        """What readers see of it."""
        return RunRecord(
            run_id=self.new.run_id,
            workflow_id=self.new.workflow_id,
            workflow_type=self.new.workflow_type,
            queue=self.new.queue,
            status=self.status,
            created_at_ms=self.new.created_at_ms,
            closed_at_ms=self.closed_at_ms,
            turns_count=len(self.turns),
            parent_run_id=self.new.parent_run_id,
            parked=self.parked,
            worker=self.worker,
            route=self.route,
            first_run_id=self.new.first_run_id or self.new.run_id,
            successor=self.successor,
            note=self.note,
            attributes=tuple(self.attributes[name] for name in sorted(self.attributes)),
            origin_run_id=self.new.origin_run_id,
        )

    def upsert(self, attributes: Iterable[Attribute]) -> None:
        """Add or replace search attributes, or take them away."""
        for attribute in attributes:
            if attribute.value is None:
                self.attributes.pop(attribute.name, None)
            else:
                self.attributes[attribute.name] = attribute


def open_runs(workflow_type: str, route: str, queue: str, runs: Sequence[MemoryRun]) -> OpenRuns:
    """What is told of the open runs that share these."""
    free = [run for run in runs if run.worker is None and run.parked is None]
    return OpenRuns(
        workflow_type=workflow_type,
        route=route,
        queue=queue,
        runs_count=len(runs),
        held_count=sum(run.worker is not None for run in runs),
        parked_count=sum(run.parked is not None for run in runs),
        due_at_ms=min((run.due_at_ms for run in free if run.due_at_ms is not None), default=None),
    )
