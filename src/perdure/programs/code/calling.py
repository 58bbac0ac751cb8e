"""What workflow code calls, with what goes along and what is around it, where the app has either."""

from collections.abc import Coroutine
from functools import partial
from typing import TYPE_CHECKING, Any

from perdure.core.message import Headers
from perdure.core.payload import Payload
from perdure.programs.code.calls import Callee, ChildCall, perform, run_child
from perdure.programs.code.interceptors import OutboundCall, WorkflowCall, around
from perdure.programs.code.local import perform_local

if TYPE_CHECKING:
    from perdure.programs.code.run import CodeRun

Values = tuple[Any, ...]


def headers_of(run: "CodeRun") -> Headers | None:
    """What goes along with a call that the code of a run makes here."""
    propagation = run.program.definition.propagation
    return None if propagation is None else propagation.headers()


def activity(run: "CodeRun", callee: Callee, bound: tuple[Payload, ...], args: Values) -> Coroutine[Any, Any, Any]:
    """An activity."""
    coroutine = partial(perform, run, callee, bound, headers_of(run))
    return _outbound(run, OutboundCall("activity", callee.name, args), coroutine)


def local(run: "CodeRun", callee: Callee, bound: tuple[Payload, ...], args: Values) -> Coroutine[Any, Any, Any]:
    """A local activity."""
    coroutine = partial(perform_local, run, callee, bound, headers_of(run))
    return _outbound(run, OutboundCall("local_activity", callee.name, args), coroutine)


def child(run: "CodeRun", wanted: ChildCall, args: Values) -> Coroutine[Any, Any, Any]:
    """A child workflow."""
    return _outbound(run, OutboundCall("child", wanted.workflow.name, args), partial(run_child, run, wanted))


def _outbound(run: "CodeRun", call: OutboundCall, proceed: Any) -> Coroutine[Any, Any, Any]:
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
