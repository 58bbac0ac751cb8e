"""Priority, fairness key and weight, as users write them. Everything is checked here, once."""

from collections.abc import Mapping
from typing import TypedDict

from perdure.core.errors import InvalidOption
from perdure.core.ids import checked_id
from perdure.core.rank import KEY_BYTES_MAX, PRIORITIES, WEIGHT_MAX, WEIGHT_MIN, Rank


class RankKeywords(TypedDict, total=False):
    """Where work stands in its task queue; activities and children inherit from their run what they are not given."""

    priority: int | None
    """1 to 5; lower ones go first, and 3 is the default."""
    fairness_key: str | None
    """Of whoever it is done for: keys share a task queue fairly."""
    fairness_weight: float | None
    """How large the share of the key is; 1 is the default."""


RANK_KEYWORDS = frozenset(RankKeywords.__annotations__)


def rank_of(keywords: Mapping[str, object], base: Rank | None = None) -> Rank | None:
    """The checked rank that the keywords ask for, on top of `base`; raises `InvalidOption` or `InvalidId`."""
    if keywords.keys().isdisjoint(RANK_KEYWORDS):
        return base
    before = base or Rank()
    rank = Rank(
        _priority(keywords["priority"]) if "priority" in keywords else before.priority,
        _key(keywords["fairness_key"]) if "fairness_key" in keywords else before.key,
        _weight(keywords["fairness_weight"]) if "fairness_weight" in keywords else before.weight,
    )
    return None if rank == Rank() else rank


def _priority(value: object) -> int | None:
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or value not in PRIORITIES:
        remedy = f"give {PRIORITIES[0]} (first) to {PRIORITIES[-1]} (last)"
        raise InvalidOption(name="priority", value=repr(value)[:80], fact="is no priority", remedy=remedy)
    return value


def _key(value: object) -> str | None:
    if value is None:
        return None
    key = checked_id("fairness key", value)
    size = len(key.encode())
    if size > KEY_BYTES_MAX:
        fact = f"has {size} bytes, more than {KEY_BYTES_MAX}"
        remedy = "give something short, such as the id of a tenant"
        raise InvalidOption(name="fairness_key", value=repr(key[:40]) + "...", fact=fact, remedy=remedy)
    return key


def _weight(value: object) -> float | None:
    if value is None:
        return None
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not WEIGHT_MIN <= value <= WEIGHT_MAX:
        remedy = f"give a number from {WEIGHT_MIN} to {WEIGHT_MAX:g}"
        raise InvalidOption(name="fairness_weight", value=repr(value)[:80], fact="is no weight", remedy=remedy)
    return float(value)
