"""What the code of an activity may ask and say while it runs: `from perdure import activity`.

Works the same in async activities, in threads and in processes. Outside an activity each call but `in_activity` raises
`NotInActivity`; guard it with `in_activity` in code that both sides share.
"""

import logging
from collections.abc import MutableMapping
from typing import Any, TypeVar

from perdure.worker.context import ActivityCancelled, ActivityInfo, current, entered
from perdure.worker.outcomes import CompleteLater

__all__ = [
    "ActivityCancelled",
    "ActivityInfo",
    "CompleteLater",
    "cancelled",
    "heartbeat",
    "heartbeat_details",
    "in_activity",
    "info",
    "logger",
]

T = TypeVar("T")


def info() -> ActivityInfo:
    """The facts about the running activity: its ids, its attempt, its times."""
    return current("activity.info()").info()


def heartbeat(*details: Any) -> None:
    """Say that the activity is alive; `details` (JSON values) stay for a later attempt until others follow.

    Cheap enough for every turn of a loop. In a sync activity it raises `ActivityCancelled` once the activity was
    cancelled; in any, once its deadline has passed.
    """
    current("activity.heartbeat()").heartbeat(details)


def heartbeat_details(kind: type[T]) -> T | None:
    """The first detail of an earlier attempt's last heartbeat, decoded as `kind`; None if there is none.

    Raises `UndecodablePayload` if it is something else.
    """
    attempt = current("activity.heartbeat_details()")
    if not attempt.earlier:
        return None
    details: T = attempt.job.definition.converter.from_payload(attempt.earlier[0], kind, what="heartbeat detail")
    return details


def cancelled() -> bool:
    """Whether the activity was asked to end, or its deadline has passed."""
    return current("activity.cancelled()").stop_reason is not None


def in_activity() -> bool:
    """Whether this code runs inside an activity."""
    return entered()


class _Logger(logging.LoggerAdapter[logging.Logger]):
    """Adds the activity's ids to each record, as fields."""

    def process(self, msg: Any, kwargs: MutableMapping[str, Any]) -> tuple[Any, MutableMapping[str, Any]]:
        if not entered():
            return msg, kwargs
        job = current("activity.logger").job
        fields = {
            "workflow_id": job.workflow_id,
            "run_id": job.key.run_id,
            "activity": job.call.name,
            "attempt": job.attempt,
        }
        kwargs["extra"] = {**fields, **(kwargs.get("extra") or {})}
        return msg, kwargs


logger = _Logger(logging.getLogger("perdure.activity"), {})
"""A logger whose records carry `workflow_id`, `run_id`, `activity` and `attempt`."""
