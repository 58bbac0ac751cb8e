"""Runs the attempts that this worker holds: rooms, deadlines, heartbeats, cancellation. Lives on the engine's loop.

It refuses to decide what follows an outcome (engine/attempts) and to speak to the store: it reports, its worker acts.
No thread and no process is started before an activity needs one.
"""

import asyncio
import logging
import os
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextvars import Context
from functools import partial
from typing import Any

import msgspec

from perdure.core import codec
from perdure.core.failure import cancelled, timed_out
from perdure.core.message import Cancelled, Failed, Outcome
from perdure.core.policy import TimeoutKind, run_deadline
from perdure.core.store import AttemptKey, Beat
from perdure.engine.clock import Clock
from perdure.programs.code.definition import Activity
from perdure.worker.context import RunningAttempt
from perdure.worker.deadlines import Deadlines, Due, Flush
from perdure.worker.executors import Ends, Room, Tasks, Threads
from perdure.worker.job import Job, LocalJob
from perdure.worker.mailbox import Mailbox
from perdure.worker.outcomes import note_failure
from perdure.worker.processes import Processes

logger = logging.getLogger("perdure.activity")

CPUS = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
BEAT_PERCENT = 40
"""Heartbeats are passed on at most once in this part of the heartbeat timeout."""


class ActivityLimits(msgspec.Struct, frozen=True):
    """How many activities of each kind run at once, and how long `stop` waits for them."""

    activities_max: int = 1_000
    """Async ones."""
    threads_max: int = min(32, CPUS + 4)
    """Sync ones."""
    processes_max: int = CPUS
    """CPU-bound ones."""
    stop_ms_max: int = 5_000


