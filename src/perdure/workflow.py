"""For the code of workflows: time, randomness, signals, queries, children; the rest is plain asyncio."""

from perdure.core.command import ParentClosePolicy
from perdure.programs.code.api import (
    Info,
    cancellation_requested,
    channel,
    execute_activity,
    in_workflow,
    info,
    logger,
    now,
    query,
    random,
    side_effect,
    start_child,
    time,
    uuid4,
)
from perdure.programs.code.calls import ChildHandle
from perdure.programs.code.channel import Channel
from perdure.programs.code.definition import Signal
from perdure.programs.code.external import ExternalHandle, external

__all__ = [
    "Channel",
    "ChildHandle",
    "ExternalHandle",
    "Info",
    "ParentClosePolicy",
    "Signal",
    "cancellation_requested",
    "channel",
    "execute_activity",
    "external",
    "in_workflow",
    "info",
    "logger",
    "now",
    "query",
    "random",
    "side_effect",
    "start_child",
    "time",
    "uuid4",
]
