"""Families of types beyond JSON's own: Pydantic, attrs, nested ones, and what users teach the app."""

import enum
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Annotated, Any, Generic, Literal, TypeVar
from uuid import UUID

import attrs
import msgspec
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from perdure import Perdure, workflow
from perdure.core.errors import InvalidOption, UndecodablePayload, UnserializableValue
from perdure.core.payload import JSON, DataConverter, Payload
from perdure.data import Converter

T = TypeVar("T")


class Colour(enum.Enum):
    """Kept as its value."""

    RED = "red"
    BLUE = "blue"


@dataclass
class Address:
    """A plain dataclass."""

    street: str
    since: date


class Card(pydantic.BaseModel):
    """A model."""

    kind: Literal["card"] = "card"
    number: str
    expires: date
    limit: Decimal | None = None


class Cash(pydantic.BaseModel):
    """Another model; the two are told apart by `kind`."""

    kind: Literal["cash"] = "cash"
    cents: int = pydantic.Field(ge=0)


class Customer(pydantic.BaseModel):
    """A model that holds a dataclass, and what has aliases and computed fields."""

    model_config = pydantic.ConfigDict(extra="forbid")

    name: str = pydantic.Field(alias="fullName")
    note: str = pydantic.Field(default="", serialization_alias="remark")
    address: Address
    joined: datetime

    @pydantic.computed_field
    @property
    def shown(self) -> str:
        """What is computed does not travel."""
        return self.name.upper()


class Page(pydantic.BaseModel, Generic[T]):
    """A generic model."""

    items: list[T]


class Exact(pydantic.BaseModel):
    """A strict model: a moment is no text, but in JSON."""

    model_config = pydantic.ConfigDict(strict=True)

    at: datetime
    id: UUID


@attrs.define
class Parcel:
    """An attrs class that holds a model."""

    weight: float
    paid: Card


@dataclass
class Purchase:
    """A dataclass that holds models."""

    customer: Customer
    cards: list[Card]
    by_name: dict[str, Cash]
    best: Card | None = None


@dataclass
class Pair(Generic[T]):
    """A generic dataclass."""

    left: T
    right: T


class Envelope(msgspec.Struct):
    """A struct that holds a model."""

    card: Card
    colour: Colour


Payment = Annotated[Card | Cash, pydantic.Field(discriminator="kind")]

CARD = Card(number="4111", expires=date(2030, 1, 2), limit=Decimal("10.50"))
CUSTOMER = Customer(fullName="Ann", note="n", address=Address("Main St", date(2020, 1, 1)), joined=datetime.now(UTC))

ROUND_TRIPS: list[tuple[Any, Any]] = [
    (CARD, Card),
    (CUSTOMER, Customer),
    ([CARD, CARD], list[Card]),
    ({"a": CARD}, dict[str, Card]),
    ((CARD, 1), tuple[Card, int]),
    (None, Card | None),
    (CARD, Card | None),
    (Cash(cents=1), Card | Cash),
    ([CARD, Cash(cents=1)], list[Payment]),
    ([CARD, "later", None], list[Card | str | None]),
    ({b"raw": Cash(cents=1)}, dict[bytes, Card | Cash]),
    (Page[Card](items=[CARD]), Page[Card]),
    (Exact(at=datetime(2026, 1, 2, tzinfo=UTC), id=UUID(int=7)), Exact),
    ([Exact(at=datetime(2026, 1, 2, tzinfo=UTC), id=UUID(int=7))], list[Exact]),
    (Parcel(1.5, CARD), Parcel),
    (Purchase(CUSTOMER, [CARD], {"c": Cash(cents=2)}, CARD), Purchase),
    (Pair(CARD, CARD), Pair[Card]),
    (Pair(Pair(1, 2), Pair(3, 4)), Pair[Pair[int]]),
    (Envelope(CARD, Colour.BLUE), Envelope),
]


@pytest.mark.parametrize(("value", "kind"), ROUND_TRIPS, ids=lambda each: str(each)[:60])
def test_a_value_comes_back_by_its_annotation(value: Any, kind: Any) -> None:
    again = JSON.from_payload(JSON.to_payload(value), kind)

    assert again == value
    assert type(again) is type(value)


