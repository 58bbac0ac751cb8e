"""Conditions: predicates over a run's own state, looked at again whenever its code has run, until they hold."""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from perdure.programs.code.loop import Future, forbidden
from perdure.programs.code.queries import undisturbed

if TYPE_CHECKING:
    from perdure.programs.code.run import CodeRun

_REFUSAL = partial(
    forbidden, "changing the run in a condition", "only read there; change the run after `wait_condition`"
)


class _Waiter:
    """One that waits; its future is given whether the condition held."""

    __slots__ = ("error", "future", "predicate")

    def __init__(self, predicate: Callable[[], object], future: "Future[bool]") -> None:
        self.predicate = predicate
        self.future = future
        self.error: BaseException | None = None

    def ready(self) -> bool:
        """Whether its task goes on now: the condition holds, or cannot be asked."""
        if self.future.done():
            return False
        try:
            return bool(self.predicate())
        except Exception as error:  # user code: it is raised where the condition is waited for
            self.error = error
            return True


class Conditions:
    """Those of one run, in the order in which they began to wait."""

    __slots__ = ("_next_index", "_run", "_waiters")

    def __init__(self, run: "CodeRun") -> None:
        self._run = run
        self._waiters: list[_Waiter] = []
        self._next_index = 0

    def __len__(self) -> int:
        return len(self._waiters)

    def wake(self) -> bool:
        """Let the next one whose condition holds go on; False if none holds.

        One at a time: each finds its condition still true when it goes on, whatever those before it did.
        """
        waiters = self._waiters
        index = undisturbed(self._run, self._find, _REFUSAL)
        if index is None:
            self._next_index = 0
            return False
        waiter = waiters.pop(index)
        self._next_index = index
        if waiter.error is None:
            waiter.future.set_result(True)
        else:
            waiter.future.set_exception(waiter.error)
        return True

    def _find(self) -> int | None:
        """Index of the first one that is ready, beginning with the one after the last that went on."""
        waiters = self._waiters
        first = self._next_index
        for index in (*range(first, len(waiters)), *range(min(first, len(waiters)))):
            if waiters[index].ready():
                return index
        return None

    async def wait(self, predicate: Callable[[], object], timeout_s: float | None) -> None:
        """Return when the predicate holds; raises TimeoutError after so long."""
        run = self._run
        if undisturbed(run, predicate, _REFUSAL):
            return
        future: Future[bool] = Future(loop=run.loop)
        waiter = _Waiter(predicate, future)
        timer = None if timeout_s is None else run.loop.call_later(timeout_s, _expire, future)
        self._waiters.append(waiter)
        run.loop.on_idle = run.idle
        try:
            held = await future
        finally:
            if timer is not None:
                timer.cancel()
            if waiter in self._waiters:
                self._waiters.remove(waiter)
        # What made it true may have come in the same step as the end of the wait.
        if not held and not undisturbed(run, predicate, _REFUSAL):
            raise TimeoutError(f"the condition did not hold within {timeout_s:g} s")


def _expire(future: "Future[bool]") -> None:
    if not future.done():
        future.set_result(False)
