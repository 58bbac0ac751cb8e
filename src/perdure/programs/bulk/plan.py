"""What a bulk operation is told, how far it is, and what came of it."""

from enum import StrEnum

import msgspec

from perdure.core.filter.parser import parse_filter
from perdure.core.filter.terms import class_of
from perdure.core.filter.tree import And, Compare, Filter, Op, Reading, SystemField
from perdure.core.rows import RunStatus
from perdure.programs.code.system import PREFIX

BULK = "perdure.bulk"
"""The workflow type of bulk operations."""
BULK_COUNT = "perdure.bulk.count"
"""Arguments: the plan. Answers how many runs fit, or null where that takes too long to find out."""
BULK_PAGE = "perdure.bulk.page"
"""Arguments: the plan, the run id where the last page ended or null, the most runs. Answers targets."""
BULK_TELL = "perdure.bulk.tell"
"""Arguments: the plan, the id of the operation, the targets. Answers a report."""
PROGRESS = "progress"
"""The memo entry of a bulk operation that tells how far it is."""

FAILURES_MAX = 1_000
"""So many failures are listed; more are only counted."""
REASON_CHARS_MAX = 1_000
"""Longest part of an error that is listed."""


class BulkAction(StrEnum):
    """What is done to each run."""

    CANCEL = "cancel"
    TERMINATE = "terminate"
    SIGNAL = "signal"
    RESET = "reset"
    DELETE = "delete"


class BulkPlan(msgspec.Struct, frozen=True):
    """What to do to which runs."""

    action: BulkAction
    query: str
    rate: float
    """Runs a second."""
    reason: str = ""
    signal: str = ""
    value: str = "null"
    """Of the signal, as JSON."""
    turn: int = 0
    """Of a reset: the last one that is kept; -1: all but the last."""
    reapply_signals: bool = True
    """Of a reset."""


class BulkTarget(msgspec.Struct, frozen=True, array_like=True):
    """One run."""

    workflow_id: str
    run_id: str


class BulkFailure(msgspec.Struct, frozen=True):
    """A run to which it could not be done, and why."""

    workflow_id: str
    run_id: str
    reason: str


class BulkProgress(msgspec.Struct, frozen=True):
    """How far a bulk operation is."""

    total: int | None = None
    """How many runs fitted when it began; None while, or where, that is not known."""
    done: int = 0
    """Runs to which it was done."""
    closed: int = 0
    """Runs that were closed already when their turn came, or deleted."""
    failed: int = 0
    """Runs to which it could not be done."""


class BulkResult(msgspec.Struct, frozen=True):
    """What came of a bulk operation."""

    total: int | None
    done: int
    closed: int
    failed: int
    failures: tuple[BulkFailure, ...]
    """The first thousand of those that failed."""


class BulkReport(msgspec.Struct, frozen=True):
    """What came of one page."""

    done: int
    closed: int
    failures: tuple[BulkFailure, ...]


class BulkState(msgspec.Struct, frozen=True):
    """What a bulk operation knows between two pages."""

    operation: str = ""
    """Its first run id: request ids are made of it and of the target's."""
    before: str | None = None
    progress: BulkProgress = BulkProgress()
    failures: tuple[BulkFailure, ...] = ()

    def after(self, page: tuple[BulkTarget, ...], report: BulkReport) -> "BulkState":
        """The same after a page."""
        done, closed = self.progress.done + report.done, self.progress.closed + report.closed
        failed = self.progress.failed + len(report.failures)
        return BulkState(
            operation=self.operation,
            before=page[-1].run_id,
            progress=BulkProgress(self.progress.total, done, closed, failed),
            failures=(self.failures + report.failures)[:FAILURES_MAX],
        )


def chosen(plan: BulkPlan) -> Filter:
    """The runs that a plan is about: those that fit its filter, without the engine's own, newest first.

    A reset takes closed ones too, but for those that were continued as new; a deletion takes only closed ones; all
    else takes only open ones.
    """
    match plan.action:
        case BulkAction.RESET:
            state = _term(SystemField.STATUS, Op.IN, RunStatus.CONTINUED_AS_NEW, negated=True)
        case BulkAction.DELETE:
            state = _term(SystemField.STATUS, Op.IN, RunStatus.RUNNING, negated=True)
        case BulkAction.CANCEL | BulkAction.TERMINATE | BulkAction.SIGNAL:
            state = _term(SystemField.STATUS, Op.IN, RunStatus.RUNNING)
    where = parse_filter(plan.query).where
    terms = (state, _term(SystemField.WORKFLOW_TYPE, Op.STARTS_WITH, PREFIX, negated=True))
    return Filter(And(terms if where is None else (where, *terms)))


def _term(field: SystemField, op: Op, value: str, *, negated: bool = False) -> Compare:
    return Compare(field, op, (Reading(class_of(field), (value,)),), negated=negated)
