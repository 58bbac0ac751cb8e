"""The calls of a workflow: how its code asks for activities and children, and how their answers come back."""

from collections.abc import Coroutine, Generator
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

import msgspec

from perdure.core.command import CancelActivity, CancelChild, ParentClosePolicy, RunActivity, StartChild, StartTimer
from perdure.core.failure import ActivityError, ActivityTimeout, ChildWorkflowError, Failure
from perdure.core.ids import RunId, WorkflowId, uuid7
from perdure.core.message import (
    ActivityClosed,
    Cancelled,
    Completed,
    Continued,
    Failed,
    Headers,
    Outcome,
    StartOptions,
    Terminated,
)
from perdure.core.payload import Payload, unreadable
from perdure.core.policy import ActivityOptions
from perdure.programs.code.loop import CancelledError, Future, WorkflowTimer

if TYPE_CHECKING:
    from perdure.programs.code.run import CodeRun

R = TypeVar("R")


class Callee(Protocol):
    """What is asked for: an `Activity`, or one known by its name only."""

    @property
    def name(self) -> str:
        """Its registered name."""
        ...

    @property
    def defaults(self) -> ActivityOptions:
        """Options of the call."""
        ...

    @property
    def queue(self) -> str | None:
        """Task queue; None is the run's own."""
        ...

    def decode_result(self, payload: Payload, /) -> Any:
        """The result by annotation."""
        ...


async def perform(run: "CodeRun", callee: Callee, args: tuple[Payload, ...], headers: Headers | None = None) -> Any:
    """Ask for an activity and wait for its result. Every sequential step passes here: nothing to spare."""
    commands = run.commands
    index = len(commands)
    call_id = run.calls_count + 1
    commands.append(RunActivity(call_id, callee.name, args, callee.defaults, callee.queue, headers))
    run.calls_count = call_id
    future: Future[Any] = Future(loop=run.loop)
    run.activities[call_id] = future, callee
    try:
        return await future
    except CancelledError:
        # A result that came in the same turn is lost, as in asyncio; the activity is over then.
        if future.cancelled() and run.activities.pop(call_id, None) is not None and not run.withdraw(call_id, index):
            run.commands.append(CancelActivity(call_id))
        raise


def ask_timer(run: "CodeRun", timer: WorkflowTimer, due_at_ms: int) -> None:
    """Ask for a timer."""
    run.calls_count = call_id = run.calls_count + 1
    timer.index = len(run.commands)
    run.commands.append(StartTimer(call_id, due_at_ms))
    timer.call_id = call_id
    run.timers[call_id] = timer


def failure_of(outcome: Outcome) -> Failure:
    """Why there is no result; raises `UnreadablePayload` where the code could not see what it saw before."""
    match outcome:
        case Failed(failure) | Cancelled(failure):
            sealed = None if failure.encoded is None else unreadable(failure.encoded, "a failure")
            if sealed is not None:
                raise sealed
            return failure
        case Terminated(reason):
            return Failure("Terminated", reason, retryable=False)
        case Completed() | Continued():
            raise AssertionError("a completed call has a result, and one that goes on has no outcome")


def activity_error(name: str, message: ActivityClosed) -> ActivityError:
    """The exception for an activity that ended without a result."""
    failure = failure_of(message.outcome)
    if failure.timeout is not None:
        return ActivityTimeout(name, failure, message.attempt, failure.timeout)
    return ActivityError(name, failure, message.attempt)


class ChildCall(msgspec.Struct, frozen=True):
    """What a workflow wants of a child workflow."""

    workflow: Any
    """Has a `name`, decodes the result, and knows the route of its own version."""
    args: tuple[Payload, ...]
    workflow_id: str | None = None
    """None: made of the run id and the number of the call."""
    close_policy: ParentClosePolicy = ParentClosePolicy.TERMINATE
    queue: str | None = None
    options: StartOptions | None = None


def _child_options(run: "CodeRun", given: StartOptions | None) -> StartOptions | None:
    propagation = run.program.definition.propagation
    headers = None if propagation is None else propagation.headers()
    return given if headers is None else msgspec.structs.replace(given or StartOptions(), headers=headers)


