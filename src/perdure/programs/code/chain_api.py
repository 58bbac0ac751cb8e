"""What workflow code asks and knows of its workflow's runs that follow each other. Public as `perdure.workflow`."""

from typing import Any, NoReturn, TypeVar, cast

from msgspec.structs import replace

from perdure.core.failure import ApplicationError, to_exception
from perdure.core.ids import checked_id
from perdure.programs.code.api import current_run
from perdure.programs.code.continuing import RunContinued, chain_of
from perdure.programs.code.definition import Workflow
from perdure.programs.code.options import checked_queue

T = TypeVar("T")


def continue_as_new(*args: Any, workflow: Any = None, queue: str | None = None) -> NoReturn:
    """End this run and go on as a new one with these arguments, a fresh history and the same workflow id.

    Signals that were not received yet go with it, and so do memo, search attributes and options. `workflow` is another
    workflow, or its name. Whoever waits for the result waits on. Never returns; nothing after it runs but clean-up.
    """
    run = current_run("continue_as_new")
    if run.loop.refusal is not None:
        raise run.loop.refusal()
    started = run.started
    assert started is not None, "code runs after its start"
    if isinstance(workflow, str):
        name = checked_id("workflow name", workflow)
        payloads = run.program.converter.to_payloads(args, what=f"argument of workflow {name!r}")
    else:
        definition = run.program.definition if workflow is None else cast("Workflow[..., Any]", workflow)
        name, payloads = definition.name, definition.bind_checked(args, {})
    target = replace(
        started, workflow_type=name, args=payloads, queue=started.queue if queue is None else checked_queue(queue)
    )
    raise RunContinued(target)


def last_result(type: type[T]) -> T | None:
    """What the last run of this chain that completed returned: for cron workflows; None if there is none."""
    run = current_run("last_result")
    chain = chain_of(run)
    payload = None if chain is None else chain.last_result
    return None if payload is None else run.decoded(run.program.converter.decoder(type, "the last result"), payload)


def last_failure() -> ApplicationError | None:
    """Why the run before this one failed; None if it did not."""
    run = current_run("last_failure")
    chain = chain_of(run)
    failed = None if chain is None else chain.last_failure
    return None if failed is None else to_exception(failed)
