"""One heap and one loop timer for every deadline of every attempt; those of ended attempts are cleaned lazily."""

import asyncio
from collections.abc import Callable, Sequence
from enum import Enum
from heapq import heapify, heappop, heappush

from perdure.core.policy import TimeoutKind
from perdure.engine.clock import Clock
from perdure.worker.context import RunningAttempt

CLEAN_ENTRIES_MIN = 1_000
"""A heap smaller than this is never worth cleaning."""


class Flush(Enum):
    """What is due where no deadline is: passing on heartbeats."""

    FLUSH = "flush"


Due = tuple[RunningAttempt, TimeoutKind | Flush]


class Deadlines:
    """Tells, on the loop, what is due; never early. Attempts that are over are left out."""

    def __init__(self, clock: Clock, due: Callable[[Sequence[Due], int], None]) -> None:
        """`due(entries, now_ms)` gets everything that is due at once."""
        self._clock = clock
        self._due = due
        self._heap: list[tuple[int, int, RunningAttempt, TimeoutKind | Flush]] = []
        self._added_count = 0
        self._clean_at_count = CLEAN_ENTRIES_MIN
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at_ms = 0

    def add(self, at_ms: int, attempt: RunningAttempt, what: TimeoutKind | Flush) -> None:
        """Report `what` of an attempt at `at_ms`."""
        heap = self._heap
        if len(heap) >= self._clean_at_count:
            self._clean()
        # The number keeps entries of one moment in order and the rest of them from being compared.
        self._added_count += 1
        heappush(heap, (at_ms, self._added_count, attempt, what))
        if self._timer is None or at_ms < self._timer_at_ms:
            self._set_timer(at_ms)

    def clear(self) -> None:
        """Forget everything."""
        self._heap.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def __len__(self) -> int:
        """How many entries are kept, ended attempts included."""
        return len(self._heap)

    def _clean(self) -> None:
        self._heap[:] = [entry for entry in self._heap if not entry[2].over]
        heapify(self._heap)
        self._clean_at_count = max(CLEAN_ENTRIES_MIN, 2 * len(self._heap))

    def _set_timer(self, at_ms: int) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer_at_ms = at_ms
        # The loop's clock and the wall's drift: at least a millisecond, so that a timer that rings early does not spin.
        left_ms = max(1, at_ms - self._clock.now_ms())
        self._timer = asyncio.get_running_loop().call_later(left_ms / 1_000, self._ring)

    def _ring(self) -> None:
        self._timer = None
        now_ms = self._clock.now_ms()
        heap = self._heap
        due: list[Due] = []
        while heap and (heap[0][2].over or heap[0][0] <= now_ms):
            _, _, attempt, what = heappop(heap)
            if not attempt.over:
                due.append((attempt, what))
        if due:
            self._due(due, now_ms)
        if heap and self._timer is None:
            self._set_timer(heap[0][0])
