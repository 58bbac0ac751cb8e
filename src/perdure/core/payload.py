"""Payloads: what users hand over, as bytes with string metadata, and the converter to and from Python values.

The type comes from the annotation and never from the payload. No pickle.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from math import isfinite
from typing import Any, Generic, TypeVar, cast, get_origin

import msgspec

from perdure.core import models
from perdure.core.errors import (
    InvalidOption,
    PayloadTooLarge,
    TooManyValues,
    UndecodablePayload,
    UnreadablePayload,
    UnserializableValue,
)
from perdure.core.limits import PAYLOAD_BYTES_MAX, TOGETHER_BYTES_MAX, VALUES_MAX

T = TypeVar("T")

_PLAIN: frozenset[type] = frozenset({str, int, bool, bytes, type(None)})
"""The encoder loses nothing of values of exactly these types, by far the most frequent ones."""


def _suspect(data: bytes) -> bool:
    """Whether something of the value may be lost that nobody would notice.

    The encoder writes NaN and the infinities as null, and as keys by name.
    """
    return b"null" in data or b'nan":' in data or b'inf":' in data


class Payload(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One value as JSON bytes; `metadata` is None unless something other than plain JSON was used."""

    data: bytes
    metadata: dict[str, str] | None = None


NULL = Payload(b"null")

CODECS = "codecs"
"""In the metadata of a payload as the store keeps it: names of the codecs that it went through, in order."""
BLOB = "blob"
"""In the metadata of a payload as the store keeps it: the key of its content, which lies outside."""
UNREADABLE = "unreadable"
"""In the metadata of a payload that could not be opened: the reason. Never stored."""


def unreadable(payload: Payload, what: str) -> UnreadablePayload | None:
    """The error of a payload that is still as the store keeps it; None for any other."""
    facts = payload.metadata or {}
    if CODECS not in facts and BLOB not in facts:
        return None
    reason = facts.get(UNREADABLE)
    if reason is None:
        reason = f"it went through {facts[CODECS]}" if CODECS in facts else "its content lies outside the store"
    return UnreadablePayload(what=what, reason=reason)


class Converter(msgspec.Struct, Generic[T], frozen=True):
    """How values of one class travel, where nothing else knows: `Converter(Fraction, encode=str, decode=Fraction)`."""

    kind: type[T]
    """The class, as annotations name it."""
    encode: Callable[[T], Any]
    """A value of it, or of a subclass, as something that can travel."""
    decode: Callable[[Any], T]
    """That, as plain JSON values, to a value again. Raises ValueError for what is none."""


