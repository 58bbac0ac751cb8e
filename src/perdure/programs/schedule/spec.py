"""When a schedule is due, as users write it, as it is recorded, and as a timetable."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias, cast

import msgspec

from perdure.core.errors import InvalidOption, InvalidSchedule
from perdure.programs.code.options import Duration, duration_ms
from perdure.programs.schedule import fields as parts
from perdure.programs.schedule.calendar import Calendar as LocalCalendar
from perdure.programs.schedule.calendar import Fields
from perdure.programs.schedule.cron import Every, Local, interval, rule, text_of
from perdure.programs.schedule.fields import Kind, Place
from perdure.programs.schedule.timetable import Timetable
from perdure.programs.schedule.zones import zone

Field: TypeAlias = int | str | None
"""A number, or text as in a cron line: `"mon-fri"`, `"*/15"`, `"1,15"`."""

RULES_MAX = 100
"""Most crons, intervals, calendars and exclusions of one schedule."""


@dataclass(frozen=True, kw_only=True)
class Calendar:
    """Local moments that fit all fields. A field that is left out fits what a calendar leaves open, see below."""

    second: Field = None
    """Left out: 0, and any in `skip`."""
    minute: Field = None
    """Left out: 0, and any in `skip`."""
    hour: Field = None
    """Left out: 0, and any in `skip`."""
    day_of_month: Field = None
    """Left out: any."""
    month: Field = None
    """Left out: any."""
    year: Field = None
    """Left out: any."""
    day_of_week: Field = None
    """Left out: any. 0 and 7 are Sunday."""


@dataclass(frozen=True)
class Interval:
    """Every so often, by elapsed time counted from the beginning of 1970 in UTC, shifted by `offset`."""

    every: Duration
    offset: Duration = 0


@dataclass(frozen=True, kw_only=True)
class ScheduleSpec:
    """When a schedule is due: at the moments of all its rules together, less what `skip` leaves out.

    Moments of crons and calendars are those of the clocks of `zone`. A local time that is skipped where clocks are set
    forward happens once, later by what was skipped; one that is shown twice happens once, the first time. What fits
    every hour of the day follows elapsed time.
    """

    crons: Sequence[str] = ()
    intervals: "Sequence[Interval | Duration]" = ()
    calendars: Sequence[Calendar] = ()
    skip: Sequence[Calendar] = ()
    zone: str = "UTC"
    """IANA name, such as `Europe/Berlin`."""
    start: datetime | None = None
    """The first moment that counts; with a time zone."""
    end: datetime | None = None
    """The last moment that counts; with a time zone."""
    jitter: Duration = 0
    """Each action starts up to so much later, and before the next moment."""

    def recorded(self) -> "SpecRecord":
        """The spec as it is kept. Raises `InvalidSchedule` or `InvalidOption`."""
        record = SpecRecord(
            crons=tuple([text_of(each) for each in _listed("crons", self.crons)]),
            intervals=tuple([_interval(each) for each in _listed("intervals", self.intervals)]),
            calendars=tuple([_calendar("calendars", each) for each in _listed("calendars", self.calendars)]),
            skip=tuple([_calendar("skip", each) for each in _listed("skip", self.skip)]),
            zone=_text("zone", self.zone),
            start_ms=_moment("start", self.start),
            end_ms=_moment("end", self.end),
            jitter_ms=duration_ms("jitter", self.jitter, zero=True),
        )
        record.timetable()
        return record


class SpecRecord(msgspec.Struct, frozen=True, omit_defaults=True):
    """A spec as it is kept: lengths and moments in ms."""

    crons: tuple[str, ...] = ()
    intervals: tuple[Every, ...] = ()
    calendars: tuple[Calendar, ...] = ()
    skip: tuple[Calendar, ...] = ()
    zone: str = "UTC"
    start_ms: int | None = None
    end_ms: int | None = None
    jitter_ms: int = 0

    def timetable(self) -> Timetable:
        """The moments; reads zone data. Raises `InvalidSchedule`."""
        own = zone(self.zone)
        calendars = [Local(LocalCalendar(_fields(each, open=False)), own) for each in self.calendars]
        return Timetable(
            (*(rule(each, own) for each in self.crons), *self.intervals, *calendars),
            skip=tuple([LocalCalendar(_fields(each, open=True)) for each in self.skip]),
            zone=own,
            start_ms=self.start_ms,
            end_ms=self.end_ms,
        )

    def written(self) -> ScheduleSpec:
        """The spec as a user would write it."""
        return ScheduleSpec(
            crons=self.crons,
            intervals=[Interval(_length(each.every_ms), _length(each.offset_ms)) for each in self.intervals],
            calendars=self.calendars,
            skip=self.skip,
            zone=self.zone,
            start=None if self.start_ms is None else datetime.fromtimestamp(self.start_ms / 1_000, UTC),
            end=None if self.end_ms is None else datetime.fromtimestamp(self.end_ms / 1_000, UTC),
            jitter=_length(self.jitter_ms),
        )


def _length(length_ms: int) -> timedelta:
    return timedelta(milliseconds=length_ms)


_FIELDS: tuple[tuple[str, Kind, str], ...] = (
    ("second", parts.SECOND, "0"),
    ("minute", parts.MINUTE, "0"),
    ("hour", parts.HOUR, "0"),
    ("day_of_month", parts.DAY_OF_MONTH, "*"),
    ("month", parts.MONTH, "*"),
    ("day_of_week", parts.DAY_OF_WEEK, "*"),
)


def _fields(calendar: Calendar, *, open: bool) -> Fields:
    numbers = [_numbers(calendar, name, kind, "*" if open else left_out) for name, kind, left_out in _FIELDS]
    second, minute, hour, day, month, weekday = numbers
    years = () if calendar.year in (None, "*") else _numbers(calendar, "year", parts.YEAR, "*")
    return Fields(second, minute, hour, day, month, weekday, years)


def _numbers(calendar: Calendar, name: str, kind: Kind, left_out: str) -> tuple[int, ...]:
    given: Field = getattr(calendar, name)
    text = left_out if given is None else str(given).strip()
    return parts.parse(kind, text, Place(f"calendar field {name}", text))


def _calendar(name: str, value: object) -> Calendar:
    if not isinstance(value, Calendar):
        raise _refused(name, value, "is no Calendar", "give Calendar(hour=9, day_of_week='mon-fri')")
    for field, _, _ in (*_FIELDS, ("year", parts.YEAR, "*")):
        given = getattr(value, field)
        if given is not None and (isinstance(given, bool) or not isinstance(given, (int, str))):
            raise _refused(
                field, given, f"is a {type(given).__name__}", "give a number, or text such as '1-5' or '*/2'"
            )
    return value


def _interval(value: object) -> Every:
    if isinstance(value, Interval):
        return interval(value.every, value.offset)
    return interval(value)


def _listed(name: str, value: object) -> Sequence[Any]:
    if isinstance(value, (str, bytes)) or not isinstance(value, Sequence):
        raise _refused(name, value, "is no list", f"give {name}=[...]")
    found = cast(Sequence[Any], value)
    if len(found) > RULES_MAX:
        raise _refused(name, f"[{len(found)} items]", f"has more than {RULES_MAX}", "use ranges and steps")
    return found


def _text(name: str, value: object) -> str:
    if not isinstance(value, str):
        raise _refused(name, value, f"is a {type(value).__name__}", "give an IANA name such as 'Europe/Berlin'")
    return value


def _moment(name: str, value: object) -> int | None:
    if value is None:
        return None
    return moment_ms(name, value)


def moment_ms(name: str, value: object) -> int:
    """The moment of option `name` in ms, rounded up. Raises `InvalidOption` for what is no moment."""
    if not isinstance(value, datetime):
        raise _refused(name, value, f"is a {type(value).__name__}", "give a datetime with a time zone")
    if value.tzinfo is None or value.utcoffset() is None:
        raise _refused(name, value, "has no time zone", "give datetime(..., tzinfo=UTC) or ZoneInfo(...)")
    return -((datetime(1970, 1, 1, tzinfo=UTC) - value) // timedelta(milliseconds=1))


def _refused(name: str, value: object, fact: str, remedy: str) -> InvalidOption:
    return InvalidOption(name=name, value=repr(value)[:80], fact=fact, remedy=remedy)


def check_due(spec: SpecRecord, at_ms: int) -> None:
    """Raise `InvalidSchedule` if a spec that has rules is never due after `at_ms`."""
    table = spec.timetable()
    if table.rules and table.next_after(at_ms) is None:
        value = repr(msgspec.json.encode(spec).decode())
        fact, remedy = "is never due", "give days that exist, in years to come, not all of them left out"
        raise InvalidSchedule(what="schedule", value=value[:200], fact=fact, remedy=remedy)
