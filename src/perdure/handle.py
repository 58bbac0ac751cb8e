"""A handle on one run: its result, and what can be told and asked."""

from collections.abc import AsyncIterator, Callable, Coroutine
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, TypeVar, TypeVarTuple, cast, overload

from perdure.core.command import RejectUpdate
from perdure.core.errors import WorkflowCancelled, WorkflowFailed, WorkflowTerminated, WorkflowTimedOut
from perdure.core.failure import Failure, to_exception
from perdure.core.ids import RunId, WorkflowId, checked_id
from perdure.core.message import (
    Cancelled,
    Completed,
    Continued,
    Failed,
    Outcome,
    Query,
    Signaled,
    Terminated,
    UpdateRequested,
)
from perdure.core.payload import Payload
from perdure.core.policy import TimeoutKind
from perdure.description import RunDescription, describe, handlers_known, moment
from perdure.engine.doors import Edit, delete, edit, skip
from perdure.engine.engine import Engine
from perdure.engine.history import HistoryEvent, flatten
from perdure.engine.moving import move
from perdure.engine.reset import Point, fork, reset
from perdure.programs.code.definition import Signal
from perdure.programs.code.interceptors import ClientCall
from perdure.programs.code.methods import handler_mark
from perdure.progress import Progress, bar, changes, progress_of
from perdure.sending import Sent, UpdateHandle, to_handler, to_signal

if TYPE_CHECKING:
    from perdure.app import Perdure

R = TypeVar("R")
T = TypeVar("T")
Ts = TypeVarTuple("Ts")


def result_of(workflow_id: str, outcome: Outcome, decode: Callable[[Payload], R]) -> R:
    """The result of a run, or the exception that stands for its outcome."""
    match outcome:
        case Completed(result):
            return decode(result)
        case Failed(failure):
            late = failure.timeout in (TimeoutKind.RUN, TimeoutKind.EXECUTION)
            raise _failed(WorkflowTimedOut if late else WorkflowFailed, workflow_id, failure)
        case Cancelled(failure):
            raise _failed(WorkflowCancelled, workflow_id, failure)
        case Terminated(reason):
            raise _failed(WorkflowTerminated, workflow_id, Failure("Terminated", reason))
        case Continued():
            raise AssertionError("whoever waits for an outcome waits for the run that goes on")


def _failed(kind: type[WorkflowFailed], workflow_id: str, failure: Failure) -> WorkflowFailed:
    reason = failure.message
    if kind is WorkflowFailed:
        reason = f"{failure.type}: {failure.message}" if failure.message else failure.type
    error = kind(workflow_id=workflow_id, reason=reason, failure=failure)
    error.__cause__ = to_exception(failure)
    return error


