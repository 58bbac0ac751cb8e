"""How a run ends: what its main task or one of its handlers came to, as the closing command."""

import logging
from typing import TYPE_CHECKING

from perdure.core.command import CancelRun, Closing, CompleteRun, FailRun
from perdure.core.errors import ForbiddenInWorkflow, PerdureError
from perdure.core.failure import cancelled, to_failure
from perdure.programs.code.continuing import continuation
from perdure.programs.code.loop import LoopTask

if TYPE_CHECKING:
    from perdure.programs.code.run import CodeRun

logger = logging.getLogger("perdure.workflow")

_REMEDY = "let it wait for them: await workflow.wait_condition(workflow.all_handlers_finished)"


def refusal_of(run: "CodeRun", main: LoopTask) -> ForbiddenInWorkflow | None:
    """What the code did that a replay could not repeat: a mistake to be mended, and no outcome of the run."""
    error = run.failure
    if error is None and main.done() and not main.cancelled():
        error = main.exception()
    return error if isinstance(error, ForbiddenInWorkflow) else None


def closing_of(run: "CodeRun", main: LoopTask) -> Closing:
    """The command that closes the run."""
    error = run.failure
    if error is not None:
        return _failed(run, error)
    if main.cancelled():
        if run.cancel_reason is not None:
            return CancelRun(cancelled(run.cancel_reason))
        return FailRun(cancelled("the workflow was not asked to cancel itself, its code did"))
    error = main.exception()
    if error is None:
        try:
            return CompleteRun(run.program.definition.encode_result(main.result()))
        except PerdureError as problem:
            error = problem
    return continuation(run, error) or _failed(run, error)


def _failed(run: "CodeRun", error: BaseException) -> FailRun:
    try:
        return FailRun(to_failure(error, run.program.converter))
    except PerdureError as problem:  # details that cannot be serialised
        return FailRun(to_failure(problem))


def warn_of_unfinished(run: "CodeRun") -> None:
    """Say which handlers the run leaves behind; those who wait for their answers get an error."""
    if run.handlers is not None and run.handlers.unfinished and not run.replaying:
        unfinished = ", ".join(run.handlers.unfinished)
        logger.warning("run %s ends before these handlers have: %s; %s", run.run_id, unfinished, _REMEDY)
