"""Timetables: rules together, exclusions, start and end, jitter."""

from datetime import UTC, datetime
from itertools import islice

from perdure.programs.schedule.calendar import Calendar, Fields
from perdure.programs.schedule.cron import rule
from perdure.programs.schedule.timetable import Timetable, jitter_ms
from perdure.programs.schedule.zones import UTC_ZONE, zone

FRIDAY_MS = round(datetime(2026, 11, 20, tzinfo=UTC).timestamp() * 1_000)
HOUR_MS = 3_600_000
ALL = tuple(range(60))


def hours_of(table: Timetable, count: int = 6) -> list[float]:
    """The first moments, in hours since the Friday began."""
    return [(moment - FRIDAY_MS) / HOUR_MS for moment in islice(table.after(FRIDAY_MS - 1), count)]


def table(*lines: str, **others: object) -> Timetable:
    """A timetable of cron lines."""
    return Timetable(tuple(rule(line, UTC_ZONE) for line in lines), **others)  # type: ignore[arg-type]


def daytime(*hours: int, days: tuple[int, ...] = tuple(range(7))) -> Calendar:
    """All seconds of some hours."""
    return Calendar(Fields(ALL, ALL, hours, tuple(range(1, 32)), tuple(range(1, 13)), days))


def test_moments_of_several_rules_come_in_order_and_once() -> None:
    assert hours_of(table("0 */2 * * *", "0 */3 * * *", "@every 4h")) == [0, 2, 3, 4, 6, 8]


def test_moments_that_fit_an_exclusion_are_left_out() -> None:
    assert hours_of(table("@hourly", skip=(daytime(1, 2, 4),))) == [0, 3, 5, 6, 7, 8]


def test_exclusions_are_by_the_clock_of_the_zone() -> None:
    berlin = table("@hourly", skip=(daytime(1, 2, 4),), zone=zone("Europe/Berlin"))

    assert hours_of(berlin) == [2, 4, 5, 6, 7, 8]


def test_an_exclusion_of_everything_leaves_nothing_and_ends() -> None:
    assert table("* * * * * *", skip=(daytime(*range(24)),)).next_after(FRIDAY_MS) is None


def test_a_long_exclusion_of_a_quick_rule_is_passed_in_few_steps() -> None:
    quick = table("@every 1s", skip=(daytime(*range(24), days=(0, 1, 2, 3, 4, 5)),))

    assert hours_of(quick, 1) == [24]


def test_start_and_end_count() -> None:
    bounded = table("@hourly", start_ms=FRIDAY_MS + 2 * HOUR_MS, end_ms=FRIDAY_MS + 4 * HOUR_MS)

    assert hours_of(bounded) == [2, 3, 4]
    assert bounded.next_after(FRIDAY_MS + 4 * HOUR_MS) is None


def test_between_leaves_out_its_first_moment_and_keeps_its_last() -> None:
    found = list(table("@hourly").between(FRIDAY_MS, FRIDAY_MS + 2 * HOUR_MS))

    assert found == [FRIDAY_MS + HOUR_MS, FRIDAY_MS + 2 * HOUR_MS]


def test_jitter_is_the_same_each_time_and_spreads_over_its_length() -> None:
    drawn = [jitter_ms("s", moment, None, 9) for moment in range(2_000)]

    assert drawn == [jitter_ms("s", moment, None, 9) for moment in range(2_000)]
    assert set(drawn) == set(range(10))
    assert drawn != [jitter_ms("other", moment, None, 9) for moment in range(2_000)]


def test_jitter_ends_before_the_next_moment() -> None:
    assert max(jitter_ms("s", moment, moment + 5, 1_000) for moment in range(200)) == 4
    assert jitter_ms("s", 0, 1, 1_000) == 0
    assert jitter_ms("s", 0, None, 0) == 0
