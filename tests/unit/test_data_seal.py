"""Sealing whatever holds payloads or failures: nothing is forgotten, and everything comes back."""

from typing import Any, get_args

import msgspec
import pytest

from perdure.core import rows
from perdure.core.command import FailRun, RunActivity
from perdure.core.errors import UnreadablePayload
from perdure.core.failure import ENCODED, Failure, timed_out
from perdure.core.message import ActivityClosed, Failed
from perdure.core.note import RunNote
from perdure.core.payload import JSON, UNREADABLE, Payload
from perdure.core.policy import ActivityOptions, TimeoutKind
from perdure.core.turn import Turn
from perdure.data import ClaimCheck, Encryption, Folder, Zstd
from perdure.data.seal import Opening, Seal, Sealing
from perdure.data.store import FORMS
from tests.unit.core_samples import COMMANDS, FAILURE, HEARTBEAT, MESSAGES, PLAIN, turn_of

CRYPT = Encryption(keys={"k1": b"k" * 32}, current="k1")
SEAL = Seal([Zstd(), CRYPT])
KEYLESS = Seal([Zstd(), Encryption(keys={"k2": b"o" * 32}, current="k2")])

# What samples hold in payloads and failures, and nowhere else.
SECRETS = (b'{"cents":4200}', b"card declined", b"shop.py", b"no route")
VALUES: dict[str, Any] = {
    # One sample is of what another app sealed.
    **{name: message for name, message in MESSAGES.items() if name != "activity_failed_encoded"},
    **{name: turn_of(command) for name, command in COMMANDS.items()},
    "a failure": FAILURE,
    "a heartbeat": HEARTBEAT,
    "a note": RunNote(memo={"a": PLAIN}),
}


def facts_of(payload: Payload) -> dict[str, str]:
    """What it says of itself."""
    return payload.metadata or {}


def sealed(value: Any, seal: Seal = SEAL) -> Any:
    """With a fresh hand."""
    return Sealing(seal)(value)


def opened(value: Any, seal: Seal = SEAL) -> Any:
    """With nothing fetched."""
    return Opening(seal, {})(value)


@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES)
def test_nothing_that_a_payload_or_a_failure_says_is_left_in_the_clear(value: Any) -> None:
    data = msgspec.msgpack.encode(sealed(value))

    assert [secret for secret in SECRETS if secret in data] == []
    assert opened(sealed(value)) == value


@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES)
def test_what_is_sealed_is_sealed_once(value: Any) -> None:
    once = sealed(value)

    assert sealed(once) == once


@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES)
def test_what_cannot_be_opened_goes_back_as_it_came(value: Any) -> None:
    stored = sealed(value)

    kept = opened(stored, KEYLESS)

    assert sealed(kept, KEYLESS) == stored
    assert opened(sealed(kept, KEYLESS)) == value


@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES)
def test_what_is_plain_stays_plain_when_it_is_opened(value: Any) -> None:
    assert opened(value) == value


def test_a_failure_keeps_what_decides_on_retries_in_the_clear() -> None:
    stored = sealed(FAILURE)

    assert (stored.type, stored.message, stored.traceback, stored.cause, stored.details) == (
        "Declined",
        ENCODED,
        "",
        None,
        (),
    )
    assert (stored.retryable, stored.next_retry_ms, stored.timeout) == (False, 1_500, TimeoutKind.HEARTBEAT)
    assert stored.encoded is not None
    assert stored.encoded.metadata == {
        "encoding": "perdure/failure-text",
        "codecs": "aes-256-gcm",
        "key": "k1",
    }


def test_a_failure_around_one_that_was_sealed_before_comes_back_whole() -> None:
    inner = sealed(FAILURE)
    around = timed_out(TimeoutKind.SCHEDULE_TO_CLOSE, inner, (sealed(PLAIN),))

    assert opened(sealed(around)) == timed_out(TimeoutKind.SCHEDULE_TO_CLOSE, FAILURE, (PLAIN,))
    assert opened(around) == timed_out(TimeoutKind.SCHEDULE_TO_CLOSE, FAILURE, (PLAIN,))


def test_compression_alone_leaves_a_short_failure_readable() -> None:
    stored = sealed(Failure("T", "short"), Seal([Zstd()]))

    assert stored == Failure("T", "short")


