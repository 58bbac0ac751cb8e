"""The persisted form of turns, messages, failures and notes: one version byte, then msgpack.

Version 1: structs as arrays, led by the number of their class. Fields are only ever appended, with a default,
so that old bytes stay readable; anything else takes a new version. Golden files: tests/unit/golden.
"""

from typing import Any, Generic, TypeVar

import msgspec

from perdure.core.errors import UndecodablePayload
from perdure.core.failure import Failure
from perdure.core.message import Message, TerminateRequested
from perdure.core.note import RunNote
from perdure.core.payload import Payload
from perdure.core.turn import Turn

FORMAT_VERSION = 1
_PREFIX = bytes([FORMAT_VERSION])
_encode = msgspec.msgpack.Encoder().encode

T = TypeVar("T")


class Codec(Generic[T]):
    """Encodes and decodes one kind of value."""

    def __init__(self, what: str, kind: Any) -> None:
        self._what = what
        self._decode = msgspec.msgpack.Decoder(kind).decode

    def encode(self, value: T) -> bytes:
        """The persisted bytes of `value`."""
        return _PREFIX + _encode(value)

    def decode(self, data: bytes) -> T:
        """The value of persisted bytes; raises `UndecodablePayload` for another version or damaged bytes."""
        if data[:1] != _PREFIX:
            found = data[0] if data else "nothing"
            raise UndecodablePayload(what=self._what, expected=f"format {FORMAT_VERSION}", reason=f"found {found}")
        try:
            decoded: T = self._decode(memoryview(data)[1:])
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise UndecodablePayload(what=self._what, expected=f"format {FORMAT_VERSION}", reason=str(error)) from error
        return decoded


turns: Codec[Turn] = Codec("a recorded turn", Turn)
messages: Codec[Message] = Codec("a message", Message)
failures: Codec[Failure] = Codec("a failure", Failure)
notes: Codec[RunNote] = Codec("what a run tells of itself", RunNote)
heartbeats: Codec[tuple[Payload, ...]] = Codec("heartbeat details", tuple[Payload, ...])

_TERMINATION = messages.encode(TerminateRequested(""))[:3]


def is_termination(data: bytes) -> bool:
    """Whether an encoded message is a `TerminateRequested`, without decoding it."""
    return data[:3] == _TERMINATION
