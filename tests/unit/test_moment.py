"""Moments and lengths of time in text."""

import pytest

from perdure.core.moment import length_ms, moment_ns
from perdure.core.words import words_of

SECOND = 1_000_000_000


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1970-01-01", 0),
        ("1970-01-01T00:00Z", 0),
        ("1970-01-01T00:00:01", SECOND),
        ("1970-01-01 00:00:01z", SECOND),
        ("1970-01-01T00:00:00.123456789Z", 123_456_789),
        ("1970-01-01T00:00:00,5Z", SECOND // 2),
        ("1969-12-31T23:59:59.5Z", -SECOND // 2),
        ("1970-01-01T02:00:00+02:00", 0),
        ("1970-01-01T00:00:00-0130", 5_400 * SECOND),
        ("0001-01-01T00:00:00+23:59", -62_135_596_800 * SECOND - 86_340 * SECOND),
        ("9999-12-31T23:59:59Z", 253_402_300_799 * SECOND),
        ("", None),
        ("now", None),
        ("1970-1-1", None),
        ("1970-01-01T", None),
        ("1970-02-29", None),
        ("1970-01-01T24:00:00Z", None),
        ("1970-01-01T00:00:00.1234567890Z", None),
        ("1970-01-01T00:00:00+24:00", None),
        ("1970-01-01Z", None),
        ("١٩٧٠-01-01", None),
        ("1970-01-01\n", None),
    ],
)
def test_a_moment_is_read_to_the_nanosecond_or_not_at_all(text: str, expected: int | None) -> None:
    assert moment_ns(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("250ms", 250),
        ("1h30m", 5_400_000),
        (" 1.5s ", 1_500),
        ("1w 2d", 777_600_000),
        ("", None),
        ("5", None),
        ("s", None),
    ],
)
def test_a_length_of_time_is_read_or_not_at_all(text: str, expected: float | None) -> None:
    assert length_ms(text) == expected


def test_words_are_found_without_regard_to_case() -> None:
    assert words_of("Late refund; LATE, größe_2 ¿Qué?") == ("late", "refund", "grösse_2", "qué")
    assert words_of("!?") == ()
