"""Holds live runs, steps them and commits their turns: the hot path.

One outstanding commit a run; what arrives meanwhile waits and becomes the next turn. A live run is ahead of the store
while its commit is under way, so nothing of it is shown or started before the commit is durable, and a refused commit
drops it.
"""

import asyncio
import logging
from collections.abc import Sequence

from perdure.core import codec
from perdure.core.command import RecordLocalActivity, RunActivity
from perdure.core.errors import Paused, PerdureError, StoreError, StoreUnavailable
from perdure.core.ids import RunId, WorkerId
from perdure.core.limits import TURN_BYTES_MAX
from perdure.core.message import ActivityClosed, Failed, Message, Outcome, PauseRequested, Resumed, Started
from perdure.core.program import OpenTurn
from perdure.core.store import (
    AttemptKey,
    ClaimedRun,
    Commit,
    Finish,
    NewRun,
    Retry,
    RunRecord,
    Store,
)
from perdure.core.turn import Turn
from perdure.engine.attempts import Ending, ending
from perdure.engine.clock import Clock
from perdure.engine.commit import outcome_of
from perdure.engine.live import LiveRun
from perdure.engine.moving import hand_on
from perdure.engine.pipeline import Pipeline
from perdure.worker.activities import ActivityRunner
from perdure.worker.cache import LiveRunCache
from perdure.worker.creations import Creations
from perdure.worker.finishes import Finishes
from perdure.worker.held import Entry, HeldRun, HostEvents
from perdure.worker.job import Job, LocalJob
from perdure.worker.loading import ends, load_lives, opened
from perdure.worker.local import LocalActivities, LocalTurn
from perdure.worker.outcomes import LATER_TYPE
from perdure.worker.parking import Parking, decodable
from perdure.worker.registry import Registry
from perdure.worker.settling import Settling
from perdure.worker.stepping import Served, Stepper
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
        queues: Served,
        cache_size: int,
        events: HostEvents,
        watched: Watched,
        turn_bytes_max: int = TURN_BYTES_MAX,
    ) -> None:
        self._store, self._clock = store, clock
        self._registry, self._runner = registry, runner
        self._events, self._updates = events, events.updates
        self._activities = registry.runnable
        self._watched = watched
        self.worker = WorkerId("")
        self.held: dict[RunId, HeldRun] = {}
        self.cache = LiveRunCache(cache_size)
        self._creations = Creations()
        self._stepper = Stepper(registry, runner, queues=queues, watched=watched, turn_bytes_max=turn_bytes_max)
        self._commits: Pipeline[Entry, frozenset[RunId]] = Pipeline(
            self._write_commits, self._committed, "commit", events.broken
        )
        self._finishes = Finishes(clock, self._write_finishes, events.broken)
        self._parking = Parking(store, self._finishes, events)
        self._settling = Settling(store, clock, runner, self._finishes, drop=self._drop)
        self._local = LocalActivities(clock, registry, runner, self._go_on)

    def drain(self) -> None:
        """Start no activity here any more."""
        self._stepper.draining = True

    def give_way(self, best_left: int | None) -> None:
        """Attempts of this priority wait in the store for room: see `Claimed.best_left`."""
        self._stepper.best_left = best_left

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
        self._stepper.reserved_count = 0
        self._creations.fail(StoreUnavailable(store=self._store.url, reason="the worker let go of what it wrote"))
        for held in self.held.values():
            self._local.close(held)
            held.live.close()
        self.held.clear()
        self.cache.clear()

    # Taking

    def start(self, run: NewRun, started: Started) -> "asyncio.Future[bool]":
        """Take the first turn of a new run; the future tells, when it is durable, whether the run could be created."""
        run = self._registry.begun(run)
        program = self._registry.program_begun(run)
        assert program is not None, "the worker looked before"
        held = HeldRun(LiveRun(run.run_id, run.workflow_id, program.open(run.run_id)))
        created = self._creations.begin(run.run_id)
        self.held[run.run_id] = held
        try:
            commit = self._step(held, [started], [], now_ms=self._clock.now_ms(), create=run)
        except Exception:  # ParkedError, or a bug of an interpreter
            commit = None
        if commit is None:
            # Nothing is stored yet, so nothing is lost: the ordinary way creates the run, and its first turn parks it,
            # or takes the time that local activities need.
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
            if held is not None:
                held.claimed_count = each.run.turns_count
                self._receive(each, held)
            else:
                if self._registry.program_for(each.run) is None and not ends(each):
                    self._events.spawn(hand_on(self._store, self._clock, self.worker, each.run))
                    continue
                live = self.cache.take(each.run.run_id)
                if live is None:
                    live = opened(self._registry, each)
                held = self.held[each.run.run_id] = HeldRun(live, loading=True)
                held.claimed_count = each.run.turns_count
                lacking.append((each, held))
        await self._load(lacking)

    async def _load(self, lacking: Sequence[tuple[ClaimedRun, HeldRun]]) -> None:
        wants = [(held.live, each.run.turns_count) for each, held in lacking]
        async for index, error in load_lives(self._store, wants, self._watched):
            each, held = lacking[index]
            if self.held.get(each.run.run_id) is not held:
                continue
            held.loading = False
            if error is not None:
                self._park(held, error, list(decodable(each.messages)))
            else:
                self._receive(each, held)

    def _receive(self, claimed: ClaimedRun, held: HeldRun) -> None:
        try:
            messages = [codec.messages.decode(data) for data in claimed.messages]
        except PerdureError as error:
            self._park(held, error, list(decodable(claimed.messages)))
            return
        # A claim hands out everything that is visible, so it replaces what waited.
        held.messages = messages
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
            if type(job) is LocalJob:
                self._local.ended(held, job, outcome)
                continue
            end: Ending = outcome
            if type(outcome) is Failed:
                if outcome.failure.type == LATER_TYPE:
                    self._finishes.later(job)
                    if held is not None:
                        self._rest(held)
                    continue
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
        if held.in_flight or held.loading:
            return
        if messages or held.live.open.paused is not None:
            paused = held.live.pause(messages)
            if paused is not None:
                self._pause(held, paused, now_ms)
                return
        if not (messages or answers):
            return
        held.messages, held.answers = [], []
        if held.live.open.started is None:
            messages.sort(key=lambda each: not isinstance(each, Started))
            if not messages or not isinstance(messages[0], Started):
                # Told by a clock that is behind the starter's: it is handed out again together with the start.
                self._rest(held)
                return
        count = len(messages) + len(answers)
        fitting = held.live.fitting([*messages, *answers]) if count > 1 else 1
        if fitting < count:
            held.messages, held.answers = messages[fitting:], answers[max(0, fitting - len(messages)) :]
            messages, answers = messages[:fitting], answers[: max(0, fitting - len(messages))]
        try:
            commit = self._step(held, messages, answers, now_ms=now_ms)
        except Exception as error:  # ParkedError, or a bug of an interpreter: either way the run must wait for a human
            held.answers = [*answers, *held.answers]
            self._park(held, error, messages)
            return
        if commit is not None:
            self._put(Entry(held, commit, answers))

    def _pause(self, held: HeldRun, paused: PauseRequested, now_ms: int) -> None:
        """Record that the run shall pause, in a turn of its own, then park it; what else waits for it waits on."""
        requests: list[Message] = [each for each in held.messages if isinstance(each, PauseRequested | Resumed)]
        if held.live.open.started is None or not held.live.fresh(requests):
            self._park(held, Paused(workflow_id=held.live.workflow_id, reason=paused.reason))
            return
        try:
            commit = self._step(held, requests, [], now_ms=now_ms)
        except Exception as error:  # as in `advance`
            self._park(held, error)
            return
        if commit is not None:
            self._put(Entry(held, commit, []))

    def _step(
        self,
        held: HeldRun,
        messages: list[Message],
        answers: list[ActivityClosed],
        *,
        now_ms: int,
        create: NewRun | None = None,
    ) -> Commit | None:
        """The commit of the next turn; None if it waits for local activities."""
        turn = self._stepper.begin(held.live, held.live.fresh([*messages, *answers]), now_ms)
        if type(turn) is Turn:
            return self._stepper.commit(held, turn, messages, answers, create)
        assert type(turn) is OpenTurn
        if create is None:
            held.in_flight, held.turn = True, LocalTurn(messages, answers, now_ms)
            self._local.run(held, turn)
        return None

    def _go_on(self, held: HeldRun, record: RecordLocalActivity) -> None:
        """A local activity of an open turn has an outcome, or waits for a later turn."""
        opened = held.turn
        assert opened is not None
        try:
            turn = self._stepper.go_on(held.live, record)
            if type(turn) is OpenTurn:
                self._local.run(held, turn)
                return
            assert type(turn) is Turn
            self._local.close(held)
            commit = self._stepper.commit(held, turn, opened.messages, opened.answers)
        except Exception as error:  # as in `advance`
            self._local.close(held)
            held.answers = [*opened.answers, *held.answers]
            self._park(held, error, opened.messages)
            return
        self._put(Entry(held, commit, opened.answers))

    def _put(self, entry: Entry) -> None:
        entry.held.in_flight = True
        self._commits.put(entry)

    # After the commit

    def _committed(self, entries: Sequence[Entry], refused: frozenset[RunId], *, repeated: bool) -> None:
        jobs: list[Job] = []
        for entry in entries:
            for attempt in entry.commit.attempts:
                self._stepper.reserved_count -= attempt.kept
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
        if live.run_id in self._updates.waiters:
            self._updates.heard(live.run_id, commit.turn)
        if self.held.get(live.run_id) is not held:
            return
        if commit.closes is not None:
            self._closed(held)
            if commit.deliveries:
                self._events.claimable()
            return
        for attempt in commit.attempts:
            if attempt.kept:
                call = live.open.calls[attempt.call_id]
                assert type(call) is RunActivity
                held.jobs.add(call.call_id)
                definition = self._activities[call.name]
                jobs.append(Job(live.run_id, live.workflow_id, call, definition, scheduled_at_ms=commit.at_ms))
        if commit.cancelled:
            for call_id in commit.cancelled:
                self._runner.cancel(AttemptKey(live.run_id, call_id), "cancelled by the workflow")
        if commit.children or commit.deliveries:
            for delivery in commit.deliveries:
                self._events.timer_set(delivery.visible_at_ms)
            self._events.claimable()
        if commit.keep or held.claimed_count >= commit.number:
            if held.answers or held.messages or live.open.paused is not None:
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
        self._local.close(held)
        for call_id in held.jobs:
            self._runner.drop(AttemptKey(held.live.run_id, call_id))
        if self.held.get(held.live.run_id) is held:
            del self.held[held.live.run_id]
        held.live.close()

    async def _settle(self, entry: Entry, *, repeated: bool) -> None:
        if repeated and await self._settling.is_ours(entry):
            jobs: list[Job] = []
            self._durable(entry, jobs)
            self._runner.start(jobs)
            return
        claimed = await self._settling.lost(self.worker, entry)
        if claimed:
            await self.take(claimed)

    def _drop(self, entry: Entry) -> None:
        """Let go of a live run whose commit was refused."""
        if entry.commit.create is not None:
            self._forget(entry.held)
            self._creations.settle(entry.commit.run_id, fresh=False)
        else:
            self._abandon(entry.held)

    def _abandon(self, held: HeldRun) -> None:
        """Drop a live run that is of no use any more; what runs here for it goes on and is answered by the store."""
        if self.held.get(held.live.run_id) is held:
            del self.held[held.live.run_id]
        held.live.close()

    # Parking

    def _park(self, held: HeldRun, error: Exception, messages: Sequence[Message] = ()) -> None:
        self._parking.park(self.worker, held, error, messages)
        self._abandon(held)

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
