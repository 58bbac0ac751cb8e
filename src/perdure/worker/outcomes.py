"""From what an activity's code did to the outcome that is recorded: the same for tasks, threads and processes."""

import asyncio
import logging
from collections.abc import Sequence
from functools import partial
from typing import Any

import msgspec

from perdure.core.failure import ApplicationError, Failure, cancelled, clipped, to_failure
from perdure.core.message import Cancelled, Completed, Failed, Outcome
from perdure.programs.code.interceptors import ActivityCall, around
from perdure.worker.context import RunningAttempt, enter

logger = logging.getLogger("perdure.activity")

LATER_TYPE = "perdure.CompleteLater\udc00"
"""Type of the failure that stands for an activity whose outcome comes later, by its token. Never recorded.

No user's failure has it: their texts are rid of lone surrogates.
"""


class CompleteLater(BaseException):
    """Raised by an activity whose outcome comes later, from outside, by its token.

    No `Exception`: what it says must not be taken for a failure on its way out.
    """


def perform(attempt: RunningAttempt) -> Outcome:
    """Run a sync activity here and now; whatever it raises becomes its outcome."""
    enter(attempt)
    job = attempt.job
    definition = job.definition
    if attempt.stop_reason is not None:
        return Cancelled(cancelled(attempt.stop_reason))
    try:
        if definition.propagation is not None:
            definition.propagation.apply(job.call.headers)
        args = definition.decode_args(job.call.args)
    except Exception as error:  # user code: a type's own checks may raise anything
        return refused(attempt, error)
    try:
        result = definition.fn(*args) if definition.interceptors is None else intercepted(attempt, args)
    except BaseException as error:  # user code: even SystemExit ends the attempt only
        return raised(attempt, error)
    try:
        return Completed(definition.encode_result(result))
    except Exception as error:  # user code: as above
        return refused(attempt, error)


def intercepted(attempt: RunningAttempt, args: Sequence[Any]) -> Any:
    """Call the activity's function with its app's interceptors around it; awaitable if it is async."""
    job = attempt.job
    definition = job.definition
    assert definition.interceptors is not None
    chain = definition.interceptors.activity if definition.is_async else definition.interceptors.blocking_activity
    proceed = partial(definition.fn, *args)
    if chain is None:
        return proceed()
    call = ActivityCall(job.call.name, tuple(args), job.workflow_id, job.key.run_id, job.attempt)
    return around(chain, call, proceed)


def raised(attempt: RunningAttempt, error: BaseException) -> Outcome:
    """The outcome of an attempt whose code raised `error`."""
    if isinstance(error, asyncio.CancelledError) and attempt.stop_reason is not None:
        return Cancelled(cancelled(attempt.stop_reason))
    if isinstance(error, CompleteLater):
        return Failed(Failure(LATER_TYPE, ""))
    # The first frame is the executor's own.
    if error.__traceback__ is not None:
        error.__traceback__ = error.__traceback__.tb_next
    return Failed(_described(attempt, error))


def refused(attempt: RunningAttempt, error: Exception) -> Failed:
    """The outcome of an attempt whose arguments or result do not fit: trying again would change nothing."""
    return Failed(msgspec.structs.replace(_described(attempt, error), retryable=False))


def note_failure(attempt: RunningAttempt, outcome: Outcome) -> None:
    """Log an outcome that is a failure, unless nobody waits for it."""
    if isinstance(outcome, Failed) and not attempt.over and outcome.failure.type != LATER_TYPE:
        job, failure = attempt.job, outcome.failure
        logger.warning(
            "activity %s failed in attempt %d for workflow %s: %s: %s",
            job.call.name,
            job.attempt,
            job.workflow_id,
            failure.type,
            failure.message,
        )


def _described(attempt: RunningAttempt, error: BaseException) -> Failure:
    try:
        return to_failure(error, attempt.job.definition.converter)
    except Exception as problem:  # user code: details that are no JSON, a subclass that forgot super().__init__()
        kind = type(error).__name__
        retryable = True
        if isinstance(error, ApplicationError):
            kind = getattr(error, "type", kind)
            retryable = getattr(error, "retryable", True)
        args = ", ".join(str(each) for each in error.args[:1])
        return Failure(
            clipped(str(kind)),
            f"{clipped(args)} (the error itself cannot be recorded whole: {problem})",
            retryable=retryable,
        )
