"""Holds live runs, steps them and commits their turns: the hot path.

One outstanding commit a run; what arrives meanwhile waits and becomes the next turn. A live run is ahead of the store
while its commit is under way, so nothing of it is shown or started before the commit is durable, and a refused commit
drops it.
"""

import asyncio
import logging
from collections.abc import Sequence

from perdure.core import codec
from perdure.core.command import RunActivity
from perdure.core.errors import PerdureError, StoreError, StoreUnavailable
from perdure.core.failure import Failure, to_failure
from perdure.core.ids import RunId, WorkerId
from perdure.core.message import ActivityClosed, Failed, Message, Outcome, Started
from perdure.core.store import (
    AttemptKey,
    ClaimedRun,
    Commit,
    Finish,
    NewRun,
    Park,
    Retry,
    RunRecord,
    RunStatus,
    Store,
)
from perdure.engine.attempts import Ending, ending
from perdure.engine.clock import Clock
from perdure.engine.commit import outcome_of, to_commit
from perdure.engine.live import LiveRun
from perdure.engine.pipeline import Pipeline, surely
from perdure.worker.activities import ActivityRunner
from perdure.worker.cache import LiveRunCache
from perdure.worker.creations import Creations
from perdure.worker.finishes import Finishes
from perdure.worker.held import Entry, HeldRun, HostEvents
from perdure.worker.job import Job
from perdure.worker.loading import load_lives
from perdure.worker.registry import Registry
from perdure.worker.watchdog import Watched

logger = logging.getLogger("perdure.worker")


