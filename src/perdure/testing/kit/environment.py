"""`TestEnvironment`: an app running in a test, with a clock that jumps to whatever is due next when nothing runs."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Literal, ParamSpec, Self, TypeVar, Unpack, overload

from perdure.app import Perdure
from perdure.core.errors import EngineStopped, InvalidOption
from perdure.core.ids import checked_id
from perdure.programs.code.classes import refuse_class
from perdure.programs.code.definition import Activity, Workflow
from perdure.programs.code.options import Duration, duration_ms
from perdure.stores import store_for
from perdure.testing.kit.answers import Mock, MockCall
from perdure.testing.kit.cast import Cast, CastOptions
from perdure.testing.kit.faults import Fault, FaultKind
from perdure.testing.kit.fence import Fence
from perdure.testing.kit.options import EnvironmentOptions, moment_ms, settings_of
from perdure.testing.kit.pace import Alarm
from perdure.testing.kit.replaying import Replayer, replay_in_processes
from perdure.testing.kit.stage import Stage

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")


class TestEnvironment:
    """Runs an app inside `async with`: its engine, its worker and a store, in the test's own loop and thread.

    The app is used as ever (`app.start`, handles, ...). The clock moves only while the test waits for something of the
    app or the environment, and only when nothing runs: it then jumps to the next moment at which something is due.
    """

    __test__ = False

    def __init__(self, app: Perdure, **options: Unpack[EnvironmentOptions]) -> None:
        """Nothing runs before it is entered; raises `InvalidOption`."""
        self.app = app
        self._settings = settings_of(options)
        self._stage: Stage | None = None
        self._cast: Cast | None = None
        self._replayer: Replayer | None = None
        self._fence = None if self._settings.network is None else Fence(self._settings.network)

    def __repr__(self) -> str:
        return f"<TestEnvironment of {self.app.url} at {self.now if self._stage else 'rest'}>"

    async def __aenter__(self) -> Self:
        await self.app.enter_on(self._make_stage)
        if self._fence is not None:
            self._fence.raise_up()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        stage = self._running
        histories: list[bytes] = []
        try:
            if error is None and self._settings.processes and self._replayer is not None:
                histories = await self._replayer.histories()
            await self.app.leave()
        finally:
            if self._fence is not None:
                self._fence.take_down()
            self._stage = None
        if error is None and stage.untold:
            first, *others = stage.untold
            for other in others:
                first.add_note(f"and: {other}")
            raise first
        if histories:
            await replay_in_processes(self.app, histories)

    def _make_stage(self) -> Stage:
        registry, settings = self.app.registry, self._settings
        cast_options = CastOptions(twice=settings.twice, refuse=settings.refuses_unmocked)
        cast = self._cast = Cast(registry, cast_options, lambda error: stage.report(error))
        stage = cast.stage = Stage(
            self.app.data.sealed(store_for(settings.store)),
            cast,
            self.app.options,
            start_ms=settings.start_ms,
            patience_s=settings.patience_s,
            seed=settings.seed,
        )
        named = {activity.queue for activity in registry.activities.values() if activity.queue is not None}
        stage.store.queues |= {*named, *settings.queues}
        if settings.replay:
            self._replayer = Replayer(stage.store.inner, cast, stage.report)
            stage.store.on_committed = self._replayer.committed
        self._stage = stage
        return stage

    @property
    def _running(self) -> Stage:
        if self._stage is None:
            raise EngineStopped
        return self._stage

    # Time

    @property
    def now(self) -> datetime:
        """The moment, in UTC."""
        return datetime.fromtimestamp(self._running.time.now_ms / 1_000, UTC)

    async def sleep(self, length: Duration) -> None:
        """Return when so much virtual time has passed, and everything that was due until then has happened."""
        await self._running.sleep(duration_ms("length", length) / 1_000)

    async def sleep_until(self, moment: datetime) -> None:
        """`sleep` up to a moment; returns at once if it has passed."""
        left_ms = moment_ms("moment", moment) - self._running.time.now_ms
        await self._running.sleep(max(0, left_ms) / 1_000)

    async def until(self, awaitable: Awaitable[T]) -> T:
        """The result of something else than the app's own verbs (an event that an activity sets, say).

        While it is waited for, time passes as it does for the result of a run.
        """
        self._running.raise_untold()
        result: T = await self._running.pace.wait(asyncio.ensure_future(awaitable))
        return result

    def at(self, when: Duration | datetime, action: Callable[[], object]) -> Alarm:
        """Call `action` at a moment, or after a length of time; what it returns is awaited if it can be.

        The clock stands still while it runs. What it raises is raised where the test waits.
        """
        alarm = Alarm(action, None, 1)
        self._running.pace.plan(self._after_s(when), alarm)
        return alarm

    def every(self, length: Duration, action: Callable[[], object], *, times: int | None = None) -> Alarm:
        """`at`, again and again: after each such length of time, so many times or until it is cancelled."""
        length_ms = duration_ms("length", length)
        if length_ms <= 0:
            raise InvalidOption(name="length", value=length, fact="is no time", remedy="give a positive length of time")
        alarm = Alarm(action, length_ms / 1_000, times)
        self._running.pace.plan(length_ms / 1_000, alarm)
        return alarm

    def _after_s(self, when: Duration | datetime) -> float:
        if isinstance(when, datetime):
            return max(0, moment_ms("when", when) - self._running.time.now_ms) / 1_000
        return duration_ms("when", when) / 1_000

    # Mocks

    @overload
    def mock(self, target: Activity[P, R], /, *, queue: str | None = None) -> Mock[P, R]: ...
    @overload
    def mock(self, target: Workflow[P, R], /) -> Mock[P, R]: ...
    @overload
    def mock(
        self, target: str, /, *, queue: str | None = None, kind: Literal["activity", "workflow"] | None = None
    ) -> Mock[..., Any]: ...
    def mock(self, target: Any, /, *, queue: str | None = None, kind: str | None = None) -> Any:
        """Let a mock stand for an activity, or for a workflow as a child or by itself; it returns None at first.

        By its name also one that only others know; then its `queue` is served here. Mocks of activities begin to
        stand where the next attempt starts, and take no time.
        """
        cast = self._cast
        if cast is None or self._stage is None:
            raise EngineStopped
        definition = cast.definition(target, kind) if isinstance(target, str) else target
        refuse_class(definition)
        if not isinstance(definition, Activity | Workflow):
            remedy = "give an activity, a workflow, or the name of one"
            raise InvalidOption(name="target", value=repr(target)[:80], fact="cannot be mocked", remedy=remedy)
        if queue is not None:
            self._stage.store.queues.add(checked_id("queue", queue))
        return cast.add_mock(definition)  # pyright: ignore[reportUnknownArgumentType]

    def calls(self, activity: "Activity[..., Any] | str") -> list[MockCall]:
        """The calls of an activity so far, mocked or not, in order."""
        cast = self._cast
        if cast is None:
            raise EngineStopped
        return list(cast.calls.get(activity if isinstance(activity, str) else activity.name, ()))

    # Trouble

    async def crash(self, *, restart: bool = True) -> None:
        """Kill the worker: nothing of it ever runs again, and what it had not yet written is lost.

        Another one takes over at once, unless told otherwise.
        """
        await self._running.crash()
        if restart:
            await self._running.start_worker()

    async def start_worker(self) -> None:
        """Start a worker after a `crash` without one; it takes over what the dead one held."""
        await self._running.start_worker()

    def fail_store_call(
        self,
        number: int | None = 1,
        *,
        how: FaultKind = "refused",
        verbs: Iterable[str] | None = None,
        clients: bool = False,
    ) -> Fault:
        """Let a call of the worker to the store fail: the one with this number from now on, None for all of them.

        `how` it fails: "refused" (it did not happen), "unknown" (it happened, the answer is lost), "late" (it takes 30
        seconds), "crash before" and "crash after" (the worker dies there). With `verbs` only those are counted;
        with `clients` also the calls that the test's own verbs make, which then may raise `StoreUnavailable`.
        """
        return self._running.faults.order(how, number, verbs, clients=clients)

    @property
    def store_calls(self) -> list[str]:
        """The verbs of the worker's calls so far that can fail, in order."""
        return list(self._running.faults.calls)
