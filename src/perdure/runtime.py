"""The engine's own thread and loop: user code that blocks can never stop it. Hand-overs are batched both ways."""

import asyncio
import concurrent.futures
import contextlib
import gc
import threading
from collections.abc import Awaitable, Callable
from typing import Any, Protocol, TypeVar

from perdure.core.errors import BlockingCallInLoop, EngineStopped, StoreUnavailable
from perdure.core.store import Store
from perdure.engine.clock import Clock, SystemClock
from perdure.engine.engine import Engine
from perdure.worker.identity import new_worker_id
from perdure.worker.mailbox import Mailbox
from perdure.worker.options import WorkerOptions
from perdure.worker.registry import Registry
from perdure.worker.watchdog import Watchdog
from perdure.worker.worker import Worker

T = TypeVar("T")

COLLECTOR_DEFAULT = 2_000
"""A first threshold of the garbage collector up to this is Python's own; a higher one is the user's, and stays."""
COLLECTOR_THRESHOLD = 20_000
"""While a worker runs. A batch of steps makes thousands of objects that die by themselves moments later.

Source: docs/decisions/0006-the-collector-looks-less-often.md.
"""


class AnyRuntime(Protocol):
    """What an app runs on while it is entered."""

    @property
    def clock(self) -> Clock:
        """Time and ids of everything that runs on it."""
        ...

    async def start(self) -> None:
        """Return when the verbs can be called, and the worker, if any, works."""
        ...

    async def stop(self) -> None:
        """Drain, give back, and let go of the store."""
        ...

    async def call(self, verb: Callable[[Engine], Awaitable[T]], within_s: float | None = None) -> T:
        """The answer of a verb of the engine. Raises `EngineStopped` after `stop`.

        After `within_s` seconds it raises `StoreUnavailable`.
        """
        ...


