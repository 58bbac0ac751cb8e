"""The counter behind `Store.wait`: bumped by whoever changes something, awaited by whoever has nothing to do.

Callers may live on several loops and threads. It knows no store.
"""

import asyncio
import threading


class Changes:
    """A number that only grows, and those who wait for it to grow."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._count = 1
        self._waiting: dict[asyncio.Future[None], asyncio.AbstractEventLoop] = {}

    @property
    def awaited(self) -> bool:
        """Whether anyone waits at this moment."""
        return bool(self._waiting)

    def bump(self) -> None:
        """Something may have become claimable or closed; callable from any thread."""
        with self._lock:
            self._count += 1
            waiting, self._waiting = self._waiting, {}
        for future, loop in waiting.items():
            try:
                loop.call_soon_threadsafe(_wake, future)
            except RuntimeError:
                # The loop was closed under its waiter: nobody is left to be woken.
                continue

    async def wait(self, seen: int, timeout_ms: int) -> int:
        """Return the count once it differs from `seen`, or after `timeout_ms`."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        with self._lock:
            if self._count != seen or timeout_ms <= 0:
                return self._count
            self._waiting[future] = loop
        try:
            await asyncio.wait((future,), timeout=timeout_ms / 1_000)
        finally:
            with self._lock:
                self._waiting.pop(future, None)
        return self._count


def _wake(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
