"""A store that watches: it sees what really reaches the store, counts what is rare, checks each commit as it happens.

It stands between the faults and the store, so that it knows more than any worker or client does.
"""

from collections import Counter
from collections.abc import Callable, Sequence

from perdure.core import codec
from perdure.core.command import (
    AcceptUpdate,
    CancelActivity,
    CancelChild,
    CancelTimer,
    CompleteUpdate,
    ContinueRun,
    FailRun,
    NextRun,
    RecordLocalActivity,
    RejectUpdate,
    ResetRun,
    StartTimer,
    UpsertAttributes,
)
from perdure.core.ids import RunId, WorkerId
from perdure.core.message import (
    ActivityClosed,
    ChildStarted,
    Failed,
    Message,
    TerminateRequested,
    TimerFired,
)
from perdure.core.store import (
    Beat,
    Claimed,
    ClaimRequest,
    Commit,
    Created,
    Delivery,
    Extended,
    Finish,
    NewRun,
    Park,
    Retry,
    Store,
)
from perdure.core.turn import Turn
from perdure.testing.plans import DIED
from perdure.testing.wrapper import StoreWrapper

RARE = (
    "activity cancelled",
    "attempt claimed after deaths",
    "attempt claimed as expired",
    "attempt claimed under limits",
    "attempt was another's",
    "cancel requested",
    "carried over",
    "child cancelled",
    "child refused",
    "closed run reset",
    "commit of a worker without lease",
    "commit refused",
    "commit repeated",
    "completed by token",
    "continued as new",
    "create repeated",
    "create refused",
    "duplicate dropped",
    "heartbeat timeout",
    "history read from its start",
    "history read from its middle",
    "inbox moved",
    "lease expired",
    "lease lost",
    "lease released",
    "local activity recorded",
    "local activity tried again",
    "park for Paused",
    "park for UndecodablePayload",
    "park for UnregisteredActivity",
    "priority seen that finds no room",
    "quarantine",
    "ranked attempt",
    "retry",
    "run forked",
    "run reset",
    "run unparked",
    "schedule_to_start timeout",
    "search attributes changed",
    "signal with start",
    "start_to_close timeout",
    "started in one commit",
    "suspect claimed",
    "termination",
    "timer cancelled",
    "timer fired",
    "token refused",
    "update accepted",
    "update answered in a later turn",
    "update rejected",
    "update sent again",
    "update with start",
    "workflow tried again",
)
"""What every simulation of some hundred seeds must have reached, or it tests less than it seems to."""
COUNTED: dict[type, str] = {
    AcceptUpdate: "update accepted",
    ContinueRun: "continued as new",
    RejectUpdate: "update rejected",
    ResetRun: "run reset",
    UpsertAttributes: "search attributes changed",
}
"""Commands of which only the number counts."""