class RunHost:
    """The live runs of one worker identity."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        registry: Registry,
        runner: ActivityRunner,
        *,
        queues: frozenset[str],
        cache_size: int,
        events: HostEvents,
        watched: Watched,
    ) -> None:
        self._store = store
        self._clock = clock
        self._registry = registry
        self._runner = runner
        self._queues = queues
        self._events = events
        self._watched = watched
        self.worker = WorkerId("")
        self.draining = False
        """No activity is started here any more."""
        self.held: dict[RunId, HeldRun] = {}
        self.cache = LiveRunCache(cache_size)
        self._creations = Creations()
        self._reserved_count = 0
        """Attempts kept by commits that are under way: their room is taken."""
        self._commits: Pipeline[Entry, frozenset[RunId]] = Pipeline(
            self._write_commits, self._committed, "commit", events.broken
        )
        self._finishes = Finishes(clock, self._write_finishes, events.broken)

    # Writing

    async def _write_commits(self, entries: Sequence[Entry]) -> frozenset[RunId]:
        try:
            return await self._store.commit(self.worker, [entry.commit for entry in entries])
        except StoreError as error:
            self._creations.fail(error)
            raise

    async def _write_finishes(self, finishes: Sequence[Finish]) -> Sequence[bool]:
        return await self._store.finish(self.worker, finishes)

    async def drained(self) -> None:
        """Return when every commit and every finish is durable."""
        await self._commits.drained()
        await self._finishes.drained()

    def drop_all(self) -> None:
        """Forget every run and everything that was not yet durable: others have it, or will."""
        self._commits.abandon()
        self._finishes.abandon()
        self._reserved_count = 0
        self._creations.fail(StoreUnavailable(store=self._store.url, reason="the worker let go of what it wrote"))
        for held in self.held.values():
            held.live.close()
        self.held.clear()
        self.cache.clear()

    # Taking

    def start(self, run: NewRun, started: Started) -> "asyncio.Future[bool]":
        """Take the first turn of a new run; the future tells, when it is durable, whether the run could be created."""
        program = self._registry.known_program(run.workflow_type)
        held = HeldRun(LiveRun(run.run_id, run.workflow_id, program.open(run.run_id)))
        created = self._creations.begin(run.run_id)
        self.held[run.run_id] = held
        try:
            commit = self._step(held, [started], [], now_ms=self._clock.now_ms(), create=run)
        except Exception:  # ParkedError, or a bug of an interpreter
            # Nothing is stored yet, so nothing is lost: the ordinary way creates the run, and its first turn parks it.
            self._forget(held)
            self._creations.settle(run.run_id, fresh=False)
            return created
        self._put(Entry(held, commit, []))
        return created

    async def take(self, claimed: Sequence[ClaimedRun]) -> None:
        """Hold runs that were claimed and step them."""
        lacking: list[tuple[ClaimedRun, HeldRun]] = []
        for each in claimed:
            held = self.held.get(each.run.run_id)
            if held is None:
                live = self.cache.take(each.run.run_id)
                if live is None:
                    live = self._opened(each)
                held = self.held[each.run.run_id] = HeldRun(live, loading=True)
                lacking.append((each, held))
            else:
                self._receive(each, held)
        await self._load(lacking)

    async def _load(self, lacking: Sequence[tuple[ClaimedRun, HeldRun]]) -> None:
        wants = [(held.live, each.run.turns_count) for each, held in lacking]
        async for index, error in load_lives(self._store, wants, self._watched):
            each, held = lacking[index]
            if self.held.get(each.run.run_id) is not held:
                continue
            held.loading = False
            if error is not None:
                self._park(held, error)
            else:
                self._receive(each, held)

    def _opened(self, claimed: ClaimedRun) -> LiveRun:
        run = claimed.run
        # A termination must end even a run whose code cannot be recalled any more.
        terminated = any(codec.is_termination(data) for data in claimed.messages)
        program = None if terminated else self._registry.known_program(run.workflow_type).open(run.run_id)
        return LiveRun(run.run_id, run.workflow_id, program)

    def _receive(self, claimed: ClaimedRun, held: HeldRun) -> None:
        try:
            messages = [codec.messages.decode(data) for data in claimed.messages]
        except PerdureError as error:
            self._park(held, error)
            return
        # A claim hands out everything that is visible, so it replaces what waited.
        held.messages, held.claimed_count = messages, claimed.run.turns_count
        self.advance(held, self._clock.now_ms())

    # Stepping

    def ended(self, ends: Sequence[tuple[Job, Outcome]]) -> None:
        """Attempts ended here: answer their runs, or try again."""
        now_ms = self._clock.now_ms()
        ready: list[HeldRun] = []
        for job, outcome in ends:
            run_id, call_id = job.key
            held = self.held.get(run_id)
            if held is not None:
                held.jobs.discard(call_id)
            end: Ending = outcome
            if type(outcome) is Failed:
                end = ending(
                    job.call, attempt=job.attempt, scheduled_at_ms=job.scheduled_at_ms, outcome=outcome, now_ms=now_ms
                )
            if isinstance(end, Retry):
                self._finishes.retry(job, end)
                self._events.timer_set(end.due_at_ms)
                if held is not None:
                    self._rest(held)
                continue
            answer = ActivityClosed(call_id, end, job.attempt, job.started_at_ms, job.last_failure)
            if held is not None and (held.loading or call_id in held.live.open.calls):
                if not held.answers:
                    ready.append(held)
                held.answers.append(answer)
            else:
                self._finishes.answer(run_id, answer)
        for held in ready:
            self.advance(held, now_ms)
        self._events.room_made()

    def advance(self, held: HeldRun, now_ms: int) -> None:
        """Take the next turn of a run, if something waits for it and no commit of it is under way."""
        messages, answers = held.messages, held.answers
        if held.in_flight or held.loading or not (messages or answers):
            return
        held.messages, held.answers = [], []
        if held.live.open.started is None:
            messages.sort(key=lambda each: not isinstance(each, Started))
            if not messages or not isinstance(messages[0], Started):
                # Told by a clock that is behind the starter's: it is handed out again together with the start.
                self._rest(held)
                return
        fitting = held.live.fitting([*messages, *answers]) if len(messages) + len(answers) > 1 else 1
        if fitting < len(messages) + len(answers):
            held.messages, held.answers = messages[fitting:], answers[max(0, fitting - len(messages)) :]
            messages, answers = messages[:fitting], answers[: max(0, fitting - len(messages))]
        try:
            commit = self._step(held, messages, answers, now_ms=now_ms)
        except Exception as error:  # ParkedError, or a bug of an interpreter: either way the run must wait for a human
            held.answers = [*answers, *held.answers]
            self._park(held, error)
            return
        self._put(Entry(held, commit, answers))

    def _step(
        self,
        held: HeldRun,
        messages: list[Message],
        answers: list[ActivityClosed],
        *,
        now_ms: int,
        create: NewRun | None = None,
    ) -> Commit:
        live, watched = held.live, self._watched
        inputs = live.fresh([*messages, *answers])
        watched.number += 1
        watched.run_id = live.run_id
        try:
            turn = live.take_turn(now_ms, inputs)
        finally:
            watched.run_id = None
        return to_commit(
            live,
            turn,
            consumed=[message.id for message in messages] if messages and create is None else (),
            finished=tuple([answer.call_id for answer in answers]),
            keeps=self._keep,
            busy=bool(held.jobs or held.messages or held.answers),
            create=create,
        )

    def _keep(self, call: RunActivity) -> bool:
        """Whether this worker runs a new activity itself; if so, its room is reserved."""
        if self.draining or (call.queue is not None and call.queue not in self._queues):
            return False
        definition = self._registry.runnable.get(call.name)
        if definition is None or self._runner.room(definition) <= self._reserved_count:
            return False
        self._reserved_count += 1
        return True

    def _put(self, entry: Entry) -> None:
        entry.held.in_flight = True
        self._commits.put(entry)

    # After the commit

    def _committed(self, entries: Sequence[Entry], refused: frozenset[RunId], *, repeated: bool) -> None:
        jobs: list[Job] = []
        for entry in entries:
            for attempt in entry.commit.attempts:
                self._reserved_count -= attempt.kept
            if refused and entry.commit.run_id in refused:
                self._events.spawn(self._settle(entry, repeated=repeated))
            else:
                self._durable(entry, jobs)
        self._runner.start(jobs)
        self._events.room_made()

    def _durable(self, entry: Entry, jobs: list[Job]) -> None:
        held, commit, _ = entry
        live = held.live
        held.in_flight = False
        if commit.create is not None:
            self._creations.settle(commit.run_id, fresh=True)
        if self.held.get(live.run_id) is not held:
            return
        if commit.closes is not None:
            self._closed(held)
            if commit.deliveries:
                self._events.claimable()
            return
        activities = self._registry.runnable
        for attempt in commit.attempts:
            if attempt.kept:
                call = live.open.calls[attempt.call_id]
                assert type(call) is RunActivity
                held.jobs.add(call.call_id)
                definition = activities[call.name]
                jobs.append(Job(live.run_id, live.workflow_id, call, definition, scheduled_at_ms=commit.at_ms))
        for call_id in commit.cancelled:
            self._runner.cancel(AttemptKey(live.run_id, call_id), "cancelled by the workflow")
        for delivery in commit.deliveries:
            self._events.timer_set(delivery.visible_at_ms)
        if commit.children or commit.deliveries:
            self._events.claimable()
        if commit.keep or held.claimed_count >= commit.number:
            if held.answers or held.messages:
                self.advance(held, self._clock.now_ms())
            elif not held.jobs:
                self._rest(held)
        else:
            self._let_go(held)

    def _rest(self, held: HeldRun) -> None:
        """Make room if nothing of the run happens here now. The store still counts it as held: news of it come here."""
        idle = not (held.in_flight or held.loading or held.jobs or held.answers or held.messages)
        if idle and self.held.get(held.live.run_id) is held:
            del self.held[held.live.run_id]
            self.cache.put(held.live)

    def _let_go(self, held: HeldRun) -> None:
        """The store no longer counts the run as held here: what waits in its inbox comes by the next claim."""
        for answer in held.answers:
            self._finishes.answer(held.live.run_id, answer)
        del self.held[held.live.run_id]
        self.cache.put(held.live)

    def _closed(self, held: HeldRun) -> None:
        live = held.live
        closing = live.open.closing
        assert closing is not None
        self._events.closed(live.run_id, outcome_of(closing))
        self._forget(held)

    def _forget(self, held: HeldRun) -> None:
        """Drop a run and what runs here for it."""
        for call_id in held.jobs:
            self._runner.drop(AttemptKey(held.live.run_id, call_id))
        if self.held.get(held.live.run_id) is held:
            del self.held[held.live.run_id]
        held.live.close()

    async def _settle(self, entry: Entry, *, repeated: bool) -> None:
        """Find out what a refusal means: our own earlier try, a run that is closed, or one that others took."""
        run_id = entry.commit.run_id
        if repeated:
            (stored,), _ = await surely(lambda: self._store.read_turns([(run_id, entry.commit.number - 1)], 1), "read")
            if stored and stored[0] == entry.commit.turn:
                jobs: list[Job] = []
                self._durable(entry, jobs)
                self._runner.start(jobs)
                return
        held = entry.held
        # The outcomes that the refused turn took are recorded by the store, unless somebody else ended those attempts.
        for answer in [*entry.answers, *held.answers]:
            self._finishes.answer(run_id, answer)
        if entry.commit.create is not None:
            self._forget(held)
            self._creations.settle(run_id, fresh=False)
            return
        logger.info("turn %d of run %s was refused: somebody else took it", entry.commit.number, run_id)
        self._abandon(held)
        records, _ = await surely(lambda: self._store.read_runs([run_id]), "read")
        if not records or records[0].status is not RunStatus.RUNNING:
            for call_id in held.jobs:
                self._runner.drop(AttemptKey(run_id, call_id))
        elif records[0].worker == self.worker:
            # A claim has given it back since, while the live run was behind: nobody else will be told of its messages.
            await self._take_again(records[0])

    async def _take_again(self, record: RunRecord) -> None:
        waiting, _ = await surely(lambda: self._store.read_waiting(record.run_id), "read")
        now_ms = self._clock.now_ms()
        messages = tuple(each.data for each in waiting.messages if each.visible_at_ms <= now_ms)
        if messages:
            await self.take([ClaimedRun(record, messages)])

    def _abandon(self, held: HeldRun) -> None:
        """Drop a live run that is of no use any more; what runs here for it goes on and is answered by the store."""
        if self.held.get(held.live.run_id) is held:
            del self.held[held.live.run_id]
        held.live.close()

    # Parking

    def _park(self, held: HeldRun, error: Exception) -> None:
        live = held.live
        failure = to_failure(error)
        logger.error(
            "run %s of workflow %r is parked: %s", live.run_id, live.workflow_id, failure.message, exc_info=error
        )
        for answer in held.answers:
            self._finishes.answer(live.run_id, answer)
        self._abandon(held)
        self._events.spawn(self._write_park(live.run_id, failure))

    async def _write_park(self, run_id: RunId, failure: Failure) -> None:
        # The answers come first: the park lets go of the run, and a resumed run must find them.
        await self._finishes.drained()
        records, _ = await surely(lambda: self._store.read_runs([run_id]), "read")
        parks = [Park(run_id, record.turns_count, codec.failures.encode(failure)) for record in records]
        await surely(lambda: self._store.park(self.worker, parks), "park")

    def forget(self, run_id: RunId) -> None:
        """Drop a run that a client closed, and what runs here for it."""
        held = self.held.get(run_id)
        if held is not None:
            self._forget(held)
        cached = self.cache.take(run_id)
        if cached is not None:
            cached.close()

    # Looking

    def peek(self, record: RunRecord) -> LiveRun | None:
        """The live run, if it is here and is exactly what the store has."""
        held = self.held.get(record.run_id)
        if held is not None:
            ready = not held.in_flight and not held.loading
            live: LiveRun | None = held.live if ready else None
        else:
            live = self.cache.get(record.run_id)
        return live if live is not None and live.turns_count == record.turns_count else None