class Deadlines:
    """The moments by which calls must be answered, with one timer for all: a timer of its own would cost each call more
    than the rest of its hand-over.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, store: str) -> None:
        self._loop = loop
        self._store = store
        self._due: dict[asyncio.Future[Any], tuple[float, float]] = {}
        """Moment and length, in the order of the moments: all calls of an app have the same length."""
        self._timer: asyncio.TimerHandle | None = None

    def add(self, answer: "asyncio.Future[Any]", within_s: float) -> None:
        """Fail `answer` with `StoreUnavailable` unless it is removed in time."""
        due_s = self._loop.time() + within_s
        self._due[answer] = due_s, within_s
        if self._timer is None:
            self._timer = self._loop.call_at(due_s, self._look)

    def remove(self, answer: "asyncio.Future[Any]") -> None:
        """It is answered, or nobody waits for it."""
        self._due.pop(answer, None)

    def stop(self) -> None:
        """Let go of the loop."""
        if self._timer is not None:
            self._timer.cancel()

    def _look(self) -> None:
        self._timer = None
        now_s = self._loop.time()
        for answer, (due_s, within_s) in list(self._due.items()):
            if due_s > now_s:
                self._timer = self._loop.call_at(due_s, self._look)
                return
            del self._due[answer]
            if not answer.done():
                reason = f"no answer within {within_s:g} seconds, and what was asked may still happen"
                answer.set_exception(StoreUnavailable(store=self._store, reason=reason))


class Runtime:
    """A store, an engine and, where asked for, a worker, running in a thread of their own for one user loop."""

    def __init__(self, store: Store, registry: Registry, options: WorkerOptions | None) -> None:
        """`options` None: a client only."""
        self._store = store
        self._registry = registry
        self._options = options
        self.clock: Clock = SystemClock()
        self._user_loop = asyncio.get_running_loop()
        self._to_user = Mailbox(self._user_loop)
        self._to_user.bind()
        self._user_thread_id = threading.get_ident()
        self._started: concurrent.futures.Future[None] = concurrent.futures.Future()
        self._ended: asyncio.Future[None] = self._user_loop.create_future()
        self._stop_asked: asyncio.Event | None = None
        self._to_engine: Mailbox | None = None
        self._thread = threading.Thread(target=self._run_thread, name="perdure-engine", daemon=True)
        self._tasks: set[asyncio.Task[Any]] = set()
        self._deadlines = Deadlines(self._user_loop, store.url)
        self.engine = Engine(store, self.clock)

    async def start(self) -> None:
        """Return when the store is open and the worker works. Raises what kept it from that."""
        self._thread.start()
        await asyncio.wrap_future(self._started)

    async def stop(self) -> None:
        """Drain, give back, close the store; return when the thread has ended."""
        self._post(self._ask_stop)
        await self._ended
        self._deadlines.stop()
        self._thread.join()

    def _ask_stop(self) -> None:
        assert self._stop_asked is not None
        self._stop_asked.set()

    async def call(self, verb: Callable[[Engine], Awaitable[T]], within_s: float | None = None) -> T:
        """The answer of `verb`, run on the engine's loop; cancelled there if it is cancelled here, or late."""
        answer: asyncio.Future[T] = self._user_loop.create_future()
        tasks: list[asyncio.Task[T]] = []
        self._post(lambda: tasks.append(self._begin(verb, answer)))
        if within_s is not None:
            self._deadlines.add(answer, within_s)
        try:
            return await answer
        except asyncio.CancelledError:
            self._post(lambda: [task.cancel() for task in tasks])
            raise
        except StoreUnavailable:
            # A call that came too late is still under way there.
            with contextlib.suppress(EngineStopped):
                self._post(lambda: [task.cancel() for task in tasks])
            raise
        finally:
            self._deadlines.remove(answer)

    def _post(self, callback: Callable[[], object]) -> None:
        if self._to_engine is None or not self._thread.is_alive():
            raise EngineStopped
        try:
            self._to_engine.post(callback)
        except RuntimeError as error:
            raise EngineStopped from error

    # On the engine's thread

    def _begin(self, verb: Callable[[Engine], Awaitable[T]], answer: "asyncio.Future[T]") -> "asyncio.Task[T]":
        async def run() -> T:
            return await verb(self.engine)

        def done(task: "asyncio.Task[T]") -> None:
            self._tasks.discard(task)
            self._to_user.post(lambda: _settle(answer, task))

        task = asyncio.get_running_loop().create_task(run())
        self._tasks.add(task)
        task.add_done_callback(done)
        return task

    def _run_thread(self) -> None:
        try:
            asyncio.run(self._main())
        except BaseException as error:  # whatever it was, the thread that waits for the start must hear of it
            if self._started.done():
                raise
            self._started.set_exception(error)
        finally:
            # Whoever failed to start, or died with its loop, does not wait for the end.
            with contextlib.suppress(RuntimeError):
                self._user_loop.call_soon_threadsafe(self._note_end)

    def _note_end(self) -> None:
        if not self._ended.done():
            self._ended.set_result(None)

    async def _main(self) -> None:
        self._to_engine = Mailbox(asyncio.get_running_loop())
        self._to_engine.bind()
        self._stop_asked = asyncio.Event()
        await self._store.open()
        try:
            worker, watchdog = await self._start_worker()
            collector = gc.get_threshold()
            if worker is not None and collector[0] <= COLLECTOR_DEFAULT:
                gc.set_threshold(COLLECTOR_THRESHOLD, *collector[1:])
            try:
                self._started.set_result(None)
                await self._stop_asked.wait()
            finally:
                gc.set_threshold(*collector)
                if watchdog is not None:
                    watchdog.stop()
                if worker is not None:
                    await worker.stop()
                for task in self._tasks:
                    task.cancel()
                await asyncio.gather(*self._tasks, return_exceptions=True)
                await self.engine.stop()
        finally:
            await self._store.close()

    async def _start_worker(self) -> tuple[Worker | None, Watchdog | None]:
        if self._options is None:
            return None, None
        assert self._to_engine is not None
        worker = Worker(
            self._store,
            self.clock,
            self._registry,
            options=self._options,
            user=self._to_user,
            engine=self._to_engine,
            new_worker_id=new_worker_id,
            closed=self.engine.closings.closed,
            verbs=self.engine,
        )
        await worker.start()
        self.engine.local = worker
        watchdog = Watchdog(
            worker.watched,
            engine_thread_id=threading.get_ident(),
            user_thread_id=self._user_thread_id,
            ping=self._to_user.post,
        )
        watchdog.start()
        return worker, watchdog


def _settle(answer: "asyncio.Future[T]", task: "asyncio.Task[T]") -> None:
    if answer.done():
        return
    if task.cancelled():
        answer.set_exception(EngineStopped())
        return
    error = task.exception()
    if error is None:
        answer.set_result(task.result())
    else:
        answer.set_exception(error)


def refuse_in_loop(name: str, instead: str) -> None:
    """Refuse a blocking call where an event loop runs. Raises `BlockingCallInLoop`."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    raise BlockingCallInLoop(name=name, instead=instead)