def test_what_cannot_be_opened_says_why_to_whoever_needs_it() -> None:
    unread = opened(sealed(PLAIN), KEYLESS)

    with pytest.raises(UnreadablePayload, match="PDR3010: signal 'go' cannot be read: its key 'k1' is not among"):
        JSON.from_payload(unread, what="signal 'go'")
    with pytest.raises(UnreadablePayload, match="it went through aes-256-gcm; give the app the codecs"):
        JSON.from_payload(sealed(PLAIN))
    with pytest.raises(UnreadablePayload, match="its content lies outside the store"):
        JSON.from_payload(Payload(b"", {"blob": "a" * 64}))
    with pytest.raises(UnreadablePayload, match="this app has no codec 'aes-256-gcm'"):
        JSON.from_payload(opened(sealed(PLAIN), Seal([Zstd()])))


def test_a_payload_never_chooses_what_it_is_decoded_with() -> None:
    forged = Payload(PLAIN.data, {"codecs": "zstd base64 aes-256-gcm", "key": "k1"})

    facts = opened(forged, Seal([Zstd()])).metadata

    assert facts[UNREADABLE] == "this app has no codec 'aes-256-gcm'"


def test_a_payload_that_a_write_holds_twice_is_sealed_once() -> None:
    large = Payload(b'"' + b"x" * 2_000 + b'"')

    first, second = sealed((large, Payload(bytes(large.data))))

    assert first is second


def test_every_field_of_bytes_in_a_row_has_its_form() -> None:
    found = {
        (kind, field.name)
        for kind in vars(rows).values()
        if isinstance(kind, type) and issubclass(kind, msgspec.Struct) and kind.__module__ == rows.__name__
        for field in msgspec.structs.fields(kind)
        if holds_bytes(field.type)
    }

    assert found == set(FORMS)


def holds_bytes(annotation: Any) -> bool:
    """Whether bytes are among what it may be."""
    return annotation is bytes or any(holds_bytes(each) for each in get_args(annotation))


# Large ones


LARGE = Payload(b'"' + b"y" * 500 + b'"')


def checked(above: int = 100, *codecs: Any) -> Seal:
    """With a claim check; its folder is never touched by sealing."""
    return Seal(codecs, ClaimCheck(Folder("/nowhere"), above=above))


def test_what_is_large_lies_outside_and_a_pointer_stays() -> None:
    sealing = Sealing(checked())

    stored = sealing((LARGE, PLAIN))

    key = facts_of(stored[0])["blob"]
    assert stored == (Payload(b"", {"blob": key, "size": "502"}), PLAIN)
    assert sealing.blobs == {key: LARGE.data}
    assert Opening(checked(), sealing.blobs)(stored) == (LARGE, PLAIN)


def test_what_lies_outside_went_through_the_codecs_first() -> None:
    sealing = Sealing(checked(100, Zstd(), CRYPT))
    secret = JSON.to_payload(list(range(1_000)))

    stored = sealing(secret)

    (blob,) = sealing.blobs.values()
    assert b"1,2,3" not in blob
    assert set(facts_of(stored)) == {"codecs", "key", "blob", "size"}
    assert Opening(checked(100, Zstd(), CRYPT), sealing.blobs)(stored) == secret


def test_what_was_not_fetched_is_asked_for() -> None:
    sealing = Sealing(checked())
    stored = sealing(ActivityClosed(1, Failed(FAILURE), last_failure=None)), sealing(LARGE)
    opening = Opening(checked(), {})

    assert opening(stored) == stored
    assert opening.wanted == set(sealing.blobs)


def test_what_is_missing_says_so_and_keeps_its_pointer() -> None:
    stored = Sealing(checked())(LARGE)
    key = facts_of(stored)["blob"]

    unread = Opening(checked(), {key: "its content is missing"})(stored)

    assert Sealing(checked())(unread) == stored
    with pytest.raises(UnreadablePayload, match="its content is missing"):
        JSON.from_payload(unread)


def test_the_arguments_that_a_turn_asks_for_stay_outside() -> None:
    sealing = Sealing(checked())
    call = RunActivity(1, "a", (LARGE,), ActivityOptions())
    stored = sealing(Turn(1, 0, (), (call, FailRun(FAILURE))))
    opening = Opening(checked(), {})

    assert opening(stored) == stored
    assert opening.wanted == set()
    assert Opening(checked(), sealing.blobs).calls(stored, frozenset({1})).outputs[0] == call
    assert Opening(checked(), sealing.blobs).calls(stored, frozenset({2})) == stored
