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
    random,
    side_effect,
    start_child,
    time,
    uuid4,
)
from perdure.programs.code.calls import ChildHandle
from perdure.programs.code.chain_api import continue_as_new, last_failure, last_result
from perdure.programs.code.channel import Channel
from perdure.programs.code.decorators import (
    all_handlers_finished,
    current_update_id,
    init,
    query,
    run,
    signal,
    update,
    wait_condition,
)
from perdure.programs.code.definition import Signal
from perdure.programs.code.external import ExternalHandle, external
from perdure.programs.code.methods import RunMethod, UpdateMethod
from perdure.programs.code.progress import set_progress, set_status
from perdure.programs.code.saga import Saga, detached
from perdure.programs.code.upserts import upsert_memo, upsert_search_attributes
from perdure.programs.code.versions import DEFAULT_VERSION, deprecate_patch, patched, version

__all__ = [
    "Channel",
    "ChildHandle",
    "DEFAULT_VERSION",
    "ExternalHandle",
    "Info",
    "ParentClosePolicy",
    "RunMethod",
    "Saga",
    "Signal",
    "UpdateMethod",
    "all_handlers_finished",
    "cancellation_requested",
    "channel",
    "continue_as_new",
    "current_update_id",
    "deprecate_patch",
    "detached",
    "execute_activity",
    "external",
    "in_workflow",
    "info",
    "init",
    "last_failure",
    "last_result",
    "logger",
    "now",
    "patched",
    "query",
    "random",
    "run",
    "set_progress",
    "set_status",
    "side_effect",
    "signal",
    "start_child",
    "time",
    "update",
    "upsert_memo",
    "upsert_search_attributes",
    "uuid4",
    "version",
    "wait_condition",
]
