"""The engine's own thread and loop: user code that blocks can never stop it. Hand-overs are batched both ways."""

import asyncio
import concurrent.futures
import contextlib
import gc
import threading
from collections.abc import Awaitable, Callable
from typing import Any, Protocol, TypeVar

from perdure.core.errors import BlockingCallInLoop, EngineStopped
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

    async def call(self, verb: Callable[[Engine], Awaitable[T]]) -> T:
        """The answer of a verb of the engine. Raises `EngineStopped` after `stop`."""
        ...


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
        self.engine = Engine(store, self.clock)

    async def start(self) -> None:
        """Return when the store is open and the worker works. Raises what kept it from that."""
        self._thread.start()
        await asyncio.wrap_future(self._started)

    async def stop(self) -> None:
        """Drain, give back, close the store; return when the thread has ended."""
        self._post(self._ask_stop)
        await self._ended
        self._thread.join()

    def _ask_stop(self) -> None:
        assert self._stop_asked is not None
        self._stop_asked.set()

    async def call(self, verb: Callable[[Engine], Awaitable[T]]) -> T:
        """The answer of `verb`, run on the engine's loop; cancelled there if it is cancelled here."""
        answer: asyncio.Future[T] = self._user_loop.create_future()
        tasks: list[asyncio.Task[T]] = []
        self._post(lambda: tasks.append(self._begin(verb, answer)))
        try:
            return await answer
        except asyncio.CancelledError:
            self._post(lambda: [task.cancel() for task in tasks])
            raise

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
