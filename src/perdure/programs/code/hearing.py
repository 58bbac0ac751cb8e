"""What each message means to a run; outcomes of activities, the most frequent ones, stay with the run itself."""

from typing import TYPE_CHECKING

from perdure.core.message import (
    CancelRequested,
    ChildClosed,
    ChildStarted,
    Forked,
    Message,
    Signaled,
    Started,
    TimerFired,
    UpdateRequested,
)

if TYPE_CHECKING:
    from perdure.programs.code.run import CodeRun


def hear(run: "CodeRun", message: Message) -> None:
    """Let the run know; nothing of its code runs yet."""
    match message:
        case TimerFired(call_id):
            timer = run.timers.pop(call_id, None)
            if timer is not None:
                run.loop.fire(timer)
        case Signaled():
            if run.handlers is None or not run.handlers.hear(message):
                run.channel(message.name).put_nowait(message)
        case UpdateRequested():
            run.answering().hear_update(message)
        case ChildStarted(call_id, refusal):
            if call_id in run.children:
                run.children[call_id].start(refusal)
        case ChildClosed(call_id, outcome):
            child = run.children.pop(call_id, None)
            if child is not None:
                child.end(outcome)
        case CancelRequested(reason):
            # Asked once more, it goes on with its clean-up: a client that heard no answer asks again.
            if run.cancel_reason is None:
                run.cancel_reason = reason
                if run.main is not None:
                    run.main.cancel(reason)
        case Forked():
            run.fork(message)
        case Started():
            run.start(message)
        case _:
            pass
