"""Options as users write them: durations such as `"30s"`, retries, timeouts. Everything is checked here, once."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Any, TypeAlias, TypeVar, cast

import msgspec

from perdure.core import policy
from perdure.core.errors import InvalidOption
from perdure.core.ids import checked_id
from perdure.core.moment import length_ms
from perdure.core.policy import ActivityOptions
from perdure.programs.code.ranks import RANK_KEYWORDS, RankKeywords, rank_of

E = TypeVar("E", bound=StrEnum)

Duration: TypeAlias = str | int | float | timedelta
"""A length of time: `"30s"`, `"1h30m"`, `"250ms"`, a `timedelta`, or a number of seconds."""

DURATION_MS_MAX = 100 * 366 * 24 * 3600 * 1000
"""Longest duration, in ms: a hundred years. Anything longer is a mistake in the unit."""
COUNT_MAX = 1_000_000_000
"""Largest number of tries."""

_REMEDY = 'give a positive length such as "30s", "1h30m", timedelta(minutes=5) or a number of seconds'


def duration_ms(name: str, value: object, *, zero: bool = False) -> int:
    """The length of option `name` in ms, rounded up; raise `InvalidOption` for anything that is no length."""
    if isinstance(value, str):
        length = _parsed_ms(name, value)
    elif isinstance(value, timedelta):
        length = value / timedelta(milliseconds=1)
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        if isinstance(value, int) and abs(value) > DURATION_MS_MAX:
            raise InvalidOption(name=name, value=repr(value), fact="is longer than a hundred years", remedy=_REMEDY)
        length = value * 1_000
    else:
        raise InvalidOption(name=name, value=repr(value), fact=f"is a {type(value).__name__}", remedy=_REMEDY)
    if math.isnan(length) or length < 0 or (length == 0 and not zero):
        raise InvalidOption(name=name, value=repr(value), fact="is not a positive length", remedy=_REMEDY)
    if length > DURATION_MS_MAX:
        raise InvalidOption(name=name, value=repr(value), fact="is longer than a hundred years", remedy=_REMEDY)
    return math.ceil(round(length, 6))


def _parsed_ms(name: str, text: str) -> float:
    length = length_ms(text)
    if length is None:
        fact = "is not a length of time" if text.strip() else "is empty"
        raise InvalidOption(name=name, value=repr(text[:80]), fact=fact, remedy=_REMEDY)
    return length


@dataclass(frozen=True, kw_only=True)
class RetryPolicy:
    """How often and how soon an activity is tried again."""

    initial_interval: Duration = "1s"
    """Wait before the first retry."""
    coefficient: float = 2.0
    """Each wait is so many times the one before; at least 1."""
    maximum_interval: Duration = "100s"
    """No wait is longer."""
    maximum_attempts: int = 0
    """Tries in all, the first one included; 0 means no limit."""
    non_retryable: Iterable[type[BaseException] | str] = ()
    """Exception types, or their bare names, that end the activity at once."""

    def compiled(self) -> policy.RetryPolicy:
        """The policy in ms; raises `InvalidOption`."""
        factor = cast(Any, self.coefficient)
        if isinstance(factor, bool) or not isinstance(factor, (int, float)) or not 1 <= factor <= COUNT_MAX:
            raise InvalidOption(
                name="coefficient", value=repr(factor), fact="is out of bounds", remedy="give a number from 1 on"
            )
        return policy.RetryPolicy(
            initial_ms=duration_ms("initial_interval", self.initial_interval),
            coefficient=float(factor),
            interval_ms_max=duration_ms("maximum_interval", self.maximum_interval),
            attempts_max=checked_count("maximum_attempts", self.maximum_attempts),
            non_retryable=tuple([_type_name(each) for each in self.non_retryable]),
        )


class ActivityKeywords(RankKeywords, total=False):
    """The options of an activity, as keyword arguments; None lifts a limit."""

    retries: int
    """Tries after the first one; 0 means a single try."""
    retry: RetryPolicy
    timeout: Duration | None
    """Longest time of one try."""
    schedule_to_close: Duration | None
    """Longest time of all tries together."""
    schedule_to_start: Duration | None
    """Longest wait for a worker."""
    heartbeat: Duration | None
    """Longest silence of a running try."""
    queue: str | None
    """Task queue; None is the workflow's own."""


_LIMITS = {
    "timeout": "start_to_close_ms",
    "schedule_to_close": "schedule_to_close_ms",
    "schedule_to_start": "schedule_to_start_ms",
    "heartbeat": "heartbeat_ms",
}


def activity_options(base: ActivityOptions, keywords: ActivityKeywords) -> ActivityOptions:
    """`base` with the options in `keywords`; raises `InvalidOption`."""
    changes: dict[str, Any] = {}
    for name, value in keywords.items():
        if name in _LIMITS:
            changes[_LIMITS[name]] = None if value is None else duration_ms(name, value)
        elif name == "queue":
            checked_queue(value)
        elif name not in ("retries", "retry") and name not in RANK_KEYWORDS:
            known = ", ".join(ActivityKeywords.__annotations__)
            raise InvalidOption(name=name, value=repr(value), fact="is unknown", remedy=f"known are {known}")
    if "retries" in keywords or "retry" in keywords:
        changes["retry"] = _retry(base.retry, keywords)
    if not RANK_KEYWORDS.isdisjoint(keywords):
        changes["rank"] = rank_of(keywords, base.rank)
    return msgspec.structs.replace(base, **changes) if changes else base


def _retry(base: policy.RetryPolicy, keywords: ActivityKeywords) -> policy.RetryPolicy:
    given = cast(object, keywords.get("retry"))
    if given is None:
        retries = checked_count("retries", keywords.get("retries"))
        return msgspec.structs.replace(base, attempts_max=retries + 1)
    if not isinstance(given, RetryPolicy):
        raise InvalidOption(
            name="retry", value=repr(given), fact=f"is a {type(given).__name__}", remedy="give a RetryPolicy(...)"
        )
    if "retries" in keywords:
        raise InvalidOption(
            name="retries",
            value=repr(keywords["retries"]),
            fact="is given beside retry",
            remedy="give RetryPolicy(maximum_attempts=...)",
        )
    return given.compiled()


def checked_count(name: str, value: object) -> int:
    """Return `value` if it is a count; raise `InvalidOption` otherwise."""
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= COUNT_MAX:
        raise InvalidOption(
            name=name, value=repr(value), fact="is no count", remedy=f"give a whole number from 0 to {COUNT_MAX}"
        )
    return value


def checked_positive(name: str, value: object, most: int = COUNT_MAX) -> int:
    """The value if it is a whole number from 1 to `most`; raises `InvalidOption`."""
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= most:
        raise InvalidOption(name=name, value=repr(value), fact="is out of bounds", remedy=f"give 1 to {most}")
    return value


def checked_queue(value: object) -> str | None:
    """Return `value` if it can name a task queue, or is None."""
    return None if value is None else checked_id("queue", value)


def _type_name(value: object) -> str:
    kind: Any = value
    if isinstance(value, type) and issubclass(kind, BaseException):
        return str(kind.__name__)
    if isinstance(value, str) and value:
        return value
    raise InvalidOption(
        name="non_retryable",
        value=repr(value),
        fact="is no exception type",
        remedy="give exception classes or their names",
    )


def member(name: str, kind: type[E], value: object) -> E:
    """One of a kind, or its name; raises `InvalidOption`."""
    try:
        return kind(value)
    except ValueError as error:
        remedy = f"give one of {', '.join(kind)}"
        raise InvalidOption(name=name, value=repr(value)[:80], fact="is unknown", remedy=remedy) from error
