"""Ranks: what decides, beside age, which attempt of a task queue is handed out next. Pure.

What is never given costs nothing: an attempt without a rank is plain, and waits in line as priority 3 without a key.
"""

import msgspec

PRIORITIES = range(1, 6)
"""Lower ones go first."""
PRIORITY_DEFAULT = 3
KEY_BYTES_MAX = 64
"""Longest fairness key, in UTF-8. This and the bounds of weights are Temporal's: specs/temporal.md 1.1."""
WEIGHT_MIN = 0.001
WEIGHT_MAX = 1_000.0
WEIGHT_DEFAULT = 1.0
PLAIN_LINE = "3"
"""The line of attempts without a rank."""


class Rank(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What was asked for; None is inherited: by a call from its run, by a child from its parent."""

    priority: int | None = None
    key: str | None = None
    weight: float | None = None

    @property
    def line(self) -> str:
        """Names the line in which an attempt of this rank waits: its priority, then its key."""
        return f"{self.priority or PRIORITY_DEFAULT}{self.key or ''}"

    @property
    def weight_milli(self) -> int:
        """Thousandths of its weight: whole numbers add up alike in every store."""
        return round((WEIGHT_DEFAULT if self.weight is None else self.weight) * 1_000)


def inherited(own: Rank | None, base: Rank | None) -> Rank | None:
    """`own` where it says something, and `base` where it does not."""
    if own is None or base is None:
        return own or base
    return Rank(
        base.priority if own.priority is None else own.priority,
        own.key or base.key,
        base.weight if own.weight is None else own.weight,
    )


def effective(own: Rank | None, base: Rank | None) -> Rank | None:
    """The rank of an attempt; None if it is a plain one after all."""
    rank = inherited(own, base)
    return None if rank is None or rank.line == PLAIN_LINE else rank


def priority_of(rank: Rank | None) -> int:
    """Its priority, given or not."""
    return PRIORITY_DEFAULT if rank is None or rank.priority is None else rank.priority
