"""The memory store: the reference that every other store is compared with. Nothing survives the process.

One asyncio loop, plain dicts; several workers and clients of that loop may share one. Its state outlives `close`.
"""

import itertools
from collections import Counter
from collections.abc import Mapping, Sequence

from perdure.core.filter.evaluate import Facts, fits, page
from perdure.core.filter.tree import Filter
from perdure.core.ids import RunId, WorkerId, WorkflowId
from perdure.core.policy import death_delay_ms
from perdure.core.store import (
    OVERDUE_MAX,
    AttemptKey,
    Beat,
    ChildRun,
    Claimed,
    ClaimedAttempt,
    ClaimedRun,
    ClaimRequest,
    Commit,
    Copies,
    Created,
    Delivery,
    Extended,
    Finish,
    NewAttempt,
    NewRun,
    OpenRuns,
    Park,
    RunRecord,
    RunStatus,
    Waiting,
    WaitingMessage,
)
from perdure.stores.changes import Changes
from perdure.stores.memory_holdings import Holdings
from perdure.stores.memory_run import MemoryAttempt, MemoryMessage, MemoryRun, open_runs


class MemoryStore:
    """A `Store` in plain dicts."""

    def __init__(self) -> None:
        self._changes = Changes()
        self._counter = itertools.count(1)
        self._runs: dict[RunId, MemoryRun] = {}
        self._by_index: dict[int, MemoryRun] = {}
        self._of_workflow: dict[WorkflowId, dict[str, MemoryRun]] = {}
        self._leases: dict[WorkerId, int] = {}
        self._repeats: dict[WorkerId, int] = {}
        """Numbers of the latest claims that said they had missed an answer."""
        self._holdings = Holdings(self._by_index, self._changes.bump)

    @property
    def url(self) -> str:
        """Always memory://."""
        return "memory://"

    async def open(self) -> None:
        """Nothing to do."""

    async def close(self) -> None:
        """Nothing to do; what is stored stays for the next `open`."""

    # Writing

    async def create(self, runs: Sequence[NewRun]) -> Sequence[Created]:
        return [self._create(new) for new in runs]

    def _create(self, new: NewRun) -> Created:
        found = self._obstacle(new)
        if found is not None:
            same_request = found.new.request_id == new.request_id
            return Created(found.new.run_id, fresh=False, same_request=same_request, status=found.status)
        self._add_started(new)
        return Created(new.run_id, fresh=True)

    def _obstacle(self, new: NewRun) -> MemoryRun | None:
        """What keeps `new` out: the run of its request, the last one of its workflow id, or the one of its run id."""
        same = self._of_workflow.get(new.workflow_id, {})
        if new.request_id in same:
            return same[new.request_id]
        last = self._last_run(new.workflow_id)
        if last is not None and (last.closed_at_ms is None or last.status in new.refused_after):
            return last
        return self._runs.get(new.run_id)

    def _last_run(self, workflow_id: WorkflowId) -> MemoryRun | None:
        """The run created last; only that one can be open: an open one keeps others from being created."""
        same = self._of_workflow.get(workflow_id)
        return next(reversed(same.values())) if same else None

    def _add(self, new: NewRun) -> MemoryRun:
        attributes = {each.name: each for each in new.attributes if each.value is not None}
        run = MemoryRun(next(self._counter), new, new.route or new.workflow_type, new.note, attributes)
        self._runs[new.run_id] = self._by_index[run.index] = run
        self._of_workflow.setdefault(new.workflow_id, {})[new.request_id] = run
        return run

    def _add_started(self, new: NewRun) -> None:
        run = self._add(new)
        at_ms = new.created_at_ms if new.starts_at_ms is None else new.starts_at_ms
        if new.copies is not None:
            self._copy(run, new.copies)
        if new.copies is None or not new.copies.turns_count:
            self._deliver(Delivery(new.run_id, "start", new.start, at_ms))
        for delivery in new.deliveries:
            self._deliver(delivery)

    def _copy(self, run: MemoryRun, copies: Copies) -> None:
        source = self._runs.get(copies.source_run_id)
        if source is None:
            return
        run.turns = source.turns[: copies.turns_count]
        for each in copies.attempts:
            self._add_attempt(run, each.turn_number, each.attempt, None)
            run.attempts[each.attempt.call_id].scheduled_at_ms = each.scheduled_at_ms
        if copies.succeeds and source.successor is None:
            source.successor = run.new.run_id

    async def deliver(self, deliveries: Sequence[Delivery]) -> Sequence[bool]:
        return [self._deliver(delivery) for delivery in deliveries]

    def _deliver(self, delivery: Delivery) -> bool:
        run = self._runs.get(delivery.run_id)
        if delivery.follows and run is not None and run.successor is not None:
            run = self._follower(run)
        if run is None or run.closed_at_ms is not None:
            return False
        if delivery.message_id not in run.inbox:
            run.inbox[delivery.message_id] = MemoryMessage(next(self._counter), delivery)
            if delivery.unparks:
                run.parked, run.rests_until_ms = None, 0
            due_at_ms = max(delivery.visible_at_ms, run.rests_until_ms)
            self._holdings.index_run(run, due_at_ms if run.due_at_ms is None else min(run.due_at_ms, due_at_ms))
            self._changes.bump()
        return True

    def _follower(self, run: MemoryRun) -> MemoryRun | None:
        """The open run that goes on for it, through any number of others between."""
        last = self._last_run(run.new.workflow_id)
        same_chain = last is not None and last.record().first_run_id == run.record().first_run_id
        return last if same_chain else None

    async def commit(self, worker: WorkerId | None, commits: Sequence[Commit]) -> frozenset[RunId]:
        assert len({commit.run_id for commit in commits}) == len(commits), "one batch holds at most one commit a run"
        if worker is not None and worker not in self._leases:
            return frozenset(commit.run_id for commit in commits)
        # Whether a run goes on depends on that run alone; only then is it known which workflow ids are free.
        later = [commit for commit in commits if commit.create is None and self._is_next(commit)]
        self._close_all(later)
        first = [commit for commit in commits if commit.create is not None and self._starts(commit, commit.create)]
        self._close_all(first)
        taken = {commit.run_id for commit in (*later, *first)}
        applied = [commit for commit in commits if commit.run_id in taken]
        for commit in applied:
            self._apply(worker, commit)
        answers = [[self._start_child(child) for child in commit.children] for commit in applied]
        for commit, started in zip(applied, answers, strict=True):
            for delivery in (*started, *commit.deliveries):
                self._deliver(delivery)
        return frozenset(commit.run_id for commit in commits if commit.run_id not in taken)

    def _is_next(self, commit: Commit) -> bool:
        run = self._runs.get(commit.run_id)
        return run is not None and run.closed_at_ms is None and commit.number == len(run.turns) + 1

    def _starts(self, commit: Commit, new: NewRun) -> bool:
        if commit.number != 1 or self._obstacle(new) is not None:
            return False
        self._add(new)
        return True

    def _apply(self, worker: WorkerId | None, commit: Commit) -> None:
        run = self._runs[commit.run_id]
        run.turns.append(commit.turn)
        run.upsert(commit.attributes)
        run.note = run.note if commit.note is None else commit.note
        run.route = commit.route or run.route
        if run.closed_at_ms is not None:
            return
        for message_id in commit.consumed:
            run.inbox.pop(message_id, None)
        for call_id in commit.finished:
            self._holdings.drop_attempt(run, call_id)
        for call_id in commit.cancelled:
            attempt = run.attempts.get(call_id)
            if attempt is not None and attempt.worker is not None:
                attempt.cancelled = True
            else:
                self._holdings.drop_attempt(run, call_id)
        for new in commit.attempts:
            self._add_attempt(run, commit.number, new, worker if new.kept else None)
        run.rests_until_ms = 0
        self._holdings.hold_run(run, worker if commit.keep else None)

    def _close_all(self, commits: Sequence[Commit]) -> None:
        for commit in commits:
            if commit.closes is not None:
                run = self._runs[commit.run_id]
                left = [each for id, each in run.inbox.items() if id not in commit.consumed and each.delivery.follows]
                self._close(run, commit.closes, commit.at_ms)
                if commit.next is not None:
                    self._go_on(run, commit.next, left)

    def _go_on(self, run: MemoryRun, new: NewRun, left: Sequence[MemoryMessage]) -> None:
        run.successor = new.run_id
        self._add_started(new)
        successor = self._runs[new.run_id]
        for message in left:
            successor.inbox.setdefault(message.delivery.message_id, message)
        self._holdings.index_run(successor, successor.earliest_ms())

    def _close(self, run: MemoryRun, status: RunStatus, at_ms: int) -> None:
        for call_id in tuple(run.attempts):
            self._holdings.drop_attempt(run, call_id)
        run.inbox.clear()
        run.status, run.closed_at_ms, run.parked = status, at_ms, None
        self._holdings.hold_run(run, None)
        self._changes.bump()

    def _start_child(self, child: ChildRun) -> Delivery:
        if self._obstacle(child.run) is not None:
            return child.refused
        self._add_started(child.run)
        return child.started

    async def park(self, worker: WorkerId, parks: Sequence[Park]) -> None:
        for park in parks:
            run = self._runs.get(park.run_id)
            if run is None or run.worker != worker or len(run.turns) != park.turns_count:
                continue
            if not any(each.delivery.unparks and id not in park.seen for id, each in run.inbox.items()):
                run.parked = park.failure
                self._holdings.hold_run(run, None)

    async def finish(self, worker: WorkerId | None, finishes: Sequence[Finish]) -> Sequence[bool]:
        return [self._finish(worker, finish) for finish in finishes]

    def _finish(self, worker: WorkerId | None, finish: Finish) -> bool:
        run = self._runs.get(finish.run_id)
        attempt = None if run is None else run.attempts.get(finish.call_id)
        if run is None or attempt is None or attempt.attempt != finish.attempt:
            return False
        if worker is not None and attempt.worker != worker:
            return False
        if attempt.cancelled:
            self._holdings.drop_attempt(run, finish.call_id)
        elif isinstance(finish.then, Delivery):
            self._holdings.drop_attempt(run, finish.call_id)
            self._deliver(finish.then)
        else:
            attempt.attempt = finish.then.attempt
            attempt.failure = attempt.failure if finish.then.failure is None else finish.then.failure
            attempt.heartbeat = finish.then.heartbeat or attempt.heartbeat
            attempt.due_at_ms, attempt.expires_at_ms = finish.then.due_at_ms, finish.then.expires_at_ms
            self._holdings.hold_attempt(attempt, None)
        return True

    async def delete(self, runs: Sequence[RunId]) -> int:
        closed = [run for run in map(self._runs.get, set(runs)) if run is not None and run.closed_at_ms is not None]
        for run in closed:
            del self._runs[run.new.run_id], self._by_index[run.index]
            same = self._of_workflow[run.new.workflow_id]
            del same[run.new.request_id]
            if not same:
                del self._of_workflow[run.new.workflow_id]
        return len(closed)

    async def closed_before(self, before_ms: int, limit: int) -> Sequence[RunId]:
        old = [run for run in self._runs.values() if run.closed_at_ms is not None and run.closed_at_ms < before_ms]
        old.sort(key=lambda run: (run.closed_at_ms, run.index))
        return [run.new.run_id for run in old if not self._is_needed(run)][:limit]

    def _is_needed(self, run: MemoryRun) -> bool:
        if run.successor is None or run.new.parent_run_id is None:
            return False
        follower = self._follower(run)
        return follower is not None and follower.closed_at_ms is None

    # Holding

    def _add_attempt(self, run: MemoryRun, turn_number: int, new: NewAttempt, worker: WorkerId | None) -> None:
        attempt = MemoryAttempt(
            run, new.call_id, turn_number, new.name, new.queue, new.due_at_ms, new.expires_at_ms, worker=None
        )
        if new.rank is not None:
            attempt.line, attempt.weight_milli = new.rank.line, new.rank.weight_milli
        run.attempts[new.call_id] = attempt
        self._holdings.hold_attempt(attempt, worker)

    async def register(self, worker: WorkerId, until_ms: int) -> None:
        self._leases[worker] = max(until_ms, self._leases.get(worker, 0))

    async def extend(self, worker: WorkerId, until_ms: int, beats: Sequence[Beat]) -> Extended:
        if worker not in self._leases:
            return Extended(lost=True)
        self._leases[worker] = max(until_ms, self._leases[worker])
        cancelled: list[AttemptKey] = []
        for beat in beats:
            run = self._runs.get(beat.run_id)
            attempt = None if run is None else run.attempts.get(beat.call_id)
            if attempt is None or attempt.worker != worker or attempt.cancelled:
                cancelled.append(AttemptKey(beat.run_id, beat.call_id))
            elif beat.details is not None:
                attempt.heartbeat = beat.details
        return Extended(lost=False, cancelled=tuple(cancelled))

    async def claim(self, request: ClaimRequest, now_ms: int) -> Claimed:
        for worker in [worker for worker, until_ms in self._leases.items() if until_ms <= now_ms]:
            if worker != request.worker:
                self._give_back(worker, died=True, now_ms=now_ms)
        if request.worker not in self._leases or request.number < self._repeats.get(request.worker, 0):
            return Claimed((), (), None)
        if request.since < request.number:
            self._repeats[request.worker] = request.number
        runs = [self._claim_run(request, run, now_ms) for run in self._holdings.runs_due(request, now_ms)]
        missed = self._holdings.missed_attempts(request)
        choice = self._holdings.choose_attempts(request, now_ms)
        # Those that are overdue may be among the chosen ones.
        overdue = self._holdings.overdue_attempts(request, now_ms)
        due = [*missed, *(self._holdings.attempt(key) for key in dict.fromkeys([*choice.keys, *overdue]))]
        attempts = [self._claim_attempt(request, one, now_ms) for one in due]
        again_ms = now_ms + 1 if len(overdue) == OVERDUE_MAX else None
        moments = (choice.next_at_ms, again_ms, self._holdings.next_due_at_ms(request, now_ms))
        next_due_at_ms = min((moment for moment in moments if moment is not None), default=None)
        return Claimed(tuple(runs), tuple(attempts), next_due_at_ms, choice.best_left)

    def _claim_run(self, request: ClaimRequest, run: MemoryRun, now_ms: int) -> ClaimedRun:
        messages = [message for message in run.sorted_inbox() if message.delivery.visible_at_ms <= now_ms]
        self._holdings.hold_run(run, request.worker)
        run.claim_number = request.number
        run.handed_arrival = max(message.arrival for message in run.inbox.values())
        run.handed_at_ms = now_ms
        self._holdings.index_run(run, run.earliest_ms())
        return ClaimedRun(run.record(), tuple(message.delivery.data for message in messages))

    def _claim_attempt(self, request: ClaimRequest, attempt: MemoryAttempt, now_ms: int) -> ClaimedAttempt:
        self._holdings.hold_attempt(attempt, request.worker)
        attempt.claim_number = request.number
        return attempt.claimed(now_ms)

    async def release(self, worker: WorkerId, *, died: bool, now_ms: int) -> None:
        self._give_back(worker, died=died, now_ms=now_ms)

    def _give_back(self, worker: WorkerId, *, died: bool, now_ms: int) -> None:
        self._leases.pop(worker, None)
        self._repeats.pop(worker, None)
        for run in tuple(self._holdings.held_runs.get(worker, {}).values()):
            if died:
                run.rest(now_ms)
            self._holdings.hold_run(run, None)
        for attempt in tuple(self._holdings.held_attempts.get(worker, {}).values()):
            if attempt.cancelled:
                self._holdings.drop_attempt(attempt.run, attempt.call_id)
                continue
            if died:
                attempt.attempt += 1
                attempt.deaths_count += 1
                attempt.due_at_ms = now_ms + death_delay_ms(attempt.deaths_count)
            self._holdings.hold_attempt(attempt, None)
        self._holdings.held_runs.pop(worker, None)
        self._holdings.held_attempts.pop(worker, None)

    async def leaseholders(self) -> Sequence[WorkerId]:
        return tuple(self._leases)

    async def wait(self, seen: int, timeout_ms: int) -> int:
        return await self._changes.wait(seen, timeout_ms)

    # Reading

    async def read_runs(self, runs: Sequence[RunId]) -> Sequence[RunRecord]:
        return [self._runs[run_id].record() for run_id in dict.fromkeys(runs) if run_id in self._runs]

    async def find_run(self, workflow_id: WorkflowId) -> RunRecord | None:
        same = self._of_workflow.get(workflow_id)
        return next(reversed(same.values())).record() if same else None

    async def read_turns(self, wants: Sequence[tuple[RunId, int]], limit: int) -> Sequence[Sequence[bytes]]:
        found = [(self._runs.get(run_id), after) for run_id, after in wants]
        return [[] if run is None else run.turns[after : after + limit] for run, after in found]

    async def read_waiting(self, run_id: RunId) -> Waiting:
        run = self._runs.get(run_id)
        if run is None:
            return Waiting((), ())
        messages = [
            WaitingMessage(one.delivery.message_id, one.delivery.visible_at_ms, one.delivery.data)
            for one in run.sorted_inbox()
        ]
        attempts = [attempt.waiting() for _, attempt in sorted(run.attempts.items())]
        return Waiting(tuple(messages), tuple(attempts))

    async def list_runs(self, where: Filter, limit: int, before: RunId | None = None) -> Sequence[RunRecord]:
        return page([run.record() for run in self._runs.values()], where, limit, before)

    async def count_runs(self, where: Filter) -> Mapping[RunStatus, int]:
        records = [run.record() for run in self._runs.values()]
        return Counter(record.status for record in records if fits(where.where, Facts.of(record)))

    async def count_open(self) -> Sequence[OpenRuns]:
        groups: dict[tuple[str, str, str], list[MemoryRun]] = {}
        for run in self._runs.values():
            if run.status is RunStatus.RUNNING:
                groups.setdefault((run.new.workflow_type, run.route, run.new.queue), []).append(run)
        return [open_runs(*group, groups[group]) for group in sorted(groups)]
