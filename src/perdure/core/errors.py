"""Every error that Perdure raises, in one tree. The class says what to do, the fields carry the facts.

PerdureError
├── UsageError                  mend the call or the code, then call again
│   ├── InvalidId  InvalidOption  InvalidUrl
│   ├── DuplicateName  UnknownWorkflow  UnknownActivity  UnsupportedDefinition
│   ├── InvalidArguments  UnserializableValue  PayloadTooLarge  TooManyValues  TurnTooLarge
│   ├── NotInWorkflow  NotInActivity  ForbiddenInWorkflow  BlockingCallInLoop
│   ├── InvalidCommand  InvalidTarget  InvalidFilter  InvalidAttribute
│   ├── InvalidSchedule
│   └── EngineStopped
├── RunError                    what was asked does not fit the state of the run
│   ├── WorkflowNotFound  AlreadyRunning  WorkflowIdUsed  RunClosed  RunParked  StillRunning  UnknownQuery  QueryFailed
│   ├── UnknownUpdate  UpdateRejected  UpdateFailed  UpdateUnanswered
│   ├── ScheduleExists  ScheduleNotFound  ActivityNotOpen  CompensationFailed
│   ├── RunOpen  RunNotParked  MessageNotWaiting  MessageNeeded  InvalidTurn
│   └── WorkflowFailed → WorkflowCancelled, WorkflowTerminated, WorkflowTimedOut      what `result()` raises
├── ParkedError                 the run cannot go on; mend the cause, then resume or terminate it
│   ├── NonDeterminism  UnregisteredActivity  VersionUnsupported  Paused
│   └── UndecodablePayload → UnreadablePayload
└── StoreError                  the store; nothing that was acknowledged is lost
    ├── StoreUnavailable  StoreFull  StoreReadOnly  FilterTooSlow     try again when its cause is gone
    └── StoreCorrupt  ForeignStore  SchemaTooNew              an operator is needed
"""

# pyright: reportUnusedImport=false
from typing import TYPE_CHECKING

from perdure.core.error import PerdureError
from perdure.core.errors_store import (  # noqa: F401 # all errors are found here
    FilterTooSlow,
    ForeignStore,
    SchemaTooNew,
    StoreCorrupt,
    StoreError,
    StoreFull,
    StoreReadOnly,
    StoreUnavailable,
)

if TYPE_CHECKING:
    from perdure.core.failure import Failure


class UsageError(PerdureError):
    """The caller's mistake: mend the call or the code, then call again."""


class InvalidId(UsageError):
    """An id or a name that cannot be one."""

    code = "PDR1001"
    template = "{kind} {value} {fact}; give text of 1 to 1000 characters without NUL"


class InvalidOption(UsageError):
    """An option outside its bounds."""

    code = "PDR1002"
    template = "option {name}={value} {fact}; {remedy}"


class InvalidUrl(UsageError):
    """A store URL that names no store of this installation."""

    code = "PDR1003"
    template = "store URL {url!r} {fact}; use sqlite:///path/to/file.db or memory://"


class DuplicateName(UsageError):
    """Two definitions under one name."""

    code = "PDR1004"
    template = "{kind} {name!r} is already registered in {first}; give this one name=..."


class UnknownWorkflow(UsageError):
    """A workflow name that this process has not registered."""

    code = "PDR1005"
    template = "workflow {name!r} is not registered here (known: {known}); register it with @app.workflow, or name the queue of a worker that knows it"


class UnknownActivity(UsageError):
    """An activity name that this process has not registered."""

    code = "PDR1006"
    template = "activity {name!r} is not registered here (known: {known}); register it with @app.activity"


class UnsupportedDefinition(UsageError):
    """A function that cannot be a workflow or an activity."""

    code = "PDR1007"
    template = "{kind} {name!r} in {where}: {fact}; {remedy}"


class InvalidArguments(UsageError):
    """Arguments that do not fit the signature."""

    code = "PDR1008"
    template = "arguments of {name!r} do not fit {signature}: {reason}; give arguments that fit it"


class UnserializableValue(UsageError):
    """A value or a type that JSON cannot carry."""

    code = "PDR1009"
    template = "{what} of type {type} cannot be serialized: {reason}; use JSON types, dataclasses, msgspec structs, Pydantic models, datetime, Decimal, UUID, Enum or bytes, or give the app a Converter"


class PayloadTooLarge(UsageError):
    """A payload over the limit."""

    code = "PDR1010"
    template = "{what} has {size} bytes, more than the {limit} allowed; store it elsewhere and pass a reference"


class TooManyValues(UsageError):
    """More values side by side than can travel."""

    code = "PDR1060"
    template = "{what}: {count} values, more than the {limit} allowed; put them into one list"


