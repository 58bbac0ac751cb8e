"""`Perdure`: one store's URL, the workflows and activities of this process, and the verbs on them."""

import asyncio
import signal as signals
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Iterable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Literal, ParamSpec, TypeVar, TypeVarTuple, Unpack, overload

from msgspec.structs import replace

from perdure.blocking import BlockingPerdure
from perdure.bulk import Bulk
from perdure.completion import Completions
from perdure.core.errors import EngineStopped, InvalidOption
from perdure.core.ids import RunId, WorkflowId, checked_id
from perdure.core.message import Query, Signaled, Started, UpdateRequested
from perdure.core.payload import Converter, Payload
from perdure.core.queue_limit import QueueLimit, checked_limits
from perdure.core.store import RunStatus
from perdure.data import ClaimCheck, PayloadCodec
from perdure.data.options import AppData
from perdure.description import RunSummary, summarize
from perdure.drain import DrainLine, drain_lines
from perdure.engine.clock import Clock, SystemClock
from perdure.engine.engine import Engine
from perdure.engine.starting import IdConflict
from perdure.handle import Handle
from perdure.joining import run_to_result
from perdure.listing import check_group, filter_of
from perdure.programs.code.around import Around
from perdure.programs.code.classes import WorkflowDecorator
from perdure.programs.code.definition import Activity, ActivityDecorator, Signal, Workflow
from perdure.programs.code.interceptors import ClientCall, Interceptor
from perdure.programs.code.options import ActivityKeywords, Duration, checked_positive, duration_ms
from perdure.programs.code.program import CodeProgram
from perdure.programs.code.propagation import Propagator
from perdure.runtime import AnyRuntime, Runtime, refuse_in_loop
from perdure.schedules import Schedules
from perdure.sending import to_handler, to_signal
from perdure.starting import StartContext, StartKeywords, Target, checked_start, defined, target_of
from perdure.stores import store_for
from perdure.worker.options import WorkerOptions, checked_room
from perdure.worker.processes import check_importable, in_child
from perdure.worker.registry import Registry, add_workflow

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")
Ts = TypeVarTuple("Ts")
Us = TypeVarTuple("Us")
LIST_MAX = 1_000


