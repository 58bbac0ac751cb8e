"""Time zones: from local seconds to moments, with a stated policy where clocks are set forward or back.

A local time that the clock skips happens once, later by what the clock is set forward. A local time that the clock
shows twice happens once, the first time; only what fits every hour of the day follows elapsed time and happens both
times.
Moments here are whole seconds since 1970 in UTC. Zone data is read when a zone is first named.
"""

import difflib
from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache
from typing import NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from perdure.core.errors import InvalidSchedule
from perdure.programs.schedule.calendar import DAY_S, Calendar
from perdure.programs.schedule.fields import YEAR_MAX

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_END = round((datetime(YEAR_MAX + 1, 1, 2, tzinfo=UTC) - _EPOCH).total_seconds())
_PROBE_S = DAY_S
_CHUNK_S = 365 * DAY_S
"""Changes of the clock are looked for in chunks of this length, when first needed."""


class Piece(NamedTuple):
    """A stretch of time with one offset from UTC; `start` is when the clock changed last, if that was lately."""

    start: int
    end: int
    """Exclusive."""
    offset: int
    """Local second minus moment."""
    before: int
    """The offset just before `start`."""


class _Change(NamedTuple):
    at: int
    before: int
    offset: int


class Zone:
    """One time zone, with the changes of its clock that were found so far."""

    def __init__(self, name: str, info: tzinfo) -> None:
        self.name = name
        self._info = info
        self._chunks: dict[int, tuple[_Change, ...]] = {}
        self._last = Piece(0, 0, 0, 0)

    def offset(self, at: int) -> int:
        """Local second minus moment."""
        offset = (_EPOCH + timedelta(seconds=at)).astimezone(self._info).utcoffset()
        assert offset is not None
        return round(offset.total_seconds())

    def local(self, at: int) -> int:
        """The local second at a moment."""
        return at + self.offset(at)

    def piece(self, at: int) -> Piece:
        """The stretch that a moment is in."""
        last = self._last
        if not last.start <= at < last.end:
            last = self._last = self._find(at)
        return last

    def _find(self, at: int) -> Piece:
        number = at // _CHUNK_S
        start, before = (number - 1) * _CHUNK_S, None
        for change in (*self._changes(number - 1), *self._changes(number), *self._changes(number + 1)):
            if change.at > at:
                return Piece(start, change.at, change.before, change.before if before is None else before)
            start, before = change.at, change.before
        offset = self.offset(at)
        return Piece(start, (number + 2) * _CHUNK_S, offset, offset if before is None else before)

    def _changes(self, number: int) -> tuple[_Change, ...]:
        found = self._chunks.get(number)
        if found is None:
            found = self._chunks[number] = tuple(self._probe(number * _CHUNK_S))
        return found

    def _probe(self, start: int) -> list[_Change]:
        """The changes after `start`, up to the end of its chunk."""
        found: list[_Change] = []
        before = self.offset(start)
        for late in range(start + _PROBE_S, start + _CHUNK_S + 1, _PROBE_S):
            after = self.offset(late)
            if after != before:
                low, high = late - _PROBE_S, late
                while high - low > 1:
                    middle = (low + high) // 2
                    low, high = (middle, high) if self.offset(middle) == before else (low, middle)
                found.append(_Change(high, before, after))
                before = after
        return found

    def next_moment(self, calendar: Calendar, after: int) -> int | None:
        """The first moment after `after` at which a calendar has something to happen; None if there is none."""
        at = max(after, -1) + 1
        while at < _END:
            piece = self.piece(at)
            found = _within(piece, calendar, at)
            if found is not None:
                return found
            # What comes later is, by the wall clock, at most a day before the moment and at most a day after it.
            far = calendar.next_local(piece.end - DAY_S)
            if far is None:
                return None
            at = max(piece.end, far - DAY_S)
        return None


def _within(piece: Piece, calendar: Calendar, at: int) -> int | None:
    """The first moment from `at` on, if it is in the piece."""
    first = at + piece.offset
    if not calendar.every_hour:
        # What the clock shows a second time has happened before it was set back.
        first = max(first, piece.start + piece.before)
    local = calendar.next_local(first)
    found = None if local is None else local - piece.offset
    if piece.before < piece.offset:
        skipped = calendar.next_local(at + piece.before)
        if skipped is not None and skipped < piece.start + piece.offset:
            shifted = skipped - piece.before
            found = shifted if found is None else min(found, shifted)
    return found if found is not None and found < piece.end else None


UTC_ZONE = Zone("UTC", UTC)


@lru_cache(maxsize=256)
def zone(name: str) -> Zone:
    """The zone of an IANA name, such as `Europe/Berlin`. Raises `InvalidSchedule`."""
    if name.upper() in ("UTC", "ETC/UTC"):
        # Needs no zone data.
        return UTC_ZONE
    try:
        return Zone(name, ZoneInfo(name))
    except (ZoneInfoNotFoundError, ValueError, OSError, UnicodeError) as error:
        known = available_timezones()
        if not known:
            fact = "cannot be looked up: this machine has no time zone data"
            remedy = "install the package tzdata (pip install tzdata), or use UTC"
        else:
            near = difflib.get_close_matches(name, known, 1)
            fact = "is unknown"
            remedy = f"did you mean {near[0]!r}?" if near else "give an IANA name such as 'Europe/Berlin'"
        raise InvalidSchedule(what="time zone", value=repr(name[:80]), fact=fact, remedy=remedy) from error
