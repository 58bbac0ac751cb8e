"""System activities: what a run asks of the engine itself. Every worker runs them, on the engine's own loop.

They do nothing that a client could not do by the engine's verbs, and the request ids they use are made of the run's id
and the call's, so that an attempt that is repeated changes nothing. Their names begin with `perdure.`, which users'
activities must not.
"""

from collections.abc import Callable, Coroutine, Sequence
from contextvars import Context, ContextVar
from typing import Any, NamedTuple

from perdure.core.errors import RunClosed, RunError
from perdure.core.failure import ApplicationError
from perdure.core.ids import RunId, WorkflowId
from perdure.core.message import CancelRequested, Signaled
from perdure.core.payload import Payload, from_payload
from perdure.engine.engine import Engine
from perdure.programs.code.definition import Activity
from perdure.programs.code.system import CANCEL, SIGNAL
from perdure.worker.context import current

_engine: ContextVar[Engine] = ContextVar("perdure_engine")


def context_of(engine: Engine) -> Context:
    """A context in which system activities use the verbs of `engine`."""
    context = Context()
    context.run(_engine.set, engine)
    return context


def engine() -> Engine:
    """The engine of the worker that runs this system activity."""
    return _engine.get()


class SystemActivity(Activity[..., Any]):
    """An activity of the engine's: it gets its arguments as they travelled."""

    def __init__(self, fn: Callable[..., Coroutine[Any, Any, Any]], *, name: str) -> None:
        super().__init__(fn, name=name)
        self.on_engine = True

    def decode_args(self, payloads: Sequence[Payload]) -> list[Any]:
        """As they are: each reads what it needs."""
        return [*payloads]


class Asker(NamedTuple):
    """The call on whose behalf the engine is asked."""

    run_id: RunId
    call_id: int

    @property
    def request_id(self) -> str:
        """The same in every attempt."""
        return f"{self.run_id}/{self.call_id}"


def asker() -> Asker:
    """The call whose attempt is running."""
    return Asker(*current("a system activity").job.key)


def target(workflow_id: Payload, run_id: Payload) -> tuple[WorkflowId, RunId | None]:
    """The run that the first two arguments name."""
    own: str | None = from_payload(run_id, str | None)
    return WorkflowId(from_payload(workflow_id, str)), None if own is None else RunId(own)


def refused(error: RunError) -> ApplicationError:
    """The failure for what no later attempt could do either."""
    return ApplicationError(str(error), type=type(error).__name__, retryable=False)


async def tell(workflow_id: WorkflowId, run_id: RunId | None, message: Signaled | CancelRequested) -> None:
    """Tell a run something, once; raises `ApplicationError` where it cannot be told."""
    verbs = engine()
    try:
        if isinstance(message, Signaled):
            await verbs.signal(workflow_id, run_id, message)
        else:
            await verbs.cancel(workflow_id, run_id, message.reason, message.request_id)
    except RunClosed as error:
        # It may have closed because of what an earlier attempt told it, whose answer was lost.
        repeated = current("a system activity").job.attempt > 1
        if not repeated or not await verbs.has_taken(workflow_id, run_id, message.id):
            raise refused(error) from error
    except RunError as error:
        raise refused(error) from error


async def _signal(workflow_id: Payload, run_id: Payload, name: Payload, value: Payload, headers: Payload) -> None:
    carried: dict[str, Payload] | None = from_payload(headers, dict[str, Payload] | None)
    text: str = from_payload(name, str)
    await tell(*target(workflow_id, run_id), Signaled(text, value, asker().request_id, carried))


async def _cancel(workflow_id: Payload, run_id: Payload, reason: Payload) -> None:
    text: str = from_payload(reason, str)
    await tell(*target(workflow_id, run_id), CancelRequested(text, asker().request_id))


SYSTEM: "dict[str, Activity[..., Any]]" = {
    each.name: each for each in (SystemActivity(_signal, name=SIGNAL), SystemActivity(_cancel, name=CANCEL))
}
"""All of them, by name."""
