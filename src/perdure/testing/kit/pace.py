"""Decides when time passes: while something that may take time is waited for, and nothing runs.

Who waits, what runs and what was planned for a moment is told here. Everything happens on the host loop.
"""

import asyncio
import inspect
from collections import Counter
from collections.abc import Awaitable, Callable, Hashable
from contextvars import Context, ContextVar
from heapq import heappop, heappush
from typing import Any, Protocol

from perdure.testing.kit.hosted import AnyTask, HostedTime
from perdure.worker.context import running_attempt

QUIET_ROUNDS = 3
"""Rounds of the host loop in which nothing of ours may happen before time passes: other tasks get their turn first."""
MOVES_MAX = 1_000_000
"""So many moves of the clock without anything that was waited for are a wait that never ends."""

WATCH_S = 10
"""Longer than what polls for news as a last resort waits between two looks."""


class Workers(Protocol):
    """What the pace must know of what works."""

    @property
    def busy_count(self) -> int:
        """How many activities run."""
        ...

    @property
    def calls_under_way(self) -> int:
        """How many calls have reached the store and are not answered."""
        ...

    @property
    def writes_count(self) -> int:
        """How often something was written to the store."""
        ...

    def watches(self, task: AnyTask | None) -> bool:
        """Whether nobody waits for what a task does when its timer rings."""
        ...

    def stand_still(self, reason: str) -> None:
        """Nothing can ever end what is waited for."""
        ...


class Alarm:
    """What was planned by `at` or `every`."""

    def __init__(self, action: Callable[[], object], every_s: float | None, times: int | None) -> None:
        self.action = action
        self.every_s = every_s
        self.times = times
        """How often it is still called; None: as long as it is not cancelled."""

    def cancel(self) -> None:
        """Never call it again."""
        self.times = 0


class Ring:
    """One call of an alarm's action."""

    def __init__(self, alarm: Alarm) -> None:
        self.alarm = alarm
        self.task: asyncio.Task[None] | None = None


_ring: ContextVar[Ring] = ContextVar("perdure_testing_ring")