@pytest.mark.parametrize(
    ("kind", "data", "reason"),
    [
        (Cash, b'{"cents":-1}', r"greater than or equal to 0 at \$\.cents"),
        (list[Cash], b'[{"cents":"secret"}]', r"valid integer.* at \$\.cents - at `\$\[0\]`"),
        (Card | Cash, b'{"kind":"gold"}', "Input should be 'card'"),
        (Card, b"{", "Invalid JSON|truncated"),
    ],
)
def test_what_does_not_fit_a_model_is_refused_without_repeating_it(kind: Any, data: bytes, reason: str) -> None:
    with pytest.raises(UndecodablePayload, match=reason) as caught:
        JSON.from_payload(Payload(data), kind)

    assert "secret" not in str(caught.value)


def test_a_model_may_be_sent_by_its_aliases() -> None:
    data = b'{"fullName":"Ann","address":{"street":"s","since":"2020-01-01"},"joined":"2020-01-01T00:00:00Z"}'

    assert JSON.from_payload(Payload(data), Customer).name == "Ann"


class Reading(pydantic.BaseModel):
    """A model in which a number may be none."""

    value: float


@pytest.mark.parametrize(
    "value",
    [
        {float("nan"): 1},
        {"a": {float("inf"): 1}},
        [{-float("inf"): 1}],
        Reading(value=float("nan")),
        [Reading(value=float("inf"))],
    ],
    ids=repr,
)
def test_a_number_that_is_none_is_refused_wherever_it_hides(value: Any) -> None:
    with pytest.raises(UnserializableValue, match="JSON has no NaN and no infinity"):
        JSON.to_payload(value)
    with pytest.raises(UnserializableValue, match="JSON has no NaN and no infinity"):
        JSON.to_payloads([value])


@pytest.mark.parametrize("value", [{"nan": 1}, {"inf": 1.5}, {'nan": ': 1}, "null", {"a": "nan"}], ids=repr)
def test_the_name_of_such_a_number_is_plain_text(value: Any) -> None:
    assert JSON.from_payload(JSON.to_payload(value)) == value


# What users teach the app


class Money:
    """A class that nothing knows."""

    def __init__(self, cents: int, currency: str) -> None:
        self.cents, self.currency = cents, currency

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Money) and (self.cents, self.currency) == (other.cents, other.currency)

    __hash__ = None  # type: ignore[assignment]


def money(value: Any) -> Money:
    """From what it travels as."""
    return Money(*value)


MONEY = Converter(Money, encode=lambda value: (value.cents, value.currency), decode=money)
FRACTION = Converter(Fraction, encode=str, decode=Fraction)
TAUGHT = DataConverter([MONEY, FRACTION])


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (Money(5, "EUR"), Money),
        ([Money(5, "EUR")], list[Money]),
        (Pair(Money(1, "EUR"), Money(2, "EUR")), Pair[Money]),
        (Fraction(1, 3), Fraction | None),
        ({"a": Fraction(1, 3)}, dict[str, Fraction]),
    ],
    ids=["itself", "in a list", "in a struct", "or nothing", "in a table"],
)
def test_a_converter_of_the_user_carries_its_class(value: Any, kind: Any) -> None:
    assert TAUGHT.from_payload(TAUGHT.to_payload(value), kind) == value


def test_a_converter_serves_no_other_app() -> None:
    with pytest.raises(UnserializableValue, match="Money have no converter"):
        JSON.to_payload(Money(1, "EUR"))
    with pytest.raises(UndecodablePayload):
        JSON.from_payload(TAUGHT.to_payload(Money(1, "EUR")), Money)


def broken(value: Any) -> Any:
    """Raises what nobody expects."""
    raise LookupError("no such currency")


def test_a_converter_that_raises_refuses_the_value() -> None:
    taught = DataConverter([Converter(Money, encode=broken, decode=broken)])

    with pytest.raises(UnserializableValue, match="the converter of Money raised LookupError: no such currency"):
        taught.to_payload(Money(1, "EUR"))
    with pytest.raises(UndecodablePayload, match="the converter of Money raised LookupError: no such currency"):
        taught.from_payload(Payload(b"1"), Money)


