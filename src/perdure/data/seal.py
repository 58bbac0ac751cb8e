"""Sealing: payloads and the texts of failures as they leave for the store, and opening: as they come back.

What a payload went through is in its metadata: `codecs` and what these add, such as `key`; `blob` and `size` where its
content lies outside the store. It is opened by what the app is configured with, and by nothing else. What cannot be
opened stays sealed and says why: whoever needs its value refuses it with a code.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from operator import is_
from typing import Any, TypeAlias, TypeVar, cast, get_args

import msgspec

from perdure.core.command import RunActivity, StartChild
from perdure.core.errors import InvalidOption
from perdure.core.failure import ENCODED, Failure
from perdure.core.payload import BLOB, CODECS, UNREADABLE, Payload
from perdure.core.turn import Turn
from perdure.data.claims import ClaimCheck, Recent, digest_of, key_of
from perdure.data.codecs import PayloadCodec

T = TypeVar("T")
OnPayload: TypeAlias = Callable[[Payload], Payload]
OnFailure: TypeAlias = Callable[[Failure], Failure]

_FAILURE = {"encoding": "perdure/failure-text"}
_SIZE = "size"
REPEATED_BYTES_MIN = 1_024
"""A payload of so many bytes that a write holds twice (a child's arguments, say) is sealed once."""


class _Text(msgspec.Struct, frozen=True, array_like=True):
    """What a failure says beyond its type: encoded as one."""

    message: str
    traceback: str
    cause: Failure | None
    details: tuple[Payload, ...]


_encode_text = msgspec.msgpack.Encoder().encode
_decode_text = msgspec.msgpack.Decoder(_Text).decode


class Seal:
    """What one app does to whatever holds payloads or failures: messages, turns, failures, notes."""

    def __init__(self, codecs: Sequence[PayloadCodec] = (), claim_check: ClaimCheck | None = None) -> None:
        """The codecs in the order in which they are applied. Raises `InvalidOption`."""
        self.codecs = {codec.name: codec for codec in codecs}
        self.claim_check = claim_check
        self.recent = Recent()
        for codec in codecs:
            if self.codecs[codec.name] is not codec or not codec.name or " " in codec.name:
                fact, remedy = "is taken, or is no name", "give each codec a name of its own, without spaces"
                raise InvalidOption(name="codecs", value=repr(codec.name), fact=fact, remedy=remedy)


class Sealing:
    """One write: seals what goes into it, and gathers in `blobs` what must be durable before it."""

    def __init__(self, seal: Seal) -> None:
        self._codecs = seal.codecs
        self._claim_check = seal.claim_check
        self._recent = seal.recent
        self._repeated: dict[bytes, Payload] = {}
        self._pointers: dict[bytes, Payload] = {}
        self.blobs: dict[str, bytes] = {}

    def __call__(self, value: T, *, inside: bool = False) -> T:
        """The same with its payloads and failures sealed; what is sealed already stays as it is.

        `inside`: all of it stays inside the store, however large.
        """
        return changed(value, self._inside if inside else self._payload, self._failure)

    def _payload(self, payload: Payload) -> Payload:
        if payload.metadata is None and len(payload.data) >= REPEATED_BYTES_MIN:
            sealed = self._repeated.get(payload.data)
            if sealed is None:
                sealed = self._repeated[payload.data] = self._stowed(payload)
            return sealed
        return self._stowed(payload)

    def _stowed(self, payload: Payload) -> Payload:
        """The payload through the codecs, and outside where it is large."""
        check = self._claim_check
        if check is None or len(payload.data) <= check.above or _is_sealed(payload):
            return self._inside(payload)
        digest = digest_of(payload)
        known = self._recent.find(digest)
        if known is not None:
            return known
        sealed = self._inside(payload)
        if len(sealed.data) <= check.above:
            return sealed
        key = key_of(sealed.data)
        self.blobs[key] = sealed.data
        pointer = Payload(b"", {**(sealed.metadata or {}), BLOB: key, _SIZE: str(len(sealed.data))})
        self._pointers[digest] = pointer
        return pointer

    def stowed(self) -> None:
        """The `blobs` are durable."""
        self._recent.add(self._pointers)

    def _inside(self, payload: Payload) -> Payload:
        known = payload.metadata
        if known is not None and UNREADABLE in known:
            return Payload(payload.data, {name: fact for name, fact in known.items() if name != UNREADABLE})
        if _is_sealed(payload):
            return payload
        facts: dict[str, str] = {} if known is None else known
        data, names = payload.data, ""
        for codec in self._codecs.values():
            step = {**facts, CODECS: f"{names} {codec.name}".lstrip()}
            encoded = codec.encode(data, step)
            if encoded is not None:
                data, facts, names = encoded, step, step[CODECS]
        return Payload(data, facts) if names else payload

    def _failure(self, failure: Failure) -> Failure:
        if failure.encoded is not None:
            return msgspec.structs.replace(failure, encoded=self._inside(failure.encoded))
        if not self._codecs:
            return failure
        text = _Text(failure.message, failure.traceback, failure.cause, failure.details)
        plain = Payload(_encode_text(text), _FAILURE)
        sealed = self._inside(plain)
        if sealed is plain:
            return failure
        return msgspec.structs.replace(failure, message=ENCODED, traceback="", cause=None, details=(), encoded=sealed)


def _is_sealed(payload: Payload) -> bool:
    return payload.metadata is not None and (CODECS in payload.metadata or BLOB in payload.metadata)


class Opening:
    """One read: opens what came with it; `wanted` are the keys of contents that were not `fetched` for it."""

    def __init__(self, seal: Seal, fetched: Mapping[str, bytes | str]) -> None:
        self._codecs = seal.codecs
        self._claim_check = seal.claim_check
        self._fetched = fetched
        self.wanted: set[str] = set()

    def __call__(self, value: T) -> T:
        """The same with its payloads and failures opened, as far as they can be.

        The arguments that a turn asks for stay outside where they are: a replay has no need of them.
        """
        if isinstance(value, Turn):
            return cast(T, self._turn(value))
        return changed(value, self._payload, self._failure)

    def _turn(self, turn: Turn) -> Turn:
        inputs = tuple(changed(each, self._payload, self._failure) for each in turn.inputs)
        outputs = tuple(
            changed(each, self._inside if isinstance(each, RunActivity | StartChild) else self._payload, self._failure)
            for each in turn.outputs
        )
        return msgspec.structs.replace(turn, inputs=inputs, outputs=outputs)

    def calls(self, turn: Turn, call_ids: frozenset[int]) -> Turn:
        """A turn in which only the arguments of these activities are opened."""
        outputs = tuple(
            self(each) if isinstance(each, RunActivity) and each.call_id in call_ids else each for each in turn.outputs
        )
        return msgspec.structs.replace(turn, outputs=outputs)

    def _payload(self, payload: Payload) -> Payload:
        facts = payload.metadata
        if facts is None or BLOB not in facts or self._claim_check is None:
            return self._inside(payload)
        found = self._fetched.get(facts[BLOB])
        if found is None:
            self.wanted.add(facts[BLOB])
            return payload
        if isinstance(found, str):
            return Payload(payload.data, {**facts, UNREADABLE: found})
        left = {name: fact for name, fact in facts.items() if name not in (BLOB, _SIZE)}
        opened = self._inside(Payload(found, left or None))
        if opened.metadata is not None and UNREADABLE in opened.metadata:
            return Payload(payload.data, {**facts, UNREADABLE: opened.metadata[UNREADABLE]})
        return opened

    def _inside(self, payload: Payload) -> Payload:
        facts = payload.metadata
        if facts is None or CODECS not in facts or BLOB in facts:
            return payload
        data, facts = payload.data, {name: fact for name, fact in facts.items() if name != UNREADABLE}
        names = facts[CODECS].split(" ")
        try:
            while names:
                codec = self._codecs.get(names[-1])
                if codec is None:
                    raise ValueError(f"this app has no codec {names[-1]!r}")
                data = codec.decode(data, {**facts, CODECS: " ".join(names)})
                names.pop()
        except ValueError as error:
            return Payload(payload.data, {**facts, UNREADABLE: str(error)})
        # The encoding is what the payload had before; all else was added by the codecs.
        return Payload(data, {"encoding": facts["encoding"]} if "encoding" in facts else None)

    def _failure(self, failure: Failure) -> Failure:
        if failure.encoded is None:
            # Around one that another process sealed, say: a timeout after a failed try.
            return changed(failure, self._payload, self._failure, within=True)
        opened = self._inside(failure.encoded)
        if opened.metadata != _FAILURE:
            return msgspec.structs.replace(failure, encoded=opened)
        try:
            text = _decode_text(opened.data)
        except msgspec.MsgspecError:
            return failure
        plain = msgspec.structs.replace(
            failure,
            message=text.message,
            traceback=text.traceback,
            cause=text.cause,
            details=text.details,
            encoded=None,
        )
        return changed(plain, self._payload, self._failure, within=True)


def changed(value: T, payload: OnPayload, failure: OnFailure, *, within: bool = False) -> T:
    """The value with all payloads and failures in it changed; the very same value if none of them did.

    `within`: the value itself is left to the caller, only what is inside it is changed.
    """
    if isinstance(value, Payload):
        return cast(T, payload(value))
    if isinstance(value, Failure) and not within:
        return cast(T, failure(value))
    if isinstance(value, tuple):
        old = cast(tuple[Any, ...], value)
        new = tuple([changed(each, payload, failure) for each in old])
        return cast(T, old if all(map(is_, new, old)) else new)
    if isinstance(value, dict):
        entries = cast(dict[str, Any], value)
        fresh = {name: changed(each, payload, failure) for name, each in entries.items()}
        return cast(T, entries if all(map(is_, fresh.values(), entries.values())) else fresh)
    if not isinstance(value, msgspec.Struct):
        return value
    found: dict[str, Any] = {}
    for name in holding_fields(type(value)):
        before = getattr(value, name)
        after = changed(before, payload, failure)
        if after is not before:
            found[name] = after
    return msgspec.structs.replace(value, **found) if found else value


@cache
def holding_fields(kind: type[msgspec.Struct]) -> tuple[str, ...]:
    """Names of the fields of a struct that may hold payloads or failures."""
    return tuple(each.name for each in msgspec.structs.fields(kind) if _may_hold(each.type, frozenset({kind})))


def _may_hold(annotation: Any, seen: frozenset[Any]) -> bool:
    if annotation is Payload or annotation is Failure:
        return True
    if isinstance(annotation, type) and issubclass(annotation, msgspec.Struct) and annotation not in seen:
        return any(_may_hold(each.type, seen | {annotation}) for each in msgspec.structs.fields(annotation))
    return any(_may_hold(each, seen) for each in get_args(annotation))
