"""What becomes due when, by place: the memory store's index of claimable things. It knows no store."""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Hashable
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=tuple[int, ...])
Place = TypeVar("Place", bound=Hashable)


class Agenda(Generic[Place, Key]):
    """Keys sorted by the moment at which they are due, each in one place; among equal moments by key."""

    def __init__(self) -> None:
        self._entries: dict[Key, tuple[Place, int]] = {}
        self._places: dict[Place, list[tuple[int, Key]]] = {}

    def put(self, key: Key, place: Place, at_ms: int | None) -> None:
        """Move `key` to `place` at the moment `at_ms`; None takes it off the agenda."""
        old = self._entries.pop(key, None)
        if old is not None:
            entries = self._places[old[0]]
            del entries[bisect_left(entries, (old[1], key))]
            if not entries:
                del self._places[old[0]]
        if at_ms is not None:
            self._entries[key] = (place, at_ms)
            insort(self._places.setdefault(place, []), (at_ms, key))

    def due(self, place: Place, now_ms: int, limit: int | None = None) -> list[tuple[int, Key]]:
        """Moments and keys up to `now_ms`, oldest first, at most `limit`."""
        entries = self._places.get(place, [])
        end = bisect_right(entries, now_ms, key=_moment)
        return entries[: end if limit is None else min(end, limit)]

    def next_at_ms(self, place: Place, now_ms: int) -> int | None:
        """The earliest moment after `now_ms`."""
        entries = self._places.get(place, [])
        index = bisect_right(entries, now_ms, key=_moment)
        return entries[index][0] if index < len(entries) else None


def _moment(entry: tuple[int, tuple[int, ...]]) -> int:
    return entry[0]
