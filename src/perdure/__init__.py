"""Perdure: durable execution for Python. Code that survives crashes, restarts and years of waiting."""

from perdure import activity, workflow
from perdure.app import Perdure
from perdure.blocking import BlockingPerdure
from perdure.bulk import BulkHandle
from perdure.core.attributes import Attribute as SearchAttribute
from perdure.core.command import ParentClosePolicy
from perdure.core.errors import (
    ActivityNotOpen,
    AlreadyRunning,
    CompensationFailed,
    ParkedError,
    PerdureError,
    RunClosed,
    RunError,
    RunParked,
    StoreError,
    UpdateFailed,
    UpdateRejected,
    UpdateUnanswered,
    UsageError,
    WorkflowCancelled,
    WorkflowFailed,
    WorkflowIdUsed,
    WorkflowNotFound,
    WorkflowTerminated,
    WorkflowTimedOut,
)
from perdure.core.failure import (
    ActivityError,
    ActivityTimeout,
    ApplicationError,
    ChildWorkflowError,
    ExecutionError,
    ExternalWorkflowError,
)
from perdure.core.filter.build import quoted
from perdure.core.queue_limit import QueueLimit
from perdure.core.store import RunStatus
from perdure.description import RunDescription, RunSummary
from perdure.drain import DrainLine
from perdure.engine.completing import ActivityRef
from perdure.engine.history import HistoryEvent
from perdure.engine.starting import IdConflict, IdReuse
from perdure.handle import Handle
from perdure.programs.bulk.plan import BulkFailure, BulkProgress, BulkResult
from perdure.programs.code.definition import Activity, Signal, Workflow
from perdure.programs.code.interceptors import (
    ActivityCall,
    ClientCall,
    HandlerCall,
    Interceptor,
    OutboundCall,
    TimerCall,
    WorkflowCall,
)
from perdure.programs.code.options import RetryPolicy
from perdure.programs.code.propagation import ContextVarPropagator, Propagator
from perdure.programs.code.search import SearchKey
from perdure.progress import Progress
from perdure.sending import UpdateHandle

__all__ = [
    "Activity",
    "ActivityCall",
    "ActivityError",
    "ActivityNotOpen",
    "ActivityRef",
    "ActivityTimeout",
    "AlreadyRunning",
    "ApplicationError",
    "BlockingPerdure",
    "BulkFailure",
    "BulkHandle",
    "BulkProgress",
    "BulkResult",
    "ChildWorkflowError",
    "ClientCall",
    "CompensationFailed",
    "ContextVarPropagator",
    "DrainLine",
    "ExecutionError",
    "ExternalWorkflowError",
    "Handle",
    "HandlerCall",
    "HistoryEvent",
    "IdConflict",
    "IdReuse",
    "Interceptor",
    "OutboundCall",
    "ParentClosePolicy",
    "ParkedError",
    "Perdure",
    "PerdureError",
    "Progress",
    "Propagator",
    "QueueLimit",
    "RetryPolicy",
    "RunClosed",
    "RunDescription",
    "RunError",
    "RunParked",
    "RunStatus",
    "RunSummary",
    "SearchAttribute",
    "SearchKey",
    "Signal",
    "StoreError",
    "TimerCall",
    "UpdateFailed",
    "UpdateHandle",
    "UpdateRejected",
    "UpdateUnanswered",
    "UsageError",
    "Workflow",
    "WorkflowCall",
    "WorkflowCancelled",
    "WorkflowFailed",
    "WorkflowIdUsed",
    "WorkflowNotFound",
    "WorkflowTerminated",
    "WorkflowTimedOut",
    "activity",
    "quoted",
    "workflow",
]
