"""An activity runner on one loop in virtual time: timers ring at once when nothing else is left to do."""

import asyncio
import functools
import selectors
from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, ParamSpec

from perdure.core.command import RunActivity
from perdure.core.failure import Failure
from perdure.core.ids import RunId, WorkflowId
from perdure.core.message import Completed, Failed, Outcome
from perdure.core.payload import Payload, from_payload, to_payloads
from perdure.core.policy import ActivityOptions
from perdure.engine.clock import SystemClock
from perdure.programs.code.definition import Activity
from perdure.worker.activities import ActivityLimits, ActivityRunner
from perdure.worker.job import Job
from perdure.worker.mailbox import Mailbox

P = ParamSpec("P")


class _Selector(selectors.DefaultSelector):
    loop: "VirtualLoop"

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None or timeout <= 0:
            return super().select(timeout)
        if self.loop.frozen:
            # Only what comes from other threads and processes can happen.
            return super().select(None)
        found = super().select(0)
        if not found:
            self.loop.now += timeout
        return found


class VirtualLoop(asyncio.SelectorEventLoop):
    """Time stands still while something is ready to run, then jumps to the next timer."""

    def __init__(self) -> None:
        self.now = 1_000_000.0
        self.frozen = False
        """Timers do not ring."""
        selector = _Selector()
        selector.loop = self
        super().__init__(selector)

    def time(self) -> float:
        return self.now


def in_virtual_time(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """Run an async test on a loop of its own in virtual time."""

    @functools.wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        with asyncio.Runner(loop_factory=VirtualLoop) as runner:
            runner.run(test(*args, **kwargs))

    return run


class LoopClock(SystemClock):
    """The running loop's time as the moment."""

    def __init__(self) -> None:
        super().__init__()
        self._loop = asyncio.get_running_loop()

    def now_ms(self) -> int:
        return round(self._loop.time() * 1_000)


def defined(fn: Callable[..., Any]) -> "Activity[..., Any]":
    """`fn` as an activity."""
    return Activity(fn)


class World:
    """A runner, and what it reported."""

    def __init__(self, limits: ActivityLimits, user_mailbox: Mailbox | None = None) -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        self.loop = loop
        self.clock = LoopClock()
        mailbox = Mailbox(loop)
        mailbox.bind()
        self.runner = ActivityRunner(
            self.clock, user_mailbox or mailbox, mailbox, limits, self._on_ended, on_beat_due=self._on_beat_due
        )
        self.batches: list[Sequence[tuple[Job, Outcome]]] = []
        self.outcomes: dict[int, Outcome] = {}
        """By call id."""
        self.on_report: Callable[[], None] = lambda: None
        self.beats_due_count = 0
        self._calls_count = 0
        self._news = asyncio.Event()

    def _on_ended(self, ends: Sequence[tuple[Job, Outcome]]) -> None:
        self.batches.append(ends)
        for job, outcome in ends:
            assert job.key.call_id not in self.outcomes, "reported twice"
            self.outcomes[job.key.call_id] = outcome
        self.on_report()
        self._news.set()

    def _on_beat_due(self) -> None:
        self.beats_due_count += 1
        self._news.set()

    def job(
        self,
        activity: "Activity[..., Any]",
        *args: object,
        options: ActivityOptions | None = None,
        **facts: Any,
    ) -> Job:
        """A job that was scheduled now; `facts` are those of `Job`."""
        self._calls_count += 1
        call = RunActivity(self._calls_count, activity.name, to_payloads(args), options or ActivityOptions())
        facts = {"scheduled_at_ms": self.clock.now_ms(), **facts}
        return Job(RunId("run-1"), WorkflowId("order-1"), call, activity, **facts)

    def start(self, activity: "Activity[..., Any]", *args: object, **facts: Any) -> Job:
        """Start a new job."""
        job = self.job(activity, *args, **facts)
        self.runner.start([job])
        return job

    async def until(self, fact: Callable[[], bool]) -> None:
        """Return when `fact` holds; looked at after each report."""
        while not fact():
            self._news.clear()
            await self._news.wait()

    async def outcome(self, job: Job) -> Outcome:
        """The reported outcome of a job."""
        await self.until(lambda: job.key.call_id in self.outcomes)
        return self.outcomes[job.key.call_id]

    async def result(self, job: Job) -> Any:
        """The decoded result of a job that completes."""
        outcome = await self.outcome(job)
        assert isinstance(outcome, Completed), outcome
        return from_payload(outcome.result)

    async def failure(self, job: Job) -> Failure:
        """The failure of a job that fails."""
        outcome = await self.outcome(job)
        assert isinstance(outcome, Failed), outcome
        return outcome.failure

    async def pass_ms(self, ms: int) -> None:
        """Let virtual time pass."""
        await asyncio.sleep(ms / 1_000)


@asynccontextmanager
async def world(limits: Mapping[str, int] | None = None, user_mailbox: Mailbox | None = None) -> AsyncGenerator[World]:
    """A world, its runner stopped at the end."""
    made = World(ActivityLimits(**(limits or {})), user_mailbox)
    try:
        yield made
    finally:
        await made.runner.stop()


def details_of(payloads: Sequence[Payload]) -> list[Any]:
    """Payloads as plain values."""
    return [from_payload(payload) for payload in payloads]
