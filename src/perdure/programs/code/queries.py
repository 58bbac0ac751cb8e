"""Queries: handlers that workflow code registers while it runs; they read, and change nothing."""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from perdure.core.errors import PerdureError, QueryFailed, UnknownQuery
from perdure.core.message import Query
from perdure.core.payload import Payload
from perdure.programs.code.loop import forbidden, refused_list, running_loop, set_running_loop
from perdure.programs.code.places import bottoms
from perdure.programs.code.signature import Signature

if TYPE_CHECKING:
    from perdure.programs.code.run import CodeRun

STACK_QUERY = "__stack_trace"
"""Answered by every run: where its tasks wait."""


class Queries:
    """The handlers of one run, by name."""

    __slots__ = ("_handlers",)

    def __init__(self) -> None:
        self._handlers: dict[str, tuple[Callable[..., Any], Signature]] = {}

    def add(self, name: str, handler: Callable[..., Any], signature: Signature) -> None:
        """Answer `name` with `handler`; a later one replaces it."""
        self._handlers[name] = handler, signature

    def answer(self, run: "CodeRun", query: Query) -> Payload:
        """Answer from the run's state; raises `UnknownQuery` or `QueryFailed`."""
        if query.name == STACK_QUERY:
            from perdure.programs.code.stack import stack

            return run.program.converter.to_payload(stack(run))
        workflow_id = run.started.workflow_id if run.started is not None else run.run_id
        found = self._handlers.get(query.name)
        if found is None:
            known = ", ".join(sorted([*self._handlers, STACK_QUERY]))
            raise UnknownQuery(workflow_id=workflow_id, name=query.name, known=known)
        handler, signature = found
        try:
            return _undisturbed(run, partial(_call, handler, signature, query))
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # the handler is user code; also what it exits with stays here
            text = str(error) if isinstance(error, PerdureError) else f"{type(error).__name__}: {error}"
            raise QueryFailed(name=query.name, workflow_id=workflow_id, error=text) from error


def _call(handler: Callable[..., Any], signature: Signature, query: Query) -> Payload:
    return signature.converter.to_payload(
        handler(*signature.decode(query.args)), what=f"answer of query {query.name!r}"
    )


bottoms.add(_call.__code__)


def _undisturbed(run: "CodeRun", answer: Callable[[], Payload]) -> Payload:
    loop = run.loop
    outside, closed, closing = running_loop(), loop.refusal, loop.closing
    loop.closing = False
    refusal = partial(forbidden, "changing the run in a query handler", "only read there; change the run by a signal")
    calls_count, commands = run.calls_count, run.commands
    before = loop.open_query(refusal)
    run.commands = refused_list(refusal)
    set_running_loop(loop)
    try:
        return answer()
    finally:
        set_running_loop(outside)
        loop.close_query(before)
        loop.refusal, loop.closing = closed, closing
        run.calls_count, run.commands = calls_count, commands
