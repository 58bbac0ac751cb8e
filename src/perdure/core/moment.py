"""Moments and lengths of time as people write them in text: ISO 8601 to nanoseconds, `1h30m` to milliseconds."""

import re
from datetime import datetime, timedelta

NS_A_MS = 1_000_000
NS_A_SECOND = 1_000_000_000
_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 (both sides of the subtraction are without a zone; the zone is added after)
_MOMENT = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)"
    r"(?:[Tt ](\d\d):(\d\d)(?::(\d\d)(?:[.,](\d{1,9}))?)?\s?(?:([Zz])|([+-])(\d\d):?(\d\d))?)?",
    re.ASCII,
)
_UNITS_MS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}
_PART = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d|w)\s*", re.ASCII)


def moment_ns(text: str) -> int | None:
    """The moment that an ISO 8601 text names, in ns since 1970; None if it names none.

    A date alone is its midnight; without a zone it is UTC. The years 1 to 9999, so it may be beyond 64 bits.
    """
    found = _MOMENT.fullmatch(text)
    if found is None:
        return None
    year, month, day, hour, minute, second = (int(part or 0) for part in found.group(1, 2, 3, 4, 5, 6))
    try:
        whole = datetime(year, month, day, hour, minute, second)  # noqa: DTZ001 (as above)
    except ValueError:
        return None
    fraction, sign, hours, minutes = found.group(7, 9, 10, 11)
    seconds = (whole - _EPOCH) // timedelta(seconds=1)
    if sign is not None:
        if int(hours) > 23 or int(minutes) > 59:
            return None
        offset = int(hours) * 3_600 + int(minutes) * 60
        seconds -= offset if sign == "+" else -offset
    return seconds * NS_A_SECOND + (int(fraction.ljust(9, "0")) if fraction else 0)


def length_ms(text: str) -> float | None:
    """The length of time in a text such as `1h30m` or `250ms`; None if it is none."""
    rest = text.strip()
    length, at = 0.0, 0
    while at < len(rest):
        part = _PART.match(rest, at)
        if part is None:
            return None
        length += float(part[1]) * _UNITS_MS[part[2]]
        at = part.end()
    return length if rest else None
