"""Clean-up that counts: compensations of what a workflow has done, and work that a cancellation does not interrupt."""

import inspect
from collections.abc import Awaitable, Callable, Coroutine
from types import TracebackType
from typing import Any, ParamSpec, Self, TypeVar

from perdure.core.errors import CompensationFailed
from perdure.programs.code.loop import CancelledError, tasks

P = ParamSpec("P")
T = TypeVar("T")


async def detached(work: Coroutine[Any, Any, T]) -> T:
    """Await `work` to its end, whatever is cancelled meanwhile; a cancellation that came is raised afterwards.

    For clean-up that must not stop half-way. A failure of `work` itself goes before a cancellation.
    """
    task = tasks.ensure_future(work)
    interrupted: CancelledError | None = None
    while not task.done():
        try:
            await tasks.wait({task})
        except CancelledError as error:
            interrupted = error
    if interrupted is not None and not task.cancelled() and task.exception() is None:
        raise interrupted
    return task.result()


class Saga:
    """Undoes what was done, where the block does not end well: `async with workflow.Saga() as saga: ...`.

    On an exception, and on a cancellation too, the compensations that were added run, the last one first, and no
    cancellation interrupts them. Then the exception goes on; where compensations failed, `CompensationFailed` does.
    """

    def __init__(self, *, parallel: bool = False, continue_on_error: bool = True) -> None:
        """`parallel` runs all compensations at once; `continue_on_error` False leaves the rest where one failed."""
        self._parallel = parallel
        self._continue_on_error = continue_on_error
        self._added: list[Callable[[], Any]] = []

    def add(self, compensation: Callable[P, Awaitable[Any]], *args: P.args, **kwargs: P.kwargs) -> None:
        """Call this where the block does not end well: an activity, a child workflow, or any async function."""
        self._added.append(lambda: compensation(*args, **kwargs))

    async def compensate(self) -> None:
        """Undo what was added so far, now. Raises `CompensationFailed`."""
        added, self._added = self._added, []
        await detached(self._undo(added, None))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # What is neither ends the run in another way: it goes on as a new one, say, or is let go of.
        if isinstance(error, Exception | CancelledError):
            added, self._added = self._added, []
            await detached(self._undo(added, error))

    async def _undo(self, added: list[Callable[[], Any]], why: BaseException | None) -> None:
        failures: list[BaseException] = []
        if self._parallel:
            results: list[Any] = await tasks.gather(
                *[_called(each) for each in reversed(added)], return_exceptions=True
            )
            failures = [each for each in results if isinstance(each, BaseException)]
        else:
            for each in reversed(added):
                try:
                    await _called(each)
                except (Exception, CancelledError) as error:  # user code
                    failures.append(error)
                    if not self._continue_on_error:
                        break
        if failures:
            reasons = "; ".join(f"{type(each).__name__}: {each}" for each in failures)
            raise CompensationFailed(
                count=len(failures), total=len(added), reasons=reasons, failures=tuple(failures)
            ) from why


async def _called(compensation: Callable[[], Any]) -> None:
    # Outside a workflow a sync activity is the plain function: its value is no awaitable.
    called = compensation()
    if inspect.isawaitable(called):
        await called
