"""Worker processes over one memory store in virtual time; each has a loop of its own, can stand still and be gone."""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from random import Random
from typing import Any, TypeVar

import msgspec

from perdure.core.command import RunActivity
from perdure.core.errors import StoreUnavailable
from perdure.core.ids import RunId, WorkerId, WorkflowId
from perdure.core.message import ActivityClosed, Completed, Outcome, Query, Signaled, Started, StartOptions
from perdure.core.payload import from_payload, to_payload, to_payloads
from perdure.core.store import Claimed, Store
from perdure.core.turn import Turn
from perdure.engine.engine import Engine
from perdure.programs.code.definition import Activity, Workflow
from perdure.programs.code.program import CodeProgram
from perdure.stores.memory import MemoryStore
from perdure.testing.faults import Fate, FaultyStore, OneFate
from perdure.testing.virtual import VirtualClock, VirtualLoop
from perdure.worker.mailbox import Mailbox
from perdure.worker.options import WorkerOptions
from perdure.worker.registry import Registry
from perdure.worker.worker import Worker
from tests.unit.virtual_time import virtual_loop

R = TypeVar("R")
Verb = Callable[[Engine], Coroutine[Any, Any, R]]


class WatchedStore(FaultyStore):
    """A store whose calls are counted, and may be refused, delayed or broken."""

    def __init__(self, inner: Store) -> None:
        self.fate = OneFate(0, Fate())
        super().__init__(inner, self.fate)
        self.delays_s: dict[str, float] = {}
        """How long each call of a verb takes."""
        self.bugs: dict[str, list[Exception]] = {}
        """What the next calls of a verb raise."""
        self.lost: dict[str, set[int]] = {}
        """Numbers of the calls of a verb of which the answer is lost."""
        self.attempts_claimed = 0

    async def call(self, verb: str, action: Callable[[], Coroutine[Any, Any, R]]) -> R:
        """See `StoreWrapper`."""
        if self.bugs.get(verb):
            raise self.bugs[verb].pop(0)
        if verb in self.delays_s:
            await asyncio.sleep(self.delays_s[verb])
        result = await super().call(verb, action)
        if self.counts[verb] in self.lost.get(verb, ()):
            raise StoreUnavailable(store=self.url, reason=f"the answer of {verb} is lost")
        if isinstance(result, Claimed):
            self.attempts_claimed += len(result.attempts)
        return result

    def reset(self) -> None:
        """Count anew."""
        self.counts = Counter()
        self.calls_count = self.attempts_claimed = 0


class Process:
    """A process that works, on a loop of its own."""

    def __init__(self, yard: "Yard", name: str, options: WorkerOptions) -> None:
        self.name = name
        self.loop = VirtualLoop(virtual_loop().shared, name)
        self.clock = VirtualClock(self.loop.shared, Random(name))
        self.store = WatchedStore(yard.store)
        self.engine = Engine(self.store, self.clock)
        self.worker: Worker | None = None
        self._registry = yard.registry
        self._options = options

    async def start(self) -> None:
        """Begin to work."""
        await self.do(self._start)

    async def _start(self) -> None:
        mailbox = Mailbox(self.loop)
        mailbox.bind()
        self.worker = Worker(
            self.store,
            self.clock,
            self._registry,
            options=self._options,
            user=mailbox,
            engine=mailbox,
            new_worker_id=lambda unique: WorkerId(f"{self.name}/{unique}"),
            closed=self.engine.closings.closed,
            verbs=self.engine,
        )
        await self.worker.start()
        self.engine.local = self.worker

    @property
    def working(self) -> Worker:
        """The worker, once it was started."""
        assert self.worker is not None
        return self.worker

    async def stop(self, *, grace_ms: int = 10_000) -> None:
        """Stop as an app does that is told to."""
        await self.do(lambda: self.working.stop(grace_ms=grace_ms))

    async def do(self, action: Callable[[], Awaitable[R]]) -> R:
        """The result of `action`, run on this process's loop."""
        answer: asyncio.Future[R] = asyncio.get_running_loop().create_future()

        async def act() -> None:
            try:
                result = await action()
            except BaseException as error:  # whatever it is, it is for the one who waits
                answer.set_exception(error if isinstance(error, Exception) else RuntimeError(repr(error)))
            else:
                answer.set_result(result)

        task = self.loop.create_task(act())
        answer.add_done_callback(lambda _: task)
        return await answer

    async def ask(self, verb: Verb[R]) -> R:
        """The answer of one of the engine's verbs, asked here."""
        return await self.do(lambda: verb(self.engine))


