"""The child's side of a process activity: reads work from a pipe, runs it, answers. Also the words both sides speak.

One attempt at a time, on the main thread. A second thread reads, so that a request to end arrives while one runs.
"""

import importlib
import os
import signal
import threading
from collections.abc import Callable
from contextvars import Context
from multiprocessing.connection import Connection
from queue import SimpleQueue
from typing import Any, TypeAlias, cast

import msgspec

from perdure.core.command import RunActivity
from perdure.core.failure import Failure, to_failure
from perdure.core.ids import RunId, WorkflowId
from perdure.core.message import Failed, Outcome
from perdure.core.payload import Payload
from perdure.programs.code.definition import Activity
from perdure.worker.context import RunningAttempt
from perdure.worker.job import Job
from perdure.worker.outcomes import perform


class Work(msgspec.Struct, frozen=True, array_like=True, tag=1):
    """Run this. `number` names it among all that one child gets."""

    number: int
    module: str
    qualname: str
    run_id: RunId
    workflow_id: WorkflowId
    call: RunActivity
    attempt: int
    scheduled_at_ms: int
    started_at_ms: int
    heartbeat: tuple[Payload, ...]


class Stop(msgspec.Struct, frozen=True, array_like=True, tag=2):
    """The work of this number shall end."""

    number: int
    reason: str


class Taken(msgspec.Struct, frozen=True, array_like=True, tag=1):
    """The work has arrived: from now on its death is the child's."""


class Beaten(msgspec.Struct, frozen=True, array_like=True, tag=2):
    """A heartbeat; `details` None if it had none."""

    details: tuple[Payload, ...] | None


class Ended(msgspec.Struct, frozen=True, array_like=True, tag=3):
    """The work has ended."""

    outcome: Outcome


Request: TypeAlias = Work | Stop
Reply: TypeAlias = Taken | Beaten | Ended

encode: Callable[[Request | Reply], bytes] = msgspec.msgpack.Encoder().encode
decode_request: Callable[[bytes], Request] = msgspec.msgpack.Decoder(Request).decode
decode_reply: Callable[[bytes], Reply] = msgspec.msgpack.Decoder(Reply).decode


def resolve(module: str, qualname: str) -> "Activity[..., Any]":
    """The activity of this name in an imported module; raises what importing raises, or `AttributeError`."""
    found: Any = importlib.import_module(module)
    for part in qualname.split("."):
        found = getattr(found, part)
    if not isinstance(found, Activity):
        # A function that was registered without replacing its name is met here as it is.
        return Activity(found, process=True)
    return cast("Activity[..., Any]", found)


def serve(connection: Connection) -> None:
    """Work until the other side goes away; the child's main function."""
    # Ctrl-C reaches the whole group of processes; when to end is the parent's to say.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _Child(connection).run()


class _Child:
    """The state of one child."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._sending = threading.Lock()
        self._works: SimpleQueue[Work] = SimpleQueue()
        self._stop = Stop(0, "")
        self._current: tuple[int, RunningAttempt] | None = None

    def run(self) -> None:
        threading.Thread(target=self._read, name="perdure-reader", daemon=True).start()
        while True:
            work = self._works.get()
            self._send(Ended(self._outcome(work)))
            self._current = None

    def _read(self) -> None:
        try:
            while True:
                match decode_request(self._connection.recv_bytes()):
                    case Work() as work:
                        self._send(Taken())
                        self._works.put(work)
                    case Stop() as stop:
                        self._stop = stop
                        self._heed()
        except (EOFError, OSError):
            # The parent is gone. The activity may be anywhere in its code: nothing else would end it.
            os._exit(0)

    def _heed(self) -> None:
        current = self._current
        if current is not None and current[0] == self._stop.number:
            current[1].stop_reason = self._stop.reason

    def _send(self, reply: Reply) -> None:
        with self._sending:
            self._connection.send_bytes(encode(reply))

    def _outcome(self, work: Work) -> Outcome:
        try:
            definition = resolve(work.module, work.qualname)
        except Exception as error:  # user code: importing a module runs it
            failure = to_failure(error)
            message = f"{work.module}.{work.qualname} cannot be imported in the process: {failure.message}"
            return Failed(Failure(failure.type, message, failure.traceback, retryable=False))
        job = Job(
            work.run_id,
            work.workflow_id,
            work.call,
            definition,
            attempt=work.attempt,
            scheduled_at_ms=work.scheduled_at_ms,
            heartbeat=work.heartbeat,
        )
        job.started_at_ms = work.started_at_ms
        attempt = RunningAttempt(job, self._beat)
        self._current = work.number, attempt
        # A stop may have come while the module was imported.
        self._heed()
        return Context().run(perform, attempt)

    def _beat(self, attempt: RunningAttempt) -> None:
        details = attempt.job.heartbeat if attempt.job.heartbeat_unsent else None
        attempt.job.heartbeat_unsent = False
        self._send(Beaten(details))