class TurnTooLarge(UsageError):
    """A turn whose inputs and outputs together pass the limit."""

    code = "PDR1011"
    template = "one turn of run {run_id} has {size} bytes, more than the {limit} allowed; start fewer or smaller activities at once"


class NotInWorkflow(UsageError):
    """A workflow call outside a workflow."""

    code = "PDR1012"
    template = "{name} works only inside a workflow; call it from an @app.workflow function"


class NotInActivity(UsageError):
    """An activity call outside an activity."""

    code = "PDR1013"
    template = "{name} works only inside an activity; call it from an @app.activity function"


class ForbiddenInWorkflow(UsageError):
    """Something that a replay could not repeat, called by workflow code."""

    code = "PDR1014"
    template = "{what} is not allowed in workflow code{where}; {remedy}"


class BlockingCallInLoop(UsageError):
    """A blocking call made on a running event loop."""

    code = "PDR1015"
    template = "{name} blocks and an event loop is running in this thread; use {instead}"


class EngineStopped(UsageError):
    """A call on an app that is not running."""

    code = "PDR1016"
    template = "the app is not running; use `async with app:`, `with app.blocking()` or app.run(...)"


class InvalidCommand(UsageError):
    """A command line that says nothing that can be done."""

    code = "PDR1017"
    template = "{problem}; {remedy}"


class InvalidTarget(UsageError):
    """A `module:name` on the command line that leads to no app or workflow."""

    code = "PDR1018"
    template = "cannot load {target!r}: {reason}; give module:name, such as {example}"


class InvalidFilter(UsageError):
    """The text of a filter that is not in the language, or asks what cannot be asked."""

    code = "PDR1040"
    template = "filter, at character {position} (near {near}): {fact}; {remedy}"


class InvalidAttribute(UsageError):
    """A search attribute that cannot be one."""

    code = "PDR1041"
    template = "search attribute {name} {fact}; {remedy}"


class InvalidSchedule(UsageError):
    """A cron line, a calendar or a time zone that cannot be read, or a schedule that is never due."""

    code = "PDR1050"
    template = "{what} {value} {fact}; {remedy}"


class RunError(PerdureError):
    """What was asked does not fit the state of the run."""


class WorkflowNotFound(RunError):
    """No run of this workflow id."""

    code = "PDR2001"
    template = (
        "there is no workflow with id {workflow_id!r} in this store; `perdure workflow list` shows those that exist"
    )


class AlreadyRunning(RunError):
    """The workflow id has an open run."""

    code = "PDR2002"
    template = (
        "workflow {workflow_id!r} is already running as run {run_id}; use another id, wait for it, or terminate it"
    )


class WorkflowIdUsed(RunError):
    """The id reuse policy refuses a workflow id whose last run is closed."""

    code = "PDR2011"
    template = "workflow id {workflow_id!r} was used by a run that is {status}, and the policy is {policy}; choose another id or another policy"


class RunClosed(RunError):
    """The run is closed: closed is closed."""

    code = "PDR2003"
    template = "workflow {workflow_id!r} is closed ({status}); start a new run to go on"


class UnknownQuery(RunError):
    """The run answers no query of this name."""

    code = "PDR2004"
    template = "workflow {workflow_id!r} answers no query {name!r} (known: {known}); register it with @workflow.query"


class QueryFailed(RunError):
    """The query's handler raised."""

    code = "PDR2005"
    template = "query {name!r} of workflow {workflow_id!r} raised {error}; mend its handler"


class WorkflowFailed(RunError):
    """The run failed; `failure` says how, `__cause__` is the failure as an exception."""

    code = "PDR2006"
    failure: "Failure"
    template = "workflow {workflow_id!r} failed: {reason}"


class WorkflowCancelled(WorkflowFailed):
    """The run was cancelled."""

    code = "PDR2007"
    template = "workflow {workflow_id!r} was cancelled: {reason}"


class WorkflowTerminated(WorkflowFailed):
    """The run was terminated."""

    code = "PDR2008"
    template = "workflow {workflow_id!r} was terminated: {reason}"


class WorkflowTimedOut(WorkflowFailed):
    """The workflow, or its run, took longer than it was given."""

    code = "PDR2012"
    template = "workflow {workflow_id!r} timed out: {reason}"


class RunParked(RunError):
    """The run that `app.run` waits for is parked."""

    code = "PDR2009"
    template = "workflow {workflow_id!r} is parked: {reason}; mend the cause, then run it again with the same id"


class StillRunning(RunError):
    """The run had no result within the time that its caller gave it."""

    code = "PDR2010"
    template = (
        "workflow {workflow_id!r} has no result after {timeout_s:g} seconds; wait longer, or look what it waits for"
    )


