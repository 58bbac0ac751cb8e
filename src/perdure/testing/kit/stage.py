"""What an app runs on in a test: one process at a time over one store, in the test's own loop and in virtual time."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from random import Random
from typing import Any, TypeVar

import msgspec

from perdure.core.errors import EngineStopped
from perdure.core.ids import WorkerId
from perdure.core.store import Store
from perdure.engine.clock import Clock
from perdure.engine.engine import Engine
from perdure.testing.faults import REPEATABLE
from perdure.testing.kit.errors import Standstill
from perdure.testing.kit.faults import Faults, of_client
from perdure.testing.kit.hosted import AnyTask, HostedTime
from perdure.testing.kit.pace import Pace
from perdure.testing.kit.process import Process
from perdure.testing.kit.standstill import open_runs
from perdure.testing.kit.store import KitStore
from perdure.testing.virtual import VirtualClock
from perdure.worker.context import running_attempt
from perdure.worker.options import WorkerOptions
from perdure.worker.registry import Registry

T = TypeVar("T")

LEASE_MS = 1_000 * 365 * 24 * 3_600_000
"""Nobody but the test itself takes anything from a worker: its lease has no end worth the name."""

logger = logging.getLogger("perdure.testing")


class _Call:
    """A verb that somebody waits for."""

    def __init__(self, verb: Callable[[Engine], Awaitable[Any]], answer: "asyncio.Future[Any]") -> None:
        self.verb = verb
        self.answer = answer
        self.task: AnyTask | None = None


class Stage:
    """The runtime of an app in a test. Made and used on the test's own loop."""

    def __init__(
        self, store: Store, registry: Registry, options: WorkerOptions, *, start_ms: int, patience_s: float, seed: int
    ) -> None:
        host = asyncio.get_running_loop()
        self.time = HostedTime(host, start_ms)
        self.pace = Pace(self.time, self, patience_s)
        self.store = KitStore(store, host)
        self.faults = Faults(self._crash_soon)
        self.clock: Clock = VirtualClock(self.time, Random(f"{seed}/client"))
        self._registry = registry
        limits = msgspec.structs.replace(options.limits, stop_ms_max=1_000)
        self._options: WorkerOptions = msgspec.structs.replace(options, lease_ms=LEASE_MS, limits=limits)
        self._random = Random(seed)
        self._processes_count = 0
        self._process = self._new_process()
        self._dead: list[WorkerId] = []
        """Workers that are gone, and whose work nobody has taken over yet."""
        self._gone: list[Process] = []
        self._calls: set[_Call] = set()
        self._reporting = False
        self._crashing: asyncio.Task[None] | None = None
        self._stopped = False
        self.untold: list[Exception] = []
        """What the test must hear of, and nobody was waiting to be told."""

    def _new_process(self) -> Process:
        self._processes_count += 1
        name = f"worker-{self._processes_count}"
        return Process(self.time, name, self._random, store=self.store, fates=self.faults)

    # AnyRuntime

    async def start(self) -> None:
        """See `AnyRuntime`."""
        await self.store.inner.open()
        await self.start_worker()

    async def stop(self) -> None:
        """See `AnyRuntime`."""
        self._stopped = True
        self.faults.clear()
        self.pace.hurry()
        try:
            await self._do(self._process.stop)
        finally:
            self.pace.stop()
            self._process.crash()
            for process in [*self._gone, self._process]:
                process.bury()
            await self.store.inner.close()

    async def call(self, verb: Callable[[Engine], Awaitable[T]], within_s: float | None = None) -> T:
        """See `AnyRuntime`. No call is late here: the clock stands still while the store is at work."""
        del within_s
        if self._stopped:
            raise EngineStopped
        self.raise_untold()
        call = _Call(verb, self.time.host.create_future())
        self._calls.add(call)
        self._begin(call)
        try:
            result: T = await self.pace.wait(call.answer)
        finally:
            self._calls.discard(call)
            if call.task is not None:
                call.task.cancel()
        # What was reported on the way says more than what came of it.
        self.raise_untold()
        return result

    def _begin(self, call: _Call) -> None:
        engine = self._process.engine
        call.task = self._process.begin(lambda: _of_client(lambda: call.verb(engine)), call.answer)

    async def _do(self, action: Callable[[], Awaitable[T]]) -> T:
        """The result of something done by the process, which may take time."""
        answer: asyncio.Future[T] = self.time.host.create_future()
        task = self._process.begin(action, answer)
        try:
            result: T = await self.pace.wait(answer)
        finally:
            task.cancel()
        return result

    # pace.Workers

    @property
    def busy_count(self) -> int:
        """See `Workers`."""
        return self._process.busy_count

    @property
    def calls_under_way(self) -> int:
        """See `Workers`."""
        return self.store.under_way_count + (self._crashing is not None)

    @property
    def writes_count(self) -> int:
        """See `Workers`."""
        return sum(self.store.counts[verb] for verb in REPEATABLE)

    def watches(self, task: AnyTask | None) -> bool:
        """See `Workers`."""
        return self._process.watches(task)

    def stand_still(self, reason: str) -> None:
        """See `Workers`."""
        if not self._reporting:
            self._reporting = True
            self._process.begin(lambda: self._report(reason), self.time.host.create_future())

    async def _report(self, reason: str) -> None:
        try:
            runs = await open_runs(self.store, self._registry, self.queues)
            if self._process.worker is None:
                reason = f"{reason}: no worker runs since the crash"
            self.pace.fail(Standstill(reason=reason, runs=runs))
        finally:
            self._reporting = False

    @property
    def queues(self) -> set[str]:
        """The task queues that are served."""
        return {*self._options.queues, *self.store.queues}

    def report(self, error: Exception) -> None:
        """Let the test hear of an error as soon as possible; called in any thread."""
        self.untold.append(error)
        self.time.host.call_soon_threadsafe(self._tell, error)

    def _tell(self, error: Exception) -> None:
        if error in self.untold and self.pace.fail(error):
            self.untold.remove(error)

    def raise_untold(self) -> None:
        """Raise what was reported while nobody waited; not in an activity, which would take it for its own."""
        if self.untold and running_attempt() is None:
            raise self.untold.pop(0)

    async def sleep(self, length_s: float) -> None:
        """See `Pace.sleep`."""
        self.raise_untold()
        await self.pace.sleep(length_s)

    # Life and death

    async def start_worker(self) -> None:
        """Let a process work, if none does; it takes over what the one before held."""
        if self._process.worker is not None:
            return
        for worker in self._dead:
            now_ms = self.clock.now_ms()
            await self._do(lambda worker=worker, now_ms=now_ms: self.store.release(worker, died=True, now_ms=now_ms))
        self._dead.clear()
        await self._do(lambda: self._process.start(self._registry, self._options))

    async def crash(self) -> None:
        """Let the process be gone, without any clean-up; verbs that are waited for go on without a worker."""
        process = self._process
        process.crash()
        if process.worker is not None:
            self._dead.append(process.worker.host.worker)
        process.bury()
        self._gone.append(process)
        self._process = self._new_process()
        for call in self._calls:
            if not call.answer.done():
                self._begin(call)

    def _crash_soon(self) -> None:
        """Called in the middle of a step of the process: it stands still at once, and is gone as soon as possible."""
        self._process.loop.pause()
        self._crashing = self.time.host.create_task(self._crash_and_restart())

    async def _crash_and_restart(self) -> None:
        try:
            await self.crash()
        finally:
            self._crashing = None
        try:
            await self.start_worker()
        except Exception as error:  # whatever it was, the test must hear of it
            self.pace.fail(error)


async def _of_client(action: Callable[[], Awaitable[T]]) -> T:
    of_client.set(True)
    return await action()
