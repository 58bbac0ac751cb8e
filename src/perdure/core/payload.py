"""Payloads: what users hand over, as bytes with string metadata, and the converter to and from Python values.

The type comes from the annotation and never from the payload. No pickle.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from math import isfinite
from typing import Any, cast

import msgspec

from perdure.core.errors import PayloadTooLarge, UndecodablePayload, UnserializableValue

PAYLOAD_BYTES_MAX = 2 * 1024 * 1024
"""Largest single payload, in bytes. Source: Temporal's blob limit, specs/temporal.md."""


class Payload(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One value as JSON bytes; `metadata` is None unless something other than plain JSON was used."""

    data: bytes
    metadata: dict[str, str] | None = None


NULL = Payload(b"null")

_encode_json = msgspec.json.Encoder().encode


def to_payload(value: object, *, what: str = "value") -> Payload:
    """Encode `value` as JSON; raise `UnserializableValue` or `PayloadTooLarge`, naming `what`."""
    try:
        data = _encode_json(value)
        # The encoder writes NaN and the infinities as null, a loss that nobody would notice.
        lossy = b"null" in data and value is not None and _has_non_finite(msgspec.to_builtins(value))
    except (TypeError, ValueError, OverflowError, RecursionError, msgspec.MsgspecError) as error:
        raise UnserializableValue(what=what, type=type(value).__qualname__, reason=str(error)) from error
    if lossy:
        reason = "JSON has no NaN and no infinity"
        raise UnserializableValue(what=what, type=type(value).__qualname__, reason=reason)
    if len(data) > PAYLOAD_BYTES_MAX:
        raise PayloadTooLarge(what=what, size=len(data), limit=PAYLOAD_BYTES_MAX)
    return Payload(data)


def _has_non_finite(value: Any) -> bool:
    waiting: list[Any] = [value]
    while waiting:
        each = waiting.pop()
        if isinstance(each, dict):
            waiting.extend(cast(dict[Any, Any], each).values())
        elif isinstance(each, (list, tuple, set, frozenset)):
            waiting.extend(cast(list[Any], each))
        elif isinstance(each, float) and not isfinite(each):
            return True
    return False


def to_payloads(values: Sequence[object], *, what: str = "argument") -> tuple[Payload, ...]:
    """Encode each of `values` on its own."""
    payloads: list[Payload] = []
    for value in values:
        try:
            data = _encode_json(value)
        except Exception:  # also of a value's own methods: the slow way says what is wrong with it
            payloads.append(to_payload(value, what=what))
            continue
        if len(data) > PAYLOAD_BYTES_MAX:
            raise PayloadTooLarge(what=what, size=len(data), limit=PAYLOAD_BYTES_MAX)
        payloads.append(to_payload(value, what=what) if value is not None and b"null" in data else Payload(data))
    return tuple(payloads)


def from_payload(payload: Payload, expected: Any = Any, *, what: str = "value") -> Any:
    """Decode `payload` as the annotated type `expected`; raise `UndecodablePayload`, naming `what`."""
    return decoder(expected, what)(payload)


@lru_cache(maxsize=4_096)
def _json_decoder(expected: Any) -> Callable[[bytes], Any]:
    return msgspec.json.Decoder(expected).decode


def decoder(expected: Any, what: str) -> Callable[[Payload], Any]:
    """A function that decodes payloads as `expected`: made once where many are decoded."""
    try:
        decode = _json_decoder(expected)
    except (TypeError, NameError, AttributeError) as error:
        # The latter two: an annotation written as text that does not resolve, in a dataclass or struct.
        raise UnserializableValue(what=what, type=str(expected), reason=str(error)) from error

    def decode_payload(payload: Payload) -> Any:
        if payload.metadata is not None:
            raise UndecodablePayload(what=what, expected=str(expected), reason=f"unknown encoding {payload.metadata}")
        try:
            return decode(payload.data)
        except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
            raise UndecodablePayload(what=what, expected=str(expected), reason=str(error)) from error

    return decode_payload
