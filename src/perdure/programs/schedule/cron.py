"""Cron lines: what they mean, and when they come next.

    minute hour day-of-month month day-of-week          0 9 * * mon-fri
    second minute hour day-of-month month day-of-week   */30 * * * * *
    @yearly @annually @monthly @weekly @daily @midnight @hourly
    @every 1h30m    @every 1h/15m: fifteen minutes past each hour

Fields hold `*`, numbers, names, lists, ranges and steps. Where both the day of month and the day of week are restricted
(neither begins with `*` or `?`), a day fits by either of them, as in Vixie cron. `CRON_TZ=Europe/Berlin ` before the
line sets its zone; without it, it is UTC here, and the schedule's own zone in a schedule. `@every` counts from the
beginning of 1970 in UTC.
"""

import re
from functools import lru_cache
from typing import TypeAlias, cast

import msgspec

from perdure.core.errors import InvalidOption, InvalidSchedule
from perdure.programs.code.options import duration_ms
from perdure.programs.schedule import fields as parts
from perdure.programs.schedule.calendar import Calendar, Fields
from perdure.programs.schedule.fields import Place
from perdure.programs.schedule.zones import UTC_ZONE, Zone, zone

CRON_CHARS_MAX = 1_000
EVERY_MS_MIN = 1_000
"""Shortest interval, in ms."""

MACROS = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_KINDS = (parts.SECOND, parts.MINUTE, parts.HOUR, parts.DAY_OF_MONTH, parts.MONTH, parts.DAY_OF_WEEK)
_ZONED = re.compile(r"\s*(?:CRON_)?TZ=(\S+)")
_EVERY = re.compile(r"@every\s+(\S+?)(?:/(\S+))?", re.IGNORECASE)
_SHAPE = "give 'minute hour day-of-month month day-of-week', a line with seconds before it, @daily or @every 1h"


class Every(msgspec.Struct, frozen=True):
    """An interval of elapsed time, counted from 1970: moments that leave `offset_ms` when divided by `every_ms`."""

    every_ms: int
    offset_ms: int = 0

    def next_after(self, at_ms: int) -> int:
        """The first moment after `at_ms`."""
        return self.offset_ms + ((at_ms - self.offset_ms) // self.every_ms + 1) * self.every_ms


class Local(msgspec.Struct, frozen=True):
    """A rule on the wall clock of a zone."""

    calendar: Calendar
    zone: Zone

    def next_after(self, at_ms: int) -> int | None:
        """The first moment after `at_ms`; None if there is none."""
        found = self.zone.next_moment(self.calendar, at_ms // 1_000)
        return None if found is None else found * 1_000


Rule: TypeAlias = Every | Local


def next_after(cron: str, at_ms: int) -> int | None:
    """The first moment after `at_ms` at which a cron line is due, by UTC unless it names its zone; None if never.

    Raises `InvalidSchedule`.
    """
    return rule(cron, UTC_ZONE).next_after(at_ms)


def checked(cron: object, at_ms: int) -> str:
    """Return `cron` if it is a cron line that is due at some time after `at_ms`; raise `InvalidSchedule` otherwise."""
    line = text_of(cron)
    if next_after(line, at_ms) is None:
        remedy = "give days that exist, in years to come"
        raise InvalidSchedule(what="cron", value=repr(line), fact="is never due", remedy=remedy)
    return line


@lru_cache(maxsize=4_096)
def rule(cron: str, own: Zone) -> Rule:
    """The rule of a cron line that is read in the zone `own` unless it names another. Raises `InvalidSchedule`."""
    text = text_of(cron)
    zoned = _ZONED.match(text)
    if zoned is not None:
        own = zone(zoned[1])
    start = zoned.end() if zoned is not None else 0
    words = [(word[0], start + word.start()) for word in re.finditer(r"\S+", text[start:])]
    place = Place("cron", text)
    if not words:
        raise place.refused(start, "holds no fields", _SHAPE)
    if words[0][0].startswith("@"):
        return _named(text[words[0][1] :].strip(), own, place._replace(offset=words[0][1]))
    return Local(Calendar(_fields(words, place)), own)


def text_of(cron: object) -> str:
    """Return `cron` if it is text of a fitting length; raise `InvalidSchedule` otherwise."""
    if not isinstance(cron, str):
        raise InvalidSchedule(what="cron", value=repr(cron)[:80], fact="is no text", remedy=_SHAPE)
    if len(cron) > CRON_CHARS_MAX:
        fact = f"has {len(cron)} characters, more than {CRON_CHARS_MAX}"
        raise InvalidSchedule(what="cron", value=repr(cron[:40] + "..."), fact=fact, remedy="use ranges and steps")
    return cron


def _fields(words: list[tuple[str, int]], place: Place) -> Fields:
    if len(words) not in (5, 6):
        raise place.refused(words[-1][1], f"has {len(words)} fields", _SHAPE)
    numbers: list[tuple[int, ...]] = [] if len(words) == 6 else [(0,)]
    for kind, (word, at) in zip(_KINDS[6 - len(words) :], words, strict=True):
        numbers.append(parts.parse(kind, word, place._replace(offset=at)))
    restricted = all(word[0] not in "*?" for word in (words[-3][0], words[-1][0]))
    second, minute, hour, day, month, weekday = numbers
    return Fields(second, minute, hour, day, month, weekday, either_day=restricted)


def _named(text: str, own: Zone, place: Place) -> Rule:
    macro = MACROS.get(text.lower())
    if macro is not None:
        return rule(macro, own)
    every = _EVERY.fullmatch(text)
    if every is None:
        known = ", ".join(MACROS)
        raise place.refused(0, f"{text[:40]!r} is unknown", f"known are {known} and @every 1h")
    try:
        return interval(every[1], cast(str | None, every[2]) or 0)
    except InvalidOption as error:
        raise place.refused(
            every.start(1), f"{error.facts['name']} {error.facts['fact']}", "write @every 1h30m"
        ) from error


def interval(every: object, offset: object = 0) -> Every:
    """The interval of two lengths of time. Raises `InvalidOption`."""
    every_ms = duration_ms("every", every)
    if every_ms < EVERY_MS_MIN:
        raise InvalidOption(name="every", value=repr(every), fact="is shorter than a second", remedy="give 1s or more")
    offset_ms = duration_ms("offset", offset, zero=True)
    if offset_ms >= every_ms:
        raise InvalidOption(
            name="offset", value=repr(offset), fact="is not shorter than the interval", remedy="give less than `every`"
        )
    return Every(every_ms, offset_ms)