class Yard:
    """A memory store, what is registered, and the processes."""

    def __init__(self) -> None:
        self.store = MemoryStore()
        self.registry = Registry()
        self.processes: list[Process] = []
        self.clock = VirtualClock(virtual_loop().shared, Random(0))
        self.client = Engine(self.store, self.clock)
        self.main = WorkflowId("w")
        """The workflow id of runs that are given no other one."""

    def activity(self, fn: Callable[..., Any], **keywords: Any) -> "Activity[..., Any]":
        """Register an activity."""
        made: Activity[..., Any] = Activity(fn, keywords=keywords)  # type: ignore[arg-type]
        self.registry.add_activity(made)
        return made

    def workflow(self, fn: Callable[..., Coroutine[Any, Any, Any]]) -> "Workflow[..., Any]":
        """Register a workflow."""
        made: Workflow[..., Any] = Workflow(fn)
        names = self.registry.activities.keys
        self.registry.add_program(made.name, made.place, lambda: CodeProgram(made, self.registry.activity, names))
        return made

    async def process(self, name: str, **options: Any) -> Process:
        """Start a process."""
        process = Process(self, name, WorkerOptions(**options))
        self.processes.append(process)
        await process.start()
        return process

    # Clients of no process

    async def start(
        self, workflow: "Workflow[..., Any]", *args: Any, id: str = "w", options: StartOptions | None = None
    ) -> RunId:
        """Start a run by way of the store."""
        return await self.client.start(msgspec.structs.replace(started(workflow, *args, id=id), options=options))

    async def result(self, run_id: RunId, *, within_s: float = 600) -> Any:
        """The result of a run that completes."""
        outcome = await self.outcome(run_id, within_s=within_s)
        assert isinstance(outcome, Completed), outcome
        return from_payload(outcome.result)

    async def outcome(self, run_id: RunId, *, within_s: float = 600) -> Outcome:
        """The outcome of a run, which must come within some virtual time."""
        async with asyncio.timeout(within_s):
            return await self.client.wait(run_id)

    async def signal(self, id: str, name: str, value: Any = None, request_id: str = "s1") -> None:
        """Send a signal."""
        await self.client.signal(WorkflowId(id), None, Signaled(name, to_payload(value), request_id))

    async def turns(self, run_id: RunId) -> list[Turn]:
        """The recorded turns."""
        return [turn async for turn in self.client.turns(run_id)]

    async def closings_of(self, run_id: RunId, name: str) -> list[ActivityClosed]:
        """The recorded answers of an activity, in order."""
        turns = await self.turns(run_id)
        calls = [
            each.call_id
            for turn in turns
            for each in turn.outputs
            if isinstance(each, RunActivity) and each.name == name
        ]
        closed = [each for turn in turns for each in turn.inputs if isinstance(each, ActivityClosed)]
        return [each for each in closed if each.call_id in calls]


def started(workflow: "Workflow[..., Any]", *args: Any, id: str = "w") -> Started:
    """The first message of a run of a workflow."""
    return Started(workflow.name, WorkflowId(id), "default", to_payloads(args))


def query(name: str, *args: Any) -> Query:
    """A question."""
    return Query(name, to_payloads(args))


async def until(fact: Callable[[], bool], *, within_s: float = 600) -> None:
    """Return when a fact holds; looked at a hundred times a virtual second."""
    async with asyncio.timeout(within_s):
        while not fact():  # facts of another loop, and time is virtual
            await asyncio.sleep(0.01)


class Naps:
    """An activity that takes some time and knows how often it was run."""

    def __init__(self, place: Yard) -> None:
        self.begun: list[int] = []
        self.ended: list[int] = []

        async def nap(ms: int) -> int:
            self.begun.append(ms)
            await asyncio.sleep(ms / 1_000)
            self.ended.append(ms)
            return ms

        self.activity: Activity[..., int] = place.activity(nap)


@asynccontextmanager
async def yard() -> AsyncGenerator[Yard]:
    """A yard; its processes are gone at the end, without any clean-up."""
    made = Yard()
    try:
        yield made
    finally:
        await made.client.stop()
        for process in made.processes:
            process.store.cut_off = True
            process.loop.crash()
            if process.worker is not None:
                process.worker.host.drop_all()
            process.loop.bury()
