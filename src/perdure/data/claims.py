"""The claim check: large payloads lie in a blob store, and the store keeps a pointer, which is the hash of their bytes.

They are durable there before anything points to them, and checked against the pointer before anybody sees them.
"""

import asyncio
import hashlib
from collections.abc import Mapping, Set

import msgspec

from perdure.core.errors import InvalidOption
from perdure.data.blobs import BlobStore

AT_ONCE_MAX = 8
"""Payloads written or fetched at the same time."""
CLAIMED_BYTES_MAX = 64 * 1024 * 1024
"""Largest single payload of an app with a claim check, in bytes, unless it says otherwise."""


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


def key_of(data: bytes) -> str:
    """The key of some bytes: their SHA-256 in hex."""
    return hashlib.sha256(data).hexdigest()
