"""A simulated world: its shape drawn from a seed, its processes with their clocks and their ways to the one store.

The real `Worker`, `Engine` and store live in it; only loop, clock and chance are replaced. What happens in it is
decided in `director`.
"""

import asyncio
from collections.abc import Awaitable, Callable
from random import Random
from typing import Any, TypeVar, cast

import msgspec
from msgspec.structs import replace

from perdure.core.command import CompleteUpdate, RejectUpdate
from perdure.core.errors import StoreError
from perdure.core.ids import RunId, WorkerId, WorkflowId
from perdure.core.message import Outcome
from perdure.core.queue_limit import QueueLimit
from perdure.core.rank import Rank
from perdure.core.store import Store
from perdure.engine.engine import Engine
from perdure.stores.memory import MemoryStore
from perdure.testing.actors import Ledger, new_ledger, registry
from perdure.testing.faults import FaultRates, FaultyStore, RandomFates
from perdure.testing.plans import Plan
from perdure.testing.virtual import VirtualClock, VirtualLoop, VirtualTime
from perdure.testing.witness import Witness
from perdure.worker.activities import ActivityLimits
from perdure.worker.mailbox import Mailbox
from perdure.worker.options import WorkerOptions
from perdure.worker.worker import Worker

T = TypeVar("T")

QUEUE = "default"
FORK = "/fork"
"""How the workflow ids of forks end."""
WIDE_SEEDS_FROM = 1_000_000
"""Worlds of seeds from here on are wide: their plans know everything that a workflow can do. Those before stay as they
were when their seeds were found."""
RANKED_SEEDS_FROM = 10_000_000
"""Worlds of seeds from here on are wide, and their runs have priorities and fairness keys, their task queue limits."""
WIDE_RUNS_MAX = 6
ANSWER_S_MAX = 150
"""A call of a client on a healthy process must return within so much virtual time."""


class Shape(msgspec.Struct, frozen=True):
    """What a seed's world is like."""

    workers_count: int
    runs_count: int
    safety_ms: int
    rates: FaultRates
    calm_rates: FaultRates
    chaos_ms: int
    """Mean time between two blows to processes; 0: none."""
    skew_ms_max: float
    options: WorkerOptions

    @property
    def disturbed(self) -> bool:
        """Whether anything may go wrong, or late."""
        crowded = self.options.limits.activities_max < 100 or bool(self.options.queue_limits)
        return self.chaos_ms > 0 or self.rates != self.calm_rates or crowded


def draw_shape(random: Random) -> Shape:
    """The shape of a world."""
    travel_ms = random.choice((0.0, 1.0, 3.0, 25.0))
    calm = FaultRates(travel_ms_max=travel_ms)
    worst = random.choice((0.0, 0.002, 0.01, 0.04))
    rates = FaultRates(
        refused=random.random() * worst,
        unknown=random.random() * worst,
        silent=random.random() * worst / 4,
        again=random.random() * worst,
        travel_ms_max=travel_ms,
        slow=random.random() * worst,
        slow_ms_max=random.choice((50.0, 2_000.0, 40_000.0)),
    )
    lease_ms = random.choice((2_000, 5_000, 10_000))
    return Shape(
        workers_count=random.choice((1, 1, 2, 2, 3, 4)),
        runs_count=random.choice((1, 2, 3, 5, 5, 8, 12, 20, 40) if random.random() < 0.3 else (1, 2, 3, 4, 6)),
        safety_ms=random.randint(2_000, 30_000),
        rates=rates if worst else calm,
        calm_rates=calm,
        chaos_ms=random.choice((0, 700, 1_500, 4_000, 12_000)),
        skew_ms_max=random.choice((0.0, 0.9, 200.0, lease_ms / 3)),
        options=WorkerOptions(
            queues=(QUEUE,),
            runs_max=random.choice((2, 5, 1_000, 1_000)),
            cache_size=random.choice((1, 3, 1_000)),
            lease_ms=lease_ms,
            limits=ActivityLimits(activities_max=random.choice((1, 2, 5, 1_000, 1_000)), stop_ms_max=500),
        ),
    )


def draw_limit(random: Random) -> QueueLimit | None:
    """What limits the task queue of a ranked world; None: nothing."""
    limits: dict[str, int | float] = {}
    if random.random() < 0.5:
        limits["concurrent"] = random.choice((1, 2, 3, 6))
    if random.random() < 0.3:
        limits["concurrent_per_key"] = random.choice((1, 2))
    if random.random() < 0.3:
        limits["per_second"] = random.choice((5, 30, 200))
    if random.random() < 0.3:
        limits["per_key_per_second"] = random.choice((5, 30))
    return QueueLimit(QUEUE, **cast("dict[str, Any]", limits)) if limits else None


