"""Going on as a new run: what ends a run for it, and what the next one gets."""

from typing import TYPE_CHECKING, cast

from perdure.core.chain import next_run
from perdure.core.command import ContinueRun
from perdure.core.message import Chain, Message, Started

if TYPE_CHECKING:
    from perdure.programs.code.run import CodeRun

TURNS_SUGGESTED = 5_000
"""From so many turns on a workflow had better go on as a new run: loading it takes longer and longer."""


class RunContinued(BaseException):
    """Unwinds the code of a run that goes on as a new one. Not for users to catch."""

    def __init__(self, started: Started) -> None:
        super().__init__("the workflow goes on as a new run")
        self.started = started


def continuation(run: "CodeRun", error: BaseException) -> ContinueRun | None:
    """The closing command of a run whose code ended so, if it asked to go on as a new one."""
    if isinstance(error, BaseExceptionGroup):
        # A task group wraps what unwinds it.
        members: tuple[BaseException, ...] = cast("BaseExceptionGroup[BaseException]", error).exceptions
        for member in members:
            found = continuation(run, member)
            if found is not None:
                return found
    if not isinstance(error, RunContinued):
        return None
    return ContinueRun(
        next_run(error.started, run.run_id, run.at_ms, calls_count=run.calls_count, carried=_unread(run))
    )


def _unread(run: "CodeRun") -> list[Message]:
    """Signals that came and were not received, by name, in their order, and updates of which nothing was decided."""
    found: list[Message] = []
    for queue in (run.channels or {}).values():
        while queue.qsize():
            found.append(queue.get_nowait())
    return found if run.handlers is None else [*found, *run.handlers.undecided]


def chain_of(run: "CodeRun") -> Chain | None:
    """Where the run stands among those of its workflow; None if it is the first and only one."""
    options = None if run.started is None else run.started.options
    return None if options is None else options.chain
