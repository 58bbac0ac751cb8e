"""Identifiers: their types, their making and the one check that every entry point uses.

A run id is a UUIDv7 in its canonical text, so that run ids sort by the moment of their creation.
"""

from random import Random
from typing import NewType

from perdure.core.errors import InvalidId
from perdure.core.limits import ID_CHARS_MAX

RunId = NewType("RunId", str)
WorkflowId = NewType("WorkflowId", str)
WorkerId = NewType("WorkerId", str)


ID_BITS = 74
"""Bits of a UUIDv7 beside its moment."""


def checked_id(kind: str, value: object) -> str:
    """Return `value` if it can serve as an id of this `kind`; raise `InvalidId` otherwise."""
    if not isinstance(value, str):
        raise InvalidId(kind=kind, value=repr(value)[:80], fact=f"is a {type(value).__name__}, not text")
    if not value:
        raise InvalidId(kind=kind, value="''", fact="is empty")
    if len(value) > ID_CHARS_MAX:
        raise InvalidId(
            kind=kind, value=repr(value[:40]) + "...", fact=f"has {len(value)} characters, more than {ID_CHARS_MAX}"
        )
    if "\0" in value:
        raise InvalidId(kind=kind, value=repr(value[:80]), fact="contains a NUL character")
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError as error:
            raise InvalidId(kind=kind, value=repr(value[:80]), fact="contains a lone surrogate") from error
    return value


def uuid7(at_ms: int, random: Random) -> str:
    """A UUIDv7 for the moment `at_ms`, its other 74 bits drawn from `random`. Source: RFC 9562."""
    return uuid7_of(at_ms, random.getrandbits(ID_BITS))


def uuid7_of(at_ms: int, drawn: int) -> str:
    """The UUIDv7 of a moment and `ID_BITS` other bits: those of one moment sort by them."""
    number = (at_ms & 0xFFFF_FFFF_FFFF) << 80 | 7 << 76 | (drawn >> 62) << 64 | 2 << 62 | drawn & (1 << 62) - 1
    digits = f"{number:032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def uuid7_after(before: str, at_ms: int, random: Random) -> str:
    """A UUIDv7 for the moment `at_ms` that sorts after the UUIDv7 `before`."""
    try:
        earliest_ms = int(before[:8] + before[9:13], 16) + 1
    except ValueError:
        # Ids of tests are no UUIDs.
        earliest_ms = 0
    return uuid7(max(at_ms, earliest_ms), random)
