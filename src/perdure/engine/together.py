"""Calls of many callers as one: what is asked for while a call is under way goes together in the next one.

Nobody waits for others to come: whoever asks alone is served at once. A call that is not answered in time fails for
those who share it: the others must not wait behind it for ever.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from perdure.core.errors import StoreError
from perdure.engine.pipeline import promptly

T = TypeVar("T")
R = TypeVar("R")

ITEMS_MAX = 500
"""In one call: a caller's answer comes when all of its call are durable."""


class Together(Generic[T, R]):
    """Asks the store, for many at a time, what each asks for one."""

    def __init__(self, call: Callable[[Sequence[T]], Awaitable[Sequence[R]]], store: str = "the store") -> None:
        """`call` answers in order; what it may do for one and not for another, it must do apart for each."""
        self._store = store
        self._call = call
        self._waiting: list[tuple[T, asyncio.Future[R]]] = []
        self._task: asyncio.Task[None] | None = None

    async def ask(self, item: T) -> R:
        """The answer for one. Raises what the call raises; whoever stops to wait has asked all the same."""
        answer: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, answer))
        if self._task is None:
            self._begin()
        return await answer

    def _begin(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._run())
        # Not in a `finally` of the task: one that is cancelled before its first step never enters it.
        self._task.add_done_callback(self._ended)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        self._task = None
        if task.cancelled():
            for _, answer in self._waiting:
                answer.cancel()
            self._waiting.clear()
        elif self._waiting:
            self._begin()

    async def _run(self) -> None:
        while self._waiting:
            asked = self._waiting[:ITEMS_MAX]
            del self._waiting[:ITEMS_MAX]
            try:
                await self._answer(asked)
            except asyncio.CancelledError:
                for _, answer in asked:
                    answer.cancel()
                raise

    async def _answer(self, asked: Sequence[tuple[T, "asyncio.Future[R]"]]) -> None:
        try:
            results = await promptly(self._store, lambda: self._call([item for item, _ in asked]))
        except Exception as error:  # whatever it is, it belongs to those who asked
            if len(asked) > 1 and not isinstance(error, StoreError):
                # It may be about one of them only.
                for each in asked:
                    await self._answer([each])
                return
            for _, answer in asked:
                if not answer.done():
                    answer.set_exception(error)
            return
        for (_, answer), result in zip(asked, results, strict=True):
            if not answer.done():
                answer.set_result(result)