class DataConverter:
    """Turns values into payloads and back, by annotation: what msgspec and Pydantic know, and what converters add."""

    __slots__ = ("_bytes_max", "_bytes_sure", "_converters", "_encode", "_json_decoder", "_together_bytes_max")

    def __init__(
        self,
        converters: Sequence[Converter[Any]] = (),
        *,
        bytes_max: int = PAYLOAD_BYTES_MAX,
        together_bytes_max: int = TOGETHER_BYTES_MAX,
    ) -> None:
        """The limits are on one payload, and on all that travel side by side.

        Raises `InvalidOption` for a converter of what can travel without it.
        """
        self._converters = tuple(_checked(each) for each in converters)
        self._bytes_max = bytes_max
        self._together_bytes_max = together_bytes_max
        self._bytes_sure = min(bytes_max, together_bytes_max)
        self._encode = msgspec.json.Encoder(enc_hook=self._encode_other).encode
        self._json_decoder = lru_cache(maxsize=4_096)(self._new_json_decoder)

    # To payloads

    def to_payload(self, value: object, *, what: str = "value") -> Payload:
        """Encode `value` as JSON; raise `UnserializableValue` or `PayloadTooLarge`, naming `what`."""
        try:
            data = self._encode(value)
            lossy = (
                type(value) not in _PLAIN
                and _suspect(data)
                and _has_non_finite(msgspec.to_builtins(value, enc_hook=self._encode_other))
            )
        except (TypeError, ValueError, OverflowError, RecursionError, msgspec.MsgspecError) as error:
            raise UnserializableValue(what=what, type=type(value).__qualname__, reason=str(error)) from error
        if lossy:
            reason = "JSON has no NaN and no infinity"
            raise UnserializableValue(what=what, type=type(value).__qualname__, reason=reason)
        if len(data) > self._bytes_max:
            raise PayloadTooLarge(what=what, size=len(data), limit=self._bytes_max)
        return Payload(data)

    def to_payloads(self, values: Sequence[object], *, what: str = "argument") -> tuple[Payload, ...]:
        """Encode each of `values` on its own. Raises what `to_payload` does, and `TooManyValues`."""
        if len(values) > VALUES_MAX:
            raise TooManyValues(what=what, count=len(values), limit=VALUES_MAX)
        try:
            encoded = list(map(self._encode, values))
        except Exception:  # also of a value's own methods: the slow way says what is wrong with it
            encoded = None
        if encoded is not None and (_PLAIN.issuperset(map(type, values)) or not any(map(_suspect, encoded))):
            payloads, size = tuple(map(Payload, encoded)), sum(map(len, encoded))
        else:
            payloads = tuple([self.to_payload(value, what=what) for value in values])
            size = sum([len(payload.data) for payload in payloads])
        if size > self._bytes_sure:
            self._check_sizes(payloads, size, what)
        return payloads

    def _check_sizes(self, payloads: Sequence[Payload], size: int, what: str) -> None:
        largest = max(len(payload.data) for payload in payloads)
        if largest > self._bytes_max:
            raise PayloadTooLarge(what=what, size=largest, limit=self._bytes_max)
        if size > self._together_bytes_max:
            raise PayloadTooLarge(what=f"each {what}, with all others,", size=size, limit=self._together_bytes_max)

    def _encode_other(self, value: Any) -> Any:
        """What msgspec does not know itself. Raises TypeError."""
        for converter in self._converters:
            if isinstance(value, converter.kind):
                return _called(converter.encode, value, converter)
        if models.is_model(type(value)):
            return models.dumped(value)
        raise TypeError(f"objects of type {type(value).__qualname__} have no converter")

    # From payloads

    def from_payload(self, payload: Payload, expected: Any = Any, *, what: str = "value") -> Any:
        """Decode `payload` as the annotated type `expected`; raise `UndecodablePayload`, naming `what`."""
        return self.decoder(expected, what)(payload)

    def decoder(self, expected: Any, what: str) -> Callable[[Payload], Any]:
        """A function that decodes payloads as `expected`: made once where many are decoded."""
        try:
            decode = self._json_decoder(expected)
        except (TypeError, NameError, AttributeError) as error:
            # The latter two: an annotation written as text that does not resolve, in a dataclass or struct.
            raise UnserializableValue(what=what, type=str(expected), reason=str(error)) from error

        def decode_payload(payload: Payload) -> Any:
            if payload.metadata is not None:
                sealed = unreadable(payload, what)
                if sealed is not None:
                    raise sealed
                reason = f"unknown encoding {payload.metadata}"
                raise UndecodablePayload(what=what, expected=str(expected), reason=reason)
            try:
                return decode(payload.data)
            except (msgspec.MsgspecError, RecursionError, ValueError) as error:
                raise UndecodablePayload(what=what, expected=str(expected), reason=str(error)) from error

        return decode_payload

    def _new_json_decoder(self, expected: Any) -> Callable[[bytes], Any]:
        try:
            return msgspec.json.Decoder(expected, dec_hook=self._decode_other).decode
        except TypeError:
            # Unions of models: Pydantic tells them apart by rules that the annotation holds.
            decode = models.adapter(expected)
            if decode is None:
                raise
            return decode

    def _decode_other(self, kind: Any, value: Any) -> Any:
        """A value of a class that msgspec does not know itself, from plain JSON values. Raises ValueError."""
        origin = get_origin(kind) or kind
        for converter in self._converters:
            if origin is converter.kind:
                return _called(converter.decode, value, converter)
        if models.is_model(kind):
            return models.parsed(kind, self._encode(value))
        # An abstract class such as Iterable is content with plain values; msgspec refuses what does not fit.
        return value


def _checked(converter: Converter[Any]) -> Converter[Any]:
    kind = converter.kind
    known = not isinstance(msgspec.inspect.type_info(kind), msgspec.inspect.CustomType)
    if known:
        raise InvalidOption(
            name="converters",
            value=f"Converter({kind.__qualname__})",
            fact="is for a class that travels without one",
            remedy="leave it out, or wrap the values in a class of their own",
        )
    return converter


def _called(convert: Callable[[Any], T], value: Any, converter: Converter[Any]) -> T:
    try:
        return convert(value)
    except Exception as error:  # user code
        problem = f"the converter of {converter.kind.__qualname__} raised {type(error).__name__}: {error}"
        raise ValueError(problem) from error


def _has_non_finite(value: Any) -> bool:
    waiting: list[Any] = [value]
    while waiting:
        each = waiting.pop()
        if isinstance(each, dict):
            waiting.extend(cast(dict[Any, Any], each).keys())
            waiting.extend(cast(dict[Any, Any], each).values())
        elif isinstance(each, (list, tuple, set, frozenset)):
            waiting.extend(cast(list[Any], each))
        elif isinstance(each, float) and not isfinite(each):
            return True
    return False


JSON = DataConverter()
"""Converts what needs no converter of the user's."""

to_payload = JSON.to_payload
to_payloads = JSON.to_payloads
from_payload = JSON.from_payload
decoder = JSON.decoder