class Pace:
    """The waits, the holds and the agenda of one environment."""

    def __init__(self, time: HostedTime, workers: Workers, patience_s: float) -> None:
        self._time = time
        self._workers = workers
        self._patience_s = patience_s
        self._waits: set[asyncio.Future[Any]] = set()
        self._released: Counter[Hashable] = Counter()
        self._rings: set[Ring] = set()
        self._agenda: list[tuple[float, int, asyncio.Future[None] | Alarm]] = []
        self._planned_count = 0
        self._round_due = False
        self._rounds_left = 0
        self._moves_count = 0
        self._impatient = False
        self._timer: asyncio.TimerHandle | None = None
        self._writes_watched: int | None = None
        time.on_quiet = self.consider
        time.on_error = self.fail

    # Waiting

    async def wait(self, answer: "asyncio.Future[Any]") -> Any:
        """The answer, for which time may pass. What runs and waits so does not hold up time."""
        holder = running_attempt() or _ring.get(None)
        self._waits.add(answer)
        if holder is not None:
            self._released[holder] += 1
        self.consider()
        try:
            return await answer
        finally:
            self._waits.discard(answer)
            self._moves_count = 0
            if holder is not None:
                self._released[holder] -= 1
                self._released += Counter()

    async def sleep(self, length_s: float) -> None:
        """Return when so much time has passed, and everything due until then has happened."""
        rung: asyncio.Future[None] = self._time.host.create_future()
        self._plan(self._time.now_s + max(0.0, length_s), rung)
        await self.wait(rung)

    def plan(self, after_s: float, alarm: Alarm) -> None:
        """Call an alarm's action after so much time."""
        self._plan(self._time.now_s + max(0.0, after_s), alarm)

    def _plan(self, when: float, what: "asyncio.Future[None] | Alarm") -> None:
        self._planned_count += 1
        heappush(self._agenda, (when, self._planned_count, what))

    def fail(self, error: Exception) -> bool:
        """Whoever waits gets an error; whether anybody did."""
        waiting = [answer for answer in self._waits if not answer.done()]
        for answer in waiting:
            answer.set_exception(error)
            # Nobody may be left to look at it.
            answer.exception()
        return bool(waiting)

    def stop(self) -> None:
        """Forget everything that was planned."""
        self._agenda.clear()
        for ring in self._rings:
            if ring.task is not None:
                ring.task.cancel()
        self._forget_timer()

    def hurry(self) -> None:
        """From now on time passes also while activities run."""
        self._patience_s = 0.0

    # Passing time

    def consider(self) -> None:
        """See whether time may pass; called whenever something may have changed."""
        if self._round_due or not self._may_pass():
            return
        self._round_due = True
        self._rounds_left = QUIET_ROUNDS
        self._time.host.call_soon(self._round, context=Context())

    def _round(self) -> None:
        self._round_due = False
        if self._time.ready or not self._may_pass():
            return
        if self._rounds_left:
            self._rounds_left -= 1
            self._round_due = True
            self._time.host.call_soon(self._round, context=Context())
            return
        self._move()

    def _may_pass(self) -> bool:
        waits = any(not answer.done() for answer in self._waits)
        if not waits or self._workers.calls_under_way:
            return False
        released = self._released
        if any(ring not in released for ring in self._rings):
            return False
        busy_count = self._workers.busy_count - sum(not isinstance(each, Ring) for each in released)
        if busy_count <= 0:
            self._impatient = False
            self._forget_timer()
            return True
        if not self._impatient and self._timer is None:
            self._timer = self._time.host.call_later(
                self._patience_s, self._lose_patience, self._time.pumps_count, context=Context()
            )
        return self._impatient

    def _lose_patience(self, pumps_count: int) -> None:
        self._timer = None
        # Something happened meanwhile: wait anew.
        self._impatient = pumps_count == self._time.pumps_count or not self._patience_s
        self.consider()

    def _forget_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _move(self) -> None:
        """Do what comes next: the first of the agenda, or the next timer."""
        time = self._time
        agenda = self._agenda
        while agenda and isinstance(agenda[0][2], Alarm) and agenda[0][2].times == 0:
            heappop(agenda)
        if agenda and agenda[0][0] <= time.now_s:
            self._ring(heappop(agenda)[2])
            return
        moments = [agenda[0][0]] if agenda else []
        due_s = time.next_moment(self._workers.watches)
        if due_s is not None:
            moments.append(due_s)
        self._moves_count += 1
        if self._moves_count > MOVES_MAX:
            self._workers.stand_still(f"the clock has moved {MOVES_MAX} times, and what is waited for has not come")
        elif moments:
            time.pass_to(min(moments))
        else:
            self._watch()

    def _watch(self) -> None:
        """Let those that keep watch look for what they have missed; if there is nothing, nothing will ever come."""
        writes_count = self._workers.writes_count
        if self._writes_watched == writes_count:
            self._workers.stand_still("nothing runs, and nothing is due")
        else:
            self._writes_watched = writes_count
            self._time.pass_to(self._time.now_s + WATCH_S)

    def _ring(self, what: "asyncio.Future[None] | Alarm") -> None:
        if not isinstance(what, Alarm):
            if not what.done():
                what.set_result(None)
            self.consider()
            return
        ring = Ring(what)
        self._rings.add(ring)
        context = Context()
        context.run(_ring.set, ring)
        ring.task = self._time.host.create_task(self._run(ring), context=context)

    async def _run(self, ring: Ring) -> None:
        alarm = ring.alarm
        if alarm.times is not None:
            alarm.times -= 1
        if alarm.every_s is not None and alarm.times != 0:
            self.plan(alarm.every_s, alarm)
        try:
            result = alarm.action()
            if inspect.isawaitable(result):
                await _awaited(result)
        except Exception as error:  # the test's own code: what it raises is raised where the test waits
            self.fail(error)
        finally:
            self._rings.discard(ring)
            self.consider()


async def _awaited(result: Awaitable[Any]) -> None:
    await result
