"""The worker: claims what is due, keeps its lease, and stops without leaving anything behind.

Three tasks: one claims, one waits for news from the store, one keeps the lease and sends heartbeats. All on one loop.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any

from perdure.core import codec
from perdure.core.command import RunActivity
from perdure.core.errors import StoreError, UndecodablePayload
from perdure.core.ids import RunId, WorkerId
from perdure.core.message import Outcome, Started
from perdure.core.store import (
    SUSPECT_DEATHS,
    AttemptKey,
    Claimed,
    ClaimedAttempt,
    ClaimRequest,
    NewRun,
    RunRecord,
    Store,
)
from perdure.engine import later
from perdure.engine.clock import Clock
from perdure.engine.engine import Engine
from perdure.engine.live import LiveRun
from perdure.engine.pipeline import promptly, surely
from perdure.worker.activities import ActivityRunner
from perdure.worker.claimed import ELSEWHERE, claimed_job, stillborn
from perdure.worker.host import HostEvents, RunHost
from perdure.worker.identity import is_gone
from perdure.worker.job import Job
from perdure.worker.mailbox import Mailbox
from perdure.worker.options import WorkerOptions
from perdure.worker.registry import Registry
from perdure.worker.retention import delete_old_runs
from perdure.worker.stepping import Served
from perdure.worker.system import context_of
from perdure.worker.watchdog import Watched

logger = logging.getLogger("perdure.worker")

BROKEN_PAUSE_MS = 1_000
"""After an internal error, so that one that comes again at once does not spin."""
RELEASE_MS_MAX = 5_000
"""A worker that stops does not wait longer for a store that is silent."""
NEWS_PAUSE_MS = 10
"""Least time between two claims for news of the store: every run that closes is news, and nothing to claim."""
FALLBACK_POLL_MS = 5_000
"""A claim is made this often even if nothing woke the worker: the idle budget is one query a second a process."""


class Worker:
    """One worker identity after the other: a new one when the lease was lost."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        registry: Registry,
        *,
        options: WorkerOptions,
        user: Mailbox,
        engine: Mailbox,
        new_worker_id: Callable[[str], WorkerId],
        closed: Callable[[RunId, Outcome], None],
        verbs: Engine | None = None,
    ) -> None:
        """`verbs` are what system activities use; without them the worker has its own."""
        self._store, self._clock = store, clock
        self._registry = registry
        self._options = options
        self._new_worker_id = new_worker_id
        self.watched = Watched()
        own = verbs or Engine(store, clock)
        self._runner = ActivityRunner(
            clock,
            user,
            engine,
            options.limits,
            self._ended,
            on_beat_due=self._beat_soon,
            engine_context=context_of(own),
        )
        events = HostEvents(
            closed=closed,
            timer_set=self._timer_set,
            room_made=self._room_made,
            claimable=self.look,
            spawn=self._spawn,
            broken=self._broken,
            updates=own.updates,
        )
        self.host = RunHost(
            store,
            clock,
            registry,
            self._runner,
            queues=Served(frozenset(options.queues), frozenset(limit.queue for limit in options.queue_limits)),
            cache_size=options.cache_size,
            events=events,
            watched=self.watched,
            turn_bytes_max=options.turn_bytes_max,
        )
        self._tasks: set[asyncio.Task[Any]] = set()
        self._loops: list[asyncio.Task[None]] = []
        self._claim_now = asyncio.Event()
        self._beat_now = asyncio.Event()
        self._limits = tuple(limit for limit in options.queue_limits if limit.queue in options.queues)
        self._claims_count = 0
        self._claim_was_full = False
        self._next_due_at_ms: int | None = None
        self._suspects_running: set[AttemptKey] = set()
        self._stopping = False
        self._starting_over = False

    # Life

    async def start(self) -> None:
        """Register, take over what dead processes of this machine left, and begin to work."""
        for other in await promptly(self._store.url, self._store.leaseholders):
            if is_gone(other):
                logger.info("taking over from %s, whose process is gone", other)
                await promptly(self._store.url, lambda other=other: self._release(other, died=True))
        self._rename()
        await self._register()
        # The first one makes runs go on; the others only keep watch (see `watches`).
        loops = [self._claim_loop, self._news_loop, self._lease_loop]
        retention_ms = self._options.retention_ms
        if retention_ms is not None:
            loops.append(lambda: delete_old_runs(self._store, self._clock, retention_ms))
        self._loops = [asyncio.create_task(self._for_ever(loop)) for loop in loops]

    async def _for_ever(self, loop: Callable[[], Coroutine[Any, Any, None]]) -> None:
        while True:
            try:
                await loop()
            except Exception as error:  # a bug of ours must neither end the worker silently nor leave half a state
                self._broken(error)
            await asyncio.sleep(BROKEN_PAUSE_MS / 1_000)

    def _rename(self) -> None:
        self.host.worker = self._new_worker_id(self._clock.new_id())

    async def _register(self) -> None:
        until_ms = self._clock.now_ms() + self._options.lease_ms
        await surely(lambda: self._store.register(self.host.worker, until_ms), "register")

    async def stop(self, *, grace_ms: int = 10_000) -> None:
        """Claim nothing more, let what runs finish for up to `grace_ms`, then give the rest back."""
        self._stopping = True
        self.host.drain()
        for task in self._loops[:2]:
            task.cancel()
        if self._runner.running_count:
            logger.warning("waiting up to %d ms for %d activities to end", grace_ms, self._runner.running_count)
        try:
            async with asyncio.timeout(grace_ms / 1_000):
                busy = True
                while busy:
                    await self._runner.drain()
                    await self.host.drained()
                    # A commit that was under way may have started some more.
                    busy = self._runner.running_count > 0
        except TimeoutError:
            logger.warning(
                "giving back %d activities that did not end within %d ms", self._runner.running_count, grace_ms
            )
        for task in [*self._loops, *self._tasks]:
            task.cancel()
        await asyncio.gather(*self._loops, *self._tasks, return_exceptions=True)
        self.host.drop_all()
        self._runner.drop_all()
        await self._runner.stop()
        try:
            async with asyncio.timeout(RELEASE_MS_MAX / 1_000):
                await self._release(self.host.worker)
        except (StoreError, TimeoutError) as error:
            logger.warning("what this worker held is given back when its lease expires: %s", error or "no answer")

    def _release(self, worker: WorkerId, *, died: bool = False) -> Coroutine[Any, Any, None]:
        return self._store.release(worker, died=died, now_ms=self._clock.now_ms())

    def _spawn(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._spawned_done)

    def _spawned_done(self, task: "asyncio.Task[Any]") -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if isinstance(error, Exception):
            self._broken(error)

    def _broken(self, error: Exception) -> None:
        """A bug of ours: give everything back and load it again, as after a crash."""
        logger.critical("internal error; the worker starts over", exc_info=error)
        if not self._stopping and not self._starting_over:
            self._spawn(self._start_over())

    # For those who ask whether anything is going on

    @property
    def busy_count(self) -> int:
        """How many activities' code runs here, waited for or not."""
        return self._runner.busy_count

    def watches(self, task: "asyncio.Task[Any] | None") -> bool:
        """Whether a task of this worker only keeps watch: no run waits for what it does when its time comes."""
        return task is not None and task in self._loops[1:]

    # What clients of this process ask

    def can_start(self, run: NewRun) -> bool:
        """Whether a new run can take its first turn here at once."""
        return (
            not self._stopping
            and run.queue in self._options.queues
            and len(self.host.held) < self._options.runs_max
            and self._registry.program_begun(run) is not None
        )

    def start_run(self, run: NewRun, started: Started) -> "asyncio.Future[bool]":
        """Create a run and take its first turn in one write; the future tells whether it could be created."""
        return self.host.start(run, started)

    def holds(self, run_id: RunId) -> bool:
        """Whether this worker takes the run's turns at the moment."""
        return run_id in self.host.held

    def forget(self, run_id: RunId) -> None:
        """A client closed the run: stop what works on it here."""
        self.host.forget(run_id)

    def look(self) -> None:
        """Something became claimable in this process: claim at once."""
        self._claim_now.set()

    def peek(self, record: RunRecord) -> LiveRun | None:
        """The live run, if it is here and is exactly what the store has."""
        return self.host.peek(record)

    # Claiming

    def _timer_set(self, due_at_ms: int) -> None:
        if self._next_due_at_ms is None or due_at_ms < self._next_due_at_ms:
            self._next_due_at_ms = due_at_ms
            self._claim_now.set()

    def _room_made(self) -> None:
        if self._claim_was_full:
            self._claim_now.set()

    async def _news_loop(self) -> None:
        seen = 0
        while True:
            (seen, _) = await surely(lambda seen=seen: self._store.wait(seen, FALLBACK_POLL_MS), "wait")
            self._claim_now.set()
            # What this process made claimable was claimed without waiting for news: see `look`.
            await asyncio.sleep(NEWS_PAUSE_MS / 1_000)

    async def _claim_loop(self) -> None:
        while True:
            self._claim_now.clear()
            if self._starting_over:
                await self._claim_now.wait()
                continue
            request, now_ms, claimed = await self._claim()
            if request.worker != self.host.worker:
                # What the identity before claimed was given back.
                continue
            self._next_due_at_ms = later.soon(claimed.next_due_at_ms)
            self.host.give_way(claimed.best_left)
            runs_full = len(claimed.runs) >= request.runs_max
            attempts_full = len(claimed.attempts) >= request.attempts_max
            self._claim_was_full = runs_full or attempts_full
            self._take_attempts(claimed.attempts)
            await self.host.take(claimed.runs)
            # Each for itself: with room for runs only, there is no point in asking for attempts again and again.
            if not (runs_full and self._runs_room() > 0) and not (attempts_full and self._attempts_room() > 0):
                await self._until_claim(now_ms)

    async def _claim(self) -> tuple[ClaimRequest, int, Claimed]:
        """Claim until there is an answer; each try says since when answers may have been missed."""
        since = self._claims_count + 1
        asked: list[tuple[ClaimRequest, int]] = []

        def ask() -> Awaitable[Claimed]:
            self._claims_count += 1
            # The clock may have gone back: what a try before took is handed out again only where it is due as well.
            now_ms = max(self._clock.now_ms(), asked[-1][1] if asked else 0)
            asked.append((self._request(since), now_ms))
            return self._store.claim(*asked[-1])

        claimed, _ = await surely(ask, "claim")
        return *asked[-1], claimed

    async def _until_claim(self, claimed_at_ms: int) -> None:
        """Return when something may be claimable: news, room, or the next timer."""
        while not self._claim_now.is_set():
            due_at_ms = self._next_due_at_ms
            if due_at_ms is None or due_at_ms <= claimed_at_ms:
                await self._claim_now.wait()
                return
            left_ms = due_at_ms - self._clock.now_ms()
            if left_ms <= 0:
                return
            try:
                async with asyncio.timeout(left_ms / 1_000):
                    await self._claim_now.wait()
            except TimeoutError:
                continue

    def _runs_room(self) -> int:
        return max(0, self._options.runs_max - len(self.host.held))

    def _attempts_room(self) -> int:
        return self._runner.free(self._registry.runnable.values())

    def _request(self, since: int) -> ClaimRequest:
        runs_max = self._runs_room()
        attempts_max = self._attempts_room()
        # One that was dropped is never reported as ended.
        self._suspects_running = {key for key in self._suspects_running if self._runner.holds(key)}
        runnable = self._registry.runnable
        activities = self._runner.names_with_room(runnable.values())
        return ClaimRequest(
            worker=self.host.worker,
            queues=self._options.queues,
            routes=self._registry.routes,
            activities=activities,
            runs_max=runs_max,
            attempts_max=attempts_max,
            suspects_max=0 if self._suspects_running else 1,
            number=self._claims_count,
            since=since,
            limits=self._limits,
            full=frozenset(runnable) - activities if len(activities) < len(runnable) else frozenset(),
        )

    # Attempts

    def _take_attempts(self, claimed: Sequence[ClaimedAttempt]) -> None:
        calls: dict[bytes, tuple[int, dict[int, RunActivity]]] = {}
        jobs: list[Job] = []
        ended: list[tuple[Job, Outcome]] = []
        for each in claimed:
            try:
                if each.turn not in calls:
                    turn = codec.turns.decode(each.turn)
                    calls[each.turn] = turn.at_ms, {c.call_id: c for c in turn.outputs if isinstance(c, RunActivity)}
                scheduled_at_ms, by_id = calls[each.turn]
                call = by_id[each.call_id]
                definition = ELSEWHERE if each.expired else self._registry.known_activity(call.name)
                job = claimed_job(each, call, definition, each.scheduled_at_ms or scheduled_at_ms)
            except UndecodablePayload as error:
                # Written by a later version, or damaged. Held and left alone, it harms nobody else; a worker that
                # can read it gets it when this one stops.
                logger.error("call %d of run %s cannot be run here: %s", each.call_id, each.run_id, error)
                continue
            outcome = stillborn(each, job, self._clock.now_ms())
            held = self.host.held.get(each.run_id)
            if held is not None:
                held.jobs.add(each.call_id)
            if outcome is not None:
                ended.append((job, outcome))
            elif not self._runner.holds(job.key):
                if each.deaths_count >= SUSPECT_DEATHS:
                    self._suspects_running.add(job.key)
                jobs.append(job)
        self._runner.start(jobs)
        if ended:
            self._ended(ended)

    def _ended(self, ends: Sequence[tuple[Job, Outcome]]) -> None:
        if self._suspects_running:
            self._suspects_running.difference_update(job.key for job, _ in ends)
            self._claim_now.set()
        self.host.ended(ends)

    # The lease

    def _beat_soon(self) -> None:
        self._beat_now.set()

    async def _lease_loop(self) -> None:
        while True:
            everyone = False
            try:
                async with asyncio.timeout(self._options.lease_ms / 3_000):
                    await self._beat_now.wait()
            except TimeoutError:
                # Activities that send no heartbeat learn so that they were cancelled.
                everyone = True
            self._beat_now.clear()
            beats = self._runner.beats(everyone=everyone)
            until_ms = self._clock.now_ms() + self._options.lease_ms
            extended, _ = await surely(lambda u=until_ms, b=beats: self._store.extend(self.host.worker, u, b), "extend")
            if extended.lost and self._starting_over:
                # The new identity is not registered yet.
                continue
            if extended.lost:
                logger.warning("the lease of %s was lost; starting over", self.host.worker)
                await self._start_over()
                continue
            for key in extended.cancelled:
                self._runner.cancel(key, "cancelled by the workflow")

    def drop_all(self) -> None:
        """Let go of every run and every activity here, as they are: others have them, or will."""
        self._runner.drop_all()
        self.host.drop_all()
        self._suspects_running.clear()

    async def _start_over(self) -> None:
        """Drop everything and go on under a new id: after a lost lease others have what this worker held."""
        self._starting_over = True
        try:
            before = self.host.worker
            self.drop_all()
            # At once: a claim that is under way is either the old identity's, and given back, or the new one's.
            self._rename()
            await surely(lambda: self._release(before), "release")
            await self._register()
        finally:
            self._starting_over = False
        self._claim_now.set()
