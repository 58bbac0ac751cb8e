"""Looks for clocks and randomness that no guard can intercept, in the bytecode of a workflow and its module's helpers.

Found are `datetime.now()` and its like, whose type cannot be changed, and functions such as `time.time` that were bound
by `from time import time` before the guards were set. Everything else is left to the guards and the linter.
"""

import dis
import inspect
import sys
from collections.abc import Callable, Iterator
from datetime import date, datetime
from types import CodeType, FunctionType, ModuleType
from typing import Any

from perdure.core.errors import ForbiddenInWorkflow
from perdure.programs.code.answers import originals
from perdure.programs.code.places import place

_CLOCKS = ("now", "utcnow", "today")
_UNKNOWN = object()


def check(fn: Callable[..., Any]) -> None:
    """Raise `ForbiddenInWorkflow` for the first clock or random number that the function or a helper of its reads."""
    seen: set[int] = set()
    waiting = [fn]
    while waiting:
        function = inspect.unwrap(waiting.pop())
        if isinstance(function, FunctionType) and id(function) not in seen:
            seen.add(id(function))
            waiting += _check_code(function.__code__, _names(function), function.__module__)


def _names(function: FunctionType) -> dict[str, Any]:
    names = dict(function.__globals__)
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        try:
            names[name] = cell.cell_contents
        except ValueError:  # not assigned yet
            names.pop(name, None)
    return names


def _check_code(code: CodeType, names: dict[str, Any], module: str) -> Iterator[Callable[..., Any]]:
    """Check one code object and those inside it; yields the helpers it uses."""
    names = {
        name: value for name, value in names.items() if name not in code.co_varnames and name not in code.co_cellvars
    }
    reader = _Reader(code, names)
    for value, line in reader.values():
        _refuse_original(value, code, line)
        if isinstance(value, FunctionType) and value.__module__ == module:
            yield value
    for inner in code.co_consts:
        if isinstance(inner, CodeType) and inner not in reader.exempt:
            yield from _check_code(inner, {**names, **reader.locals}, module)


class _Reader:
    """Reads the instructions of one code object in order, and knows what a name or an attribute stands for."""

    def __init__(self, code: CodeType, names: dict[str, Any]) -> None:
        self._code = code
        self._names = names
        self.locals: dict[str, Any] = {}
        """What the code imports into local names."""
        self.exempt: list[CodeType] = []
        """Functions that are handed to `workflow.side_effect`."""

    def values(self) -> Iterator[tuple[Any, int | None]]:
        """What is loaded, with its line, except what is handed to `workflow.side_effect`."""
        top: Any = _UNKNOWN
        imported: Any = _UNKNOWN
        recording = False
        made: CodeType | None = None
        local_functions: dict[str, CodeType] = {}
        for step in dis.get_instructions(self._code):
            operation, argument = step.opname, step.argval
            line = step.positions.lineno if step.positions is not None else None
            if operation in _SILENT:
                continue
            if operation == "LOAD_CONST" and isinstance(argument, CodeType):
                made = argument
                if recording:
                    self.exempt.append(argument)
            elif operation == "IMPORT_NAME":
                top = imported = sys.modules.get(argument.partition(".")[0] if step.arg is None else argument, _UNKNOWN)
            elif operation == "IMPORT_FROM":
                top = _attribute(imported, argument)
            elif operation.startswith("STORE_"):
                name = _names_in(argument)[0]
                if made is not None:
                    local_functions[name] = made
                elif top is not _UNKNOWN:
                    self.locals[name] = top
                top, made = (self._load(argument[1]) if operation == "STORE_FAST_LOAD_FAST" else _UNKNOWN), None
            elif operation.startswith(("LOAD_ATTR", "LOAD_METHOD")):
                if not recording:
                    _refuse_clock(top, argument, self._code, line)
                top = _attribute(top, argument)
            elif operation.startswith(_LOADS):
                name = _names_in(argument)[-1]
                top = self._load(name)
                if recording and name in local_functions:
                    self.exempt.append(local_functions[name])
            elif operation.startswith("CALL"):
                top, recording = _UNKNOWN, False
            elif operation not in _MAKING:
                top = _UNKNOWN
            if top is not _UNKNOWN:
                if getattr(top, "__name__", "") == "side_effect" and getattr(top, "__module__", "") == _API:
                    recording = True
                elif not recording:
                    yield top, line

    def _load(self, name: str) -> Any:
        return self.locals.get(name, self._names.get(name, _UNKNOWN))


_API = "perdure.programs.code.api"
_SILENT = ("CACHE", "PUSH_NULL", "EXTENDED_ARG", "PRECALL", "COPY_FREE_VARS", "RESUME", "NOP")
_LOADS = ("LOAD_GLOBAL", "LOAD_NAME", "LOAD_DEREF", "LOAD_CLASSDEREF", "LOAD_FAST", "LOAD_CLOSURE")
_MAKING = ("MAKE_FUNCTION", "SET_FUNCTION_ATTRIBUTE", "BUILD_TUPLE", "LOAD_CONST")


def _names_in(argument: Any) -> list[str]:
    # An instruction of 3.13 may stand for two.
    return list(argument) if isinstance(argument, tuple) else [argument]  # pyright: ignore[reportUnknownArgumentType]


def _attribute(owner: Any, name: str) -> Any:
    # Only of modules and classes: asking anything else could run code.
    if isinstance(owner, (ModuleType, type)):
        return vars(owner).get(name, _UNKNOWN)
    return _UNKNOWN


def _refuse_clock(owner: Any, name: str, code: CodeType, line: int | None) -> None:
    if not isinstance(owner, type) or not issubclass(owner, date) or name not in _CLOCKS:
        return
    # A subclass with a clock of its own, such as a test's frozen one, decides for itself.
    own = inspect.getattr_static(owner, name, None)
    if own in (inspect.getattr_static(datetime, name, None), inspect.getattr_static(date, name, None)):
        remedy = (
            "use workflow.now().date()" if name == "today" and not issubclass(owner, datetime) else "use workflow.now()"
        )
        raise ForbiddenInWorkflow(what=f"{owner.__name__}.{name}()", where=f" at {place(code, line)}", remedy=remedy)


def _refuse_original(value: Any, code: CodeType, line: int | None) -> None:
    known = originals.get(id(value))
    if known is not None and known[1] is value:
        name = known[0]
        if name == "time.sleep":
            raise ForbiddenInWorkflow(
                what="time.sleep()",
                where=f" at {place(code, line)}",
                remedy="await asyncio.sleep(...), which is durable",
            )
        remedy = f"write `import {name.partition('.')[0]}` and {name}(), which is answered from the run"
        raise ForbiddenInWorkflow(what=f"{name}(), bound by its name", where=f" at {place(code, line)}", remedy=remedy)
