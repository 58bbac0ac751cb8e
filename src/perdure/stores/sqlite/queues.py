"""Attempts with a rank: how they enter the database, and the choice among those that wait. It decides nothing."""

from collections.abc import Iterable, Iterator, Sequence
from heapq import merge
from itertools import product
from typing import Any, NamedTuple

from perdure.core.dispatch import Candidate, Choice, Line, Want, choose
from perdure.core.rank import PLAIN_LINE
from perdure.core.store import SUSPECT_DEATHS, ClaimRequest, NewAttempt
from perdure.stores.sqlite.database import Database

CHUNK_MAX = 64
"""Most attempts of one line and activity that are read at once."""
_DEATHS_MAX = 1_000_000_000


def rank_columns(attempt: NewAttempt) -> tuple[str | None, int | None]:
    """What the row of an attempt says of its rank."""
    return (None, None) if attempt.rank is None else (attempt.rank.line, attempt.rank.weight_milli)


class _Source(NamedTuple):
    """Where attempts of one line come from: a statement, and what chooses them."""

    statement: str
    queue: str
    line: str
    chosen_by: tuple[str, ...]


class Ranked:
    """The free attempts that fit a request, where some have a rank."""

    def __init__(self, db: Database, request: ClaimRequest, now_ms: int) -> None:
        self._db = db
        self._request = request
        self._now_ms = now_ms
        self._suspects_max = min(request.suspects_max, request.attempts_max)
        self._places = self._find_places(request.activities)

    def choose(self) -> Choice:
        """The choice among those that are due."""
        request = self._request
        want = Want(self._now_ms, request.attempts_max, self._suspects_max, request.limits)
        books = self._db.values_of("books", list(dict.fromkeys(request.queues)))
        return choose(
            self._lines(self._places, request.activities, request.attempts_max),
            {(queue, what, whose): number for queue, what, whose, number in books},
            want,
            held=self._held(),
            full=self._lines(self._find_places(request.full), request.full, 0) if request.full else (),
        )

    def _held(self) -> dict[tuple[str, str], int]:
        """How many of each queue and line are held, of queues that limit it."""
        limits = self._request.limits
        queues = [each.queue for each in limits if each.concurrent is not None or each.concurrent_per_key is not None]
        found = self._db.values_of("held_in_lines", queues) if queues else []
        return {(queue, line): count for queue, line, count in found}

    def _find_places(self, names: Iterable[str]) -> list[tuple[str, str, str]]:
        """Queue, activity and line of the attempts with a rank, due or not."""
        kinds = product(dict.fromkeys(self._request.queues), sorted(names))
        return [(queue, name, line) for queue, name, line in self._db.values_of("lines", [v for k in kinds for v in k])]

    def _lines(self, places: Sequence[tuple[str, str, str]], names: Iterable[str], wanted: int) -> list[Line]:
        sources = [_Source("ranked_attempts", place[0], place[2], place) for place in places]
        plain = ["plain_attempts"] + (["plain_suspects"] if self._suspects_max else [])
        for queue, name in product(dict.fromkeys(self._request.queues), sorted(names)):
            sources += [_Source(statement, queue, PLAIN_LINE, (queue, name)) for statement in plain]
        chunk = min(CHUNK_MAX, 1 + wanted // max(1, len(sources)))
        by_line: dict[tuple[str, str], list[Iterator[Candidate]]] = {}
        for source, first in zip(sources, self._first(sources, chunk), strict=True):
            if first:
                by_line.setdefault((source.queue, source.line), []).append(self._all(source, first, chunk))
        return [Line(queue, line, merge(*parts)) for (queue, line), parts in sorted(by_line.items())]

    def _first(self, sources: Sequence[_Source], chunk: int) -> list[list[Candidate]]:
        """The first few of each source."""
        found: list[list[Candidate]] = [[] for _ in sources]
        flat: dict[str, list[Any]] = {}
        for index, source in enumerate(sources):
            flat.setdefault(source.statement, []).extend((index, *source.chosen_by, self._now_ms, chunk, 0))
        for statement, parameters in flat.items():
            for row in self._db.values_of(statement, parameters):
                number: int = row[0]
                found[number].append(self._candidate(row))
        return found

    def _all(self, source: _Source, first: Sequence[Candidate], chunk: int) -> Iterator[Candidate]:
        """All of a source, read as far as they are looked at, and more and more at a time."""
        yield from first
        count, last = len(first), len(first)
        while last == chunk:
            chunk = CHUNK_MAX
            rows = self._db.values_of(source.statement, (0, *source.chosen_by, self._now_ms, chunk, count))
            yield from [self._candidate(row) for row in rows]
            last = len(rows)
            count += last

    def _candidate(self, row: Sequence[Any]) -> Candidate:
        _, ready_at_ms, run_key, call_id, weight, deaths_count, expires_at_ms = row
        return Candidate(ready_at_ms, (run_key, call_id), weight, deaths_count >= SUSPECT_DEATHS, expires_at_ms)

    def next_ms(self) -> list[int]:
        """When more attempts with a rank can be taken."""
        if self._request.attempts_max <= 0:
            return []
        deaths_max = SUSPECT_DEATHS - 1 if self._request.suspects_max <= 0 else _DEATHS_MAX
        flat = [value for place in self._places for value in (*place, self._now_ms, deaths_max)]
        return self._db.numbers_of("next_ranked_ms", flat)


def write_choice(db: Database, choice: Choice) -> None:
    """Remember what a choice changed, and count the plain attempts that limits have let through."""
    if choice.limited:
        db.run_rows("rank_plain_attempts", [value for key in choice.limited for value in key], before=(PLAIN_LINE,))
    written = [(*entry, number) for entry, number in choice.changes.items() if number is not None]
    cleared = [entry for entry, number in choice.changes.items() if number is None]
    if written:
        db.run_rows("write_books", [value for row in written for value in row])
    if cleared:
        db.run_rows("clear_books", [value for row in cleared for value in row])