class ActivityRunner:
    """Runs jobs and reports each outcome once, in batches."""

    def __init__(
        self,
        clock: Clock,
        user_loop_mailbox: Mailbox,
        engine_mailbox: Mailbox,
        limits: ActivityLimits,
        on_ended: Callable[[Sequence[tuple[Job, Outcome]]], None],
        *,
        on_beat_due: Callable[[], None] = lambda: None,
        engine_context: Context | None = None,
    ) -> None:
        """Both callbacks are called on the engine's loop; `on_beat_due` once, until `beats` is called.

        `engine_context` is that of system activities.
        """
        self._clock = clock
        self._mailbox = engine_mailbox
        self._limits = limits
        self._on_ended = on_ended
        self._on_beat_due = on_beat_due
        self._tasks = Room(Tasks(user_loop_mailbox, self._hand_over), limits.activities_max)
        self._threads = Room(Threads(self._hand_over, name="perdure-activity"), limits.threads_max)
        self._processes = Room(Processes(self._hand_over), limits.processes_max)
        own = Tasks(engine_mailbox, self._hand_over, engine_context)
        self._engine_tasks = Room(own, limits.activities_max)
        self._rooms: tuple[Room, ...] = (self._tasks, self._threads, self._processes, self._engine_tasks)
        self._local_rooms: dict[Room, Room] = {}
        """For local activities, beside those of the ordinary ones."""
        self._held: dict[AttemptKey, RunningAttempt] = {}
        self._ended: deque[tuple[RunningAttempt, Outcome]] = deque()
        self._deadlines = Deadlines(clock, self._due)
        self._beaten: dict[AttemptKey, RunningAttempt] = {}
        self._beats_asked = False
        self._drained = asyncio.Event()
        self._quiet = asyncio.Event()

    # Room

    def _room(self, definition: "Activity[..., Any]") -> Room:
        if definition.is_async:
            return self._engine_tasks if definition.on_engine else self._tasks
        return self._processes if definition.process else self._threads

    def _local_room(self, definition: "Activity[..., Any]") -> Room:
        # As large again: a turn that waits for an ordinary activity to end could never tell it to.
        room = self._room(definition)
        own = self._local_rooms.get(room)
        if own is None:
            own = self._local_rooms[room] = Room(room.executor, room.limit)
            self._rooms = (*self._rooms, own)
        return own

    def room(self, definition: "Activity[..., Any]") -> int:
        """How many more jobs of this kind would start at once."""
        return self._room(definition).free_count

    def has_room(self, definition: "Activity[..., Any]") -> bool:
        """Whether another job of this kind would start at once."""
        return self._room(definition).free_count > 0

    def free(self, definitions: "Iterable[Activity[..., Any]] | None" = None) -> int:
        """How many more attempts it can take; with `definitions`, how many of these would surely start at once.

        Of definitions of a full kind none would, so these do not count (see `names_with_room`).
        """
        if definitions is None:
            return max(0, self._limits.activities_max - len(self._held))
        counts = {self._room(each).free_count for each in definitions} - {0}
        return min(counts, default=0)

    def names_with_room(self, definitions: "Iterable[Activity[..., Any]]") -> frozenset[str]:
        """Names of those activities of which another job would start at once."""
        return frozenset([each.name for each in definitions if self.has_room(each)])

    # Starting

    def start(self, jobs: Sequence[Job], *, local: bool = False) -> None:
        """Take them all; those whose kind has no room wait here, and their deadlines are not running yet."""
        held, note_beat = self._held, self._note_beat
        room_of = self._local_room if local else self._room
        for job in jobs:
            if job.key in held:
                self.drop(job.key)
            attempt = held[job.key] = RunningAttempt(job, note_beat)
            room = attempt.room = room_of(job.definition)
            room.waiting.append(attempt)
        if jobs:
            self._drained.clear()
            self._fill()

    def _fill(self) -> None:
        """Begin those who wait, as far as there is room."""
        now_ms = 0
        for room in self._rooms:
            waiting = room.waiting
            count = min(len(waiting), room.limit - room.busy_count)
            if count <= 0:
                continue
            now_ms = now_ms or self._clock.now_ms()
            begun = [attempt for attempt in [waiting.popleft() for _ in range(count)] if self._begin(attempt, now_ms)]
            room.busy_count += len(begun)
            if begun:
                self._quiet.clear()
                room.executor.launch(begun)

    def _begin(self, attempt: RunningAttempt, now_ms: int) -> bool:
        """Start its clocks; False if its time was over before."""
        job = attempt.job
        options = job.call.options
        job.started_at_ms = attempt.beat_at_ms = now_ms
        if options.start_to_close_ms is not None or options.schedule_to_close_ms is not None:
            deadline = run_deadline(options, scheduled_at_ms=job.scheduled_at_ms, started_at_ms=now_ms)
            assert deadline is not None
            if deadline[0] <= now_ms:
                self._end_unrun(attempt, Failed(timed_out(deadline[1], job.last_failure, job.heartbeat)))
                return False
            self._deadlines.add(deadline[0], attempt, deadline[1])
        if options.heartbeat_ms is not None:
            self._deadlines.add(now_ms + options.heartbeat_ms, attempt, TimeoutKind.HEARTBEAT)
        attempt.waiting = False
        return True

    def _end_unrun(self, attempt: RunningAttempt, outcome: Outcome) -> None:
        # By the mailbox like all others: the caller's own callback must not be called before its call returned.
        note_failure(attempt, outcome)
        self._hand_over([(attempt, outcome)])

    # Ending

    def _hand_over(self, ends: Ends) -> None:
        """Called in any thread: these attempts have ended."""
        self._ended.extend(ends)
        self._post(self._collect)

    def _post(self, callback: Callable[[], None]) -> None:
        try:
            self._mailbox.post(callback)
        except RuntimeError:
            # The engine's loop is closed: the thread that ends so late was abandoned.
            return

    def _collect(self) -> None:
        ended = self._ended
        report: list[tuple[Job, Outcome]] = []
        for _ in range(len(ended)):
            attempt, outcome = ended.popleft()
            if not attempt.waiting:
                attempt.room.busy_count -= 1
            if not attempt.over:
                self._forget(attempt)
                report.append((attempt.job, outcome))
        self._settle()
        if report:
            self._on_ended(report)

    def _forget(self, attempt: RunningAttempt) -> None:
        attempt.over = True
        del self._held[attempt.job.key]
        if attempt.beaten:
            self._beaten.pop(attempt.job.key, None)

    def _settle(self) -> None:
        """Let in who waits, and tell who waits for silence."""
        self._fill()
        if not self._held:
            self._drained.set()
        if not any(room.busy_count for room in self._rooms):
            self._quiet.set()

    def _due(self, entries: Sequence[Due], now_ms: int) -> None:
        report: list[tuple[Job, Outcome]] = []
        for attempt, what in entries:
            if attempt.over:
                continue
            if isinstance(what, Flush):
                self._ask_for_beats()
                continue
            job = attempt.job
            if what is TimeoutKind.HEARTBEAT:
                assert job.call.options.heartbeat_ms is not None
                end_ms = attempt.beat_at_ms + job.call.options.heartbeat_ms
                if end_ms > now_ms:
                    self._deadlines.add(end_ms, attempt, what)
                    continue
            outcome = Failed(timed_out(what, job.last_failure, job.heartbeat))
            note_failure(attempt, outcome)
            self._leave(attempt, f"{what} timeout", gently=False)
            report.append((job, outcome))
        self._settle()
        if report:
            self._on_ended(report)

    def _leave(self, attempt: RunningAttempt, reason: str, *, gently: bool) -> None:
        """Wait for an attempt no more; its room stays taken until its code has ended."""
        attempt.stop_reason = reason
        self._forget(attempt)
        room = attempt.room
        if not attempt.waiting:
            room.executor.abandon(attempt, gently=gently)
        elif attempt in room.waiting:
            room.waiting.remove(attempt)

    # Stopping

    def cancel(self, key: AttemptKey, reason: str) -> None:
        """Ask an attempt to end, if it is held. Its outcome is reported as ever: `Cancelled` if it obeyed."""
        attempt = self._held.get(key)
        if attempt is None or attempt.stop_reason is not None:
            return
        attempt.stop_reason = reason
        room = attempt.room
        if not attempt.waiting:
            attempt.asked = True
            room.executor.cancel(attempt)
        elif attempt in room.waiting:
            room.waiting.remove(attempt)
            self._end_unrun(attempt, Cancelled(cancelled(reason)))

    def drop(self, key: AttemptKey) -> None:
        """End an attempt and never report it: nobody waits for it any more."""
        attempt = self._held.get(key)
        if attempt is not None:
            self._leave(attempt, "nobody waits for this activity any more", gently=True)
            if not self._held:
                self._drained.set()

    def drop_all(self) -> None:
        """Drop every attempt."""
        for room in self._rooms:
            for attempt in room.waiting:
                attempt.stop_reason = "nobody waits for this activity any more"
                self._forget(attempt)
            room.waiting.clear()
        for key in list(self._held):
            self.drop(key)
        self._drained.set()

    def holds(self, key: AttemptKey) -> bool:
        """Whether the outcome of this attempt is still to be reported."""
        return key in self._held

    @property
    def running_count(self) -> int:
        """How many attempts are still to be reported."""
        return len(self._held)

    @property
    def busy_count(self) -> int:
        """How many attempts' code runs, waited for or not."""
        return sum(room.busy_count for room in self._rooms)

    @property
    def deadlines_count(self) -> int:
        """How many deadlines are kept in memory, those of ended attempts included."""
        return len(self._deadlines)

    async def drain(self) -> None:
        """Return when nothing is left to be reported."""
        while self._held:
            await self._drained.wait()

    async def stop(self) -> None:
        """Drop everything, wait up to `stop_ms_max` for its code to end, let go of threads and processes."""
        self.drop_all()
        self._deadlines.clear()
        for executor in dict.fromkeys(room.executor for room in self._rooms):
            executor.close()
        try:
            async with asyncio.timeout(self._limits.stop_ms_max / 1_000):
                while busy_count := sum(room.busy_count for room in self._rooms):
                    await self._quiet.wait()
        except TimeoutError:
            busy_count = sum(room.busy_count for room in self._rooms)
            logger.warning(
                "%d activities did not end within %d ms; they are abandoned", busy_count, self._limits.stop_ms_max
            )

    # Heartbeats

    def _note_beat(self, attempt: RunningAttempt) -> None:
        """Called in the activity's own thread, at each heartbeat: one post until it is passed on."""
        attempt.beat_at_ms = self._clock.now_ms()
        if not attempt.beaten:
            attempt.beaten = True
            self._post(partial(self._schedule_beat, attempt))

    def _schedule_beat(self, attempt: RunningAttempt) -> None:
        # Not beaten any more: it was passed on with everyone's before this callback came.
        if attempt.over or not attempt.beaten:
            return
        self._beaten[attempt.job.key] = attempt
        heartbeat_ms = attempt.job.call.options.heartbeat_ms
        if heartbeat_ms is None:
            # It goes with the lease.
            return
        due_at_ms = attempt.flushed_at_ms + heartbeat_ms * BEAT_PERCENT // 100
        if due_at_ms <= self._clock.now_ms():
            self._ask_for_beats()
        else:
            self._deadlines.add(due_at_ms, attempt, Flush.FLUSH)

    def _ask_for_beats(self) -> None:
        if not self._beats_asked:
            self._beats_asked = True
            self._on_beat_due()

    def beats(self, *, everyone: bool = False) -> list[Beat]:
        """The heartbeats since last asked, with new details if any; with `everyone`, one for each attempt held."""
        self._beats_asked = False
        attempts = list(self._held.values() if everyone else self._beaten.values())
        self._beaten.clear()
        now_ms = self._clock.now_ms() if attempts else 0
        beats: list[Beat] = []
        for attempt in attempts:
            if type(attempt.job) is LocalJob:
                attempt.beaten = False
                continue
            details: bytes | None = None
            if attempt.beaten:
                # Both cleared before the details are read: those that come meanwhile are passed on again.
                attempt.beaten = False
                attempt.flushed_at_ms = now_ms
                if attempt.job.heartbeat_unsent:
                    attempt.job.heartbeat_unsent = False
                    details = codec.heartbeats.encode(attempt.job.heartbeat)
            beats.append(Beat(attempt.job.key.run_id, attempt.job.key.call_id, details))
        return beats
