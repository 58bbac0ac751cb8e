"""Payloads: values go out as JSON and come back by annotation; what cannot travel is refused with a code."""

import enum
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any, Generic, Literal, NamedTuple, NewType, TypedDict, TypeVar
from uuid import UUID

import msgspec
import pytest

from perdure.core.errors import PayloadTooLarge, UndecodablePayload, UnserializableValue
from perdure.core.payload import (
    NULL,
    PAYLOAD_BYTES_MAX,
    Payload,
    decoder,
    from_payload,
    to_payload,
    to_payloads,
)

T = TypeVar("T")
Cents = NewType("Cents", int)


class Colour(enum.Enum):
    """Kept as its value."""

    RED = "red"
    BLUE = "blue"


class Level(enum.IntEnum):
    """Kept as its number."""

    LOW = 1
    HIGH = 2


@dataclass
class Address:
    """A plain dataclass."""

    street: str
    zip: str | None = None


@dataclass(frozen=True, slots=True)
class Order:
    """A dataclass of dataclasses."""

    id: UUID
    to: Address
    lines: list[tuple[str, Decimal]] = field(default_factory=list[tuple[str, Decimal]])


class Card(msgspec.Struct, frozen=True, tag=True):
    """A struct in a union."""

    number: str


class Cash(msgspec.Struct, frozen=True, tag=True):
    """Another struct in the union."""

    cents: Cents


class Box(msgspec.Struct, Generic[T]):
    """A generic struct."""

    content: T


class Person(TypedDict, total=False):
    """A typed dict."""

    name: str
    age: int


class Point(NamedTuple):
    """A named tuple."""

    x: int
    y: int


UUID_1 = UUID("0199f0a0-0000-7000-8000-000000000001")

ROUND_TRIPS: list[tuple[Any, Any]] = [
    (None, None),
    (True, bool),
    (0, int),
    (-(2**63), int),
    (2**64 - 1, int),
    (10**400, int),
    (0.1, float),
    (-0.0, float),
    (1.7976931348623157e308, float),
    (5e-324, float),
    ("", str),
    ("\u00e9\u4e16\U0001f600 \0 \x7f \u2028", str),
    (b"\x00\xff", bytes),
    (bytearray(b"ab"), bytearray),
    (datetime(2026, 2, 28, 23, 59, 59, 999_999, UTC), datetime),
    (datetime(2026, 2, 28, 23, 59, 59), datetime),  # noqa: DTZ001 # a naive moment is a value too
    (datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=5, minutes=30))), datetime),
    (date(9999, 12, 31), date),
    (time(1, 2, 3), time),
    (timedelta(days=400, microseconds=1), timedelta),
    (Decimal("0.10"), Decimal),
    (Decimal("12345678901234567890.123456789"), Decimal),
    (UUID_1, UUID),
    (Colour.BLUE, Colour),
    (Level.HIGH, Level),
    ("a", Literal["a", "b"]),
    (Cents(5), Cents),
    ([1, 2], list[int]),
    ((1, "a"), tuple[int, str]),
    ((1, 2, 3), tuple[int, ...]),
    ({1, 2}, set[int]),
    (frozenset({"a"}), frozenset[str]),
    ({"a": [1.5]}, dict[str, list[float]]),
    ({1: "a", 2: "b"}, dict[int, str]),
    ({UUID_1: 1}, dict[UUID, int]),
    ({Colour.RED: 1}, dict[Colour, int]),
    (Address("Main St"), Address),
    (Order(UUID_1, Address("Main St", "1000"), [("tea", Decimal("1.50"))]), Order),
    (Card("4111"), Card | Cash),
    (Cash(Cents(100)), Card | Cash | None),
    (None, Card | Cash | None),
    ([Cash(Cents(1)), Card("2")], list[Card | Cash]),
    (Box(Address("x")), Box[Address]),
    (Box([1]), Box[list[int]]),
    ({"name": "Ann"}, Person),
    (Point(1, 2), Point),
    (5, int | str),
    ("5", int | str),
    (None, int | None),
]


