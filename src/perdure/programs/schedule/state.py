"""What a schedule is and what it remembers, as it is kept in its history: JSON that people can read."""

from enum import StrEnum

import msgspec

from perdure.core.ids import RunId, WorkflowId
from perdure.core.message import StartOptions
from perdure.core.payload import Payload
from perdure.programs.schedule.spec import SpecRecord

NAME = "perdure.schedule"
"""The workflow type of schedules; every worker knows it."""
ID_PREFIX = f"{NAME}/"
"""A schedule's workflow id is this and its own id."""
CATCH_UP_MS = 365 * 86_400_000
CATCH_UP_MS_MIN = 10_000
BUFFERED_MAX = 1_000
"""Most actions that wait; further ones are skipped."""
RUNNING_MAX = 1_000
"""Most workflows of one schedule that run at once; further ones are skipped."""
BACKFILLS_MAX = 100
RECENT_MAX = 10
REQUESTS_MAX = 100
"""So many request ids are remembered beyond the run that took them."""


class Overlap(StrEnum):
    """What happens when an action is due while a workflow of the schedule is still running."""

    SKIP = "skip"
    """The action does not happen."""
    BUFFER_ONE = "buffer_one"
    """It waits for the end of the workflow; one action waits at most."""
    BUFFER_ALL = "buffer_all"
    """It waits; all do, and happen one after the other."""
    CANCEL_OTHER = "cancel_other"
    """The workflow is asked to cancel itself; the action happens when it has ended."""
    TERMINATE_OTHER = "terminate_other"
    """The workflow is ended at once, then the action happens."""
    ALLOW_ALL = "allow_all"
    """It happens; any number of workflows run beside each other."""


class Action(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a schedule does: start a workflow."""

    workflow_type: str
    workflow_id: str
    """The moment is appended to it."""
    args: tuple[Payload, ...] = ()
    queue: str | None = None
    """None: the schedule's own."""
    options: StartOptions | None = None
    """Retry policy, deadlines, memo, search attributes and headers of each run."""


class Plan(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a schedule does, and when."""

    schedule_id: str
    spec: SpecRecord
    action: Action
    overlap: Overlap = Overlap.SKIP
    catch_up_ms: int = CATCH_UP_MS
    """An action that is late by more than this is missed."""
    pause_on_failure: bool = False
    actions_max: int | None = None
    """So often at most it acts by itself; None: for ever."""


class Wanted(msgspec.Struct, frozen=True, omit_defaults=True):
    """An action that is due or was asked for."""

    moment_ms: int
    asked: bool = False
    """By a trigger or a backfill: it counts against no limit, and a pause does not hold it up."""


class Running(msgspec.Struct, frozen=True, omit_defaults=True):
    """A workflow that the schedule started and that has not ended yet."""

    call_id: int
    workflow_id: WorkflowId
    run_id: RunId
    moment_ms: int
    asked: bool = False
    """By a trigger or a backfill."""
    ending: bool = False
    """It was asked to cancel itself, or is being terminated."""


class Recent(msgspec.Struct, frozen=True, omit_defaults=True):
    """One of the last actions: what became of it. A call id of 0 means that nothing was started."""

    moment_ms: int
    at_ms: int
    status: str
    """`running`, how it ended, or why it did not happen: `skipped`, `missed`, `refused`."""
    call_id: int = 0
    workflow_id: WorkflowId | None = None
    run_id: RunId | None = None


class Backfill(msgspec.Struct, frozen=True, omit_defaults=True):
    """Moments of the past that shall be made up for: those after `after_ms`, up to `until_ms`."""

    after_ms: int
    until_ms: int
    overlap: Overlap


class Handled(msgspec.Struct, frozen=True, omit_defaults=True):
    """A request that was taken; `refusal` says why it changed nothing."""

    request_id: str
    refusal: str = ""


class Timer(msgspec.Struct, frozen=True):
    """The timer that is set."""

    call_id: int
    due_at_ms: int


class State(msgspec.Struct, omit_defaults=True):
    """Everything that changes. It is recorded whole by each turn that changes it; a recall reads the last record."""

    cursor_ms: int = -1
    """The moments up to here were decided upon; -1: none, it begins now."""
    calls_count: int = 0
    version: int = 1
    """Grows with each update: the conflict token."""
    planned_by: str = ""
    """Request id of the update that gave the plan; empty: the plan that the run was started with."""
    paused: bool = False
    note: str = ""
    actions_left: int | None = None
    timer: Timer | None = None
    asked_at_ms: int = 0
    """Moment of the last trigger: no two have the same."""
    running: list[Running] = []
    buffered: list[Wanted] = []
    backfills: list[Backfill] = []
    recent: list[Recent] = []
    """The last actions that happened, newest last."""
    lapsed: list[Recent] = []
    """The last actions that did not happen, newest last."""
    handled: list[Handled] = []
    actions_count: int = 0
    skipped_count: int = 0
    """Not done because of an overlap, a full buffer, or a workflow id that was in use."""
    missed_count: int = 0
    """Not done because nobody worked for longer than the catch-up window. At least: a long gap is not counted out."""


class Pause(msgspec.Struct, frozen=True):
    """Signal `pause` or `unpause`."""

    note: str = ""


class Trigger(msgspec.Struct, frozen=True):
    """Signal `trigger`: do it now."""

    overlap: Overlap | None = None
    """None: the schedule's own."""


class BackfillRequest(msgspec.Struct, frozen=True):
    """Signal `backfill`: make up for the moments from `start_ms` to `end_ms`, both counted."""

    start_ms: int
    end_ms: int
    overlap: Overlap = Overlap.BUFFER_ALL


class Update(msgspec.Struct, frozen=True):
    """Signal `update`: another plan, unless the version has changed since it was read."""

    plan: Plan
    version: int | None = None
    """None: whatever it is."""


class Described(msgspec.Struct, frozen=True):
    """The answer to query `describe`."""

    plan: Plan
    state: State
    next_ms: tuple[int, ...]
    """The next moments, at most ten."""
