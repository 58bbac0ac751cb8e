"""What workers hold and what they could take: the memory store's indexes of runs and attempts. It decides nothing."""

import itertools
from collections.abc import Callable, Mapping

from perdure.core.dispatch import Choice
from perdure.core.ids import WorkerId
from perdure.core.rank import PLAIN_LINE
from perdure.core.store import OVERDUE_MAX, SUSPECT_DEATHS, ClaimRequest
from perdure.stores.agenda import Agenda
from perdure.stores.memory_queues import RankedQueues
from perdure.stores.memory_run import MemoryAttempt, MemoryRun


class Holdings:
    """Who holds which runs and attempts, and when the others are due."""

    def __init__(self, runs: Mapping[int, MemoryRun], changed: Callable[[], None]) -> None:
        """`runs` are all runs by index; `changed` is called when something may have become claimable."""
        self._runs = runs
        self._changed = changed
        self.held_runs: dict[WorkerId, dict[int, MemoryRun]] = {}
        self.held_attempts: dict[WorkerId, dict[tuple[int, int], MemoryAttempt]] = {}
        self._due_runs: Agenda[tuple[str, str] | WorkerId, tuple[int]] = Agenda()
        self._due_attempts: Agenda[tuple[str, str, bool], tuple[int, int]] = Agenda()
        self._expiring: Agenda[tuple[()], tuple[int, int]] = Agenda()
        self._queues = RankedQueues()

    def hold_run(self, run: MemoryRun, worker: WorkerId | None) -> None:
        """Give the run to `worker`, or to nobody, and see anew when it is due."""
        if run.worker != worker:
            run.handed_arrival = 0
        if run.worker is not None:
            self.held_runs[run.worker].pop(run.index)
        run.worker = worker
        if worker is not None:
            run.rests_until_ms = 0
            self.held_runs.setdefault(worker, {})[run.index] = run
        self.index_run(run, run.earliest_ms())
        if worker is None and run.due_at_ms is not None:
            self._changed()

    def index_run(self, run: MemoryRun, due_at_ms: int | None) -> None:
        """See anew when a run is due."""
        run.due_at_ms = due_at_ms
        place = (run.new.queue, run.route) if run.worker is None else run.worker
        self._due_runs.put((run.index,), place, None if run.parked is not None else due_at_ms)

    def hold_attempt(self, attempt: MemoryAttempt, worker: WorkerId | None) -> None:
        """Give an attempt to `worker`, or to nobody."""
        if attempt.worker is not None:
            self.held_attempts[attempt.worker].pop(attempt.key)
        attempt.worker = worker
        if attempt.line is None:
            place = (attempt.queue, attempt.name, attempt.deaths_count >= SUSPECT_DEATHS)
            self._due_attempts.put(attempt.key, place, attempt.ready_at_ms if worker is None else None)
        else:
            self._queues.put(attempt)
        self._expiring.put(attempt.key, (), attempt.expires_at_ms if worker is None else None)
        if worker is not None:
            self.held_attempts.setdefault(worker, {})[attempt.key] = attempt
        else:
            self._changed()

    def drop_attempt(self, run: MemoryRun, call_id: int) -> None:
        """An attempt is over."""
        attempt = run.attempts.pop(call_id, None)
        if attempt is not None:
            if attempt.worker is not None:
                self.held_attempts[attempt.worker].pop(attempt.key)
                if attempt.line is not None:
                    # Limits may have waited for its end.
                    self._changed()
            self._due_attempts.put(attempt.key, (attempt.queue, attempt.name, False), None)
            self._queues.drop(attempt)
            self._expiring.put(attempt.key, (), None)

    def runs_due(self, request: ClaimRequest, now_ms: int) -> list[MemoryRun]:
        """What a claim hands out, oldest due first."""
        free = sorted(
            itertools.chain.from_iterable(
                self._due_runs.due(place, now_ms, request.runs_max)
                for place in set(itertools.product(request.queues, request.routes))
            )
        )
        missed = self._missed_runs(request, now_ms)
        keys = {key for _, key in missed}
        held = [entry for entry in self._due_runs.due(request.worker, now_ms) if entry[1] not in keys]
        return [self._runs[key[0]] for _, key in sorted(free[: request.runs_max] + missed + held)]

    def _missed_runs(self, request: ClaimRequest, now_ms: int) -> list[tuple[int, tuple[int]]]:
        """What claims handed out whose answers the worker may have missed, by its first visible message."""
        missed: list[tuple[int, tuple[int]]] = []
        if request.since < request.number:
            for run in self.held_runs.get(request.worker, {}).values():
                first = min((message.delivery.visible_at_ms for message in run.inbox.values()), default=None)
                if run.claim_number >= request.since and run.parked is None and first is not None and first <= now_ms:
                    missed.append((first, (run.index,)))
        return missed

    def missed_attempts(self, request: ClaimRequest) -> list[MemoryAttempt]:
        """The same of attempts; those that were cancelled meanwhile are dropped."""
        if request.since == request.number:
            return []
        held = sorted(self.held_attempts.get(request.worker, {}).items())
        missed = [attempt for _, attempt in held if attempt.claim_number >= request.since]
        for attempt in missed:
            if attempt.cancelled:
                self.drop_attempt(attempt.run, attempt.call_id)
        return [attempt for attempt in missed if not attempt.cancelled]

    def choose_attempts(self, request: ClaimRequest, now_ms: int) -> Choice:
        """What a claim hands out of new attempts."""
        if not self._queues and not request.limits:
            return Choice([attempt.key for attempt in self._attempts_due(request, now_ms)])
        plain = [
            self.attempt(key)
            for kind in itertools.product(set(request.queues), request.activities | request.full, (False, True))
            for _, key in self._due_attempts.due(kind, now_ms)
        ]
        choice = self._queues.choose(request, plain, now_ms)
        for attempt in [self.attempt(key) for key in choice.limited]:
            # From here on it is counted.
            self._due_attempts.put(attempt.key, (attempt.queue, attempt.name, False), None)
            attempt.line = PLAIN_LINE
        return choice

    def overdue_attempts(self, request: ClaimRequest, now_ms: int) -> list[tuple[int, int]]:
        """Those that have expired, in whatever queue, of runs that the request could take."""
        overdue = [self.attempt(key) for _, key in self._expiring.due((), now_ms)]
        fits = [each for each in overdue if each.run.new.queue in request.queues and each.run.route in request.routes]
        return [each.key for each in fits[:OVERDUE_MAX]]

    def attempt(self, key: tuple[int, int]) -> MemoryAttempt:
        """The attempt of this key."""
        return self._runs[key[0]].attempts[key[1]]

    def _attempts_due(self, request: ClaimRequest, now_ms: int) -> list[MemoryAttempt]:
        """The oldest, where none has a rank."""
        kinds = set(itertools.product(request.queues, request.activities))
        suspects_max = min(request.suspects_max, request.attempts_max)
        fresh = [self._due_attempts.due((*kind, False), now_ms, request.attempts_max) for kind in kinds]
        suspect = [self._due_attempts.due((*kind, True), now_ms, suspects_max) for kind in kinds]
        suspects = sorted(itertools.chain.from_iterable(suspect))[:suspects_max]
        keys = sorted([*itertools.chain.from_iterable(fresh), *suspects])[: request.attempts_max]
        return [self.attempt(key) for _, key in keys]

    def next_due_at_ms(self, request: ClaimRequest, now_ms: int) -> int | None:
        """See `Claimed.next_due_at_ms`."""
        moments = [self._due_runs.next_at_ms(request.worker, now_ms)]
        if request.runs_max > 0:
            pairs = itertools.product(request.queues, request.routes)
            moments += [self._due_runs.next_at_ms(pair, now_ms) for pair in pairs]
        kinds = ([False] if request.attempts_max > 0 else []) + (
            [True] if min(request.attempts_max, request.suspects_max) > 0 else []
        )
        places = itertools.product(request.queues, request.activities, kinds)
        moments += [self._due_attempts.next_at_ms(place, now_ms) for place in places]
        moments += self._queues.next_ms(request, now_ms) if self._queues else []
        moments.append(self._expiring.next_at_ms((), now_ms))
        return min((moment for moment in moments if moment is not None), default=None)
