"""Channels: the signals of one name, kept from before they are first read, in order, none dropped."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Generic, TypeVar

from perdure.core.message import Signaled
from perdure.core.payload import Payload
from perdure.programs.code.loop import Queue, QueueEmpty

if TYPE_CHECKING:
    from perdure.programs.code.run import CodeRun

T = TypeVar("T")

__all__ = ["Channel", "ChannelEmpty"]

ChannelEmpty = QueueEmpty
"""Raised by `receive_nowait`; it is asyncio's own."""


class Channel(Generic[T]):
    """The signals of one name, for the workflow to receive; each is received once. `len` counts those that wait."""

    __slots__ = ("_decode", "_queue", "_run", "name")

    def __init__(self, run: "CodeRun", name: str, decode: Callable[[Payload], T]) -> None:
        self.name = name
        self._run = run
        self._decode = decode
        self._queue: Queue[Signaled] = run.channel(name)

    def __len__(self) -> int:
        return self._queue.qsize()

    def __bool__(self) -> bool:
        return True

    def __aiter__(self) -> "Channel[T]":
        return self

    async def __anext__(self) -> T:
        return await self.receive()

    async def receive(self) -> T:
        """Wait for the next signal. One that does not decode parks the run."""
        return self._run.decoded(self._decode, (await self._queue.get()).payload)

    def receive_nowait(self) -> T:
        """The next signal, or `asyncio.QueueEmpty` if none waits."""
        if self._run.loop.refusal is not None:
            raise self._run.loop.refusal()
        return self._run.decoded(self._decode, self._queue.get_nowait().payload)
