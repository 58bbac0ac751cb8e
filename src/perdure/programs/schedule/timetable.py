"""When a schedule is due: rules together, less what is left out, between its start and its end."""

import hashlib
import heapq
from collections.abc import Iterator

import msgspec

from perdure.programs.schedule.calendar import Calendar
from perdure.programs.schedule.cron import Rule
from perdure.programs.schedule.zones import UTC_ZONE, Zone


class Timetable(msgspec.Struct, frozen=True):
    """The moments of a schedule, in ms since 1970. Pure: it holds all zone data that it needs."""

    rules: tuple[Rule, ...]
    skip: tuple[Calendar, ...] = ()
    """Moments whose local time in `zone` fits one of these are left out."""
    zone: Zone = UTC_ZONE
    start_ms: int | None = None
    """The first moment that counts."""
    end_ms: int | None = None
    """The last moment that counts."""

    def next_after(self, at_ms: int) -> int | None:
        """The first moment after `at_ms`; None if there is none."""
        return next(self.after(at_ms), None)

    def between(self, after_ms: int, until_ms: int) -> Iterator[int]:
        """The moments after `after_ms` up to `until_ms`, which counts, in order."""
        for moment in self.after(after_ms):
            if moment > until_ms:
                return
            yield moment

    def after(self, at_ms: int) -> Iterator[int]:
        """All moments after `at_ms`, in order."""
        if self.start_ms is not None:
            at_ms = max(at_ms, self.start_ms - 1)
        last = at_ms
        for moment in heapq.merge(*(self._moments(rule, at_ms) for rule in self.rules)):
            if self.end_ms is not None and moment > self.end_ms:
                return
            if moment != last:
                yield moment
            last = moment

    def _moments(self, rule: Rule, at_ms: int) -> Iterator[int]:
        found = rule.next_after(at_ms)
        while found is not None and (self.end_ms is None or found <= self.end_ms):
            resume_ms = self._left_out_until(found)
            if resume_ms is None:
                yield found
                resume_ms = found + 1
            found = rule.next_after(resume_ms - 1)

    def _left_out_until(self, moment_ms: int) -> int | None:
        """If a moment is left out, a later one up to which all are."""
        if not self.skip:
            return None
        at = moment_ms // 1_000
        offset = self.zone.offset(at)
        for calendar in self.skip:
            if calendar.fits(at + offset):
                until = min(calendar.fits_until(at + offset) - offset, self.zone.piece(at).end)
                return until * 1_000
        return None


def jitter_ms(schedule_id: str, moment_ms: int, next_ms: int | None, most_ms: int) -> int:
    """How much later than its moment an action starts: from 0 to `most_ms`, and before the next moment.

    Made of the schedule's id and the moment, so that it is the same in every process.
    """
    if next_ms is not None:
        most_ms = min(most_ms, next_ms - moment_ms - 1)
    if most_ms <= 0:
        return 0
    digest = hashlib.blake2b(f"{schedule_id}\0{moment_ms}".encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big") * (most_ms + 1) >> 64
