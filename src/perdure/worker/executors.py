"""Where activities run: tasks on the user's loop, and threads of our own. Neither knows deadlines or what comes after.

`launch` and `cancel` are called on the engine's loop. `ended` is called wherever an attempt ended.
"""

import asyncio
import sys
import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextvars import Context
from functools import partial
from queue import SimpleQueue
from typing import Any, Protocol

from perdure.core.failure import Failure, cancelled
from perdure.core.message import Cancelled, Completed, Failed, Outcome
from perdure.worker.context import RunningAttempt, enter
from perdure.worker.mailbox import Mailbox
from perdure.worker.outcomes import intercepted, note_failure, perform, raised, refused

Ends = Sequence[tuple[RunningAttempt, Outcome]]
Ended = Callable[[Ends], None]

# An activity that never waits then needs no second trip through the loop. A loop with its own task factory keeps it.
_EAGER: dict[str, Any] = {"eager_start": True} if sys.version_info >= (3, 12) else {}


class Executor(Protocol):
    """A place where activities run; it reports each launched attempt once."""

    def launch(self, attempts: Sequence[RunningAttempt]) -> None:
        """Begin to run each."""
        ...

    def cancel(self, attempt: RunningAttempt) -> None:
        """Tell a launched attempt that its `stop_reason` was set."""
        ...

    def abandon(self, attempt: RunningAttempt, *, gently: bool) -> None:
        """End an attempt that is over by the hardest means there are; `gently`: let a task finish its clean-up."""
        ...

    def close(self) -> None:
        """Let go of threads and processes as soon as they are idle; nothing is launched any more."""
        ...


class Room:
    """One kind of activity: where it runs, how many do, who waits."""

    def __init__(self, executor: Executor, limit: int) -> None:
        self.executor = executor
        self.limit = limit
        self.busy_count = 0
        """Those whose code runs, waited for or not."""
        self.waiting: deque[RunningAttempt] = deque()

    @property
    def free_count(self) -> int:
        """How many more would start at once."""
        return max(0, self.limit - self.busy_count - len(self.waiting))


class Tasks:
    """Runs async activities as tasks of the user's loop: handed over in batches, reported in batches."""

    def __init__(self, mailbox: Mailbox, ended: Ended, context: Context | None = None) -> None:
        """`context` is what each attempt finds; nothing if None."""
        self._mailbox = mailbox
        self._context = context or Context()
        self._ended = ended
        self._finished: list[tuple[RunningAttempt, Outcome]] = []
        self._flush_due = False

    def launch(self, attempts: Sequence[RunningAttempt]) -> None:
        self._post(partial(self._start, attempts))

    def cancel(self, attempt: RunningAttempt) -> None:
        self._post(partial(self._cancel, attempt))

    def abandon(self, attempt: RunningAttempt, *, gently: bool) -> None:
        if not (gently and attempt.asked):
            self._post(partial(self._cancel, attempt))

    def close(self) -> None:
        pass

    def _post(self, callback: Callable[[], None]) -> None:
        try:
            self._mailbox.post(callback)
        except RuntimeError:
            # The user's loop is closed and its tasks are gone: the app is going down.
            return

    # On the user's loop

    def _start(self, attempts: Sequence[RunningAttempt]) -> None:
        loop = asyncio.get_running_loop()
        self._flush_due = True
        plain = loop.get_task_factory() is None
        for attempt in attempts:
            coroutine, name = self._perform(attempt), attempt.job.call.name
            if plain:
                task = asyncio.Task(coroutine, loop=loop, name=name, context=self._context.copy(), **_EAGER)
            else:
                task = loop.create_task(coroutine, name=name, context=self._context.copy())
            if not task.done():
                attempt.task = task
        if _EAGER:
            self._flush()
        else:
            loop.call_soon(self._flush)

    def _cancel(self, attempt: RunningAttempt) -> None:
        # A task that is cancelled before its first step never runs and could not report: it is left to see its reason.
        if attempt.begun and attempt.task is not None:
            attempt.task.cancel(attempt.stop_reason)

    async def _perform(self, attempt: RunningAttempt) -> None:
        enter(attempt)
        attempt.begun = True
        job = attempt.job
        definition = job.definition
        outcome: Outcome
        if attempt.stop_reason is not None:
            outcome = Cancelled(cancelled(attempt.stop_reason))
        else:
            try:
                if definition.propagation is not None:
                    definition.propagation.apply(job.call.headers)
                args = definition.decode_args(job.call.args)
            except Exception as error:  # user code: a type's own checks may raise anything
                outcome = refused(attempt, error)
            else:
                try:
                    result = await (
                        definition.fn(*args) if definition.interceptors is None else intercepted(attempt, args)
                    )
                except BaseException as error:  # user code: even SystemExit ends the attempt only, never the loop
                    outcome = raised(attempt, error)
                else:
                    try:
                        outcome = Completed(definition.encode_result(result))
                    except Exception as error:  # user code: as above
                        outcome = refused(attempt, error)
        # The task's context holds the attempt: without this each of them would be left to the garbage collector.
        attempt.task = None
        if not isinstance(outcome, Completed):
            note_failure(attempt, outcome)
        self._finished.append((attempt, outcome))
        if not self._flush_due:
            self._flush_soon()

    def _flush_soon(self) -> None:
        self._flush_due = True
        try:
            # After everything that is ready now, so that it goes in the same batch.
            asyncio.get_running_loop().call_soon(self._flush)
        except RuntimeError:
            # The loop was closed over the task.
            self._flush()

    def _flush(self) -> None:
        self._flush_due = False
        if self._finished:
            finished, self._finished = self._finished, []
            self._ended(finished)


class Threads:
    """Runs attempts in daemon threads: one that hangs blocks neither the loops nor the exit of the interpreter.

    As many threads as attempts at once: the runner bounds them.
    """

    def __init__(self, ended: Ended, run: Callable[[RunningAttempt], Outcome] = perform, *, name: str) -> None:
        """`run` must not raise."""
        self._ended = ended
        self._run = run
        self._name = name
        self._attempts: SimpleQueue[RunningAttempt | None] = SimpleQueue()
        self._idle = threading.Semaphore(0)
        self._threads_count = 0

    def launch(self, attempts: Sequence[RunningAttempt]) -> None:
        for attempt in attempts:
            if not self._idle.acquire(blocking=False):
                try:
                    threading.Thread(
                        target=self._serve, name=f"{self._name}-{self._threads_count}", daemon=True
                    ).start()
                except RuntimeError as error:
                    self._ended([(attempt, Failed(Failure("RuntimeError", str(error))))])
                    continue
                self._threads_count += 1
            self._attempts.put(attempt)

    def cancel(self, attempt: RunningAttempt) -> None:
        """A thread sees the reason at its next heartbeat."""

    def abandon(self, attempt: RunningAttempt, *, gently: bool) -> None:
        """Nothing can end a thread from outside."""

    def close(self) -> None:
        for _ in range(self._threads_count):
            self._attempts.put(None)

    def _serve(self) -> None:
        while (attempt := self._attempts.get()) is not None:
            outcome = Context().run(self._run, attempt)
            note_failure(attempt, outcome)
            # First idle, then heard of: whoever is launched in answer finds this thread.
            self._idle.release()
            self._ended([(attempt, outcome)])
            del attempt, outcome
