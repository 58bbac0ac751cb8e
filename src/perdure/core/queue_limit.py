"""Limits of task queues, as users write them and as claims carry them."""

import math
from collections.abc import Iterable
from dataclasses import KW_ONLY, dataclass, fields
from typing import cast

from perdure.core.errors import InvalidOption
from perdure.core.ids import checked_id

RATE_MIN = 1e-6
RATE_MAX = 1e6
"""Bounds of rates, a second: once in twelve days to once a microsecond."""
COUNT_MAX = 1_000_000_000


@dataclass(frozen=True)
class QueueLimit:
    """How fast, and how many at once, attempts of one task queue are started, by all workers together.

    Give every worker of the queue the same. Attempts without a fairness key count as those of one more key.
    """

    queue: str
    _: KW_ONLY
    per_second: float | None = None
    """Attempts started in a second; retries count."""
    concurrent: int | None = None
    """Attempts that run at the same time."""
    per_key_per_second: float | None = None
    """The same for each fairness key."""
    concurrent_per_key: int | None = None
    """The same for each fairness key."""

    def __post_init__(self) -> None:
        checked_id("queue", self.queue)
        for name in ("per_second", "per_key_per_second"):
            _check_rate(name, getattr(self, name))
        for name in ("concurrent", "concurrent_per_key"):
            _check_count(name, getattr(self, name))
        names = [each.name for each in fields(self)[1:]]
        if all(getattr(self, name) is None for name in names):
            fact, remedy = "limits nothing", f"give one of {', '.join(names)}"
            raise InvalidOption(name="limits", value=f"QueueLimit({self.queue!r})", fact=fact, remedy=remedy)


def _check_rate(name: str, value: object) -> None:
    if value is None:
        return
    number = isinstance(value, (int, float)) and not isinstance(value, bool) and not math.isnan(value)
    if not number or not RATE_MIN <= cast(float, value) <= RATE_MAX:
        remedy = f"give a number from {RATE_MIN:g} to {RATE_MAX:g}, such as 1 / 60 for once a minute"
        raise InvalidOption(name=name, value=repr(value)[:80], fact="is no rate", remedy=remedy)


def _check_count(name: str, value: object) -> None:
    if value is None:
        return
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= COUNT_MAX:
        remedy = f"give a whole number from 1 to {COUNT_MAX}"
        raise InvalidOption(name=name, value=repr(value)[:80], fact="is no count", remedy=remedy)


def checked_limits(limits: object) -> tuple[QueueLimit, ...]:
    """The limits, at most one a queue; raises `InvalidOption`."""
    remedy = 'give a list such as [QueueLimit("mail", per_second=5)]'
    if not isinstance(limits, Iterable) or isinstance(limits, (str, bytes)):
        raise InvalidOption(name="limits", value=repr(limits)[:80], fact="is no list", remedy=remedy)
    found: dict[str, QueueLimit] = {}
    for each in cast("Iterable[object]", limits):
        if not isinstance(each, QueueLimit):
            raise InvalidOption(name="limits", value=repr(each)[:80], fact="is no QueueLimit", remedy=remedy)
        if each.queue in found:
            fact = f"limits queue {each.queue!r} a second time"
            raise InvalidOption(name="limits", value=repr(each), fact=fact, remedy="put all into one QueueLimit")
        found[each.queue] = each
    return tuple(found.values())
