"""One process of the environment: a loop, a clock, an engine and a worker. It can be gone at any moment."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextvars import Context
from random import Random
from typing import TypeVar

from perdure.core.errors import EngineStopped
from perdure.core.ids import RunId, WorkerId
from perdure.core.store import Commit, Store
from perdure.engine.engine import Engine
from perdure.testing.faults import Fates, FaultyStore
from perdure.testing.kit.faults import of_client
from perdure.testing.kit.hosted import AnyTask, HostedLoop, HostedTime
from perdure.testing.virtual import VirtualClock
from perdure.worker.mailbox import Mailbox
from perdure.worker.options import WorkerOptions
from perdure.worker.registry import Registry
from perdure.worker.worker import Worker

T = TypeVar("T")

STOP_MS_MAX = 1_000
"""A worker that is told to stop waits so long in virtual time for activities that run."""


class Way(FaultyStore):
    """A process's way to the store."""

    async def commit(self, worker: WorkerId | None, commits: Sequence[Commit]) -> frozenset[RunId]:
        # Written by a task of the worker's, whoever put them there; a run that begins is a verb of the test's.
        of_client.set(worker is None or all(commit.create is not None for commit in commits))
        return await super().commit(worker, commits)


class Process:
    """A process that works; all of it runs on its own loop."""

    def __init__(self, time: HostedTime, name: str, random: Random, *, store: Store, fates: Fates) -> None:
        self.name = name
        self.loop = HostedLoop(time, name)
        self.clock = VirtualClock(time, Random(random.random()))
        # Calls under way outlive a process that is gone, as they do in a network.
        self.store = Way(store, fates, carrier=HostedLoop(time, f"{name}/network"))
        self.engine = Engine(self.store, self.clock)
        self.worker: Worker | None = None
        self._host = time.host

    async def start(self, registry: Registry, options: WorkerOptions) -> None:
        """Begin to work; on its own loop."""
        mailbox = Mailbox(self.loop)
        mailbox.bind()
        user = Mailbox(self._host)
        user.bind()
        worker = Worker(
            self.store,
            self.clock,
            registry,
            options=options,
            user=user,
            engine=mailbox,
            new_worker_id=lambda unique: WorkerId(f"{self.name}/{unique}"),
            closed=self.engine.closings.closed,
            verbs=self.engine,
        )
        await worker.start()
        self.worker = self.engine.local = worker

    async def stop(self) -> None:
        """Stop as an app does that is told to; on its own loop."""
        if self.worker is not None:
            await self.worker.stop(grace_ms=STOP_MS_MAX)
        await self.engine.stop()

    def begin(self, action: Callable[[], Awaitable[T]], answer: "asyncio.Future[T]") -> AnyTask:
        """Do something on the process's loop, for a future of the host loop."""

        async def act() -> None:
            try:
                result = await action()
            except asyncio.CancelledError:
                if not answer.done():
                    answer.set_exception(EngineStopped())
                raise
            except Exception as error:  # whatever it is, it is for the one who waits
                if not answer.done():
                    answer.set_exception(error)
            else:
                if not answer.done():
                    answer.set_result(result)

        return self.loop.create_task(act(), context=Context())

    @property
    def busy_count(self) -> int:
        """How many activities' code runs here."""
        return 0 if self.worker is None else self.worker.busy_count

    def watches(self, task: AnyTask | None) -> bool:
        """Whether a task of this process only keeps watch."""
        return self.engine.closings.watches(task) or (self.worker is not None and self.worker.watches(task))

    def crash(self) -> None:
        """Be gone: nothing of it ever runs again, no clean-up either, but that of activities in the test's own loop."""
        self.store.cut_off = True
        self.loop.crash()

    def bury(self) -> None:
        """Let go of what a process that is gone held."""
        if self.worker is not None:
            self.worker.drop_all()
        self.loop.bury()
