"""Where the tasks of a live run wait, for people: one block a task, outermost line first."""

from typing import TYPE_CHECKING, Any

from perdure.programs.code.loop import LoopTask
from perdure.programs.code.places import place, users

if TYPE_CHECKING:
    from perdure.programs.code.run import CodeRun

LINES_MAX = 50
"""Most lines of one task."""


def stack(run: "CodeRun") -> str:
    """Where each task waits, as `file:line function` lines; the workflow function's task comes first."""
    tasks = sorted((task for task in run.loop.open_tasks if not task.done()), key=hash)
    return "\n".join(_task_lines(task) for task in tasks) or "no task is waiting"


def _task_lines(task: LoopTask) -> str:
    return "\n".join([f"{task.get_name()}:", *(f"  {line}" for line in waiting_lines(task.get_coro()))])


def waiting_lines(coro: Any) -> list[str]:
    """The lines at which a suspended coroutine waits, outermost first."""
    found: list[str] = []
    while coro is not None and len(found) < LINES_MAX:
        code = getattr(coro, "cr_code", None) or getattr(coro, "ag_code", None) or getattr(coro, "gi_code", None)
        frame = getattr(coro, "cr_frame", None) or getattr(coro, "ag_frame", None) or getattr(coro, "gi_frame", None)
        if code is None:
            break
        found.append(f"{place(code, frame.f_lineno if frame is not None else None)} {code.co_qualname}")
        coro = getattr(coro, "cr_await", None) or getattr(coro, "ag_await", None) or getattr(coro, "gi_yieldfrom", None)
    return found


def waiting_place(coro: Any) -> str | None:
    """The innermost line of user code at which a suspended coroutine waits."""
    found = None
    while coro is not None:
        frame = getattr(coro, "cr_frame", None) or getattr(coro, "ag_frame", None) or getattr(coro, "gi_frame", None)
        if frame is None:
            break
        if users(frame.f_code):
            found = place(frame.f_code, frame.f_lineno)
        coro = getattr(coro, "cr_await", None) or getattr(coro, "ag_await", None) or getattr(coro, "gi_yieldfrom", None)
    return found
