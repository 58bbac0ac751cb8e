"""The claim check: large payloads lie in a blob store, and the store keeps a pointer, which is the hash of their bytes.

They are durable there before anything points to them, and checked against the pointer before anybody sees them.
"""

import asyncio
import hashlib
from collections.abc import Mapping, Set
from time import monotonic

import msgspec

from perdure.core.errors import InvalidOption
from perdure.core.limits import CLAIMED_BYTES_MAX
from perdure.core.payload import Payload
from perdure.data.blobs import BlobStore

RECENT_S = 600
"""So long a content that was written is known to be there: far less than it must be old to be swept."""
RECENT_MAX = 10_000
AT_ONCE_MAX = 8
"""Payloads written or fetched at the same time."""


class ClaimCheck(msgspec.Struct, frozen=True):
    """Keep payloads of more than `above` bytes in `blobs`; `bytes_max` bounds a single one."""

    blobs: BlobStore
    above: int = 64 * 1024
    bytes_max: int = CLAIMED_BYTES_MAX

    def __post_init__(self) -> None:
        if not 0 < self.above <= self.bytes_max:
            fact, remedy = "is out of bounds", f"give 1 to {self.bytes_max} bytes"
            raise InvalidOption(name="above", value=repr(self.above), fact=fact, remedy=remedy)

    async def stow(self, blobs: Mapping[str, bytes]) -> None:
        """Make all of them durable. Raises `StoreError`."""
        gate = asyncio.Semaphore(AT_ONCE_MAX)

        async def put(key: str, data: bytes) -> None:
            async with gate:
                await self.blobs.put(key, data)

        await asyncio.gather(*(put(key, data) for key, data in blobs.items()))

    async def fetch(self, keys: Set[str]) -> dict[str, bytes | str]:
        """The bytes of each key, or why there are none. Raises `StoreError`."""
        gate = asyncio.Semaphore(AT_ONCE_MAX)

        async def get(key: str) -> bytes | str:
            async with gate:
                data = await self.blobs.get(key)
            if data is None:
                return f"its content {key} is missing from {self.blobs.url}"
            if key_of(data) != key:
                return f"its content {key} in {self.blobs.url} was altered"
            return data

        wanted = sorted(keys)
        return dict(zip(wanted, await asyncio.gather(*map(get, wanted)), strict=True))


class Recent:
    """Pointers to contents that were written a moment ago, by what they are without codecs.

    A write that is repeated writes no content again, nor does a result on its way from an inbox into a turn.
    """

    def __init__(self) -> None:
        self._pointers: dict[bytes, tuple[float, Payload]] = {}

    def find(self, digest: bytes) -> Payload | None:
        """The pointer to it, if there is one."""
        found = self._pointers.get(digest)
        return found[1] if found is not None and monotonic() - found[0] < RECENT_S else None

    def add(self, pointers: Mapping[bytes, Payload]) -> None:
        """Note what is durable by now."""
        for digest, pointer in pointers.items():
            self._pointers.pop(digest, None)
            self._pointers[digest] = monotonic(), pointer
        while len(self._pointers) > RECENT_MAX:
            del self._pointers[next(iter(self._pointers))]


def digest_of(payload: Payload) -> bytes:
    """Stands for a payload as it is without codecs."""
    return hashlib.sha256(repr(payload.metadata).encode() + b"\0" + payload.data).digest()


def key_of(data: bytes) -> str:
    """The key of some bytes: their SHA-256 in hex."""
    return hashlib.sha256(data).hexdigest()
