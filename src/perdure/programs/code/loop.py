"""The deterministic event loop: plain asyncio inside a workflow, driven by turns instead of sockets and clocks.

Time is the turn's, `call_later` is a durable timer, callbacks run in the order in which they were asked for, and
futures and tasks hash by the order of their creation, so that sets of them iterate alike in every replay. Everything
that reaches outside (sockets, threads, executors, subprocesses, signals) is refused.
"""

import asyncio
import math
import weakref
from asyncio import CancelledError, Future, InvalidStateError, Queue, QueueEmpty, tasks
from collections.abc import Callable, Coroutine, Generator, Mapping
from contextlib import suppress
from contextvars import Context, copy_context
from random import Random
from typing import Any, NoReturn, Protocol, TypeAlias, cast

import msgspec

from perdure.core.errors import ForbiddenInWorkflow
from perdure.programs.code.places import bottoms
from perdure.programs.code.refused import RefusedList

__all__ = [
    "CancelledError",
    "Future",
    "Host",
    "InvalidStateError",
    "LoopTask",
    "NOBODY",
    "Queue",
    "QueueEmpty",
    "RunStopped",
    "WorkflowLoop",
    "WorkflowTimer",
    "running_loop",
    "set_running_loop",
    "tasks",
]

running_loop = asyncio._get_running_loop
set_running_loop = asyncio._set_running_loop

ROUNDING_MS = 0.001
"""What a moment in float seconds may be off by; a whole millisecond more would make every timer late."""
DELAY_S_MAX = 100 * 366 * 24 * 3600
"""Longest timer, in seconds. A longer one never fires, and asks for nothing."""
CLOSINGS_MAX = 100
"""How often a coroutine that refuses to end is closed again."""

LoopTask: TypeAlias = "asyncio.Task[Any]"


class RunStopped(BaseException):
    """The run takes no more commands: it is being let go of, or it is parked. Not for users to catch."""


class _Nobody:
    """The host of a loop whose run was let go of."""

    replaying = True
    at_ms = 0

    def __getattr__(self, name: str) -> NoReturn:
        raise RunStopped


NOBODY: Any = _Nobody()