@pytest.mark.parametrize(("value", "kind"), ROUND_TRIPS, ids=lambda each: str(each)[:60])
def test_a_value_comes_back_by_its_annotation(value: Any, kind: Any) -> None:
    again = from_payload(to_payload(value), kind)

    assert again == value
    assert type(again) is type(value)
    assert repr(again) == repr(value)


def test_without_an_annotation_plain_json_comes_back() -> None:
    assert from_payload(to_payload(Order(UUID_1, Address("s"), [("tea", Decimal("1.5"))]))) == {
        "id": str(UUID_1),
        "to": {"street": "s", "zip": None},
        "lines": [["tea", "1.5"]],
    }
    assert from_payload(to_payload(b"ab")) == "YWI="


def test_the_type_comes_from_the_annotation_and_never_from_the_payload() -> None:
    payload = to_payload(Address("Main St"))

    assert payload.metadata is None
    assert from_payload(payload, dict[str, str | None]) == {"street": "Main St", "zip": None}


def test_a_subclass_travels_as_its_annotation_says() -> None:
    assert from_payload(to_payload(Point(1, 2)), list[int]) == [1, 2]


def test_fields_that_the_annotation_does_not_know_are_skipped_and_defaults_filled_in() -> None:
    assert from_payload(Payload(b'{"street":"s","later":1}'), Address) == Address("s", None)


class Odd:
    """No JSON."""


def endless() -> list[Any]:
    """A list that contains itself."""
    value: list[Any] = []
    value.append(value)
    return value


def nested(depth: int, inmost: Any) -> Any:
    """Lists in lists."""
    for _ in range(depth):
        inmost = [inmost]
    return inmost


@dataclass
class Wrong:
    """A field that holds what its annotation does not say."""

    value: Any


UNSERIALIZABLE: dict[str, tuple[Any, str]] = {
    "an object": (Odd(), "Odd"),
    "a class": (Odd, "type"),
    "a function": (nested, "function"),
    "a generator": ((each for each in ()), "generator"),
    "an object in a dataclass": (Wrong(Odd()), "Wrong"),
    "a complex number": (1j, "complex"),
    "a key that is no text": ({(1, 2): 3}, "dict"),
    "a lone surrogate": ("\ud800", "str"),
    "itself": (endless(), "list"),
    "too deep": (nested(100_000, 1), "list"),
    "too deep around a null": (nested(100_000, None), "list"),
    "not a number": (float("nan"), "float"),
    "infinity": (float("inf"), "float"),
    "infinity in a tuple": ((1, -float("inf")), "tuple"),
    "infinity in a dict beside a null": ({"a": None, "b": float("inf")}, "dict"),
    "infinity in a set": ({float("inf")}, "set"),
    "infinity in a dataclass": (Wrong([float("nan")]), "Wrong"),
    "infinity in a struct": (Box(float("inf")), "Box"),
}


def test_what_is_deep_and_holds_a_null_is_carried_on_every_version() -> None:
    value = nested(500, None)

    assert from_payload(to_payload(value)) == value


@pytest.mark.parametrize(("value", "kind"), UNSERIALIZABLE.values(), ids=UNSERIALIZABLE)
def test_what_json_cannot_carry_is_refused(value: Any, kind: str) -> None:
    with pytest.raises(UnserializableValue) as caught:
        to_payload(value, what="argument of activity 'pay'")

    assert str(caught.value).startswith(f"PDR1009: argument of activity 'pay' of type {kind} cannot be serialized: ")


@pytest.mark.parametrize("value", [None, [None], {"a": None}, "null", Wrong(None), [None, 1.5]])
def test_a_null_is_no_lost_number(value: Any) -> None:
    assert b"null" in to_payload(value).data


