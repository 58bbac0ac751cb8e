"""Local time: which seconds of which days fit, found without walking through those that do not.

A local second is counted from 1970-01-01T00:00:00 on the wall clock, as if there were no zones.
"""

from bisect import bisect_left
from calendar import monthrange
from datetime import date, timedelta

import msgspec

from perdure.programs.schedule.fields import YEAR_MAX

DAY_S = 86_400
_EPOCH = date(1970, 1, 1)
_EVERY_HOUR = 24


class Fields(msgspec.Struct, frozen=True):
    """The numbers of each field, sorted; `days_of_week` counts from Sunday, which is 0."""

    seconds: tuple[int, ...]
    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days_of_month: tuple[int, ...]
    months: tuple[int, ...]
    days_of_week: tuple[int, ...]
    years: tuple[int, ...] = ()
    """Empty: every year."""
    either_day: bool = False
    """A day fits by its number or by its weekday; otherwise it must by both."""


class Calendar:
    """The local seconds that fit some fields."""

    __slots__ = ("_days", "_fields", "_first", "_last", "_years", "every_hour")

    def __init__(self, fields: Fields) -> None:
        self._fields = fields
        self._years = frozenset(fields.years)
        self._days: dict[tuple[int, int], tuple[int, ...]] = {}
        self._first = (fields.hours[0] * 60 + fields.minutes[0]) * 60 + fields.seconds[0]
        self._last = -1, False
        """The day that was looked at last, and whether it fits."""
        self.every_hour = len(fields.hours) == _EVERY_HOUR
        """It follows elapsed time: where the clock is set back, it fits both passes."""

    def next_local(self, at: int) -> int | None:
        """The first fitting local second from `at` on; None if there is none up to the last year."""
        day, second = divmod(at, DAY_S)
        if self._fits(day):
            found = self._time(second)
            if found is not None:
                return day * DAY_S + found
        later = self._day(day + 1)
        return None if later is None else later * DAY_S + self._first

    def fits(self, at: int) -> bool:
        """Whether a local second fits."""
        day, second = divmod(at, DAY_S)
        return self._time(second) == second and self._fits(day)

    def fits_until(self, at: int) -> int:
        """A local second up to which all fit, if `at` does; coarse, so that a day that fits whole is one step."""
        fields = self._fields
        if len(fields.seconds) < 60:
            return at + 1
        if len(fields.minutes) < 60:
            return at - at % 60 + 60
        return at - at % 3_600 + 3_600 if not self.every_hour else at - at % DAY_S + DAY_S

    def _time(self, second: int) -> int | None:
        """The first fitting second of a day from `second` on."""
        fields = self._fields
        hour, rest = divmod(second, 3_600)
        minute, second = divmod(rest, 60)
        index = bisect_left(fields.hours, hour)
        if index == len(fields.hours):
            return None
        if fields.hours[index] == hour:
            found = self._second_of_hour(minute, second)
            if found is not None:
                return hour * 3_600 + found
            index += 1
            if index == len(fields.hours):
                return None
        return fields.hours[index] * 3_600 + fields.minutes[0] * 60 + fields.seconds[0]

    def _second_of_hour(self, minute: int, second: int) -> int | None:
        fields = self._fields
        index = bisect_left(fields.minutes, minute)
        if index == len(fields.minutes):
            return None
        if fields.minutes[index] == minute:
            within = bisect_left(fields.seconds, second)
            if within < len(fields.seconds):
                return minute * 60 + fields.seconds[within]
            index += 1
            if index == len(fields.minutes):
                return None
        return fields.minutes[index] * 60 + fields.seconds[0]

    def _fits(self, day: int) -> bool:
        last = self._last
        if last[0] != day:
            when = _EPOCH + timedelta(days=day)
            fits = self._fits_month(when.year, when.month) and when.day in self._days_of(when.year, when.month)
            last = self._last = day, fits
        return last[1]

    def _fits_month(self, year: int, month: int) -> bool:
        return month in self._fields.months and year <= YEAR_MAX and (not self._years or year in self._years)

    def _day(self, day: int) -> int | None:
        """The first fitting day from `day` on, counted from 1970-01-01."""
        when = _EPOCH + timedelta(days=day)
        year, month, least = when.year, when.month, when.day
        while year <= YEAR_MAX:
            if self._fits_month(year, month):
                for found in self._days_of(year, month):
                    if found >= least:
                        return (date(year, month, found) - _EPOCH).days
            least = 1
            month += 1
            if month > 12:
                year, month = year + 1, 1
        return None

    def _days_of(self, year: int, month: int) -> tuple[int, ...]:
        """The fitting days of a month, of which there are 28 kinds."""
        kind = monthrange(year, month)
        found = self._days.get(kind)
        if found is None:
            found = self._days[kind] = tuple(day for day in range(1, kind[1] + 1) if self._fits_day(day, kind[0]))
        return found

    def _fits_day(self, day: int, first_weekday: int) -> bool:
        by_number = day in self._fields.days_of_month
        # `monthrange` counts weekdays from Monday.
        by_weekday = (first_weekday + day) % 7 in self._fields.days_of_week
        return by_number or by_weekday if self._fields.either_day else by_number and by_weekday