class Child:
    """A child workflow that this run started."""

    __slots__ = (
        "_cancel_asked",
        "_run",
        "_waiters",
        "call_id",
        "index",
        "outcome",
        "refusal",
        "run_id",
        "started",
        "wanted",
    )

    def __init__(self, run: "CodeRun", wanted: ChildCall) -> None:
        call_id = run.calls_count + 1
        self.index = len(run.commands)
        self.call_id = call_id
        self.wanted = wanted
        workflow_id = WorkflowId(wanted.workflow_id or f"{run.run_id}/{call_id}")
        if wanted.workflow_id is None:
            self.wanted = msgspec.structs.replace(wanted, workflow_id=workflow_id)
        if run.loop.refusal is not None:
            raise run.loop.refusal()
        self.run_id = RunId(uuid7(run.at_ms, run.ids()))
        run.commands.append(
            StartChild(
                call_id=call_id,
                run_id=self.run_id,
                workflow_id=workflow_id,
                workflow_type=wanted.workflow.name,
                args=wanted.args,
                close_policy=wanted.close_policy,
                queue=wanted.queue,
                options=_child_options(run, wanted.options),
                route=wanted.workflow.own_route(),
            )
        )
        run.calls_count = call_id
        self.started = False
        self.refusal: Failure | None = None
        self.outcome: Outcome | None = None
        self._run = run
        self._cancel_asked = False
        self._waiters: list[Future[None]] = []
        run.children[call_id] = self

    def start(self, refusal: Failure | None) -> None:
        """Whether it started is known."""
        self.started = refusal is None
        self.refusal = refusal
        if refusal is not None:
            self._run.children.pop(self.call_id, None)
        self._wake()

    def end(self, outcome: Outcome) -> None:
        """Its outcome is known."""
        self.started = True
        self.outcome = outcome
        self._wake()

    def _wake(self) -> None:
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    async def change(self) -> None:
        """Return when something about the child became known."""
        waiter: Future[None] = Future(loop=self._run.loop)
        self._waiters.append(waiter)
        await waiter

    def cancel(self, reason: str) -> bool:
        """Ask it to cancel itself, once; True if it was withdrawn before it ever started."""
        if self.outcome is not None or self.refusal is not None or self._cancel_asked:
            return False
        self._cancel_asked = True
        if self._run.withdraw(self.call_id, self.index):
            self._run.children.pop(self.call_id, None)
            self.end(Cancelled(Failure("CancelledError", reason, retryable=False)))
            return True
        self._run.commands.append(CancelChild(self.call_id, reason))
        return False

    async def until_started(self) -> None:
        """Wait until it started; raises `ChildWorkflowError` if it cannot. Cancelled, it cancels the child at once."""
        while not self.started and self.refusal is None:
            try:
                await self.change()
            except CancelledError as error:
                self.cancel(str(error))
                raise
        if self.refusal is not None:
            raise ChildWorkflowError(self.wanted.workflow.name, self.refusal)

    async def result(self) -> Any:
        """Wait for its result; raises `ChildWorkflowError`. Cancelled, it cancels the child and waits on."""
        interrupted: CancelledError | None = None
        while self.outcome is None and self.refusal is None:
            try:
                await self.change()
            except CancelledError as error:
                interrupted = error
                if self.cancel(str(error)):
                    raise
        name = self.wanted.workflow.name
        if self.refusal is not None:
            raise ChildWorkflowError(name, self.refusal)
        outcome = self.outcome
        assert outcome is not None
        if isinstance(outcome, Completed):
            return self._run.decoded(self.wanted.workflow.decode_result, outcome.result)
        if isinstance(outcome, Cancelled) and interrupted is not None:
            raise interrupted
        raise ChildWorkflowError(name, self._run.decoded(failure_of, outcome))


async def start_child(run: "CodeRun", wanted: ChildCall) -> "ChildHandle[Any]":
    """Start a child workflow and give its handle."""
    child = Child(run, wanted)
    await child.until_started()
    return ChildHandle(child)


async def run_child(run: "CodeRun", wanted: ChildCall) -> Any:
    """Start a child workflow and wait for its result."""
    return await Child(run, wanted).result()


class ChildHandle(Generic[R]):
    """A child workflow that has started; await it for its result."""

    def __init__(self, child: Child) -> None:
        self._child = child

    def __repr__(self) -> str:
        return f"<ChildHandle {self.id!r} run {self.run_id}>"

    @property
    def id(self) -> str:
        """Its workflow id."""
        return self._child.wanted.workflow_id or ""

    @property
    def run_id(self) -> str:
        """Its run id."""
        return self._child.run_id

    def cancel(self, reason: str = "") -> None:
        """Ask it to cancel itself; awaiting it tells what came of it."""
        self._child.cancel(reason)

    async def result(self) -> R:
        """Wait for its result. Raises `ChildWorkflowError`; `CancelledError` if both were cancelled."""
        result: R = await self._child.result()
        return result

    def __await__(self) -> Generator[Any, Any, R]:
        waiting: Coroutine[Any, Any, R] = self.result()
        return waiting.__await__()
