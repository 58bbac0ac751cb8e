"""Exit codes, which are stable, and errors as people see them: one line with the code and the command to try next."""

import shlex
from enum import IntEnum
from typing import NamedTuple

from perdure.cli.output import one_line
from perdure.core.errors import (
    ForeignStore,
    ParkedError,
    PerdureError,
    RunError,
    RunParked,
    ScheduleNotFound,
    SchemaTooNew,
    StillRunning,
    StoreError,
    StoreFull,
    StoreReadOnly,
    UnknownQuery,
    UpdateFailed,
    WorkflowFailed,
    WorkflowNotFound,
)


class Exit(IntEnum):
    """How a command ended. Documented in docs/reference/cli.md."""

    OK = 0
    FAILED = 1
    """The run failed, was cancelled or terminated; an update failed; `fsck`, `check` or `replay` found something."""
    USAGE = 2
    NOT_FOUND = 3
    REFUSED = 4
    """What was asked does not fit the state of the run."""
    PARKED = 5
    STORE = 6
    TIMEOUT = 7
    INTERRUPTED = 130
    TERMINATED = 143


def exit_of(error: PerdureError) -> Exit:
    """The exit code that stands for an error."""
    match error:
        case WorkflowFailed() | UpdateFailed():
            return Exit.FAILED
        case WorkflowNotFound() | ScheduleNotFound():
            return Exit.NOT_FOUND
        case RunParked() | ParkedError():
            return Exit.PARKED
        case StillRunning():
            return Exit.TIMEOUT
        case RunError():
            return Exit.REFUSED
        case StoreError():
            return Exit.STORE
        case _:
            return Exit.USAGE


class Advice(NamedTuple):
    """What the command to try next is made of."""

    usage: str
    """The command that explains the one that was given."""
    store: str | None
    """The store that was looked at."""


def line_of(error: PerdureError, advice: Advice) -> str:
    """The error on one line, with the next command to try."""
    command = _next_command(error) or advice.usage
    if advice.store and command.startswith("perdure workflow") and not command.endswith("--help"):
        command += f" --store {shlex.quote(advice.store)}"
    return one_line(f"perdure: {error} (try: {command})")


def _next_command(error: PerdureError) -> str | None:
    workflow_id = shlex.quote(str(error.facts.get("workflow_id", "")))
    store = shlex.quote(str(error.facts.get("store", "")))
    match error:
        case WorkflowNotFound():
            return "perdure workflow list"
        case UnknownQuery():
            known = str(error.facts["known"]).split(", ")
            return f"perdure workflow query {workflow_id} {shlex.quote(known[0])}"
        case RunError():
            return f"perdure workflow show {workflow_id}"
        case ParkedError():
            return "perdure workflow list --parked"
        case StoreFull():
            return f"df -h {store}"
        case StoreReadOnly() | ForeignStore():
            return f"ls -l {store}"
        case SchemaTooNew():
            return "pip install --upgrade perdure"
        case StoreError():
            return "perdure fsck"
        case _:
            return None
