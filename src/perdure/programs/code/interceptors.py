"""Interceptors: code around every workflow, activity and client call of an app, for what concerns all of them.

Only the methods that a class overrides are called at all.
"""

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from functools import partial
from typing import Any, Literal, NamedTuple

Proceed = Callable[[], Awaitable[Any]]
"""Goes on with what is intercepted, and gives its result."""


class ActivityCall(NamedTuple):
    """An activity that runs."""

    name: str
    args: tuple[Any, ...]
    workflow_id: str
    run_id: str
    attempt: int


class WorkflowCall(NamedTuple):
    """A workflow that runs, from its beginning in each replay."""

    name: str
    args: tuple[Any, ...]
    workflow_id: str
    run_id: str


class OutboundCall(NamedTuple):
    """Something that workflow code asks for and awaits."""

    kind: Literal["activity", "local_activity", "child", "start_child", "signal", "cancel"]
    name: str
    """Of the activity, the workflow or the signal; "" for a cancellation."""
    args: tuple[Any, ...]
    workflow_id: str | None = None
    """To which workflow a signal or a cancellation goes."""


class HandlerCall(NamedTuple):
    """A handler of a run that takes a signal or an update, or answers a query."""

    kind: Literal["signal", "query", "update"]
    name: str
    args: tuple[Any, ...]
    workflow_id: str
    run_id: str


class TimerCall(NamedTuple):
    """A durable timer: of a sleep, a timeout, `call_later`."""

    due_at: datetime
    """In UTC."""
    workflow_id: str
    run_id: str


class ClientCall(NamedTuple):
    """Something that a client asks for."""

    kind: Literal["start", "signal", "query", "update", "start_update", "cancel", "terminate"]
    workflow_id: str
    name: str
    """Of the workflow, the signal, the query or the update; "" for the others."""


class Interceptor:
    """Override what shall be wrapped: do something, `await proceed()`, do something more, return or raise.

    The methods that begin with `workflow` are workflow code: replayed, so deterministic, and quiet in replay where
    they log by `workflow.logger`.
    """

    async def workflow(self, call: WorkflowCall, proceed: Proceed) -> Any:
        """Around a workflow function."""
        return await proceed()

    async def workflow_outbound(self, call: OutboundCall, proceed: Proceed) -> Any:
        """Around an activity, a child, or a signal or cancellation of another workflow that a workflow awaits.

        The result of a `start_child` is the child's handle.
        """
        return await proceed()

    async def workflow_handler(self, call: HandlerCall, proceed: Proceed) -> Any:
        """Around the handler of a signal, or of an update that was accepted; in a task of its own."""
        return await proceed()

    def workflow_query(self, call: HandlerCall, proceed: Callable[[], Any]) -> Any:
        """Around the handler of a query; changes nothing, as that one."""
        return proceed()

    def workflow_timer(self, call: TimerCall, proceed: Callable[[], None]) -> None:
        """Around the arming of a timer, in the code that asks for it; what it raises is raised there."""
        proceed()

    async def activity(self, call: ActivityCall, proceed: Proceed) -> Any:
        """Around the code of an async activity, in each attempt."""
        return await proceed()

    def blocking_activity(self, call: ActivityCall, proceed: Callable[[], Any]) -> Any:
        """Around the code of a sync activity, in its own thread or process, in each attempt."""
        return proceed()

    async def client(self, call: ClientCall, proceed: Proceed) -> Any:
        """Around a client's call; the result of a start is the handle, that of a query its payload."""
        return await proceed()


class Interceptors:
    """The interceptors of an app: of each method those that override it, the first one outermost. None: nobody does."""

    def __init__(self, given: Sequence[Interceptor]) -> None:
        self.workflow = _overriding(given, "workflow")
        self.workflow_outbound = _overriding(given, "workflow_outbound")
        self.workflow_handler = _overriding(given, "workflow_handler")
        self.workflow_query = _overriding(given, "workflow_query")
        self.workflow_timer = _overriding(given, "workflow_timer")
        self.activity = _overriding(given, "activity")
        self.blocking_activity = _overriding(given, "blocking_activity")
        self.client = _overriding(given, "client")


Chain = tuple[Callable[[Any, Callable[[], Any]], Any], ...]


def _overriding(given: Sequence[Interceptor], name: str) -> Chain | None:
    plain = getattr(Interceptor, name)
    found = [getattr(each, name) for each in given if getattr(type(each), name) is not plain]
    return tuple(found) or None


def around(chain: Chain, call: object, proceed: Callable[[], Any]) -> Any:
    """What the chain makes of a call: awaitable where its methods are async."""
    for each in reversed(chain):
        proceed = partial(each, call, proceed)
    return proceed()
