"""Group commit: while the store writes one batch, the next one gathers. No artificial delay.

An entry alone is written at once; a thousand that are ready together share one write. A write whose outcome is unknown
is repeated until the store answers: repeating is harmless by the port's contract, and nothing leaves before the
answer.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, Protocol, TypeVar

from perdure.core.errors import StoreError, StoreUnavailable

logger = logging.getLogger("perdure.engine")

T = TypeVar("T")
R = TypeVar("R")
T_contra = TypeVar("T_contra", contravariant=True)
R_contra = TypeVar("R_contra", contravariant=True)

BATCH_ENTRIES_MAX = 2_000
"""Bounds one write, so that one fan-out does not hold up everybody's fsync."""
REPEAT_MS_FIRST = 50
REPEAT_MS_MAX = 5_000
WRITE_TIMEOUT_MS = 30_000
"""A write that takes longer counts as unknown and is repeated."""


async def surely(call: Callable[[], Awaitable[R]], what: str) -> tuple[R, bool]:
    """The answer of a store call, repeated until there is one, and whether it was repeated."""
    repeated = False
    pause_ms = REPEAT_MS_FIRST
    while True:
        try:
            async with asyncio.timeout(WRITE_TIMEOUT_MS / 1_000):
                return await call(), repeated
        except (StoreError, TimeoutError) as error:
            logger.warning("%s: %s; trying again in %d ms", what, error or "no answer", pause_ms)
        repeated = True
        await asyncio.sleep(pause_ms / 1_000)
        pause_ms = min(pause_ms * 2, REPEAT_MS_MAX)


async def promptly(store: str, call: Callable[[], Awaitable[R]]) -> R:
    """The answer of a call of the store with this URL that is made once; raises `StoreUnavailable` if it is late."""
    try:
        async with asyncio.timeout(WRITE_TIMEOUT_MS / 1_000):
            return await call()
    except TimeoutError as error:
        reason = f"no answer within {WRITE_TIMEOUT_MS // 1_000} seconds, and what was asked may still happen"
        raise StoreUnavailable(store=store, reason=reason) from error


class Done(Protocol[T_contra, R_contra]):
    """Called on the loop after each batch; `repeated` if an earlier try of it is unknown."""

    def __call__(self, entries: Sequence[T_contra], result: R_contra, /, *, repeated: bool) -> None: ...


class Pipeline(Generic[T, R]):
    """Writes entries in batches, one batch at a time, in the order they were put."""

    def __init__(
        self,
        write: Callable[[Sequence[T]], Awaitable[R]],
        done: "Done[T, R]",
        what: str,
        broken: Callable[[Exception], None],
    ) -> None:
        """`broken` hears of a bug in `write` or `done`: what was on its way is in an unknown state."""
        self._write = write
        self._done = done
        self._what = what
        self._broken = broken
        self._waiting: list[T] = []
        self._task: asyncio.Task[None] | None = None
        self._idle = asyncio.Event()
        self._idle.set()

    def put(self, entry: T) -> None:
        """Add an entry to the next batch."""
        self._waiting.append(entry)
        if self._task is None:
            self._idle.clear()
            self._begin()

    def _begin(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._run())
        # Not in a `finally` of the task: one that is cancelled before its first step never enters it.
        self._task.add_done_callback(self._ended)

    def _ended(self, _task: "asyncio.Task[None]") -> None:
        self._task = None
        if self._waiting:
            self._begin()
        else:
            self._idle.set()

    async def drained(self) -> None:
        """Return when nothing waits and nothing is being written."""
        await self._idle.wait()

    def abandon(self) -> None:
        """Forget what waits and stop repeating; for a worker that lost everything or stops."""
        self._waiting.clear()
        if self._task is not None:
            self._task.cancel()

    async def _gathered(self) -> None:
        """Let whatever is ready at this moment join the batch: a commit is the last thing to do, not the first."""
        count = 0
        while count < len(self._waiting) < BATCH_ENTRIES_MAX:
            count = len(self._waiting)
            await asyncio.sleep(0)

    async def _run(self) -> None:
        try:
            while self._waiting:
                await self._gathered()
                batch = self._waiting[:BATCH_ENTRIES_MAX]
                del self._waiting[:BATCH_ENTRIES_MAX]
                result, repeated = await surely(lambda batch=batch: self._write(batch), self._what)
                self._done(batch, result, repeated=repeated)
        except Exception as error:  # a bug of ours: whoever owns the entries must start over
            self._broken(error)
