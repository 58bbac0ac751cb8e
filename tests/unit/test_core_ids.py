"""Ids: what can be one, and run ids that sort by the moment of their making."""

from random import Random
from uuid import RFC_4122, UUID

import pytest

from perdure.core.errors import InvalidId
from perdure.core.ids import ID_CHARS_MAX, checked_id, uuid7

AT_MS = 1_763_680_000_123


def test_a_uuid7_has_the_layout_of_the_rfc() -> None:
    made = UUID(uuid7(AT_MS, Random(1)))

    assert made.version == 7
    assert made.variant == RFC_4122
    assert made.int >> 80 == AT_MS


def test_a_uuid7_is_written_canonically() -> None:
    text = uuid7(0, Random(1))

    assert str(UUID(text)) == text


def test_a_uuid7_matches_a_known_one() -> None:
    class Ones(Random):
        """Draws nothing but ones."""

        def getrandbits(self, k: int, /) -> int:
            return (1 << k) - 1

    assert uuid7(0x017F22E279B0, Ones()) == "017f22e2-79b0-7fff-bfff-ffffffffffff"


def test_uuid7s_sort_by_their_moment() -> None:
    random = Random(1)
    moments = sorted(random.randrange(0, 1 << 48) for _ in range(200))

    ids = [uuid7(moment, random) for moment in moments]

    assert ids == sorted(ids)


def test_uuid7s_of_one_moment_differ() -> None:
    random = Random(1)

    assert len({uuid7(AT_MS, random) for _ in range(1_000)}) == 1_000


def test_all_other_bits_are_drawn() -> None:
    random = Random(1)
    seen_ones = seen_zeros = 0
    for _ in range(200):
        number = UUID(uuid7(AT_MS, random)).int
        seen_ones |= number
        seen_zeros |= ~number

    drawn = (0xFFF << 64) | ((1 << 62) - 1)
    assert seen_ones & drawn == drawn
    assert seen_zeros & drawn == drawn


def test_the_same_chance_gives_the_same_uuid7() -> None:
    assert uuid7(AT_MS, Random(5)) == uuid7(AT_MS, Random(5))


@pytest.mark.parametrize(
    "value", ["x", "order-1", "a b/c\n", "\u00e9\u4e16\U0001f600", "x" * ID_CHARS_MAX, "\u4e16" * ID_CHARS_MAX]
)
def test_text_of_1_to_1000_characters_is_an_id(value: str) -> None:
    assert checked_id("workflow id", value) is value


@pytest.mark.parametrize(
    ("value", "fact"),
    [
        (None, "workflow id None is a NoneType, not text"),
        (5, "workflow id 5 is a int, not text"),
        (b"order-1", "workflow id b'order-1' is a bytes, not text"),
        ("", "workflow id '' is empty"),
        ("x" * (ID_CHARS_MAX + 1), "has 1001 characters, more than 1000"),
        ("a\0b", "workflow id 'a\\x00b' contains a NUL character"),
        ("a\ud800", "workflow id 'a\\ud800' contains a lone surrogate"),
    ],
)
def test_anything_else_is_refused(value: object, fact: str) -> None:
    with pytest.raises(InvalidId) as caught:
        checked_id("workflow id", value)

    assert fact in str(caught.value)
    assert str(caught.value).startswith("PDR1001: ")
    assert str(caught.value).endswith("give text of 1 to 1000 characters without NUL")


@pytest.mark.parametrize("value", ["x" * 100_000, ["x"] * 100_000, "\0" * 1_000])
def test_the_message_stays_short(value: object) -> None:
    with pytest.raises(InvalidId) as caught:
        checked_id("queue", value)

    assert len(str(caught.value)) < 500
    str(caught.value).encode()
