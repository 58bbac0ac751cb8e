"""What in asyncio walks objects by their address, made to walk them in the order of creation on our loop.

Found by replaying in processes with other hash seeds and other allocation patterns: `as_completed` over coroutines,
futures of `gather` in a set, and `all_tasks`. On any other loop they are what they were.
"""

from collections.abc import Callable, Iterable
from types import FunctionType
from typing import Any

from perdure.programs.code.loop import WorkflowLoop, numbered, running_loop, tasks

_installed = False


def install() -> None:
    """Make them ordered, once."""
    global _installed
    if _installed:
        return
    _installed = True
    # The code is swapped inside the function: `from asyncio import as_completed` may have run long before.
    _swap(tasks.as_completed, _ordered_as_completed, "perdure_as_completed", _as_completed_by_name)
    _swap(tasks.all_tasks, _ordered_all_tasks, "perdure_all_tasks", _all_tasks_by_name)
    gathering: Any = getattr(tasks, "_GatheringFuture")  # noqa: B009 # private; a future that neither loop nor user makes
    gathering.__hash__ = _hash_of_gathering


def _hash_of_gathering(future: Any) -> int:
    number = getattr(future, "perdure_number", None)
    if number is None:
        number = future.perdure_number = numbered(future)
    return number


def _swap(function: Any, replacement: Callable[..., Any], name: str, by_name: Any) -> None:
    space: dict[str, Any] = tasks.__dict__
    original = FunctionType(function.__code__, space, function.__name__, function.__defaults__, function.__closure__)
    original.__kwdefaults__ = function.__kwdefaults__

    def ordered(*args: Any, **kwargs: Any) -> Any:
        return replacement(original, *args, **kwargs)

    space[name] = ordered
    function.__code__ = by_name.__code__.replace(
        co_filename=function.__code__.co_filename,
        co_name=function.__name__,
        co_firstlineno=function.__code__.co_firstlineno,
    )


# Only the code of these two is used, with the globals of asyncio.tasks, where `_swap` puts the names.
perdure_as_completed: Callable[..., Any]
perdure_all_tasks: Callable[..., Any]


def _as_completed_by_name(fs: Any, *, timeout: Any = None) -> Any:
    return perdure_as_completed(fs, timeout=timeout)  # noqa: F821 # see above


def _all_tasks_by_name(loop: Any = None) -> Any:
    return perdure_all_tasks(loop)  # noqa: F821 # see above


def _ordered_as_completed(original: Callable[..., Any], fs: Iterable[Any], *, timeout: float | None = None) -> Any:
    loop = running_loop()
    if type(loop) is not WorkflowLoop or hasattr(fs, "__await__"):
        return original(fs, timeout=timeout)
    # The original makes tasks of a set of coroutines, by address. A set of tasks is ordered by their numbers.
    return original([tasks.ensure_future(each, loop=loop) for each in dict.fromkeys(fs)], timeout=timeout)


def _ordered_all_tasks(original: Callable[..., Any], loop: Any = None) -> Any:
    current = running_loop() if loop is None else loop
    if type(current) is not WorkflowLoop:
        return original(loop)
    return {task for task in sorted(current.open_tasks, key=hash) if not task.done()}
