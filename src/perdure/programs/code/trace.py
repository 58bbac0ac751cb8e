"""Finds the line of the user's code behind a command, by executing the history once more and looking over its shoulder.

Remembering the line of every call would cost each step more than the call itself; this runs only after a mismatch.
"""

import sys
from collections.abc import Sequence
from types import CodeType, FrameType
from typing import TYPE_CHECKING, Any

from perdure.core.command import Command, CompleteRun, FailRun
from perdure.core.ids import RunId
from perdure.core.turn import Turn
from perdure.programs.code.loop import tasks
from perdure.programs.code.places import place, place_of_caller, place_of_origin, place_of_traceback
from perdure.programs.code.stack import waiting_place

if TYPE_CHECKING:
    from perdure.programs.code.program import CodeProgram
    from perdure.programs.code.run import CodeRun

ORIGIN_FRAMES = 20
"""How far up the making of a coroutine is tracked."""


class _Watched(list[Command | None]):
    """The commands of a turn, each with the line that asked for it."""

    def __init__(self) -> None:
        super().__init__()
        self.places: list[str | None] = []

    def append(self, command: Command | None) -> None:
        """Note a command and its line."""
        super().append(command)
        self.places.append(place_of_caller() or _place_of_task())


def _place_of_task() -> str | None:
    # A task of its own, such as gather makes, has no user code below it: what counts is who made its coroutine.
    task = tasks.current_task()
    return None if task is None else place_of_origin(task.get_coro())


def place_of_command(program: "CodeProgram", run_id: RunId, history: Sequence[Turn], index: int) -> str | None:
    """The line that asks for command `index` of the last turn, or at which the code waits instead."""
    owner = program.open(run_id)
    run = owner.inner
    depth = sys.get_coroutine_origin_tracking_depth()
    sys.set_coroutine_origin_tracking_depth(ORIGIN_FRAMES)
    try:
        for turn in history[:-1]:
            run.repeat(turn)
        return _look(run, history[-1], index)
    except Exception:  # user code that went astray once may go anywhere the next time; the line is a courtesy
        return None
    finally:
        sys.set_coroutine_origin_tracking_depth(depth)
        run.close()


def _look(run: "CodeRun", turn: Turn, index: int) -> str | None:
    watched = _Watched()
    run.new_commands = lambda: watched
    returns = _LastLine(getattr(run.program.function, "__code__", None))
    with returns:
        asked = run.repeat(turn)
    if index >= len(asked):
        return waiting_place(None if run.main is None else run.main.get_coro())
    match asked[index]:
        case CompleteRun():
            return returns.place
        case FailRun():
            error = None if run.main is None or run.main.cancelled() else run.main.exception()
            return place_of_traceback(None if error is None else error.__traceback__) or returns.place
        case _:
            return [where for command, where in zip(watched, watched.places, strict=False) if command is not None][
                index
            ]


class _LastLine:
    """While entered, notes the line at which a function was left last."""

    def __init__(self, code: CodeType | None) -> None:
        self._code = code
        self._before: Any = None
        self.place: str | None = None

    def __enter__(self) -> None:
        self._before = sys.gettrace()
        # A debugger keeps its own trace function; then there is no line.
        if self._code is not None and self._before is None:
            sys.settrace(self._enter)

    def __exit__(self, *_: object) -> None:
        if self._before is None:
            sys.settrace(None)

    def _enter(self, frame: FrameType, _event: str, _arg: Any) -> Any:
        return self._note if frame.f_code is self._code else None

    def _note(self, frame: FrameType, event: str, _arg: Any) -> Any:
        if event == "return":
            self.place = place(frame.f_code, frame.f_lineno)
        return self._note