class Witness(StoreWrapper):
    """Watches a `Store` whose calls are made one at a time."""

    def __init__(self, inner: Store, now_ms: Callable[[], int], *, early_ms_max: Callable[[], float]) -> None:
        """`now_ms` is the true time, `early_ms_max` how far ahead of it the clocks of workers may be."""
        super().__init__(inner)
        self.counts: Counter[str] = Counter()
        self.violations: list[str] = []
        self.lost: dict[WorkerId, int] = {}
        """When the store took back what a worker held."""
        self.deaths_count = 0
        """How many leases expired or were released as dead."""
        self.expired: set[tuple[RunId, int]] = set()
        """The attempts that were handed out only to be ended."""
        self._now_ms = now_ms
        self._early_ms_max = early_ms_max
        self._leases: dict[WorkerId, int] = {}
        self._timers: dict[tuple[RunId, int], int] = {}

    # Writing

    async def create(self, runs: Sequence[NewRun]) -> Sequence[Created]:
        answers = await self.inner.create(runs)
        for answer in answers:
            if answer.same_request:
                self.counts["create repeated"] += 1
            elif not answer.fresh:
                self.counts["create refused"] += 1
        for run, answer in zip(runs, answers, strict=True):
            if answer.fresh:
                self._count_created(run)
        return answers

    def _count_created(self, run: NewRun) -> None:
        if run.copies is not None:
            self.counts["closed run reset" if run.copies.succeeds else "run forked"] += 1
            return
        for delivery in run.deliveries:
            self.counts["update with start" if delivery.message_id.startswith("u") else "signal with start"] += 1

    async def deliver(self, deliveries: Sequence[Delivery]) -> Sequence[bool]:
        answers = await self.inner.deliver(deliveries)
        for delivery, answer in zip(deliveries, answers, strict=True):
            if not answer:
                self.counts["delivery to a closed run"] += 1
            elif delivery.unparks:
                self.counts["run unparked"] += 1
        ids = [delivery.run_id for delivery in deliveries if delivery.follows]
        for record in await self.inner.read_runs(ids) if ids else ():
            self.counts["told a run that had gone on"] += record.successor is not None
        return answers

    async def commit(self, worker: WorkerId | None, commits: Sequence[Commit]) -> frozenset[RunId]:
        wants = [(commit.run_id, commit.number - 1) for commit in commits]
        before = await self.inner.read_turns(wants, 1)
        refused = await self.inner.commit(worker, commits)
        if worker is not None and worker not in self._leases:
            self.counts["commit of a worker without lease"] += 1
            if len(refused) < len(commits):
                self.violations.append(f"commits of {worker}, who has no lease, were accepted")
        for commit, stored in zip(commits, before, strict=True):
            if commit.run_id in refused:
                self.counts["commit refused"] += 1
                self.counts["commit repeated"] += bool(stored) and stored[0] == commit.turn
            else:
                self._committed(commit)
                if commit.next is not None:
                    await self._count_following(commit.next)
        return refused

    async def _count_following(self, new: NewRun) -> None:
        waiting = {each.message_id for each in (await self.inner.read_waiting(new.run_id)).messages}
        told = {each.message_id for each in new.deliveries}
        self.counts["inbox moved"] += bool(waiting - told - {"start"})
        self.counts["carried over"] += bool(told) and new.copies is None

    def _committed(self, commit: Commit) -> None:
        turn = codec.turns.decode(commit.turn)
        self.counts["turn"] += 1
        if commit.create is not None:
            self.counts["started in one commit"] += 1
        self.counts["ranked attempt"] += sum(attempt.rank is not None for attempt in commit.attempts)
        self._count_inputs(commit, turn)
        for command in turn.outputs:
            match command:
                case StartTimer(call_id, due_at_ms):
                    self._timers[commit.run_id, call_id] = due_at_ms
                case CancelTimer():
                    self.counts["timer cancelled"] += 1
                case CancelActivity():
                    self.counts["activity cancelled"] += 1
                case CancelChild():
                    self.counts["child cancelled"] += 1
                case CompleteUpdate(update_id):
                    accepted = AcceptUpdate(update_id) in turn.outputs
                    self.counts["update answered at once" if accepted else "update answered in a later turn"] += 1
                case RecordLocalActivity(attempt=attempt):
                    self.counts["local activity recorded"] += 1
                    self.counts["local activity tried again"] += attempt > 1
                case FailRun(next=NextRun()):
                    self.counts["workflow tried again"] += 1
                case _:
                    self.counts[COUNTED.get(type(command), "command")] += 1

    def _count_inputs(self, commit: Commit, turn: Turn) -> None:
        heard = {message.id for message in turn.inputs}
        for message_id in commit.consumed:
            # Cancelled timers are consumed too, and are no duplicates.
            if message_id not in heard and message_id[0] in "sxabcru":
                self.counts["duplicate dropped"] += 1
                self.counts["update sent again"] += message_id.startswith("u")
        for message in turn.inputs:
            self._count_input(commit.run_id, message)

    def _count_input(self, run_id: RunId, message: Message) -> None:
        match message:
            case TimerFired(call_id):
                self.counts["timer fired"] += 1
                due_at_ms = self._timers.get((run_id, call_id), 0)
                if self._now_ms() + self._early_ms_max() < due_at_ms:
                    self.violations.append(f"run {run_id}: timer {call_id} fired {due_at_ms - self._now_ms()} ms early")
            case ActivityClosed(outcome=Failed(failure)):
                if failure.timeout is not None:
                    self.counts[f"{failure.timeout} timeout"] += 1
                elif failure.type == DIED:
                    self.counts["quarantine"] += 1
            case ChildStarted(refusal=refusal):
                self.counts["child refused"] += refusal is not None
            case TerminateRequested():
                self.counts["termination"] += 1
            case _:
                if message.id.startswith("x"):
                    self.counts["cancel requested"] += 1

    async def park(self, worker: WorkerId, parks: Sequence[Park]) -> None:
        await self.inner.park(worker, parks)
        for park in parks:
            self.counts[f"park for {codec.failures.decode(park.failure).type}"] += 1

    async def finish(self, worker: WorkerId | None, finishes: Sequence[Finish]) -> Sequence[bool]:
        answers = await self.inner.finish(worker, finishes)
        for finish, answer in zip(finishes, answers, strict=True):
            if not answer:
                self.counts["attempt was another's"] += 1
            elif isinstance(finish.then, Retry):
                self.counts["retry"] += 1
        return answers

    # Holding

    async def register(self, worker: WorkerId, until_ms: int) -> None:
        await self.inner.register(worker, until_ms)
        self._leases[worker] = max(until_ms, self._leases.get(worker, 0))

    async def extend(self, worker: WorkerId, until_ms: int, beats: Sequence[Beat]) -> Extended:
        extended = await self.inner.extend(worker, until_ms, beats)
        if extended.lost:
            self.counts["lease lost"] += 1
        else:
            self._leases[worker] = max(until_ms, self._leases.get(worker, 0))
        if extended.lost != (worker not in self._leases):
            self.violations.append(f"{worker} was told lost={extended.lost} of its lease")
        return extended

    async def claim(self, request: ClaimRequest, now_ms: int) -> Claimed:
        claimed = await self.inner.claim(request, now_ms)
        left = set(await self.inner.leaseholders())
        for worker in [worker for worker in self._leases if worker not in left]:
            if self._leases[worker] > now_ms:
                self.violations.append(f"{worker} lost its lease before it expired")
            self.counts["lease expired"] += 1
            self._took_back(worker, died=True)
        for attempt in claimed.attempts:
            self.counts["attempt claimed after deaths"] += attempt.deaths_count > 0
            self.counts["suspect claimed"] += attempt.deaths_count > 1
            if attempt.expired:
                self.counts["attempt claimed as expired"] += 1
                self.expired.add((attempt.run_id, attempt.call_id))
        self.counts["attempt claimed under limits"] += bool(request.limits and claimed.attempts)
        self.counts["priority seen that finds no room"] += claimed.best_left is not None
        return claimed

    def _took_back(self, worker: WorkerId, *, died: bool) -> None:
        self._leases.pop(worker, None)
        # A registration that lands late gives a lost id a lease again; what counts is when it was lost first.
        self.lost.setdefault(worker, self._now_ms())
        self.deaths_count += died

    async def release(self, worker: WorkerId, *, died: bool, now_ms: int) -> None:
        await self.inner.release(worker, died=died, now_ms=now_ms)
        if worker in self._leases:
            self.counts["lease released"] += 1
            self._took_back(worker, died=died)

    # Reading

    async def read_turns(self, wants: Sequence[tuple[RunId, int]], limit: int) -> Sequence[Sequence[bytes]]:
        for _, after in wants:
            self.counts["history read from its middle" if after else "history read from its start"] += 1
        return await self.inner.read_turns(wants, limit)
