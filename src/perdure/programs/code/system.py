"""What a run asks of the engine itself, by the names of the activities that do it. See `worker.system`."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from perdure.core.failure import ActivityError, ExternalWorkflowError
from perdure.core.payload import JSON, Payload
from perdure.core.policy import ActivityOptions
from perdure.programs.code.calls import perform

if TYPE_CHECKING:
    from perdure.programs.code.run import CodeRun

PREFIX = "perdure."
"""Begins every name that is the engine's own."""
SIGNAL = "perdure.signal"
"""Arguments: workflow id, run id or null, name, value, headers or null."""
CANCEL = "perdure.cancel"
"""Arguments: workflow id, run id or null, reason."""

_OPTIONS = ActivityOptions()


class SystemCallee:
    """A system activity, as `perform` wants to be told of it; its result is decoded by `decode`."""

    defaults = _OPTIONS
    queue: str | None = None

    def __init__(self, name: str, decode: Callable[[Payload], Any] = JSON.from_payload) -> None:
        self.name = name
        self.decode_result = decode


async def ask_engine(run: "CodeRun", callee: SystemCallee, workflow_id: str, args: tuple[Payload, ...]) -> Any:
    """Ask the engine for something about another workflow; raises `ExternalWorkflowError` where it refuses."""
    if run.loop.refusal is not None:
        raise run.loop.refusal()
    try:
        return await perform(run, callee, args)
    except ActivityError as error:
        raise ExternalWorkflowError(workflow_id, error.failure) from error