class Handle(Generic[R]):
    """One run of a workflow; R is the type of its result."""

    def __init__(
        self,
        app: "Perdure",
        workflow_id: WorkflowId,
        run_id: RunId | None,
        decode: Callable[[Payload], R],
        *,
        known: bool = False,
    ) -> None:
        """Handles come from `Perdure.start` and `Perdure.handle`; `known` says that the run is there for certain."""
        self._app = app
        self._decode = decode
        self._known = known
        self.workflow_id = workflow_id
        self.run_id = run_id
        """None: the open run of the workflow id, else its last one, looked up at each call."""

    def __repr__(self) -> str:
        return f"<Handle {self.workflow_id!r} run {self.run_id or 'latest'}>"

    async def result(self) -> R:
        """Wait for the result. Raises `WorkflowFailed`, `WorkflowCancelled` or `WorkflowTerminated`."""
        run_id = self.run_id
        if run_id is None or not self._known:
            run_id = (await self._app.call(lambda engine: engine.find(self.workflow_id, self.run_id))).run_id
        outcome = await self._app.call(lambda engine: engine.wait(run_id), waits=True)
        return result_of(self.workflow_id, outcome, self._decode)

    @overload
    async def signal(self, signal: Signal[T], value: T, /, *, request_id: str | None = None) -> None: ...
    @overload
    async def signal(
        self,
        signal: Callable[[Any, *Ts], Coroutine[Any, Any, None] | None],
        /,
        *args: *Ts,
        request_id: str | None = None,
    ) -> None: ...
    @overload
    async def signal(self, signal: str, value: Any = None, /, *, request_id: str | None = None) -> None: ...
    async def signal(self, signal: Any, /, *args: Any, request_id: str | None = None) -> None:
        """Send a signal; it is durable when this returns. With a request id, sending it again changes nothing.

        `signal` is a handler's method, such as `Order.approve`, a `Signal`, or a name. Raises `WorkflowNotFound` or
        `RunClosed`.
        """
        name, payload = to_signal(self._app.converter, signal, args)
        request_id = self._app.new_id() if request_id is None else checked_id("request id", request_id)
        message = Signaled(name, payload, request_id, self._app.around.headers)
        verb = partial(self._app.call, lambda engine: engine.signal(self.workflow_id, self.run_id, message))
        await self._app.around.client(ClientCall("signal", self.workflow_id, name), verb)

    @overload
    async def query(self, query: Callable[[Any, *Ts], T], /, *args: *Ts) -> T: ...
    @overload
    async def query(self, query: str, /, *args: Any) -> Any: ...
    @overload
    async def query(self, query: str, /, *args: Any, result_type: type[T]) -> T: ...
    async def query(self, query: Any, /, *args: Any, result_type: Any = Any) -> Any:
        """Ask the run; answered from its state as recorded, also when it is closed.

        `query` is a handler's method, such as `Order.total`, or a name. Raises `UnknownQuery` or `QueryFailed`.
        """
        sent = to_handler(self._app.converter, "query", query, args, result_type)
        ask = partial(
            self._app.query, self.workflow_id, self.run_id, Query(sent.name, sent.args, self._app.around.headers)
        )
        return sent.decode(await self._app.around.client(ClientCall("query", self.workflow_id, sent.name), ask))

    @overload
    async def update(
        self, update: Callable[[Any, *Ts], Coroutine[Any, Any, T]], /, *args: *Ts, id: str | None = None
    ) -> T: ...
    @overload
    async def update(self, update: Callable[[Any, *Ts], T], /, *args: *Ts, id: str | None = None) -> T: ...
    @overload
    async def update(self, update: str, /, *args: Any, id: str | None = None) -> Any: ...
    @overload
    async def update(self, update: str, /, *args: Any, id: str | None = None, result_type: type[T]) -> T: ...
    async def update(self, update: Any, /, *args: Any, id: str | None = None, result_type: Any = Any) -> Any:
        """Send an update and wait for its result. With an id, sending it again gives the answer it had.

        `update` is a handler's method, such as `Order.add_item`, or a name. It is durable once it is accepted: whoever
        loses this call asks again with the same id, or `update_handle(id)`. Raises `UpdateRejected`, `UpdateFailed`,
        `UpdateUnanswered`, `WorkflowNotFound` or `RunClosed`.
        """
        return await self._send_update(update, args, id, result_type, early=False)

    @overload
    async def start_update(
        self, update: Callable[[Any, *Ts], Coroutine[Any, Any, T]], /, *args: *Ts, id: str | None = None
    ) -> UpdateHandle[T]: ...
    @overload
    async def start_update(
        self, update: Callable[[Any, *Ts], T], /, *args: *Ts, id: str | None = None
    ) -> UpdateHandle[T]: ...
    @overload
    async def start_update(self, update: str, /, *args: Any, id: str | None = None) -> UpdateHandle[Any]: ...
    @overload
    async def start_update(
        self, update: str, /, *args: Any, id: str | None = None, result_type: type[T]
    ) -> UpdateHandle[T]: ...
    async def start_update(self, update: Any, /, *args: Any, id: str | None = None, result_type: Any = Any) -> Any:
        """As `update`, but return once it is accepted, with a handle for its result."""
        return await self._send_update(update, args, id, result_type, early=True)

    async def _send_update(
        self, update: object, args: tuple[Any, ...], id: str | None, result_type: Any, *, early: bool
    ) -> Any:
        sent = to_handler(self._app.converter, "update", update, args, result_type)
        own = self._app.new_id() if id is None else checked_id("update id", id)
        message = UpdateRequested(sent.name, sent.args, own, self._app.around.headers)

        async def send() -> Any:
            answered = await self._app.call(
                lambda engine: engine.update(self.workflow_id, self.run_id, message, fresh=id is None, early=early),
                waits=True,
            )
            handle: UpdateHandle[Any] = UpdateHandle(self._app, self.workflow_id, answered.run_id, own, sent)
            if not early or answered.answer is None or isinstance(answered.answer, RejectUpdate):
                return handle.read(answered)
            return handle

        kind = "start_update" if early else "update"
        return await self._app.around.client(ClientCall(kind, self.workflow_id, sent.name), send)

    @overload
    def update_handle(self, id: str, update: Callable[..., Coroutine[Any, Any, T]], /) -> UpdateHandle[T]: ...
    @overload
    def update_handle(self, id: str, update: Callable[..., T], /) -> UpdateHandle[T]: ...
    @overload
    def update_handle(self, id: str, /) -> UpdateHandle[Any]: ...
    def update_handle(self, id: str, update: Any = None, /) -> UpdateHandle[Any]:
        """A handle on an update that was sent with this id; `update` is its method, and types the result."""
        app = self._app
        sent = Sent("", (), app.converter.from_payload)
        if update is not None:
            mark = handler_mark("update", update)
            sent = Sent(mark.name, (), mark.signature(app.converter).decode_result)
        return UpdateHandle(app, self.workflow_id, self.run_id, checked_id("update id", id), sent)

    async def cancel(self, reason: str = "") -> None:
        """Ask the run to cancel itself: its code gets `CancelledError` and may clean up. Raises `RunClosed`."""
        verb = partial(self._app.call, lambda engine: engine.cancel(self.workflow_id, self.run_id, reason))
        await self._app.around.client(ClientCall("cancel", self.workflow_id, ""), verb)

    async def terminate(self, reason: str = "") -> None:
        """End the run at once, without running its code. Raises `RunClosed`."""
        verb = partial(self._app.call, lambda engine: engine.terminate(self.workflow_id, self.run_id, reason))
        await self._app.around.client(ClientCall("terminate", self.workflow_id, ""), verb)

    async def pause(self, reason: str = "") -> None:
        """Ask the run to take no further turn until it is resumed; it stops when a worker takes this up.

        Activities under way go on, and their answers wait; so do signals, a cancellation and deadlines. Raises
        `RunClosed`.
        """
        await self._app.call(lambda engine: engine.pause(self.workflow_id, self.run_id, reason))

    async def resume(self) -> None:
        """Let a paused run go on, or a parked one try again, after its cause was mended."""
        await self._app.call(lambda engine: engine.resume(self.workflow_id, self.run_id))

    async def skip(self, message_id: str, reason: str = "") -> None:
        """Drop one of the messages that `describe` lists, so that a parked run goes on without it.

        Raises `RunNotParked`, `MessageNotWaiting`, or `MessageNeeded` for an answer: that one can be edited.
        """
        await self._app.call(lambda engine: skip(engine, self.workflow_id, self.run_id, message_id, reason))

    async def edit(self, message_id: str, value: Any, reason: str = "") -> None:
        """Let one of those messages carry another value, so that a parked run goes on with that.

        For a signal its value, for an activity or a child workflow its result, for an update a list of its arguments.
        Raises as `skip` does.
        """
        convert, what = self._app.converter, f"message {message_id!r}"
        args: list[Any] = list(cast("list[Any]", value)) if isinstance(value, list | tuple) else [value]
        said = Edit(convert.to_payload(cast("Any", value), what=what), convert.to_payloads(args, what=what), reason)
        await self._app.call(lambda engine: edit(engine, self.workflow_id, self.run_id, message_id, said))

    async def reset(
        self,
        *,
        turn: int | None = None,
        event: int | None = None,
        reason: str = "",
        reapply_signals: bool = True,
        request_id: str | None = None,
    ) -> "Handle[R]":
        """Let a new run of the workflow go on from an earlier turn of this one: with turns 1 to `turn` (-1: all but the
        last), or those that were complete at history event `event`. An open run is closed. Returns the handle of the
        new run.

        What was open then is asked for again. Signals and updates that came later, or still wait, are told again
        unless `reapply_signals` is False; requests to cancel are not. With a request id, resetting this run again gives
        the same run. Raises `InvalidTurn`, or `AlreadyRunning` where
        this run is closed and another one of the workflow id is open.
        """
        own = None if request_id is None else checked_id("request id", request_id)
        point = Point(turn, event, reason, reapply_signals, own)
        new_id = await self._app.call(lambda engine: reset(engine, self.workflow_id, self.run_id, point))
        return Handle(self._app, self.workflow_id, new_id, self._decode, known=True)

    async def fork(
        self,
        *,
        id: str,
        turn: int | None = None,
        event: int | None = None,
        reason: str = "",
        reapply_signals: bool = True,
        request_id: str | None = None,
    ) -> "Handle[R]":
        """Start a run under another workflow id with the first turns of this one, which goes on untouched.

        As `reset`; where a child workflow is open after that turn, it raises `InvalidTurn`.
        """
        other = WorkflowId(checked_id("workflow id", id))
        own = None if request_id is None else checked_id("request id", request_id)
        point = Point(turn, event, reason, reapply_signals, own)
        new_id = await self._app.call(lambda engine: fork(engine, self.workflow_id, self.run_id, point, other))
        return Handle(self._app, other, new_id, self._decode, known=True)

    async def delete(self) -> None:
        """Delete the closed run with its history. Raises `RunOpen` or `WorkflowNotFound`."""
        await self._app.call(lambda engine: delete(engine, self.workflow_id, self.run_id))

    async def move(self, build: str | None) -> bool:
        """Let the run go on with another build than the one it is pinned to, or with any (None); False if it does.

        Its next turns are taken by workers of that build, whose code must fit its history. Raises `RunClosed`, and
        `InvalidOption` for a run that has not begun.
        """
        build = None if build is None else checked_id("build", build)
        clock = self._app.clock
        return await self._app.call(lambda engine: move(engine, clock, self.workflow_id, self.run_id, build))

    async def progress(self) -> Progress:
        """How far the run is, by its own words: see `workflow.set_progress`."""
        return progress_of(await self._app.call(lambda engine: engine.find(self.workflow_id, self.run_id)))

    def watch_progress(self) -> AsyncIterator[Progress]:
        """The progress now, and each change that is seen, until the run is closed: `async for`."""
        return changes(partial(self._app.call, waits=True), self.workflow_id, self.run_id)

    async def progress_bar(self) -> R:
        """Draw a live bar in the terminal until the run closes, then give its result. Needs `perdure[rich]`."""
        with bar(self.workflow_id) as show:
            async for progress in self.watch_progress():
                show(progress)
        return await self.result()

    async def describe(self) -> RunDescription:
        """The run's state, what it waits for, and what it can be told and asked."""
        app = self._app

        async def look(engine: Engine) -> RunDescription:
            found = await engine.describe(self.workflow_id, self.run_id)
            handlers = handlers_known(engine, app.registry, found.record)
            return describe(found, moment(app.clock.now_ms()), app.converter, handlers)

        return await app.call(look)

    async def history(self) -> list[HistoryEvent]:
        """All events of the run so far."""

        async def read(engine: Any) -> list[HistoryEvent]:
            record = await engine.find(self.workflow_id, self.run_id)
            return list(flatten([turn async for turn in engine.turns(record.run_id)]))

        return await self._app.call(read)