class Perdure:
    """The durable execution engine of one process: register on it, then run it.

    `async with app:` works and serves calls; `app.client()` only serves calls; `app.run(...)` and `app.serve()` block.
    """

    def __init__(
        self,
        url: str,
        *,
        queue: str = "default",
        activities_max: int = 1_000,
        threads_max: int | None = None,
        processes_max: int | None = None,
        runs_max: int = 1_000,
        cache_size: int = 500,
        lease: Duration = "10s",
        retention: Duration | None = None,
        converters: Sequence[Converter[Any]] = (),
        codecs: Sequence[PayloadCodec] = (),
        claim_check: ClaimCheck | None = None,
        build: str | None = None,
        pinned: bool = False,
        propagators: Sequence[Propagator] = (),
        interceptors: Sequence[Interceptor] = (),
        limits: Sequence[QueueLimit] = (),
        call_timeout: Duration | None = "30s",
    ) -> None:
        """`url` names the store (sqlite:///file.db or memory://), `queue` what this worker takes from it.

        `retention` deletes runs that closed longer ago, with their histories. `converters`, `codecs` and `claim_check`
        say what becomes of values: see `perdure.data`. `build` names this process's code; `pinned`: runs that begin
        here stay on it. `propagators` carry context along, `interceptors` are around everything. `limits` are those of
        task queues, one each. A call that waits for no run raises `StoreUnavailable` after `call_timeout`. Nothing is
        opened yet.
        """
        self.url = url
        self.queue = checked_id("queue", queue)
        self.data = AppData(converters, codecs, claim_check)
        self._store = self.data.sealed(store_for(url))
        self.converter = self.data.converter
        """Turns values into payloads and back."""
        self._registry = Registry(build, pinned=pinned)
        self.around = self._registry.around = Around(propagators, interceptors)
        self._clock: Clock = SystemClock()
        self._call_s_max = None if call_timeout is None else duration_ms("call_timeout", call_timeout) / 1_000
        self._options = WorkerOptions(
            queues=(queue,),
            runs_max=checked_positive("runs_max", runs_max),
            cache_size=checked_positive("cache_size", cache_size),
            lease_ms=duration_ms("lease", lease),
            retention_ms=None if retention is None else duration_ms("retention", retention),
            limits=checked_room(activities_max, threads_max, processes_max),
            queue_limits=checked_limits(limits),
            turn_bytes_max=self.data.turn_bytes_max,
        )
        self._runtime: AnyRuntime | None = None
        self.schedules = Schedules(self)
        self.bulk = Bulk(self)

    def use_store(self, url: str) -> None:
        """Use another store than the one named at first; only while the app is not running."""
        if self._runtime is not None:
            raise InvalidOption(
                name="url", value=url, fact="comes while the app is running", remedy="choose before it runs"
            )
        self._store = self.data.sealed(store_for(url))
        self.url = url

    # Registering

    @overload
    def activity(self, fn: Callable[P, Coroutine[Any, Any, R]], /) -> Activity[P, R]: ...
    @overload
    def activity(self, fn: Callable[P, R], /) -> Activity[P, R]: ...
    @overload
    def activity(
        self, /, *, name: str | None = None, process: bool = False, **options: Unpack[ActivityKeywords]
    ) -> ActivityDecorator: ...
    def activity(
        self, fn: Any = None, /, *, name: str | None = None, process: bool = False, **options: Unpack[ActivityKeywords]
    ) -> Any:
        """Register a function as an activity.

        `retries` or `retry` bound the tries (without them it is tried until it succeeds), `timeout` one try,
        `schedule_to_close` all of them, `schedule_to_start` the wait in the queue, `heartbeat` the silence of a
        running one. `process` runs a CPU-bound function in a process pool. Raises `DuplicateName`, `InvalidOption`,
        `UnsupportedDefinition`.
        """

        def register(fn: Callable[..., Any]) -> "Activity[..., Any]":
            made: Activity[..., Any] = Activity(
                fn, name=name, process=process, keywords=options, converter=self.converter
            )
            made.propagation, made.interceptors = self.around.propagation, self.around.interceptors
            if process:
                check_importable(made)
            self._registry.add_activity(made)
            return made

        return register if fn is None else register(fn)

    @overload
    def workflow(self, fn: type[T], /) -> type[T]: ...
    @overload
    def workflow(self, fn: Callable[P, Coroutine[Any, Any, R]], /) -> Workflow[P, R]: ...
    @overload
    def workflow(
        self, /, *, name: str | None = None, version: int = 1, pinned: bool | None = None
    ) -> WorkflowDecorator: ...
    def workflow(
        self, fn: Any = None, /, *, name: str | None = None, version: int = 1, pinned: bool | None = None
    ) -> Any:
        """Register an async function, or a class with a `@workflow.run` method, as a workflow.

        A class stays what it is; `Order.run` is its workflow, for `start` and wherever a workflow is named. Of several
        versions under one name new runs take the newest, old ones stay on theirs; `pinned` ones also on their build.
        Raises `DuplicateName`, `ForbiddenInWorkflow`, `InvalidOption`, `UnsupportedDefinition`.
        """

        add = partial(add_workflow, self._registry, name=name, converter=self.converter, version=version, pinned=pinned)
        return add if fn is None else add(fn)

    # Running

    async def __aenter__(self) -> "Perdure":
        await self._enter(self._options)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.leave()

    @asynccontextmanager
    async def client(self) -> "AsyncGenerator[Perdure]":
        """Use the verbs without working: other processes do."""
        await self._enter(None)
        try:
            yield self
        finally:
            await self.leave()

    async def _enter(self, options: WorkerOptions | None) -> None:
        await self.enter_on(lambda: Runtime(self._store, self._registry, options))

    async def enter_on(self, make: Callable[[], AnyRuntime]) -> None:
        """Run on a runtime of the caller's making, such as a test's; `leave` ends it."""
        if self._runtime is not None:
            raise InvalidOption(name="app", value=self.url, fact="is running already", remedy="enter it once a process")
        if in_child():
            fact = "is entered by a process of its own activity pool"
            raise InvalidOption(
                name="app", value=self.url, fact=fact, remedy="start it under `if __name__ == '__main__':`"
            )
        self._registry.make_programs()
        runtime = self._runtime = make()
        try:
            await runtime.start()
        except BaseException:  # whatever it was, the app is not running
            self._runtime = None
            raise

    async def leave(self) -> None:
        """Stop the runtime that the app runs on, if it runs."""
        runtime, self._runtime = self._runtime, None
        if runtime is not None:
            await runtime.stop()

    def run(self, workflow: Callable[[*Ts], Coroutine[Any, Any, R]], *args: *Ts, id: str | None = None) -> R:
        """Run a workflow to its result, blocking: for scripts.

        Started again with the same id it goes on, or gives the result it had.

        A parked run is resumed once. Raises what `Handle.result` raises, `RunParked` if the run cannot go on, and
        `AlreadyRunning` if the id belongs to an open run of another workflow.
        """
        refuse_in_loop("app.run", "`await (await app.start(...)).result()`")

        async def main() -> R:
            async with self:
                return await run_to_result(self, workflow, args, id)

        return asyncio.run(main())

    def blocking(self, *, work: bool = True) -> BlockingPerdure:
        """The same app with verbs that block, for code without a loop: `with app.blocking() as client:`.

        `work` False: only the verbs; other processes do the work.
        """
        refuse_in_loop("app.blocking", "`async with app:`")
        return BlockingPerdure(self, work=work)

    def serve(self) -> None:
        """Work until SIGTERM or SIGINT, then drain and give back: for worker processes."""
        refuse_in_loop("app.serve", "`async with app:`")

        async def main() -> None:
            loop = asyncio.get_running_loop()
            stop = asyncio.Event()
            for number in (signals.SIGTERM, signals.SIGINT):
                loop.add_signal_handler(number, stop.set)
            async with self:
                await stop.wait()

        asyncio.run(main())

    # Verbs

    async def start(
        self, workflow: Callable[[*Ts], Coroutine[Any, Any, R]], *args: *Ts, **options: Unpack[StartKeywords]
    ) -> Handle[R]:
        """Start a run; it is durable when this returns. With a request id, starting again gives the same run.

        Raises `AlreadyRunning` if the id has an open run, `WorkflowIdUsed` if its closed one stands in the way,
        `InvalidArguments` or `UnserializableValue` before anything is stored.
        """
        return await self._start(target_of(self._registry, self.converter, workflow, args, options), options)

    async def start_by_name(self, name: str, *args: Any, **options: Unpack[StartKeywords]) -> Handle[Any]:
        """Start a run of a workflow known by its name; one that only other workers know needs their `queue`."""
        return await self._start(
            target_of(self._registry, self.converter, checked_id("workflow name", name), args, options), options
        )

    @overload
    async def signal_with_start(
        self,
        signal: Signal[T],
        value: T,
        workflow: Callable[[*Ts], Coroutine[Any, Any, R]],
        *args: *Ts,
        **options: Unpack[StartKeywords],
    ) -> Handle[R]: ...
    @overload
    async def signal_with_start(
        self,
        signal: str,
        value: Any,
        workflow: Callable[[*Ts], Coroutine[Any, Any, R]],
        *args: *Ts,
        **options: Unpack[StartKeywords],
    ) -> Handle[R]: ...
    async def signal_with_start(
        self, signal: Signal[Any] | str, value: Any, workflow: Any, *args: Any, **options: Unpack[StartKeywords]
    ) -> Handle[Any]:
        """Signal the open run of the workflow id, or start one with the signal: in one step, so that none is lost.

        With a request id, repeating the call starts nothing more and signals once.
        """
        name, payload = to_signal(self.converter, signal, (value,))
        told = Signaled(
            name, payload, checked_id("request id", options.get("request_id") or self.new_id()), self.around.headers
        )
        target = target_of(self._registry, self.converter, workflow, args, options)
        return await self._start(target, options, told)

    async def update_with_start(
        self,
        update: Callable[[Any, *Us], Coroutine[Any, Any, T]],
        update_args: tuple[*Us],
        workflow: Callable[[*Ts], Coroutine[Any, Any, Any]],
        *args: *Ts,
        **options: Unpack[StartKeywords],
    ) -> T:
        """Update the open run of the workflow id, or start one with the update, and wait for the update's result.

        With a request id, repeating the call starts nothing more, updates once and gives the same answer. Raises what
        `start` and `Handle.update` raise.
        """
        own = checked_id("request id", options.get("request_id") or self.new_id())
        sent = to_handler(self.converter, "update", update, update_args)
        target = target_of(self._registry, self.converter, workflow, args, options)
        handle = await self._start(target, options, UpdateRequested(sent.name, sent.args, own, self.around.headers))
        return await handle.update(update, *update_args, id=own)

    async def _start(
        self, target: Target, keywords: StartKeywords, told: Signaled | UpdateRequested | None = None
    ) -> Handle[Any]:
        context = StartContext(self.converter, self.queue, self.new_id, self.clock.now_ms(), self.around.headers)
        start = checked_start(context, **keywords)
        policy = start.policy if target.route is None else replace(start.policy, route=target.route)
        if told is not None:
            conflict = policy.conflict if "id_conflict" in keywords else IdConflict.USE_EXISTING
            policy = replace(policy, told=told, conflict=conflict)
        started = Started(target.name, start.workflow_id, start.queue, target.args, options=start.options)

        async def create() -> Handle[Any]:
            run_id = await self.call(lambda engine: engine.start(started, start.request_id, policy=policy))
            return Handle(self, start.workflow_id, run_id, target.decode, known=True)

        return await self.around.client(ClientCall("start", start.workflow_id, target.name), create)

    @overload
    def handle(
        self, id: str, workflow: Callable[..., Coroutine[Any, Any, R]], *, run_id: str | None = None
    ) -> Handle[R]: ...
    @overload
    def handle(self, id: str, *, run_id: str | None = None) -> Handle[Any]: ...
    def handle(self, id: str, workflow: Any = None, *, run_id: str | None = None) -> Handle[Any]:
        """A handle on a workflow that exists: on the run named, else on its open or last one."""
        decode: Callable[[Payload], Any] = self.converter.from_payload
        if workflow is not None:
            decode = defined(self._registry, workflow).decode_result
        workflow_id = WorkflowId(checked_id("workflow id", id))
        return Handle(self, workflow_id, None if run_id is None else RunId(checked_id("run id", run_id)), decode)

    async def list(
        self,
        query: str = "",
        *,
        status: RunStatus | str | None = None,
        workflow: str | None = None,
        id_prefix: str | None = None,
        parked: bool | None = None,
        limit: int = 100,
        before: str | None = None,
    ) -> "list[RunSummary]":
        """At most `limit` (to 1000) runs that fit the filter `query` and all that is named, newest first or as it says.

        `before` is the run id where the page before ended. Raises `InvalidFilter`, `FilterTooSlow`.
        """
        checked_positive("limit", limit, LIST_MAX)
        where = filter_of(query, status=status, workflow=workflow, id_prefix=id_prefix, parked=parked)
        after = None if before is None else RunId(checked_id("run id", before))
        records = await self.call(lambda engine: engine.list_runs(where, limit, after))
        return [summarize(record, self.converter) for record in records]

    @overload
    async def count(self, query: str = "") -> int: ...
    @overload
    async def count(self, query: str = "", *, group_by: Literal["ExecutionStatus"]) -> dict[RunStatus, int]: ...
    async def count(self, query: str = "", *, group_by: str | None = None) -> int | dict[RunStatus, int]:
        """How many runs fit the filter `query`, or how many of each status. Raises as `list` does."""
        check_group(group_by)
        where = filter_of(query)
        counts = await self.call(lambda engine: engine.count_runs(where))
        return sum(counts.values()) if group_by is None else counts

    async def delete(self, run_ids: Iterable[str]) -> int:
        """Delete these runs with their histories, if they are closed; returns how many were."""
        runs = [RunId(checked_id("run id", run_id)) for run_id in run_ids]
        return await self.call(lambda engine: engine.store.delete(runs))

    async def drain(self) -> "list[DrainLine]":
        """Which versions and builds still have open runs, and which of those nobody works on."""
        counts = await self.call(lambda engine: engine.store.count_open())
        return drain_lines(counts, self._registry, self.clock.now_ms())

    @property
    def activities(self) -> Completions:
        """Activities to be completed from outside, by token or by name."""
        return Completions(self)

    # For the other parts of the package

    @property
    def registry(self) -> Registry:
        """What is registered."""
        return self._registry

    @property
    def options(self) -> WorkerOptions:
        """What its worker takes on."""
        return self._options

    @property
    def clock(self) -> Clock:
        """Time and ids: the runtime's, while the app is running."""
        return self._clock if self._runtime is None else self._runtime.clock

    def knows(self, workflow: "Workflow[..., Any]") -> bool:
        """Whether the workflow is registered here."""
        program = self._registry.program(workflow.name, workflow.version)
        return isinstance(program, CodeProgram) and program.definition is workflow

    def new_id(self) -> str:
        """A fresh id."""
        return self.clock.new_id()

    async def call(self, verb: Callable[[Engine], Awaitable[T]], *, waits: bool = False) -> T:
        """The answer of a verb of the engine; `waits`: it may take for ever. Raises `EngineStopped` if nothing runs."""
        if self._runtime is None:
            raise EngineStopped
        return await self._runtime.call(verb, None if waits else self._call_s_max)

    async def query(self, workflow_id: WorkflowId, run_id: RunId | None, query: Query) -> Payload:
        """Ask a run whose workflow is registered here."""

        async def ask(engine: Engine) -> Payload:
            record = await engine.current(workflow_id, run_id)
            return await engine.query(workflow_id, record.run_id, query, self._registry.known_program_for(record))

        return await self.call(ask)
