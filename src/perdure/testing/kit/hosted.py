"""Virtual time inside a running loop of the user's: our loops run from plain callbacks of that one, in its thread.

It knows which timers there are and moves to a moment when told to; it does not decide when (see `pace`).
"""

import asyncio
from collections.abc import Callable
from contextvars import Context
from heapq import heapify, heappop
from typing import Any, cast

from perdure.testing.virtual import VirtualLoop, VirtualTime

_set_running_loop = asyncio._set_running_loop

AnyTask = asyncio.Task[Any]


LONG_S = 1.0
"""A shorter timer of a task that keeps watch is a pause between two looks, and not a wait for news."""


class OwnedTimer(asyncio.TimerHandle):
    """A timer that knows the task that set it, and for how long."""

    __slots__ = ("length_s", "owner")
    owner: AnyTask | None
    length_s: float


class HostedTime(VirtualTime):
    """The clock and the queue of callbacks of loops that live in a host loop."""

    def __init__(self, host: asyncio.AbstractEventLoop, start_ms: int) -> None:
        super().__init__(start_ms)
        self.host = host
        self.on_quiet: Callable[[], None] = lambda: None
        """Called on the host whenever nothing is ready any more."""
        self.on_error: Callable[[Exception], object] = _raised
        """Called on the host with what broke the queue."""
        self.pumps_count = 0
        """Grows whenever something runs."""
        self._pumping = False
        self._pump_due = False

    @property
    def ready(self) -> bool:
        """Whether a callback waits to be run."""
        return bool(self._ready)

    def add(self, handle: asyncio.Handle) -> None:
        """See `VirtualTime`."""
        self._ready.append(handle)
        self._wake()

    def add_threadsafe(self, handle: asyncio.Handle) -> None:
        """Run a callback after those that are ready; called in any thread."""
        self._ready.append(handle)
        self.host.call_soon_threadsafe(self._wake, context=Context())

    def _wake(self) -> None:
        if not self._pumping and not self._pump_due:
            self._pump_due = True
            self.host.call_soon(self._pump, context=Context())

    def _pump(self) -> None:
        self._pump_due = False
        self._run()

    def _run(self) -> None:
        self.pumps_count += 1
        self._pumping = True
        try:
            self.run_ready()
        except Exception as error:  # a loop that never ends: whoever waits must hear of it
            self._ready.clear()
            self.on_error(error)
        finally:
            self._pumping = False
            _set_running_loop(self.host)
        self.on_quiet()

    def next_moment(self, watches: Callable[[AnyTask | None], bool]) -> float | None:
        """When the next timer rings; the long ones of tasks that only keep watch do not count. None: there is none."""
        timers = self._timers
        timers[:] = [entry for entry in timers if not entry[2].cancelled() and not _loop_of(entry[2]).dead]
        heapify(timers)
        return min((when for when, _, handle in timers if not _is_watch(handle, watches)), default=None)

    def pass_to(self, when: float) -> None:
        """Let all time up to a moment pass at once; what was due on the way comes in its order, and finds it passed."""
        self.now_s = max(self.now_s, when)
        self.callbacks_count = 0
        timers = self._timers
        while timers and timers[0][0] <= self.now_s:
            moment = timers[0][0]
            while timers and timers[0][0] <= moment:
                handle = heappop(timers)[2]
                if not handle.cancelled():
                    self._ready.append(handle)
            # What one of them cancels shall not ring any more.
            self._run_quietly()
        self._run()

    def _run_quietly(self) -> None:
        on_quiet, self.on_quiet = self.on_quiet, _nothing
        try:
            self._run()
        finally:
            self.on_quiet = on_quiet


def _nothing() -> None:
    pass


def _raised(error: Exception) -> None:
    raise error


def _is_watch(handle: asyncio.TimerHandle, watches: Callable[[AnyTask | None], bool]) -> bool:
    return isinstance(handle, OwnedTimer) and handle.length_s >= LONG_S and watches(handle.owner)


def _loop_of(handle: asyncio.TimerHandle) -> "HostedLoop":
    return cast(HostedLoop, handle._loop)


class HostedLoop(VirtualLoop):
    """A loop of hosted time."""

    def __init__(self, shared: HostedTime, name: str) -> None:
        super().__init__(shared, name)
        self._time = shared

    def call_soon_threadsafe(
        self, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.Handle:
        handle = asyncio.Handle(callback, args, self, context)
        if not self.dead:
            self._time.add_threadsafe(handle)
        return handle

    def call_at(
        self, when: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        handle = OwnedTimer(when, callback, args, self, context)
        handle.owner = asyncio.current_task(self)
        handle.length_s = when - self.shared.now_s
        if not self.dead:
            self.shared.add_timer(handle)
        return handle

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        if not self.dead:
            self._time.host.call_exception_handler(context)
