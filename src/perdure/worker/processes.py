"""Runs CPU-bound activities in processes of their own, one attempt a process at a time.

Not concurrent.futures: there a process that dies, or is killed at its deadline, breaks the pool and fails every other
attempt in it. Here each child has its own pipe and a thread of ours that waits on it: only the culprit's attempt fails.
Children are started when they are needed, by `spawn`: forking a process that has threads is not safe.
"""

import atexit
import inspect
import multiprocessing
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import msgspec

from perdure.core.errors import UnsupportedDefinition
from perdure.core.failure import Failure, cancelled
from perdure.core.message import Cancelled, Failed, Outcome
from perdure.core.payload import Payload
from perdure.programs.code.definition import Activity
from perdure.worker.child import Beaten, Ended, Stop, Taken, Work, decode_reply, encode, serve
from perdure.worker.context import RunningAttempt
from perdure.worker.executors import Ended as OnEnded
from perdure.worker.executors import Threads

CHILD_NAME = "perdure-activity"
_EXIT_S_MAX = 1.0
_UNBORN = (
    "the process of activity {name!r} died while it started: {how}; see its standard error, and put what the main "
    'module does under `if __name__ == "__main__":`'
)

# Process.start looks after all children of this process and is not safe in two threads at once.
_starting = threading.Lock()


def in_child() -> bool:
    """Whether this process is one that runs activities for another."""
    return multiprocessing.current_process().name == CHILD_NAME


def check_importable(activity: "Activity[..., Any]") -> None:
    """Refuse a process activity that another process could not find; raises `UnsupportedDefinition`."""
    fn: Any = activity.fn
    main = sys.modules["__main__"]
    qualname = getattr(fn, "__qualname__", "")
    if not qualname or inspect.ismethod(fn):
        fact = "it is no plain function, so another process cannot import it"
    elif "<" in qualname:
        fact = "it is defined inside a function, so another process cannot import it"
    elif fn.__module__ == "__main__" and getattr(main, "__file__", None) is None and main.__spec__ is None:
        fact = "it was typed in and is in no file, so another process cannot import it"
    else:
        return
    raise UnsupportedDefinition(
        kind="activity",
        name=activity.name,
        where=activity.place,
        fact=fact,
        remedy="define it at the top of a module, or leave out process=True",
    )


class ProcessDied(Exception):
    """The other end of the pipe is gone."""


class Process:
    """One child and our end of its pipe."""

    def __init__(self) -> None:
        """Start it. Raises OSError."""
        spawn = multiprocessing.get_context("spawn")
        self._connection, theirs = spawn.Pipe()
        self._process = spawn.Process(target=serve, args=(theirs,), name=CHILD_NAME)
        try:
            with _starting:
                self._process.start()
        finally:
            theirs.close()

    def run(
        self, work: Work, beaten: Callable[[tuple[Payload, ...] | None], None], taken: Callable[[], None]
    ) -> Outcome:
        """Run `work` there and wait for its end; raises `ProcessDied`."""
        try:
            self._connection.send_bytes(encode(work))
            while True:
                match decode_reply(self._connection.recv_bytes()):
                    case Taken():
                        taken()
                    case Beaten(details):
                        beaten(details)
                    case Ended(outcome):
                        return outcome
        except (EOFError, OSError, msgspec.MsgspecError) as error:
            raise ProcessDied from error

    def ask_to_stop(self, stop: Stop) -> None:
        """Tell work that was taken to end. It reads all the time, so the pipe has room."""
        try:
            self._connection.send_bytes(encode(stop))
        except OSError:
            # It has died, which the thread that waits for it learns as well.
            return

    def kill(self) -> None:
        """End it for real."""
        self._process.kill()

    def bury(self) -> str:
        """Wait for its end, and say what it was."""
        self._process.join(_EXIT_S_MAX)
        # A child can lose its pipe and live, if its activity closed it.
        self._process.kill()
        self._process.join()
        code = self._process.exitcode
        self._process.close()
        self._connection.close()
        if code is None or code >= 0:
            return f"exit code {code}"
        return signal.Signals(-code).name if -code in {each.value for each in signal.Signals} else f"signal {-code}"


class Seat:
    """The place of one attempt in one child."""

    def __init__(self, process: Process, number: int, *, fresh: bool) -> None:
        self.process = process
        self.number = number
        self.fresh = fresh
        """The child was started for this attempt."""
        self.taken = False
        """The work has arrived there."""
        self.told_to_stop = False


