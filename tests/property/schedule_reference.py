"""What cron lines mean, written a second time and by walking: every minute is converted to local time.

It has its own reading of the lines (plain sets), and no arithmetic of zones.
"""

from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import NamedTuple
from zoneinfo import ZoneInfo

from perdure.programs.schedule.cron import rule
from perdure.programs.schedule.timetable import Timetable
from perdure.programs.schedule.zones import zone

ZONES = ("Europe/Berlin", "America/New_York", "Australia/Lord_Howe")
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
ANY = frozenset(range(60))


class Wanted(NamedTuple):
    """A line, and the minutes, hours, days, months and weekdays (Sunday is 0) that it stands for."""

    line: str
    minutes: frozenset[int] = frozenset({0})
    hours: frozenset[int] = frozenset(range(24))
    days: frozenset[int] = frozenset(range(1, 32))
    months: frozenset[int] = frozenset(range(1, 13))
    weekdays: frozenset[int] = frozenset(range(7))
    either: bool = False

    def fits_day(self, day: date) -> bool:
        """Whether it happens on a day."""
        number, weekday = day.day in self.days, day.isoweekday() % 7 in self.weekdays
        return day.month in self.months and (number or weekday if self.either else number and weekday)


def minute_of(when: datetime) -> int:
    """Minutes since 1970."""
    return round((when - EPOCH).total_seconds()) // 60


class Walk(NamedTuple):
    """The local minutes of a stretch of minutes: each run of them is `(first minute, first local minute, length)`."""

    first: int
    length: int
    runs: tuple[tuple[int, int, int], ...]


@lru_cache(maxsize=512)
def walk(zone_name: str, first: int, length: int) -> Walk:
    """Convert every minute to local time, one after the other."""
    info, convert = ZoneInfo(zone_name), datetime.fromtimestamp
    runs: list[tuple[int, int, int]] = []
    begin, offset = first, None
    for minute in range(first, first + length):
        found = convert(minute * 60, info).utcoffset()
        if found != offset:
            if offset is not None:
                runs.append((begin, begin + round(offset.total_seconds()) // 60, minute - begin))
            begin, offset = minute, found
    assert offset is not None
    runs.append((begin, begin + round(offset.total_seconds()) // 60, first + length - begin))
    return Walk(first, length, tuple(runs))


def local_minutes(wanted: Wanted, first: int, length: int) -> bytes:
    """For each local minute whether the line fits it."""
    day = bytes(hour in wanted.hours and minute in wanted.minutes for hour in range(24) for minute in range(60))
    none = bytes(1_440)
    first_day, last_day = first // 1_440, (first + length) // 1_440
    days = [
        day if wanted.fits_day(date(1970, 1, 1) + timedelta(days=each)) else none
        for each in range(first_day, last_day + 1)
    ]
    skipped = first - first_day * 1_440
    return b"".join(days)[skipped : skipped + length]


def expected(wanted: Wanted, walked: Walk) -> bytearray:
    """For each minute of the walk whether something happens, by the policy that the docs state."""
    margin = 2 * 1_440
    base = walked.first - margin
    fits = bytearray(local_minutes(wanted, base, walked.length + 2 * margin))
    once = len(wanted.hours) < 24
    happens = bytearray(walked.length)
    shown_until: int | None = None
    for begin, local, length in walked.runs:
        at = begin - walked.first
        happens[at : at + length] = fits[local - base : local - base + length]
        if shown_until is not None and local < shown_until and once:
            again = min(shown_until - local, length)
            happens[at : at + again] = bytes(again)
        if shown_until is not None and local > shown_until:
            for index in range(min(local - shown_until, length)):
                happens[at + index] |= fits[shown_until - base + index]
        shown_until = local + length if shown_until is None else max(shown_until, local + length)
    return happens


def computed(wanted: Wanted, zone_name: str, walked: Walk) -> bytearray:
    """The same by the project's arithmetic."""
    happens = bytearray(walked.length)
    table = Timetable((rule(wanted.line, zone(zone_name)),))
    for moment in table.between(walked.first * 60_000 - 1, (walked.first + walked.length) * 60_000 - 1):
        assert moment % 60_000 == 0
        happens[moment // 60_000 - walked.first] = 1
    return happens


def first_difference(zone_name: str, ours: bytearray, theirs: bytearray, walked: Walk) -> str:
    """Where two answers differ first, for people; empty if nowhere."""
    if ours == theirs:
        return ""
    index = next(index for index, (one, other) in enumerate(zip(ours, theirs, strict=True)) if one != other)
    when = datetime.fromtimestamp((walked.first + index) * 60, ZoneInfo(zone_name))
    return f"{when.isoformat()} ({zone_name}): computed {ours[index]}, expected {theirs[index]}"


def changes(zone_name: str) -> list[int]:
    """The minutes at which the zone's clock was set between 2020 and 2040, found hour by hour."""
    info = ZoneInfo(zone_name)
    hours = range(minute_of(datetime(2020, 1, 1, tzinfo=UTC)), minute_of(datetime(2040, 1, 1, tzinfo=UTC)), 60)
    offsets = [datetime.fromtimestamp(hour * 60, info).utcoffset() for hour in hours]
    return [hours[index] for index in range(1, len(hours)) if offsets[index] != offsets[index - 1]]