class Host(Protocol):
    """What the loop and the definitions ask of the run that they work for."""

    replaying: bool
    at_ms: int

    def start_timer(self, timer: "WorkflowTimer", due_at_ms: int) -> None:
        """Ask for a timer that fires `timer`."""
        ...

    def cancel_timer(self, timer: "WorkflowTimer") -> None:
        """Forget a timer."""
        ...

    def random(self) -> Random:
        """The run's own generator."""
        ...

    def log_failure(self, message: str, error: BaseException | None) -> None:
        """Report what nobody in the workflow's code will see."""
        ...

    def call_activity(
        self, activity: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> Coroutine[Any, Any, Any]:
        """The coroutine that asks for an activity and waits for it."""
        ...

    def call_local(self, activity: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Coroutine[Any, Any, Any]:
        """The coroutine that runs an activity within the turn."""
        ...

    def call_workflow(
        self, workflow: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> Coroutine[Any, Any, Any]:
        """The coroutine that runs a child workflow and waits for it."""
        ...


class Soon(msgspec.Struct, eq=False):
    """A callback in the queue. Not an `asyncio.Handle`, which takes four times as long to make: each step makes one."""

    callback: Callable[..., Any] | None
    args: Any
    context: Context

    def cancel(self) -> None:
        """Forget the callback."""
        self.callback = self.args = None

    def cancelled(self) -> bool:
        """Whether it was forgotten."""
        return self.callback is None


class WorkflowTimer(Soon, eq=False):
    """A durable timer; cancelling it withdraws the command, or asks for another one."""

    loop: "WorkflowLoop"
    moment: float
    call_id: int = 0
    """0: no command was asked for."""
    index: int = 0
    """Position of the command in its turn."""

    def when(self) -> float:
        """The moment, in seconds since 1970."""
        return self.moment

    def cancel(self) -> None:
        """Forget the timer."""
        if self.callback is not None:
            self.callback = self.args = None
            if self.call_id:
                self.loop.host.cancel_timer(self)


class WorkflowFuture(asyncio.Future[Any]):
    """A future that hashes by the order in which futures were first hashed."""

    __slots__ = ("_number",)

    def __hash__(self) -> int:
        try:
            return self._number
        except AttributeError:
            self._number = numbered(self)
            return self._number


class WorkflowTask(asyncio.Task[Any]):
    """A task that hashes by its creation number."""

    __slots__ = ("_number",)

    def __init__(self, number: int, coro: Any, **options: Any) -> None:
        # Set first: the base registers the task in a set.
        self._number = number
        super().__init__(coro, **options)

    def __hash__(self) -> int:
        return self._number


def numbered(future: "asyncio.Future[Any]") -> int:
    """The next number of the future's loop."""
    loop = future.get_loop()
    return loop.next_number() if isinstance(loop, WorkflowLoop) else object.__hash__(future)


class WorkflowLoop(asyncio.AbstractEventLoop):
    """The loop of one run."""

    def __init__(self, host: Host, seed: int) -> None:
        """`seed` keeps the hashes of different runs apart; it must be the same in every replay."""
        self.host = host
        self.now_s = 0.0
        """The turn's moment."""
        self.ended = False
        """No callback runs any more."""
        self.closing = False
        """Coroutines are being closed: what they start is never run."""
        self.refusal: Callable[[], BaseException] | None = None
        """Set while no commands are taken; makes the error that says why."""
        self.on_idle: Callable[[], bool] | None = None
        """Asked when nothing is left to run; True if there is something again."""
        self.open_tasks: set[LoopTask] = set()
        """Kept here, so that the garbage collector never decides when a task ends."""
        self._failed: list[weakref.ref[LoopTask]] = []
        self._context = Context()
        self._ready: list[Soon] = []
        self._seed = seed
        self._made = seed

    # Driving

    def drain(self) -> None:
        """Run callbacks until none is left."""
        handle: Soon | None = None
        while not self.ended and (self._ready or (self.on_idle is not None and self.on_idle())):
            ready, self._ready = self._ready, []
            for handle in ready:
                if handle.callback is None:
                    continue
                try:
                    handle.context.run(handle.callback, *handle.args)
                except KeyboardInterrupt:
                    raise
                except BaseException as error:  # a callback is user code; the task machinery keeps its own errors
                    if not isinstance(error, (SystemExit, RunStopped)):
                        self.call_exception_handler({"message": "a callback raised", "exception": error})
            # The traceback of a task's error reaches this frame: what it held would keep the task and its report back.
            handle = None
            ready.clear()

    def in_main_context(self, action: Callable[[], object]) -> None:
        """Do something in the context that the workflow function begins with."""
        self._context.run(action)

    def start(self, main: Coroutine[Any, Any, Any]) -> LoopTask:
        """The task of the workflow function."""
        task = self.create_task(main, context=self._context)
        task.add_done_callback(self._end, context=self._context)
        return task

    def _end(self, _main: LoopTask) -> None:
        self.ended = True

    def fire(self, timer: WorkflowTimer) -> None:
        """A timer is due."""
        timer.call_id = 0
        self._ready.append(timer)

    def before_others(self, begin: Callable[[], None]) -> None:
        """Let what `begin` asks for run before what waits already."""
        others, self._ready = self._ready, []
        begin()
        self._ready += others

    def next_number(self) -> int:
        """The next number that a future or a task hashes by."""
        self._made = number = self._made + 1
        return number

    def open_query(self, refusal: Callable[[], BaseException]) -> "tuple[list[Soon], int]":
        """Refuse everything that would change the run; give the result to `close_query`."""
        before = self._ready, self._made
        self.refusal = refusal
        self._ready = RefusedList(refusal)
        return before

    def close_query(self, before: "tuple[list[Soon], int]") -> None:
        """Take things up again."""
        self._ready, self._made = before
        self.refusal = None

    def refuse_all(self) -> None:
        """Take no more commands; what is started is never run."""
        self.closing = True
        self.refusal = RunStopped

    def abandon(self) -> None:
        """Close every task's coroutine. What their `finally` blocks start is never run; their commands are refused."""
        if not self.ended:
            # Someone may look at these errors yet, when the run is loaded again.
            for each in self._failed:
                failed = each()
                if failed is not None:
                    _keep_silent(failed)
        self._failed.clear()
        self.refuse_all()
        self.ended = True
        self._ready = []
        while self.open_tasks:
            task = self.open_tasks.pop()
            close_coroutine(task.get_coro())
            _unwind(task)
        self._ready = []

    # asyncio.AbstractEventLoop: what a workflow may use

    # False: debug mode measures real time. Every new future asks, and the type is called faster than a method.
    get_debug: Any = staticmethod(bool)

    def time(self) -> float:
        """The turn's moment, in seconds since 1970."""
        return self.now_s

    def call_soon(  # pyright: ignore[reportIncompatibleMethodOverride] # no Handle, see Soon
        self, callback: Callable[..., Any], *args: Any, context: Context | None = None
    ) -> Soon:
        """Run `callback` after those that already wait."""
        handle = Soon(callback, args, copy_context() if context is None else context)
        self._ready.append(handle)
        return handle

    def call_soon_threadsafe(  # pyright: ignore[reportIncompatibleMethodOverride] # no Handle, see Soon
        self, callback: Callable[..., Any], *args: Any, context: Context | None = None
    ) -> Soon:
        """As `call_soon`, and only for the workflow itself."""
        if running_loop() is not self:
            raise forbidden("call_soon_threadsafe from outside", "send a signal")
        return self.call_soon(callback, *args, context=context)

    def call_later(  # pyright: ignore[reportIncompatibleMethodOverride] # no Handle, see Soon
        self, delay: float, callback: Callable[..., Any], *args: Any, context: Context | None = None
    ) -> WorkflowTimer:
        """A durable timer."""
        return self.call_at(self.now_s + delay, callback, *args, context=context)

    def call_at(  # pyright: ignore[reportIncompatibleMethodOverride] # no Handle, see Soon
        self, when: float, callback: Callable[..., Any], *args: Any, context: Context | None = None
    ) -> WorkflowTimer:
        """A durable timer; one that is due already runs in this turn."""
        if math.isnan(when):
            raise ValueError("a moment cannot be NaN")
        timer = WorkflowTimer(callback, args, copy_context() if context is None else context, self, when)
        if self.refusal is not None and not self.closing:
            raise self.refusal()
        if when <= self.now_s:
            self._ready.append(timer)
        elif when - self.now_s <= DELAY_S_MAX and not self.closing:
            self.host.start_timer(timer, math.ceil(when * 1_000 - ROUNDING_MS))
        return timer

    def create_future(self) -> "asyncio.Future[Any]":
        """A future of this loop."""
        if self.refusal is not None and not self.closing:
            raise self.refusal()
        return WorkflowFuture(loop=self)

    def create_task(
        self, coro: Generator[Any, None, Any] | Coroutine[Any, Any, Any], *, name: object = None, **options: Any
    ) -> LoopTask:
        """A task of this loop."""
        if self.refusal is not None and not self.closing:
            coro.close()
            raise self.refusal()
        self._made = number = self._made + 1
        name = f"Task-{number - self._seed}" if name is None else name
        task = WorkflowTask(number, coro, loop=self, name=name, **options)
        self.open_tasks.add(task)
        task._log_destroy_pending = False  # type: ignore[attr-defined] # it is kept until it ends, or dropped on purpose
        task.add_done_callback(self._forget, context=self._context)
        return task

    def _forget(self, task: LoopTask) -> None:
        self.open_tasks.discard(task)
        if self.host.replaying:
            # What it failed with was reported the first time.
            _keep_silent(task)
        # `exception()` would count as looking at it.
        elif not task.cancelled() and task._exception is not None:
            self._failed.append(weakref.ref(task))

    def is_running(self) -> bool:
        """True: it is only ever met from inside."""
        return True

    def is_closed(self) -> bool:
        """Whether the run was let go of."""
        return self.closing

    def get_task_factory(self) -> None:
        """None: the loop makes its tasks itself."""

    def get_exception_handler(self) -> None:
        """None: failures are logged."""

    def default_exception_handler(self, context: dict[str, Any]) -> None:
        """Log what nobody in the workflow will see."""
        self.call_exception_handler(context)

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Log what nobody in the workflow will see."""
        error = context.get("exception")
        if not self.host.replaying and not isinstance(error, RunStopped):
            self.host.log_failure(context.get("message", "an error in a callback"), error)


def _keep_silent(task: LoopTask) -> None:
    task._log_traceback = False


def _unwind(task: LoopTask) -> None:
    """Part a task and the future that it waits for: else only the garbage collector would find them."""
    waiter: Any = getattr(task, "_fut_waiter", None)
    if waiter is not None:
        with suppress(RunStopped):
            # Not the future's own method: that of `gather` would go on to cancel others.
            cast(Any, Future).cancel(waiter)


def close_coroutine(coro: Any) -> None:
    """End a coroutine, however often it awaits something on its way out."""
    for _ in range(CLOSINGS_MAX):
        try:
            # Not `close()`: where an inner coroutine awaits in its `finally`, that ends the outer one only.
            coro.throw(RunStopped())
        except BaseException:  # it has ended; what it ended with, nobody is left to hear
            return
    keep_for_ever(coro)


def keep_for_ever(coro: object) -> None:
    """Keep what cannot be closed: it would run again when the garbage collector met it."""
    _immortal.append(coro)


_immortal: list[object] = []


def forbidden(what: str, remedy: str) -> ForbiddenInWorkflow:
    """The error for something that workflow code must not do."""
    return ForbiddenInWorkflow(what=what, where="", remedy=remedy)


bottoms |= {WorkflowLoop.drain.__code__, close_coroutine.__code__}

_ALLOWED = {name for name in vars(WorkflowLoop) if not name.startswith("__")}


def _refuse(name: str) -> Callable[..., NoReturn]:
    def refused(self: WorkflowLoop, *_args: Any, **_options: Any) -> NoReturn:
        raise forbidden(f"the event loop's {name}()", "do it in an activity")

    refused.__name__ = name
    return refused


for _name in vars(asyncio.AbstractEventLoop):
    if not _name.startswith("_") and _name not in _ALLOWED:
        setattr(WorkflowLoop, _name, _refuse(_name))