def test_a_payload_may_be_exactly_as_large_as_the_limit() -> None:
    assert len(to_payload("x" * (PAYLOAD_BYTES_MAX - 2)).data) == PAYLOAD_BYTES_MAX

    with pytest.raises(PayloadTooLarge) as caught:
        to_payload("x" * (PAYLOAD_BYTES_MAX - 1), what="result of workflow 'w'")

    assert str(caught.value).startswith(
        f"PDR1010: result of workflow 'w' has {PAYLOAD_BYTES_MAX + 1} bytes, more than the {PAYLOAD_BYTES_MAX} allowed"
    )


def test_the_limit_counts_bytes_not_characters() -> None:
    with pytest.raises(PayloadTooLarge):
        to_payload("\u4e16" * (PAYLOAD_BYTES_MAX // 2))


def test_values_are_encoded_one_by_one() -> None:
    assert to_payloads([1, None, "a"]) == (Payload(b"1"), NULL, Payload(b'"a"'))
    assert to_payloads([]) == ()
    with pytest.raises(UnserializableValue, match="PDR1009: argument of type Odd"):
        to_payloads([1, Odd()])
    with pytest.raises(UnserializableValue, match="PDR1009: argument of type list"):
        to_payloads([1, [float("nan")]])
    with pytest.raises(PayloadTooLarge, match="PDR1010: detail has"):
        to_payloads([1, "x" * PAYLOAD_BYTES_MAX], what="detail")
    assert to_payloads([[None]]) == (Payload(b"[null]"),)


UNDECODABLE: dict[str, tuple[bytes, Any]] = {
    "nothing": (b"", Any),
    "cut short": (b'{"a":', Any),
    "no JSON": (b"\xff\xfe", Any),
    "not UTF-8": (b'"\xff"', Any),
    "half a surrogate pair": (b'"\\ud800"', Any),
    "more than one value": (b"1 2", Any),
    "nested too deep": (b"[" * 100_000 + b"]" * 100_000, Any),
    "too large a number": (b"1e999", float),
    "another type": (b'"5"', int),
    "a missing field": (b"{}", Address),
    "an unknown tag": (b'{"type":"Gold"}', Card | Cash),
    "an unknown member": (b'"green"', Colour),
    "too few": (b"[1]", tuple[int, str]),
    "no moment": (b'"yesterday"', datetime),
    "no UUID": (b'"1"', UUID),
    "a type that only an object of this process has": (b"{}", Odd),
}


@pytest.mark.parametrize(("data", "kind"), UNDECODABLE.values(), ids=UNDECODABLE)
def test_what_does_not_fit_the_annotation_is_refused(data: bytes, kind: Any) -> None:
    with pytest.raises(UndecodablePayload) as caught:
        from_payload(Payload(data), kind, what="signal 'approve'")

    assert str(caught.value).startswith("PDR3002: signal 'approve' cannot be decoded as ")
    assert caught.value.__cause__ is not None


def test_an_encoding_of_another_program_is_refused() -> None:
    with pytest.raises(UndecodablePayload, match=r"unknown encoding \{'encoding': 'binary/zip'\}"):
        from_payload(Payload(b"1", {"encoding": "binary/zip"}), int)


@dataclass
class Unresolved:
    """Annotated with what nobody knows."""

    later: "Nowhere"  # type: ignore[name-defined] # noqa: F821 # the unknown name is the point


class OtherCustom:
    """Another class that only this process knows."""


@pytest.mark.parametrize("kind", [Unresolved, Address | OtherCustom, dict[str, Unresolved], [1]], ids=str)
def test_an_annotation_that_cannot_be_decoded_is_refused_before_it_is_used(kind: Any) -> None:
    with pytest.raises(UnserializableValue, match="PDR1009: parameter 'a' of type "):
        decoder(kind, "parameter 'a'")


def test_a_decoder_names_its_own_subject() -> None:
    first, second = decoder(int, "first"), decoder(int, "second")

    assert first(Payload(b"1")) == second(Payload(b"1")) == 1
    with pytest.raises(UndecodablePayload, match="second cannot be decoded"):
        second(Payload(b"null"))
