"""Cron lines against a walk through every minute: twenty years of three zones, and the days on which clocks are set."""

from datetime import UTC, datetime
from functools import lru_cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perdure.core.errors import InvalidSchedule
from perdure.programs.schedule.cron import next_after
from tests.property.schedule_reference import (
    ANY,
    ZONES,
    Wanted,
    changes,
    computed,
    expected,
    first_difference,
    minute_of,
    walk,
)

FIRST = minute_of(datetime(2020, 1, 1, tzinfo=UTC))
LENGTH = minute_of(datetime(2040, 1, 1, tzinfo=UTC)) - FIRST

LINES = (
    Wanted("@hourly"),
    Wanted("@daily", hours=frozenset({0})),
    Wanted("30 2 * * *", minutes=frozenset({30}), hours=frozenset({2})),
    Wanted("15 2 * * *", minutes=frozenset({15}), hours=frozenset({2})),
    Wanted("0-50/10 1-3 * * *", minutes=frozenset(range(0, 51, 10)), hours=frozenset({1, 2, 3})),
    Wanted("0 */2 * * *", hours=frozenset(range(0, 24, 2))),
    Wanted("45 1 * * sun", minutes=frozenset({45}), hours=frozenset({1}), weekdays=frozenset({0})),
    Wanted("0 9 * * mon-fri", hours=frozenset({9}), weekdays=frozenset({1, 2, 3, 4, 5})),
    Wanted("0 0 13 * fri", hours=frozenset({0}), days=frozenset({13}), weekdays=frozenset({5}), either=True),
    Wanted("0 0 */2 * 1", hours=frozenset({0}), days=frozenset(range(1, 32, 2)), weekdays=frozenset({1})),
    Wanted("@yearly", hours=frozenset({0}), days=frozenset({1}), months=frozenset({1})),
    Wanted("30 2 29 feb *", frozenset({30}), frozenset({2}), frozenset({29}), frozenset({2})),
    Wanted("59 23 31 * *", frozenset({59}), frozenset({23}), frozenset({31})),
    Wanted("* 2 * 3,10 0", ANY, frozenset({2}), months=frozenset({3, 10}), weekdays=frozenset({0})),
)


@pytest.mark.slow
@pytest.mark.parametrize("zone_name", ZONES)
def test_twenty_years_are_right_in_every_minute(zone_name: str) -> None:
    walked = walk(zone_name, FIRST, LENGTH)

    for wanted in LINES:
        ours, theirs = computed(wanted, zone_name, walked), expected(wanted, walked)
        assert first_difference(zone_name, ours, theirs, walked) == "", wanted.line


@pytest.mark.parametrize("zone_name", ZONES)
@pytest.mark.parametrize("wanted", [*LINES, Wanted("* * * * *", ANY)], ids=lambda wanted: wanted.line)
def test_days_on_which_clocks_are_set_are_right_in_every_minute(zone_name: str, wanted: Wanted) -> None:
    for change in set_clocks(zone_name)[:8]:
        walked = walk(zone_name, change - 1_500, 3_000)
        ours, theirs = computed(wanted, zone_name, walked), expected(wanted, walked)
        assert first_difference(zone_name, ours, theirs, walked) == ""


@lru_cache
def set_clocks(zone_name: str) -> list[int]:
    """The minutes at which a zone's clock was set."""
    return changes(zone_name)


def written(numbers: frozenset[int], low: int, high: int) -> str:
    """A field that stands for the numbers."""
    return "*" if numbers == frozenset(range(low, high + 1)) else ",".join(map(str, sorted(numbers)))


def numbers_of(low: int, high: int) -> st.SearchStrategy[frozenset[int]]:
    """Some of the numbers, or all of them."""
    some = st.frozensets(st.integers(low, high), min_size=1, max_size=4)
    return some | st.just(frozenset(range(low, high + 1)))


@st.composite
def lines(draw: st.DrawFn) -> Wanted:
    """A cron line."""
    minutes, hours = draw(numbers_of(0, 59)), draw(numbers_of(0, 4) | numbers_of(0, 23))
    days, months, weekdays = draw(numbers_of(1, 31)), draw(numbers_of(1, 12)), draw(numbers_of(0, 6))
    fields = [written(minutes, 0, 59), written(hours, 0, 23), written(days, 1, 31), written(months, 1, 12)]
    fields.append(written(weekdays, 0, 6))
    either = fields[2] != "*" and fields[4] != "*"
    return Wanted(" ".join(fields), minutes, hours, days, months, weekdays, either)


@given(wanted=lines(), zone_name=st.sampled_from(ZONES), chosen=st.integers(0, 39))
@settings(max_examples=150, deadline=None)
def test_any_line_is_right_where_clocks_are_set(wanted: Wanted, zone_name: str, chosen: int) -> None:
    change = set_clocks(zone_name)[chosen]
    walked = walk(zone_name, change - 1_500, 3_000)

    ours, theirs = computed(wanted, zone_name, walked), expected(wanted, walked)

    assert first_difference(zone_name, ours, theirs, walked) == ""


@given(line=st.text(max_size=40) | st.text(alphabet="0123456789*/,-? @everydailymonfri=TZ", max_size=40))
@settings(max_examples=300, deadline=None)
def test_any_text_is_a_line_or_is_refused(line: str) -> None:
    try:
        found = next_after(line, FIRST * 60_000)
    except InvalidSchedule:
        return
    assert found is None or found > FIRST * 60_000
