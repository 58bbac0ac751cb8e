"""Hands callbacks to a loop, many per wake-up, from its own thread or from another one."""

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from contextvars import Context


class Mailbox:
    """Callbacks for one loop, called there in the order they were posted."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        """Make it in any thread; `bind` tells it where the loop's own thread is."""
        self._loop = loop
        self._posted: deque[Callable[[], object]] = deque()
        self._awake = False
        self._thread_id: int | None = None
        # Without a context of its own a delivery would run in that of whoever posted: of some activity, say.
        self._context = Context()

    def bind(self) -> None:
        """Called in the loop's thread: posts from there then spare the loop its wake-up call."""
        self._thread_id = threading.get_ident()

    def post(self, callback: Callable[[], object]) -> None:
        """Call `callback` soon on the loop. Raises RuntimeError if the loop is closed."""
        self._posted.append(callback)
        if not self._awake:
            self._awake = True
            self._wake()

    def _wake(self) -> None:
        own = threading.get_ident() == self._thread_id
        call = self._loop.call_soon if own else self._loop.call_soon_threadsafe
        try:
            call(self._deliver, context=self._context.copy())
        except RuntimeError:
            # Every later post must hear of it too, not only this one.
            self._awake = False
            raise

    def _deliver(self) -> None:
        # Cleared first: what is posted from now on is either counted below or asks for a wake-up of its own.
        self._awake = False
        posted = self._posted
        # Counted, not "until empty": callbacks that post to their own loop must not keep it from its other work.
        for left in range(len(posted) - 1, -1, -1):
            try:
                posted.popleft()()
            except BaseException:  # our own bug; the loop reports it, and the others of this batch get their turn
                if left and not self._awake:
                    self._awake = True
                    self._wake()
                raise