class Processes:
    """Hands attempts to children; as many of these as attempts at once: the runner bounds them."""

    def __init__(self, ended: OnEnded) -> None:
        self._threads = Threads(ended, self._perform, name="perdure-process")
        # Over everything below. Never held while waiting for a child: the engine's loop takes it too.
        self._guard = threading.Lock()
        self._idle: list[Process] = []
        self._seats: dict[RunningAttempt, Seat] = {}
        self._works_count = 0
        self._closed = False

    def launch(self, attempts: Sequence[RunningAttempt]) -> None:
        self._threads.launch(attempts)

    def cancel(self, attempt: RunningAttempt) -> None:
        with self._guard:
            self._pass_on_stop(attempt)

    def abandon(self, attempt: RunningAttempt, *, gently: bool) -> None:
        with self._guard:
            seat = self._seats.get(attempt)
            if seat is not None:
                seat.process.kill()

    def close(self) -> None:
        with self._guard:
            self._closed = True
            for seat in self._seats.values():
                seat.process.kill()
            idle, self._idle = self._idle, []
        for process in idle:
            process.kill()
            process.bury()
        self._threads.close()
        atexit.unregister(self.close)

    # In the thread that waits for the child

    def _perform(self, attempt: RunningAttempt) -> Outcome:
        name = attempt.job.call.name
        while True:
            try:
                seat = self._sit(attempt)
            except (OSError, RuntimeError, AssertionError) as error:
                # RuntimeError: a child's own start runs the main module, which lacks its `if __name__ == "__main__"`.
                # AssertionError: multiprocessing lets no daemonic process have children.
                return Failed(Failure("WorkerDied", f"no process could be started for activity {name!r}: {error}"))
            if seat is None:
                return Cancelled(cancelled(attempt.stop_reason or "the worker stops"))
            try:
                outcome = seat.process.run(
                    _work(attempt, seat.number), partial(_beat, attempt), partial(self._note_taken, attempt, seat)
                )
            except ProcessDied:
                self._rise(attempt, seat, reuse=False)
                how = seat.process.bury()
                if seat.taken:
                    return Failed(Failure("WorkerDied", f"the process of activity {name!r} died: {how}"))
                if seat.fresh:
                    return Failed(Failure("WorkerDied", _UNBORN.format(name=name, how=how)))
                # It had died while it was idle, without having seen this attempt.
            else:
                self._rise(attempt, seat, reuse=True)
                return outcome

    def _sit(self, attempt: RunningAttempt) -> Seat | None:
        """A seat for the attempt; None if it shall not run any more."""
        with self._guard:
            process = self._idle.pop() if self._idle else None
        fresh = process is None
        if process is None:
            process = Process()
        with self._guard:
            if attempt.stop_reason is None and not self._closed:
                self._works_count += 1
                seat = self._seats[attempt] = Seat(process, self._works_count, fresh=fresh)
                if fresh:
                    # An app that is never stopped must not wait for its children when the interpreter exits.
                    atexit.unregister(self.close)
                    atexit.register(self.close)
                return seat
        self._put_back(process)
        return None

    def _put_back(self, process: Process) -> None:
        with self._guard:
            if not self._closed:
                self._idle.append(process)
                return
        process.kill()
        process.bury()

    def _note_taken(self, attempt: RunningAttempt, seat: Seat) -> None:
        with self._guard:
            seat.taken = True
            self._pass_on_stop(attempt)

    def _pass_on_stop(self, attempt: RunningAttempt) -> None:
        # Not before it was taken: a child that still starts does not read, and the engine's loop must not wait for it.
        seat = self._seats.get(attempt)
        if seat is not None and seat.taken and not seat.told_to_stop and attempt.stop_reason is not None:
            seat.told_to_stop = True
            seat.process.ask_to_stop(Stop(seat.number, attempt.stop_reason))

    def _rise(self, attempt: RunningAttempt, seat: Seat, *, reuse: bool) -> None:
        with self._guard:
            del self._seats[attempt]
        if reuse:
            self._put_back(seat.process)


def _work(attempt: RunningAttempt, number: int) -> Work:
    job = attempt.job
    return Work(
        number=number,
        module=job.definition.fn.__module__,
        qualname=job.definition.fn.__qualname__,
        run_id=job.key.run_id,
        workflow_id=job.workflow_id,
        call=job.call,
        attempt=job.attempt,
        scheduled_at_ms=job.scheduled_at_ms,
        started_at_ms=job.started_at_ms,
        heartbeat=attempt.earlier,
    )


def _beat(attempt: RunningAttempt, details: tuple[Payload, ...] | None) -> None:
    if not attempt.over:
        attempt.beat(details)
