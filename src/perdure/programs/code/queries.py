"""Queries: handlers that read a run and change nothing; and how user code is kept from changing it."""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from perdure.core.errors import PerdureError, QueryFailed, UnknownQuery
from perdure.core.message import Query
from perdure.core.payload import JSON, Payload
from perdure.programs.code.calling import answered
from perdure.programs.code.listed import HANDLERS_QUERY, HandlerSummary, handlers_of, summary
from perdure.programs.code.loop import forbidden, running_loop, set_running_loop
from perdure.programs.code.places import bottoms
from perdure.programs.code.refused import RefusedList
from perdure.programs.code.signature import Signature

if TYPE_CHECKING:
    from perdure.programs.code.run import CodeRun

T = TypeVar("T")

STACK_QUERY = "__stack_trace"
"""Answered by every run: where its tasks wait."""


class Queries:
    """The handlers of one run, by name."""

    __slots__ = ("_dynamic", "_handlers")

    def __init__(self) -> None:
        self._handlers: dict[str, tuple[Callable[..., Any], Signature]] = {}
        self._dynamic: tuple[Callable[..., Any], Signature] | None = None

    def add(self, name: str, handler: Callable[..., Any], signature: Signature, *, dynamic: bool = False) -> None:
        """Answer `name` with `handler`; a later one replaces it. `dynamic`: every name that has no other handler."""
        if dynamic:
            self._dynamic = handler, signature
        else:
            self._handlers[name] = handler, signature

    def listed(self) -> list[HandlerSummary]:
        """All handlers."""
        found = [summary("query", name, *handler, dynamic=False) for name, handler in self._handlers.items()]
        if self._dynamic is not None:
            fn, signature = self._dynamic
            found.append(summary("query", getattr(fn, "__name__", ""), fn, signature, dynamic=True))
        return found

    def answer(self, run: "CodeRun", query: Query) -> Payload:
        """Answer from the run's state; raises `UnknownQuery` or `QueryFailed`."""
        if query.name == HANDLERS_QUERY:
            return JSON.to_payload(handlers_of(run))
        if query.name == STACK_QUERY:
            from perdure.programs.code.stack import stack

            return run.program.converter.to_payload(stack(run))
        workflow_id = run.started.workflow_id if run.started is not None else run.run_id
        found = self._handlers.get(query.name)
        if found is None and self._dynamic is not None and not query.name.startswith("__"):
            found = self._dynamic
            query = Query(query.name, (run.program.converter.to_payload(query.name), *query.args), query.headers)
        if found is None:
            known = ", ".join(sorted([*self._handlers, STACK_QUERY]))
            raise UnknownQuery(workflow_id=workflow_id, name=query.name, known=known)
        handler, signature = found
        try:
            return undisturbed(run, partial(_call, run, handler, signature, query), _REFUSAL)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # the handler is user code; also what it exits with stays here
            text = str(error) if isinstance(error, PerdureError) else f"{type(error).__name__}: {error}"
            raise QueryFailed(name=query.name, workflow_id=workflow_id, error=text) from error


def _call(run: "CodeRun", handler: Callable[..., Any], signature: Signature, query: Query) -> Payload:
    answer = answered(run, query, handler, signature.decode(query.args))
    return signature.converter.to_payload(answer, what=f"answer of query {query.name!r}")


bottoms.add(_call.__code__)


_REFUSAL = partial(forbidden, "changing the run in a query handler", "only read there; change the run by a signal")


def undisturbed(run: "CodeRun", answer: Callable[[], T], refusal: Callable[[], BaseException]) -> T:
    """What `answer` returns, run as the run's code; where it would change the run it gets the error of `refusal`."""
    loop = run.loop
    outside, closed, closing = running_loop(), loop.refusal, loop.closing
    loop.closing = False
    calls_count, commands = run.calls_count, run.commands
    before = loop.open_query(refusal)
    run.commands = RefusedList(refusal)
    set_running_loop(loop)
    try:
        return answer()
    finally:
        set_running_loop(outside)
        loop.close_query(before)
        loop.refusal, loop.closing = closed, closing
        run.calls_count, run.commands = calls_count, commands