def test_a_converter_that_gives_something_else_refuses_the_payload() -> None:
    taught = DataConverter([Converter(Money, encode=lambda value: value.cents, decode=lambda value: value)])

    with pytest.raises(UndecodablePayload, match="Expected `Money`, got `int`"):
        taught.from_payload(Payload(b"1"), Money)


@pytest.mark.parametrize("kind", [int, Address, Colour, datetime, Parcel, Envelope], ids=lambda kind: kind.__name__)
def test_a_converter_of_what_travels_anyway_is_refused(kind: type[Any]) -> None:
    with pytest.raises(InvalidOption, match="is for a class that travels without one"):
        Perdure("memory://", converters=[Converter(kind, encode=str, decode=kind)])


async def test_converters_serve_every_place_where_values_travel() -> None:
    app = Perdure("memory://", converters=[MONEY])
    seen: list[Any] = []

    @app.activity
    async def double(amount: Money) -> Money:
        return Money(amount.cents * 2, amount.currency)

    @app.workflow
    async def grow(amount: Money) -> Money:
        @workflow.query
        def worth(rate: int) -> Money:
            return Money(amount.cents * rate, amount.currency)

        seen.append(workflow.side_effect(lambda: Money(7, "EUR"), result_type=Money))
        added = await workflow.channel("add", Money).receive()
        seen.append(added)
        twice = await workflow.execute_activity("double", added, result_type=Money)
        return await double(Money(amount.cents + twice.cents, amount.currency))

    async with app:
        handle = await app.start(grow, Money(1, "EUR"))
        assert await handle.query("worth", 3, result_type=Money) == Money(3, "EUR")
        await handle.signal("add", Money(10, "EUR"))
        result = await handle.result()

    assert result == Money(42, "EUR")
    assert seen == [Money(7, "EUR"), Money(10, "EUR")]


# Every family, in every combination

CENTS = st.integers(-(2**70), 2**70)
LEAVES: dict[Any, st.SearchStrategy[Any]] = {
    int: CENTS,
    float: st.floats(allow_nan=False, allow_infinity=False),
    str: st.text(st.characters(codec="utf-8")),
    bool: st.booleans(),
    bytes: st.binary(),
    Decimal: st.decimals(allow_nan=False, allow_infinity=False, places=3),
    UUID: st.uuids(),
    date: st.dates(),
    time: st.times(),
    datetime: st.datetimes(timezones=st.just(UTC)),
    timedelta: st.timedeltas(timedelta(days=-10_000), timedelta(days=10_000)),
    Colour: st.sampled_from(Colour),
    Card: st.builds(Card, number=st.text(st.characters(codec="utf-8")), expires=st.dates(), limit=st.none()),
    Address: st.builds(Address, street=st.text(st.characters(codec="utf-8")), since=st.dates()),
    Fraction: st.fractions(),
}
Family = tuple[Any, st.SearchStrategy[Any]]
WRAPPERS: list[Callable[[Family], Family]] = [
    lambda inner: (list[inner[0]], st.lists(inner[1], max_size=3)),
    lambda inner: (dict[str, inner[0]], st.dictionaries(st.text("ab\u00e9"), inner[1], max_size=3)),
    lambda inner: (tuple[inner[0], ...], st.lists(inner[1], max_size=3).map(tuple)),
    lambda inner: (tuple[inner[0], int], st.tuples(inner[1], st.integers(0, 9))),
    lambda inner: (inner[0] | None, st.none() | inner[1]),
    lambda inner: (Pair[inner[0]], st.builds(Pair, inner[1], inner[1])),
]


@st.composite
def typed_values(draw: st.DrawFn) -> tuple[Any, Any]:
    """A value and its annotation."""
    family: Family = draw(st.sampled_from([*LEAVES.items()]))
    for wrap in draw(st.lists(st.sampled_from(WRAPPERS), max_size=3)):
        family = wrap(family)
    return family[0], draw(family[1])


@given(typed_values())
def test_any_value_of_any_family_comes_back_the_same(typed: tuple[Any, Any]) -> None:
    kind, value = typed

    again = TAUGHT.from_payload(TAUGHT.to_payload(value), kind)

    assert again == value
    assert type(again) is type(value)
