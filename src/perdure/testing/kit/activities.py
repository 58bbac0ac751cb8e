"""`ActivityEnvironment`: one activity alone, with the context that it would have in a worker."""

import asyncio
import inspect
from collections.abc import Callable, Coroutine
from contextvars import Context
from datetime import UTC, datetime
from functools import partial
from typing import Any, ParamSpec, TypeVar, cast, overload

import msgspec

from perdure.core.command import RunActivity
from perdure.core.errors import InvalidOption
from perdure.core.ids import RunId, WorkflowId
from perdure.core.payload import to_payloads
from perdure.programs.code.definition import DEFAULTS, Activity
from perdure.programs.code.options import Duration, duration_ms
from perdure.testing.kit.options import moment_ms
from perdure.testing.virtual import START_MS
from perdure.worker.context import RunningAttempt, enter
from perdure.worker.job import Job

P = ParamSpec("P")
R = TypeVar("R")

RUN_ID = RunId("00000000-0000-7000-8000-000000000000")
START = datetime.fromtimestamp(START_MS / 1_000, UTC)


class ActivityEnvironment:
    """Runs activities for unit tests: `perdure.activity` works in them, heartbeats are kept, they can be cancelled."""

    def __init__(
        self,
        *,
        attempt: int = 1,
        heartbeat_details: tuple[Any, ...] = (),
        heartbeat: Duration | None = None,
        workflow_id: str = "test",
        started_at: datetime = START,
    ) -> None:
        """What `activity.info()` tells; `heartbeat_details` are those of an earlier attempt."""
        if attempt < 1:
            raise InvalidOption(name="attempt", value=attempt, fact="counts from 1", remedy="give 1 or more")
        self.heartbeats: list[tuple[Any, ...]] = []
        """The details of each heartbeat, in order."""
        self.on_heartbeat: Callable[..., object] | None = None
        """Called with the details of each heartbeat, in the activity's own thread."""
        self._attempt_number = attempt
        self._details = to_payloads(heartbeat_details, what="heartbeat detail")
        self._options = DEFAULTS
        if heartbeat is not None:
            self._options = msgspec.structs.replace(DEFAULTS, heartbeat_ms=duration_ms("heartbeat", heartbeat))
        self._workflow_id = WorkflowId(workflow_id)
        self._started_at_ms = moment_ms("started_at", started_at)
        self._running: list[_Attempt] = []

    @overload
    async def run(self, fn: Activity[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R: ...
    @overload
    async def run(self, fn: Callable[P, Coroutine[Any, Any, R]], /, *args: P.args, **kwargs: P.kwargs) -> R: ...
    @overload
    async def run(self, fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R: ...
    async def run(self, fn: Any, /, *args: Any, **kwargs: Any) -> Any:
        """What an activity returns or raises; a sync one runs in a thread.

        Arguments and result of a registered one travel as they do in a workflow: what does not survive that is found.
        """
        if not isinstance(fn, Activity):
            return await self._perform(getattr(fn, "__name__", "activity"), partial(fn, *args, **kwargs))
        definition = cast("Activity[..., Any]", fn)
        given = definition.decode_args(definition.bind(args, kwargs))
        result = await self._perform(definition.name, partial(definition.fn, *given))
        return definition.decode_result(definition.encode_result(result))

    async def _perform(self, name: str, call: "partial[Any]") -> Any:
        attempt = self._new_attempt(name, is_async=inspect.iscoroutinefunction(call.func))
        context = Context()
        context.run(enter, attempt)
        loop = asyncio.get_running_loop()
        self._running.append(attempt)
        try:
            if not attempt.job.definition.is_async:
                return await loop.run_in_executor(None, context.run, call)
            attempt.task = loop.create_task(call(), context=context)
            return await attempt.task
        finally:
            self._running.remove(attempt)

    def _new_attempt(self, name: str, *, is_async: bool) -> "_Attempt":
        async def stand_in() -> None: ...

        definition: Activity[..., Any] = Activity(stand_in, name=name)
        definition.is_async = is_async
        job = Job(
            RUN_ID,
            self._workflow_id,
            RunActivity(1, name, (), self._options),
            definition,
            attempt=self._attempt_number,
            scheduled_at_ms=self._started_at_ms,
            heartbeat=self._details,
        )
        job.started_at_ms = self._started_at_ms
        return _Attempt(job, self._beaten)

    def _beaten(self, details: tuple[Any, ...]) -> None:
        self.heartbeats.append(details)
        if self.on_heartbeat is not None:
            self.on_heartbeat(*details)

    def cancel(self, reason: str = "cancelled by the test") -> None:
        """Cancel what runs: an async activity where it waits, a sync one at its next heartbeat."""
        for attempt in self._running:
            attempt.stop_reason = reason
            if attempt.task is not None:
                task = attempt.task
                task.get_loop().call_soon_threadsafe(task.cancel, reason)


class _Attempt(RunningAttempt):
    """An attempt whose heartbeats are heard with their details as they were given."""

    def __init__(self, job: Job, beaten: Callable[[tuple[Any, ...]], None]) -> None:
        super().__init__(job, lambda _: None)
        self._beaten = beaten

    def heartbeat(self, details: tuple[Any, ...]) -> None:
        """See `RunningAttempt`."""
        super().heartbeat(details)
        self._beaten(details)