class UnknownUpdate(RunError):
    """The run takes no update of this name; the reason of a rejection."""

    code = "PDR2020"
    template = "workflow {workflow_id!r} takes no update {name!r} (known: {known}); register it with @workflow.update"


class UpdateRejected(RunError):
    """The run refused the update, which changed nothing; `failure` says why, `__cause__` is it as an exception."""

    code = "PDR2021"
    failure: "Failure"
    template = "workflow {workflow_id!r} rejected update {name!r}: {reason}; send one that its validator accepts"


class UpdateFailed(RunError):
    """The update's handler raised; `failure` says how, `__cause__` is the failure as an exception."""

    code = "PDR2022"
    failure: "Failure"
    template = "update {name!r} of workflow {workflow_id!r} failed: {reason}"


class UpdateUnanswered(RunError):
    """The run closed before it answered the update; what its handler had done by then stays done."""

    code = "PDR2023"
    template = "workflow {workflow_id!r} closed before it answered update {name!r} ({update_id}); let the workflow wait for workflow.all_handlers_finished() before it returns"


class ScheduleExists(RunError):
    """There is a schedule of this id."""

    code = "PDR2050"
    template = "schedule {schedule_id!r} exists; give another id, update it, or delete it first"


class ScheduleNotFound(RunError):
    """There is no schedule of this id, or it was deleted."""

    code = "PDR2051"
    template = "there is no schedule {schedule_id!r} in this store; `perdure schedule list` shows those that exist"


class RunOpen(RunError):
    """Only a closed run can be deleted."""

    code = "PDR2060"
    template = "workflow {workflow_id!r} is open (run {run_id}); terminate it first, or wait for its end"


class RunNotParked(RunError):
    """What waits for a run can only be skipped or edited while the run takes no turn."""

    code = "PDR2061"
    template = "workflow {workflow_id!r} is not parked, so it takes its messages by itself; pause it first"


class MessageNotWaiting(RunError):
    """No such message waits for the run."""

    code = "PDR2062"
    template = "no message {message_id!r} waits for workflow {workflow_id!r} (waiting: {waiting}); `perdure workflow show` lists them"


class MessageNeeded(RunError):
    """A message that cannot be skipped or edited: the run could never go on."""

    code = "PDR2063"
    template = "message {message_id!r} of workflow {workflow_id!r} {fact}; {remedy}"


class InvalidTurn(RunError):
    """A run cannot begin again at this turn."""

    code = "PDR2064"
    template = "workflow {workflow_id!r} cannot go on from turn {turn}: {fact}; {remedy}"


class ActivityNotOpen(RunError):
    """An activity that shall be completed, failed or heard of from outside has no open attempt, or several."""

    code = "PDR2070"
    template = "{target} {fact}; `perdure workflow show` lists what is open, and a call id is never ambiguous"


class CompensationFailed(RunError):
    """Compensations of a saga failed; `failures` are they, `__cause__` is why the saga was undone."""

    code = "PDR2071"
    failures: "tuple[BaseException, ...]"
    template = "{count} of {total} compensations failed: {reasons}; undo by hand what they left"


class ParkedError(PerdureError):
    """The run cannot go on: mend the cause, then resume or terminate it."""


class NonDeterminism(ParkedError):
    """The code asked for something else than what is recorded."""

    code = "PDR3001"
    template = "turn {turn} of run {run_id}: history has {recorded}, the code asked for {asked}{where}; restore the old code for this run, then `perdure workflow resume`, or terminate it"


class UndecodablePayload(ParkedError):
    """A payload that does not fit the annotated type."""

    code = "PDR3002"
    template = "{what} cannot be decoded as {expected}: {reason}; mend the annotation or send a fitting value"


class UnreadablePayload(UndecodablePayload):
    """A payload that is encoded, encrypted or kept outside in a way that this app cannot undo."""

    code = "PDR3010"
    template = "{what} cannot be read: {reason}; give the app the codecs, the keys and the claim check of the one that wrote it"


class UnregisteredActivity(ParkedError):
    """Workflow code called an activity by a name that its worker does not know."""

    code = "PDR3003"
    template = "the workflow called activity {name!r}, which is not registered here (known: {known}); register it and resume the run"


class VersionUnsupported(ParkedError):
    """The run follows a version of a change that the code no longer knows, or does not know yet."""

    code = "PDR3004"
    template = "run {run_id} follows version {version} of change {change_id!r}, the code supports {lowest} to {highest}{where}; deploy code that supports it, then `perdure workflow resume`, or terminate the run"


class Paused(ParkedError):
    """Somebody asked for a pause."""

    code = "PDR3060"
    template = "workflow {workflow_id!r} is paused: {reason!r}; resume it when it shall go on"