def draw_rank(random: Random) -> Rank | None:
    """The rank of a run of a ranked world."""
    if random.random() < 0.3:
        return None
    priority, key = random.choice((None, 1, 3, 5)), random.choice((None, "a", "b", "c"))
    return Rank(priority, key, random.choice((None, 0.1, 10.0)))


class Process:
    """One simulated process: a loop, a clock, its own way to the store, an engine and perhaps a worker."""

    def __init__(self, world: "World", name: str, *, works: bool) -> None:
        random = world.random
        self.name = name
        self.loop = VirtualLoop(world.time, name)
        skew_ms_max = world.shape.skew_ms_max
        self.clock = VirtualClock(
            world.time, Random(random.random()), skew_ms=random.uniform(-skew_ms_max, skew_ms_max)
        )
        self.fates = RandomFates(Random(random.random()), world.rates)
        self.store = FaultyStore(world.witness, self.fates, carrier=world.network)
        self.engine = Engine(self.store, self.clock)
        self.worker: Worker | None = None
        self.blows_count = 0
        """How often it was stopped, paused or killed."""
        self.unwell = False
        """It was stopped, paused or killed a while ago: calls on it may never return."""
        self.stopping = False
        self._kept: list[asyncio.Task[None]] = []
        self._world = world
        self._works = works

    async def start(self) -> None:
        """Begin to work; on its own loop."""
        if not self._works:
            return
        mailbox = Mailbox(self.loop)
        mailbox.bind()
        worker = Worker(
            self.store,
            self.clock,
            self._world.registry,
            options=self._world.shape.options,
            user=mailbox,
            engine=mailbox,
            new_worker_id=lambda unique: WorkerId(f"{self.name}/{unique}"),
            closed=self.engine.closings.closed,
            verbs=self.engine,
        )
        await worker.start()
        self.worker = self.engine.local = worker

    @property
    def excuses_count(self) -> int:
        """Grows with each thing for which a call on this process may never return."""
        return self.blows_count + self.store.silences_count

    async def stop(self) -> None:
        """Stop as an app does that is told to; on its own loop."""
        self.blows_count += 1
        self.unwell = self.stopping = True
        if self.worker is not None:
            await self.worker.stop(grace_ms=2_000)
        await self.engine.stop()

    def keep(self, task: "asyncio.Task[None]") -> None:
        """Somebody must hold a task that nobody waits for."""
        self._kept.append(task)

    def crash(self) -> None:
        """Be gone from one moment to the next."""
        self.blows_count += 1
        self.unwell = True
        self.loop.crash()

    def pause(self) -> None:
        """Stand still from one moment to the next."""
        self.blows_count += 1
        self.unwell = True
        self.loop.pause()

    def bury(self) -> None:
        """Let go of memory; nothing that this sets off reaches the store or the ledger."""
        self.store.cut_off = True
        if not self.loop.dead:
            self.loop.crash()
        if self.worker is not None:
            self.worker.host.drop_all()
        self.loop.bury()


class Start(msgspec.Struct):
    """A run that a client wants, and what it was told."""

    workflow_id: WorkflowId
    request_id: str
    plan: Plan
    run_id: RunId | None = None
    """Acknowledged."""
    outcome: Outcome | None = None
    """What the client that waited was told."""
    another: bool = False
    """Another run of its workflow id was asked for: refused or not, it may be created by a call that comes late."""
    terminated: bool = False
    """A termination was acknowledged, and not by finding the run closed."""
    told_first: bool = False
    """It is told its first signal or update together with its start."""
    rank: Rank | None = None
    """Of its activities."""
    reset: bool = False
    """It will be reset, or was: until then one that has closed may open again."""
    signalled_count: int = 0
    """So many signals were acknowledged."""
    answers: list[CompleteUpdate | RejectUpdate] = []
    """What clients were told of their updates."""

    @property
    def family(self) -> str:
        """How the keys of its steps begin, also of those of its children."""
        return family_of(self.workflow_id)


def family_of(workflow_id: str) -> str:
    """How the keys begin that belong to a workflow id of the director's, forks included."""
    return "r" + workflow_id.removeprefix("run").removesuffix(FORK)


