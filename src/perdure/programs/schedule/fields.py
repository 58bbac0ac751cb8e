"""One field of a cron line or a calendar: numbers, names, lists, ranges and steps, as sorted numbers."""

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from perdure.core.errors import InvalidSchedule

YEAR_MIN, YEAR_MAX = 1970, 2199
"""No schedule runs outside these years."""

_ITEM = re.compile(r"(?P<low>\*|\?|\w+)(?:-(?P<high>\w+))?(?:/(?P<step>\w+))?", re.ASCII)
_MONTHS = "january february march april may june july august september october november december"
_DAYS = "sunday monday tuesday wednesday thursday friday saturday"


class Kind(NamedTuple):
    """What a field may hold."""

    name: str
    low: int
    high: int
    names: Mapping[str, int] = MappingProxyType({})

    @property
    def remedy(self) -> str:
        """What to write instead."""
        named = f" or names ({', '.join(each for each in self.names if len(each) == 3)})" if self.names else ""
        return f"give numbers from {self.low} to {self.high}{named}, lists 1,2, ranges 1-5, steps */2, or *"


def _named(names: str, first: int) -> dict[str, int]:
    numbered = {name: number for number, name in enumerate(names.split(), first)}
    return {name[:3]: number for name, number in numbered.items()} | numbered


SECOND = Kind("second", 0, 59)
MINUTE = Kind("minute", 0, 59)
HOUR = Kind("hour", 0, 23)
DAY_OF_MONTH = Kind("day of month", 1, 31)
MONTH = Kind("month", 1, 12, _named(_MONTHS, 1))
DAY_OF_WEEK = Kind("day of week", 0, 7, _named(_DAYS, 0))
YEAR = Kind("year", YEAR_MIN, YEAR_MAX)


class Place(NamedTuple):
    """Where a field stands: in which text, and after how many of its characters."""

    what: str
    """Of what the text is part, such as `cron`."""
    text: str
    offset: int = 0

    def refused(self, at: int, fact: str, remedy: str) -> InvalidSchedule:
        """The error for the character `at` of the field, counted from 0."""
        return InvalidSchedule(
            what=self.what, value=_shown(self.text), fact=f"{fact} (character {self.offset + at + 1})", remedy=remedy
        )


def _shown(text: str) -> str:
    return repr(text if len(text) <= 100 else text[:100] + "...")


def parse(kind: Kind, text: str, place: Place) -> tuple[int, ...]:
    """The numbers that `text` stands for, sorted; Sunday is 0. Raises `InvalidSchedule`."""
    numbers: set[int] = set()
    at = 0
    for item in text.split(","):
        numbers.update(_item(kind, item, at, place))
        at += len(item) + 1
    if kind is DAY_OF_WEEK:
        numbers = {number % 7 for number in numbers}
    return tuple(sorted(numbers))


def _item(kind: Kind, item: str, at: int, place: Place) -> range:
    if not item:
        raise place.refused(at, f"an entry of the {kind.name} field is empty", kind.remedy)
    found = _ITEM.fullmatch(item)
    if found is None or (found["high"] is not None and found["low"] in "*?"):
        raise place.refused(at, f"{kind.name} {item[:40]!r} cannot be read", kind.remedy)
    low, high, step = found["low"], found["high"], found["step"]
    if low == "?" and kind not in (DAY_OF_MONTH, DAY_OF_WEEK):
        raise place.refused(at, f"? means any day, not any {kind.name}", "write * here")
    if low in "*?":
        # Day 7 is Sunday too, and */2 must not meet it a second time.
        first, last = kind.low, 6 if kind is DAY_OF_WEEK else kind.high
    else:
        first = _number(kind, low, at, place)
        if high is not None:
            last = _number(kind, high, at + found.start("high"), place)
        else:
            last = first if step is None else kind.high
    if last == 0 < first and kind is DAY_OF_WEEK:
        last = 7
    if last < first:
        remedy = f"write {kind.low}-{high},{low}-{kind.high} to go past the end"
        raise place.refused(at, f"{kind.name} range {item[:40]} runs backwards", remedy)
    return range(first, last + 1, 1 if step is None else _step(kind, step, at + found.start("step"), place))


def _number(kind: Kind, text: str, at: int, place: Place) -> int:
    named = kind.names.get(text.lower())
    if named is not None:
        return named
    if not text.isdigit():
        raise place.refused(at, f"{text[:40]!r} is no {kind.name}", kind.remedy)
    if len(text) > 4 or not kind.low <= int(text) <= kind.high:
        raise place.refused(at, f"{kind.name} {text[:40]} is out of bounds", kind.remedy)
    return int(text)


def _step(kind: Kind, text: str, at: int, place: Place) -> int:
    if not text.isdigit() or len(text) > 4 or int(text) == 0:
        raise place.refused(at, f"step {text[:40]!r} of the {kind.name} field is no positive number", "write */2")
    return int(text)
