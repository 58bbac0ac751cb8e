"""What workflow code calls, with what goes along and what is around it, where the app has either."""

import inspect
from collections.abc import Callable, Coroutine
from contextvars import copy_context
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from perdure.core.message import Headers, Query, Signaled, UpdateRequested
from perdure.core.payload import Payload
from perdure.programs.code.calls import Callee, ChildCall, ask_timer, perform, run_child, start_child
from perdure.programs.code.interceptors import HandlerCall, OutboundCall, TimerCall, WorkflowCall, around
from perdure.programs.code.local import perform_local
from perdure.programs.code.loop import WorkflowTimer

if TYPE_CHECKING:
    from perdure.programs.code.run import CodeRun

Values = tuple[Any, ...]
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def headers_of(run: "CodeRun") -> Headers | None:
    """What goes along with a call that the code of a run makes here."""
    propagation = run.program.definition.propagation
    return None if propagation is None else propagation.headers()


def activity(run: "CodeRun", callee: Callee, bound: tuple[Payload, ...], args: Values) -> Coroutine[Any, Any, Any]:
    """An activity."""
    coroutine = partial(perform, run, callee, bound, headers_of(run))
    return outbound(run, OutboundCall("activity", callee.name, args), coroutine)


def local(run: "CodeRun", callee: Callee, bound: tuple[Payload, ...], args: Values) -> Coroutine[Any, Any, Any]:
    """A local activity."""
    coroutine = partial(perform_local, run, callee, bound, headers_of(run))
    return outbound(run, OutboundCall("local_activity", callee.name, args), coroutine)


def child(run: "CodeRun", wanted: ChildCall, args: Values) -> Coroutine[Any, Any, Any]:
    """A child workflow."""
    return outbound(run, OutboundCall("child", wanted.workflow.name, args), partial(run_child, run, wanted))


def started_child(run: "CodeRun", wanted: ChildCall, args: Values) -> Coroutine[Any, Any, Any]:
    """The handle of a child workflow."""
    return outbound(run, OutboundCall("start_child", wanted.workflow.name, args), partial(start_child, run, wanted))


def outbound(run: "CodeRun", call: OutboundCall, proceed: Any) -> Coroutine[Any, Any, Any]:
    """Something that the code of a run asks for, with the interceptors around it."""
    interceptors = run.program.definition.interceptors
    if interceptors is None or interceptors.workflow_outbound is None:
        return proceed()
    return around(interceptors.workflow_outbound, call, proceed)


def main(run: "CodeRun", function: Coroutine[Any, Any, Any], args: list[Any]) -> Coroutine[Any, Any, Any]:
    """The workflow function itself, begun with what came along with the start."""
    definition, started = run.program.definition, run.started
    if definition.propagation is None and definition.interceptors is None:
        return function
    assert started is not None
    if definition.propagation is not None and started.options is not None:
        run.loop.in_main_context(partial(definition.propagation.apply, started.options.headers))
    if definition.interceptors is None or definition.interceptors.workflow is None:
        return function
    call = WorkflowCall(definition.name, tuple(args), started.workflow_id, run.run_id)
    return around(definition.interceptors.workflow, call, lambda: function)


def timer(run: "CodeRun", wanted: WorkflowTimer, due_at_ms: int) -> None:
    """A timer."""
    interceptors = run.program.definition.interceptors
    if interceptors is None or interceptors.workflow_timer is None:
        return ask_timer(run, wanted, due_at_ms)
    call = TimerCall(_EPOCH + timedelta(milliseconds=due_at_ms), *_ids(run))
    around(interceptors.workflow_timer, call, partial(ask_timer, run, wanted, due_at_ms))
    return None


def enter(run: "CodeRun", headers: Headers | None) -> None:
    """Set up the context of a handler: what came with the run's start, and over it what came with the message."""
    propagation, started = run.program.definition.propagation, run.started
    if propagation is not None:
        if started is not None and started.options is not None:
            propagation.apply(started.options.headers)
        propagation.apply(headers)


def handled(run: "CodeRun", message: Signaled | UpdateRequested, fn: Callable[..., Any], args: list[Any]) -> Any:
    """What the handler of a message returns; awaitable if it is async, or intercepted."""
    interceptors = run.program.definition.interceptors
    if interceptors is None or interceptors.workflow_handler is None:
        return fn(*args)
    kind = "signal" if isinstance(message, Signaled) else "update"
    call = HandlerCall(kind, message.name, tuple(args), *_ids(run))
    return around(interceptors.workflow_handler, call, partial(_awaited, fn, args))


def answered(run: "CodeRun", query: Query, fn: Callable[..., Any], args: list[Any]) -> Any:
    """What the handler of a query returns."""
    definition = run.program.definition
    proceed: Callable[[], Any] = partial(fn, *args)
    if definition.interceptors is not None and definition.interceptors.workflow_query is not None:
        call = HandlerCall("query", query.name, tuple(args), *_ids(run))
        proceed = partial(around, definition.interceptors.workflow_query, call, proceed)
    if definition.propagation is None:
        return proceed()
    context = copy_context()
    context.run(enter, run, query.headers)
    return context.run(proceed)


async def _awaited(fn: Callable[..., Any], args: list[Any]) -> Any:
    result = fn(*args)
    return await result if inspect.isawaitable(result) else result


def _ids(run: "CodeRun") -> tuple[str, str]:
    return run.run_id if run.started is None else run.started.workflow_id, run.run_id