class World:
    """One seed's world."""

    def __init__(self, seed: int, make_store: Callable[[], Store] = MemoryStore) -> None:
        self.seed = seed
        self.wide = seed >= WIDE_SEEDS_FROM
        self.ranked = seed >= RANKED_SEEDS_FROM
        self.random = Random(seed)
        self.shape = draw_shape(self.random)
        if self.wide:
            # Each of their runs is several, and many runs at once are what the other worlds are for.
            runs_count = min(self.shape.runs_count, WIDE_RUNS_MAX)
            self.shape = replace(self.shape, runs_count=runs_count)
        limit = draw_limit(self.random) if self.ranked else None
        if limit is not None:
            self.shape = replace(self.shape, options=replace(self.shape.options, queue_limits=(limit,)))
        self.time = VirtualTime()
        self.network = VirtualLoop(self.time, "network")
        self.director = VirtualLoop(self.time, "director")
        self.witness = Witness(make_store(), lambda: self.time.now_ms, early_ms_max=lambda: self.shape.skew_ms_max + 1)
        self.registry = registry()
        self.rates = self.shape.rates
        self.ledger: Ledger = new_ledger(self._worker_of)
        self.violations: list[str] = []
        self.blows: list[str] = []
        self.starts: list[Start] = []
        self.processes: list[Process] = []
        """All there ever were; workers' and clients'."""
        self.chaotic = True
        self._names_count = 0

    # Processes

    def _worker_of(self, name: str) -> str:
        (process,) = [each for each in self.processes if each.name == name]
        assert process.worker is not None
        return process.worker.host.worker

    def new_process(self, kind: str, *, works: bool) -> Process:
        """A process that has not started yet."""
        self._names_count += 1
        process = Process(self, f"{kind}{self._names_count}", works=works)
        self.processes.append(process)
        return process

    @property
    def workers(self) -> list[Process]:
        """The processes that work."""
        return [each for each in self.processes if each.worker is not None and not each.unwell]

    @property
    def running_count(self) -> int:
        """How many executions of activities have not ended, on processes that are there."""
        gone = {each.name for each in self.processes if each.loop.dead}
        executions = (each for found in self.ledger.executions.values() for each in found)
        return sum(not each.ended and each.process not in gone for each in executions)

    async def on(self, process: Process, action: Callable[[], Awaitable[T]]) -> T:
        """The result of `action`, run on the loop of `process`; waits for ever if that dies."""
        answer: asyncio.Future[T] = self.director.create_future()

        async def act() -> None:
            try:
                result = await action()
            except asyncio.CancelledError:
                if not process.loop.dead and not process.stopping:
                    self.violations.append(f"{action} was cancelled on {process.name}")
                raise
            except Exception as error:  # whatever it is, it is for the one who waits
                if not answer.done():
                    answer.set_exception(error)
            else:
                if not answer.done():
                    answer.set_result(result)

        task = process.loop.create_task(act())
        answer.add_done_callback(lambda _: task)
        return await answer

    async def add_worker(self) -> None:
        """Start a process that works; one that cannot reach the store tries again, as a supervisor would have it."""
        while True:
            process = self.new_process("worker", works=True)
            try:
                async with asyncio.timeout(60):
                    await self.on(process, process.start)
                return
            except (StoreError, TimeoutError):
                process.crash()
                await asyncio.sleep(0.5)

    # Clients

    async def ask(
        self, choose: Callable[[], Process], verb: Callable[[Engine], Awaitable[T]], *, watches: bool = False
    ) -> T:
        """The answer of a verb, asked again after errors of the store and on other processes after the death of one.

        `watches`: the verb waits for what the process's watcher sees, which an earlier silence of the store may have
        stopped.
        """
        # What it waits for may need the operator, who is late by as much if one of his own calls is never answered.
        answer_s_max = 2 * ANSWER_S_MAX if watches else ANSWER_S_MAX
        while True:
            process = choose()
            # One that stands still at the moment has its excuse already.
            excused = process.unwell or (watches and process.store.silences_count > 0)
            excuses_count = -1 if excused else process.excuses_count
            try:
                async with asyncio.timeout(20 if excused else answer_s_max):
                    return await self.on(process, lambda process=process: verb(process.engine))
            except StoreError:
                await asyncio.sleep(self.random.random())
            except TimeoutError:
                # A client has no deadline of its own: the store that never answers it is the test's, not the engine's.
                if process.excuses_count == excuses_count:
                    self.violations.append(
                        f"{verb.__qualname__} on {process.name}, which is well, has not returned for {answer_s_max} s"
                    )

    def bury(self) -> None:
        """Let go of everything."""
        for process in self.processes:
            process.bury()
        for loop in (self.network, self.director):
            loop.crash()
            loop.bury()
