"""Places in the user's code: the innermost line of a stack that is neither ours nor the standard library's."""

import os
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from types import CodeType, FrameType, TracebackType
from typing import Any

_OURS = str(Path(__file__).parents[2]) + os.sep
_STANDARD = sysconfig.get_paths()["stdlib"] + os.sep
_INSTALLED = tuple({sysconfig.get_paths()[each] + os.sep for each in ("purelib", "platlib")})

bottoms: set[CodeType] = set()
"""Our functions that call the user's code: below them on a stack is the engine, and whoever started it."""


def users(code: CodeType) -> bool:
    """Whether the code is the user's."""
    file = code.co_filename
    if file.startswith(_INSTALLED):
        return not file.startswith(_OURS)
    return not file.startswith((_OURS, _STANDARD, "<frozen "))


def place(code: CodeType, line: int | None) -> str:
    """A place such as `shop.py:17`."""
    return f"{Path(code.co_filename).name}:{line}"


def place_of_frame(frame: FrameType | None) -> str | None:
    """The innermost line of user code on the stack of `frame`."""
    for each in frames_above_bottom(frame):
        if users(each.f_code):
            return place(each.f_code, each.f_lineno)
    return None


def frames_above_bottom(frame: FrameType | None) -> Iterator[FrameType]:
    """The frames of the user's code and what it called, innermost first."""
    while frame is not None and frame.f_code not in bottoms:
        yield frame
        frame = frame.f_back


def place_of_caller() -> str | None:
    """The innermost line of user code that is running."""
    return place_of_frame(sys._getframe(1))  # pyright: ignore[reportPrivateUsage]


def place_of_traceback(trace: TracebackType | None) -> str | None:
    """The innermost line of user code in a traceback."""
    found = None
    while trace is not None:
        if users(trace.tb_frame.f_code):
            found = place(trace.tb_frame.f_code, trace.tb_lineno)
        trace = trace.tb_next
    return found


def place_of_origin(coro: Any) -> str | None:
    """The innermost line of user code that made a coroutine, where origins are tracked."""
    for file, line, _ in getattr(coro, "cr_origin", None) or ():
        if not file.startswith((_OURS, _STANDARD)) or file.startswith(_INSTALLED):
            return f"{Path(file).name}:{line}"
    return None
