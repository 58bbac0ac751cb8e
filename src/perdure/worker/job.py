"""One attempt that this worker holds."""

from typing import Any

from perdure.core.command import RunActivity
from perdure.core.failure import Failure
from perdure.core.ids import RunId, WorkflowId
from perdure.core.payload import Payload
from perdure.core.store import AttemptKey
from perdure.programs.code.definition import Activity


class Job:
    """What an attempt needs to run. Mutable only where the runner keeps its state."""

    __slots__ = (
        "attempt",
        "call",
        "definition",
        "heartbeat",
        "heartbeat_unsent",
        "key",
        "last_failure",
        "scheduled_at_ms",
        "started_at_ms",
        "workflow_id",
    )

    def __init__(
        self,
        run_id: RunId,
        workflow_id: WorkflowId,
        call: RunActivity,
        definition: "Activity[..., Any]",
        *,
        attempt: int = 1,
        scheduled_at_ms: int,
        heartbeat: tuple[Payload, ...] = (),
        last_failure: Failure | None = None,
    ) -> None:
        self.key = AttemptKey(run_id, call.call_id)
        self.workflow_id = workflow_id
        self.call = call
        self.definition = definition
        self.attempt = attempt
        self.scheduled_at_ms = scheduled_at_ms
        self.started_at_ms = 0
        """When an executor took it."""
        self.heartbeat = heartbeat
        """Details of the last heartbeat, of this attempt or an earlier one."""
        self.heartbeat_unsent = False
        """The store does not know these details yet: whoever lets another attempt follow passes them on first."""
        self.last_failure = last_failure
        """Failure of the attempt before."""


class LocalJob(Job):
    """A try of a local activity: the store does not know of it. See `worker.local`."""

    __slots__ = ()
