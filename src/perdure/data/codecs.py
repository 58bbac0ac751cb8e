"""Codecs: what happens to payloads between the engine and the store, such as compression and encryption.

They are chosen by the app and applied in order; a payload only says which of them it went through. See `data.seal`.
"""

import base64
import binascii
import hashlib
import hmac
import os
from collections.abc import Mapping
from functools import lru_cache
from importlib import import_module
from typing import Any, Protocol

import msgspec

from perdure.core.errors import InvalidOption

DECOMPRESSED_BYTES_MAX = 256 * 1024 * 1024
"""What decompresses to more is refused: a few bytes of nonsense must not fill the memory."""
SUBKEY_USES_MAX = 1 << 20
"""Payloads under one derived key. With random nonces a key is good for 2**32. Source: NIST SP 800-38D, 8.3."""


class PayloadCodec(Protocol):
    """One step between plain payloads and what the store keeps. Pure but for drawing nonces; used in one thread."""

    @property
    def name(self) -> str:
        """Recorded with each payload that went through it; no spaces, no two of one name in an app."""
        ...

    def encode(self, data: bytes, facts: dict[str, str]) -> bytes | None:
        """The other form of `data`, None to leave it as it is. May add to the `facts`, which are kept in the clear."""
        ...

    def decode(self, data: bytes, facts: Mapping[str, str]) -> bytes:
        """What `encode` got, by the `facts` as it left them. Raises ValueError for what it did not make."""
        ...


class Zstd:
    """Compresses what gets smaller by it. Needs `perdure[zstd]` before Python 3.14."""

    name = "zstd"

    def __init__(self, *, level: int = 3, bytes_min: int = 256) -> None:
        """`level` is Zstandard's own; what has less than `bytes_min` bytes is left as it is."""
        self._zstd = _zstd()
        least, most = self._zstd.CompressionParameter.compression_level.bounds()
        if not least <= level <= most:
            remedy = f"give {least} to {most}"
            raise InvalidOption(name="level", value=repr(level), fact="is no level of zstd", remedy=remedy)
        self._level = level
        self._bytes_min = bytes_min

    def encode(self, data: bytes, facts: dict[str, str]) -> bytes | None:
        """See `PayloadCodec`."""
        if len(data) < self._bytes_min:
            return None
        packed: bytes = self._zstd.compress(data, self._level)
        return packed if len(packed) < len(data) else None

    def decode(self, data: bytes, facts: Mapping[str, str]) -> bytes:
        """See `PayloadCodec`."""
        machine = self._zstd.ZstdDecompressor()
        try:
            plain: bytes = machine.decompress(data, DECOMPRESSED_BYTES_MAX)
        except self._zstd.ZstdError as error:
            raise ValueError(f"it cannot be decompressed: {error}") from error
        if not machine.eof or machine.unused_data:
            raise ValueError(f"it is cut short, or has more than {DECOMPRESSED_BYTES_MAX} bytes")
        return plain


def _zstd() -> Any:
    for module in ("compression.zstd", "backports.zstd"):
        try:
            return import_module(module)
        except ImportError:
            continue
    raise InvalidOption(
        name="codecs", value="Zstd()", fact="needs a library that is not here", remedy="pip install 'perdure[zstd]'"
    )


class Encryption:
    """Encrypts with AES-256-GCM under the `current` key, and decrypts with any of the keys.

    Needs `perdure[encryption]`. What a payload says of itself (its encoding, its codecs, its key) is authenticated too.
    """

    name = "aes-256-gcm"

    def __init__(self, *, keys: Mapping[str, bytes | str], current: str) -> None:
        """`keys` by their ids, which are kept in the clear: 32 random bytes each, or those in base64."""
        try:
            self._gcm: Any = import_module("cryptography.hazmat.primitives.ciphers.aead").AESGCM
            self._invalid_tag: Any = import_module("cryptography.exceptions").InvalidTag
        except ImportError as error:
            fact, remedy = "needs a library that is not here", "pip install 'perdure[encryption]'"
            raise InvalidOption(name="codecs", value="Encryption(...)", fact=fact, remedy=remedy) from error
        self._keys = {key_id: _key(key_id, key) for key_id, key in keys.items()}
        if current not in self._keys:
            fact = "is not among the keys"
            raise InvalidOption(name="current", value=repr(current), fact=fact, remedy="name one of them")
        self._current = current
        self._cipher = lru_cache(maxsize=1_024)(self._new_cipher)
        self._salt = b""
        self._uses_left = 0

    def __repr__(self) -> str:
        return f"Encryption(keys={sorted(self._keys)}, current={self._current!r})"

    def encode(self, data: bytes, facts: dict[str, str]) -> bytes | None:
        """See `PayloadCodec`."""
        if self._uses_left == 0:
            self._salt, self._uses_left = os.urandom(16), SUBKEY_USES_MAX
        self._uses_left -= 1
        facts["key"] = self._current
        salt, nonce = self._salt, os.urandom(12)
        sealed: bytes = self._cipher(self._current, salt).encrypt(nonce, data, _bound(facts))
        return salt + nonce + sealed

    def decode(self, data: bytes, facts: Mapping[str, str]) -> bytes:
        """See `PayloadCodec`."""
        key_id = facts.get("key", "")
        if key_id not in self._keys:
            raise ValueError(f"its key {key_id!r} is not among the keys of this app")
        try:
            plain: bytes = self._cipher(key_id, data[:16]).decrypt(data[16:28], data[28:], _bound(facts))
        except (self._invalid_tag, ValueError) as error:
            raise ValueError(f"it was altered, or key {key_id!r} is another one than it was encrypted with") from error
        return plain

    def _new_cipher(self, key_id: str, salt: bytes) -> Any:
        # A key of its own for each salt: one key alone would be worn out within a day of a busy worker.
        return self._gcm(hmac.digest(self._keys[key_id], b"perdure/aes-256-gcm" + salt, hashlib.sha256))


def _key(key_id: str, key: bytes | str) -> bytes:
    try:
        found = base64.b64decode(key, validate=True) if isinstance(key, str) else bytes(key)
    except binascii.Error:
        found = b""
    if len(found) != 32:
        # Never the key itself: it would be in a log.
        remedy = "give 32 random bytes, or their base64"
        raise InvalidOption(name="keys", value=repr(key_id), fact="has no 32 bytes", remedy=remedy)
    return found


def _bound(facts: Mapping[str, str]) -> bytes:
    return msgspec.json.encode([facts.get("encoding"), facts["codecs"], facts["key"]])
