"""Search attributes as users write them: typed keys, checked values."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from perdure.core.attributes import Attribute, AttributeKind
from perdure.core.errors import InvalidAttribute
from perdure.programs.code.search import (
    ATTRIBUTES_MAX,
    KEYWORD_CHARS_MAX,
    LIST_MAX,
    NAME_CHARS_MAX,
    TEXT_CHARS_MAX,
    SearchKey,
    check_count,
    checked_attributes,
    shown_attributes,
)

CUSTOMER = SearchKey.keyword("CustomerId")
NOTE = SearchKey.text("Note")
CENTS = SearchKey.int("Cents")
RATE = SearchKey.double("Rate")
PAID = SearchKey.bool("Paid")
DUE = SearchKey.datetime("Due")
TAGS = SearchKey.keyword_list("Tags")
MOMENT = datetime(2026, 1, 2, 3, 4, 5, 678_901, tzinfo=timezone(timedelta(hours=2)))


def test_a_key_makes_attributes_of_its_kind() -> None:
    assert CUSTOMER.set("c-1") == Attribute("CustomerId", AttributeKind.KEYWORD, "c-1")
    assert NOTE.set("two words") == Attribute("Note", AttributeKind.TEXT, "two words")
    assert CENTS.set(-(2**63)) == Attribute("Cents", AttributeKind.INT, -(2**63))
    assert RATE.set(1) == Attribute("Rate", AttributeKind.DOUBLE, 1.0)
    assert type(RATE.set(1).value) is float
    assert PAID.set(False) == Attribute("Paid", AttributeKind.BOOL, False)
    assert DUE.set(MOMENT) == Attribute("Due", AttributeKind.DATETIME, 1_767_315_845_678_901_000)
    assert TAGS.set(["b", "a"]) == Attribute("Tags", AttributeKind.KEYWORD_LIST, ("b", "a"))
    assert TAGS.unset() == Attribute("Tags", AttributeKind.KEYWORD_LIST, None)


def test_values_are_shown_plain_and_read_by_their_keys() -> None:
    given = (CUSTOMER.set("c-1"), CENTS.set(5), RATE.set(0.5), PAID.set(True), DUE.set(MOMENT), TAGS.set(["a"]))

    shown = shown_attributes(given)

    assert shown == {"CustomerId": "c-1", "Cents": 5, "Rate": 0.5, "Paid": True, "Due": MOMENT, "Tags": ["a"]}
    assert CUSTOMER.value_in(shown) == "c-1"
    assert DUE.value_in(shown) == MOMENT
    assert TAGS.value_in(shown) == ["a"]
    assert PAID.value_in(shown) is True
    assert NOTE.value_in(shown) is None
    assert SearchKey.int("Paid").value_in(shown) is None
    assert SearchKey.keyword("Cents").value_in(shown) is None
    assert repr(CUSTOMER) == "<SearchKey 'CustomerId': keyword>"


REFUSED: list[tuple[SearchKey[Any], object, str]] = [
    (CUSTOMER, 5, "'CustomerId' is given a int; give text"),
    (CUSTOMER, None, "is given a NoneType"),
    (CUSTOMER, "x" * (KEYWORD_CHARS_MAX + 1), "has 1001 characters, more than 1000"),
    (CUSTOMER, "a\0", "holds a NUL character"),
    (CUSTOMER, "a\ud800", "holds a lone surrogate"),
    (NOTE, "x" * (TEXT_CHARS_MAX + 1), "has 2001 characters"),
    (NOTE, b"x", "is given a bytes"),
    (CENTS, 2**63, "is beyond 64 bits"),
    (CENTS, True, "is given a bool"),
    (CENTS, 1.0, "is given a float"),
    (RATE, float("nan"), "is no finite number"),
    (RATE, float("inf"), "is no finite number"),
    (RATE, 10**400, "is no finite number"),
    (RATE, "1", "is given a str"),
    (RATE, False, "is given a bool"),
    (PAID, 1, "is given a int"),
    (DUE, "2026-01-01", "is given a str"),
    (DUE, datetime(2026, 1, 1), "without a time zone"),  # noqa: DTZ001 (that is what is refused)
    (DUE, datetime(9999, 12, 31, tzinfo=UTC), "is in the year 9999"),
    (DUE, datetime.min.replace(tzinfo=timezone(timedelta(hours=14))), "is in the year 1"),
    (TAGS, "abc", "is given a str; give a list of texts"),
    (TAGS, [], "has 0 elements"),
    (TAGS, ["x"] * (LIST_MAX + 1), "has 101 elements"),
    (TAGS, ["a", 5], "is given a int"),
    (TAGS, {"a"}, "is given a set"),
]


@pytest.mark.parametrize(("key", "value", "expected"), REFUSED, ids=range(len(REFUSED)))
def test_a_value_that_does_not_fit_is_refused(key: SearchKey[Any], value: object, expected: str) -> None:
    with pytest.raises(InvalidAttribute) as caught:
        key.set(value)

    assert str(caught.value).startswith("PDR1041: search attribute ")
    assert expected in str(caught.value)
    str(caught.value).encode()


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("", "has a name of 0 characters"),
        ("x" * (NAME_CHARS_MAX + 1), "has a name of 201 characters"),
        ("a\0", "holds a NUL character"),
        ("a\ud800", "holds a lone surrogate"),
        ("WorkflowType", "is what every run has"),
        ("workflowtype", "is what every run has"),
        (5, "has no text as its name"),
    ],
)
def test_a_name_that_cannot_be_one_is_refused(name: Any, expected: str) -> None:
    with pytest.raises(InvalidAttribute) as caught:
        SearchKey.keyword(name)

    assert expected in str(caught.value)
    str(caught.value).encode()


def test_unusual_names_are_names() -> None:
    for name in ("order by", "größe", "a`b", "'", "x" * NAME_CHARS_MAX):
        assert SearchKey.keyword(name).set("x").name == name


def test_of_several_values_of_one_name_the_last_counts() -> None:
    assert checked_attributes([CENTS.set(1), PAID.set(True), CENTS.unset()]) == (CENTS.unset(), PAID.set(True))
    with pytest.raises(InvalidAttribute, match="is a str; give what"):
        checked_attributes(["x"])  # type: ignore[list-item]


def test_a_run_has_no_more_attributes_than_it_may() -> None:
    check_count(f"a{number}" for number in range(ATTRIBUTES_MAX))
    with pytest.raises(InvalidAttribute, match="is one of 101, more than 100"):
        check_count(f"a{number}" for number in range(ATTRIBUTES_MAX + 1))
