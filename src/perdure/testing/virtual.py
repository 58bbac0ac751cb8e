"""Virtual time: event loops that share one clock, which jumps to the next timer as soon as nothing is ready.

One `VirtualTime` drives any number of `VirtualLoop`s in one thread, each of which stands for a process: it can stand
still (its callbacks wait) or be gone (its callbacks never run, nor does any clean-up). The same calls give the same
order of callbacks. It refuses everything that reaches outside: sockets, threads, executors.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Generator
from contextlib import suppress
from contextvars import Context
from heapq import heappop, heappush
from random import Random
from typing import Any, TypeVar

from perdure.core.ids import RunId, uuid7

T = TypeVar("T")

START_MS = 1_750_000_000_000
"""The moment at which virtual time begins, in milliseconds since 1970."""
CALLBACKS_MAX = 400_000
"""So many callbacks are a loop that never ends, whether time passes meanwhile or not."""
CLOSINGS_MAX = 100
"""How often a coroutine that refuses to end is closed again."""

_set_running_loop = asyncio._set_running_loop
_get_running_loop = asyncio._get_running_loop


class StandstillError(Exception):
    """Nothing can ever happen again, or nothing but the same: what is waited for will not come."""


class VirtualTime:
    """The shared clock and the one queue of callbacks."""

    def __init__(self, start_ms: int = START_MS) -> None:
        """It begins at `start_ms`, in milliseconds since 1970."""
        self.start_ms = start_ms
        self.now_s = 0.0
        """Seconds since the start."""
        self.errors: list[dict[str, Any]] = []
        """What callbacks and tasks raised that nobody caught."""
        self._ready: deque[asyncio.Handle] = deque()
        self._timers: list[tuple[float, int, asyncio.TimerHandle]] = []
        self._timers_count = 0
        self.callbacks_count = 0

    @property
    def now_ms(self) -> int:
        """The true moment, in milliseconds since 1970."""
        # Rounded to microseconds first: a sum of float seconds may fall just short of its millisecond.
        return self.start_ms + round(self.now_s * 1_000_000) // 1_000

    def add(self, handle: asyncio.Handle) -> None:
        """Run a callback after those that are ready."""
        self._ready.append(handle)

    def add_timer(self, handle: asyncio.TimerHandle) -> None:
        """Run a callback at its moment."""
        self._timers_count += 1
        heappush(self._timers, (handle.when(), self._timers_count, handle))

    def run(self, main: Coroutine[Any, Any, T], loop: "VirtualLoop") -> T:
        """The result of `main`, run as a task of `loop`. Raises `StandstillError` if it can never end."""
        before = _get_running_loop()
        assert before is None, "virtual time runs in a thread without another running loop"
        task = loop.create_task(main)
        try:
            while not task.done():
                self.run_ready()
                if not task.done():
                    self.pass_time()
        finally:
            _set_running_loop(None)
        return task.result()

    def run_ready(self) -> None:
        """Run what is ready, and what becomes ready by it. Raises `StandstillError` if that never ends."""
        ready = self._ready
        count = self.callbacks_count
        while ready:
            handle = ready.popleft()
            if handle._cancelled:
                continue
            loop: VirtualLoop = handle._loop
            if loop.stopped:
                loop.keep(handle)
                continue
            _set_running_loop(loop)
            handle._run()
            count += 1
            if count > CALLBACKS_MAX:
                raise StandstillError(f"{count} callbacks have run at {self.now_s:.3f} s, the last was {handle!r}")
        self.callbacks_count = count

    def pass_time(self) -> None:
        """Make ready what is due next. Raises `StandstillError` if nothing is."""
        timers = self._timers
        while timers and timers[0][2].cancelled():
            heappop(timers)
        if not timers:
            raise StandstillError(f"nothing is left to happen after {self.now_s:.3f} s")
        self.now_s = max(self.now_s, timers[0][0])
        while timers and timers[0][0] <= self.now_s:
            handle = heappop(timers)[2]
            if not handle.cancelled():
                self._ready.append(handle)


class VirtualLoop(asyncio.AbstractEventLoop):
    """The loop of one simulated process."""

    def __init__(self, shared: VirtualTime, name: str) -> None:
        self.shared = shared
        self.name = name
        self.stopped = False
        """It stands still, or is gone."""
        self.dead = False
        self._kept: list[asyncio.Handle] = []
        self._buried: set[asyncio.Task[Any]] = set()

    def __repr__(self) -> str:
        return f"<VirtualLoop {self.name}>"

    # Fate

    def pause(self) -> None:
        """Stand still: what becomes ready waits."""
        self.stopped = True

    def resume(self) -> None:
        """Go on with what has become ready meanwhile."""
        if self.stopped and not self.dead:
            self.stopped = False
            for handle in self._kept:
                self.shared.add(handle)
            self._kept.clear()

    def crash(self) -> None:
        """Be gone: no callback of this loop ever runs again. Its tasks are kept, so that none of them cleans up."""
        self.stopped = self.dead = True
        self._kept.clear()
        self._buried = asyncio.all_tasks(self)

    def keep(self, handle: asyncio.Handle) -> None:
        """A callback became ready while the loop stood still."""
        if not self.dead:
            self._kept.append(handle)

    def bury(self) -> None:
        """Let go of the tasks of a loop that is gone; the caller sees to it that their clean-up reaches nothing."""
        before = _get_running_loop()
        _set_running_loop(self)
        try:
            # What is closed may start others.
            while tasks := [task for task in self._buried | asyncio.all_tasks(self) if _is_open(task)]:
                for task in tasks:
                    _close(task)
            self._buried.clear()
        finally:
            _set_running_loop(before)

    # asyncio.AbstractEventLoop

    def time(self) -> float:
        return self.shared.now_s

    def call_soon(self, callback: Callable[..., object], *args: Any, context: Context | None = None) -> asyncio.Handle:
        handle = asyncio.Handle(callback, args, self, context)
        if not self.dead:
            self.shared.add(handle)
        return handle

    def call_soon_threadsafe(
        self, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.Handle:
        """In one thread there is no difference."""
        return self.call_soon(callback, *args, context=context)

    def call_later(
        self, delay: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        return self.call_at(self.shared.now_s + delay, callback, *args, context=context)

    def call_at(
        self, when: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        handle = asyncio.TimerHandle(when, callback, args, self, context)
        if not self.dead:
            self.shared.add_timer(handle)
        return handle

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """Nothing to do: it is left out when its time comes."""

    def create_future(self) -> "asyncio.Future[Any]":
        return asyncio.Future(loop=self)

    def create_task(
        self, coro: Generator[Any, None, T] | Coroutine[Any, Any, T], *, name: object = None, **options: Any
    ) -> "asyncio.Task[T]":
        return asyncio.Task(coro, loop=self, name=None if name is None else str(name), **options)

    def get_task_factory(self) -> None:
        return None

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return not self.dead

    def is_closed(self) -> bool:
        return False

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        if not self.dead:
            self.shared.errors.append({"loop": self.name, **context})


def _is_open(task: "asyncio.Task[Any]") -> bool:
    return getattr(task.get_coro(), "cr_frame", None) is not None


def _close(task: "asyncio.Task[Any]") -> None:
    # As asyncio.gather does: the task is dropped on purpose.
    task._log_destroy_pending = False  # pyright: ignore[reportAttributeAccessIssue]
    coro = task.get_coro()
    assert coro is not None
    for _ in range(CLOSINGS_MAX):
        # Whatever clean-up raises in a process that is gone, nobody hears it.
        with suppress(BaseException):
            coro.close()
        if not _is_open(task):
            return
    raise AssertionError(f"{task!r} refuses to end")


class VirtualClock:
    """A `Clock` over virtual time, off by a skew that may change, with ids from a generator of its own."""

    def __init__(self, shared: VirtualTime, random: Random, *, skew_ms: float = 0.0) -> None:
        """A skew that is no whole number makes timers ring a little before or after the clock's own milliseconds."""
        self._shared = shared
        self._random = random
        self.skew_ms = skew_ms

    def now_ms(self) -> int:
        """The moment as this clock sees it."""
        return self._shared.start_ms + round(self._shared.now_s * 1_000_000 + self.skew_ms * 1_000) // 1_000

    def new_run_id(self) -> RunId:
        """A UUIDv7."""
        return RunId(self.new_id())

    def new_id(self) -> str:
        """A UUIDv7."""
        return uuid7(self.now_ms(), self._random)
