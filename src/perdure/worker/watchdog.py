"""Names the stack that blocks: a thread that looks whether a workflow step, or the user's loop, stands still."""

import logging
import sys
import threading
import time
import traceback
from collections.abc import Callable

from perdure.core.ids import RunId

logger = logging.getLogger("perdure.watchdog")

STEP_MS_MAX = 1_000
"""A workflow step that takes longer is reported, once."""
LOOP_MS_MAX = 2_000
"""A loop that answers no ping for so long is reported, once."""


class Watched:
    """What the engine's thread is stepping. Written by that thread only; two plain stores a step."""

    __slots__ = ("number", "run_id")

    def __init__(self) -> None:
        self.run_id: RunId | None = None
        self.number = 0

    def enter(self, run_id: RunId) -> None:
        """A step begins."""
        self.number += 1
        self.run_id = run_id

    def leave(self) -> None:
        """The step ended."""
        self.run_id = None


class Watchdog:
    """A daemon thread over one `Watched` and one loop, which `ping` reaches."""

    def __init__(
        self,
        watched: Watched,
        *,
        engine_thread_id: int,
        user_thread_id: int,
        ping: Callable[[Callable[[], None]], None],
    ) -> None:
        self._watched = watched
        self._engine_thread_id = engine_thread_id
        self._user_thread_id = user_thread_id
        self._ping = ping
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="perdure-watchdog", daemon=True)

    def start(self) -> None:
        """Begin to watch."""
        self._thread.start()

    def stop(self) -> None:
        """End; returns when the thread has ended."""
        self._stopped.set()
        self._thread.join()

    def _run(self) -> None:
        seen_number, seen_at, reported = 0, 0.0, 0
        answered = threading.Event()
        answered.set()
        asked_at, loop_reported = 0.0, False
        while not self._stopped.wait(STEP_MS_MAX / 4_000):
            now = time.monotonic()
            number, run_id = self._watched.number, self._watched.run_id
            if run_id is None or number != seen_number:
                seen_number, seen_at = number, now
            elif now - seen_at >= STEP_MS_MAX / 1_000 and reported != number:
                reported = number
                logger.warning(
                    "a step of run %s has not ended for %.1f s; it stands at\n%s",
                    run_id,
                    now - seen_at,
                    _stack(self._engine_thread_id),
                )
            if answered.is_set():
                answered.clear()
                asked_at, loop_reported = now, False
                try:
                    self._ping(answered.set)
                except RuntimeError:
                    return  # The loop is closed: the app is going down.
            elif now - asked_at >= LOOP_MS_MAX / 1_000 and not loop_reported:
                loop_reported = True
                logger.warning(
                    "the event loop has not answered for %.1f s; its thread stands at\n%s",
                    now - asked_at,
                    _stack(self._user_thread_id),
                )


def _stack(thread_id: int) -> str:
    frame = sys._current_frames().get(thread_id)  # pyright: ignore[reportPrivateUsage]
    return "".join(traceback.format_stack(frame)) if frame is not None else "(the thread is gone)"
