"""The choice among attempts that wait: strict priorities, and fair shares between the keys of one priority. Pure.

Within a priority each fairness key has a pass: what it was given so far, by weight. The key with the lowest pass is
next (stride scheduling), and within a key the oldest. A key that comes back after a rest begins at the clock of its
priority, so that nobody saves up. Stores keep the passes and clocks beside the attempts: all workers share them.
Source: docs/decisions/0070-task-queues.md.
"""

from collections.abc import Iterable, Iterator, Mapping
from heapq import heapify, heappop, heapreplace
from typing import NamedTuple, TypeAlias

STRIDE = 1_000_000_000
"""Divided by thousandths of a weight, it is how far one attempt moves its key's pass."""
PASSES_MAX = 2_000
"""Most keys of one queue and priority that are remembered as ahead of the others."""

CLOCK, PASS = "clock", "pass"

Entry: TypeAlias = tuple[str, str, str]
"""Names a number in the books of a store: the queue, what it is, and of whom."""


class Candidate(NamedTuple):
    """An attempt that is due."""

    ready_at_ms: int
    key: tuple[int, int]
    """How the store names it; among equally old ones the lower comes first."""
    weight_milli: int = 1_000
    suspect: bool = False
    expired: bool = False


class Line:
    """Attempts of one queue, priority and fairness key, the oldest first."""

    __slots__ = ("_later", "head", "name", "queue")

    def __init__(self, queue: str, name: str, candidates: Iterable[Candidate]) -> None:
        """`name`: see `Rank.line`. No more of the candidates are looked at than needed."""
        self.queue = queue
        self.name = name
        self._later: Iterator[Candidate] = iter(candidates)
        self.head = next(self._later, None)

    @property
    def priority(self) -> int:
        """Lower ones go first."""
        return int(self.name[0])

    def advance(self) -> None:
        """Drop the head."""
        self.head = next(self._later, None)


class Want(NamedTuple):
    """What a claim asks for."""

    now_ms: int
    attempts_max: int
    suspects_max: int


class Choice(NamedTuple):
    """What a claim gets."""

    keys: list[tuple[int, int]]
    """In the order in which they are handed out."""
    best_left: int | None = None
    """The best priority among those that could be handed out as well, if there were room for them."""
    changes: Mapping[Entry, int | None] = {}
    """Entries to be written into the books; None takes one away."""


def choose(lines: Iterable[Line], books: Mapping[Entry, int], want: Want, *, full: Iterable[Line] = ()) -> Choice:
    """Which attempts a claim hands out. The lines are used up as far as needed; those in `full` have no room."""
    return _Choosing(books, want).choose(lines, full)


class _Choosing:
    """One choice under way."""

    def __init__(self, books: Mapping[Entry, int], want: Want) -> None:
        self._before = books
        self._books = dict(books)
        self._want = want
        self._suspects_left = want.suspects_max
        self._taken: list[tuple[int, int]] = []
        self._best_left: int | None = None

    def choose(self, lines: Iterable[Line], full: Iterable[Line]) -> Choice:
        by_priority: dict[int, list[Line]] = {}
        for line in lines:
            by_priority.setdefault(line.priority, []).append(line)
        for priority in sorted(by_priority):
            self._serve(by_priority[priority])
            if self._best_left is not None:
                break
        left = [line.priority for line in full if self._head(line) is not None]
        left += [] if self._best_left is None else [self._best_left]
        return Choice(self._taken, min(left, default=None), self._changes())

    def _serve(self, lines: Iterable[Line]) -> None:
        """Hand out attempts of one priority, as long as there is room."""
        heap = [self._place(line) for line in lines if self._head(line) is not None]
        heapify(heap)
        while heap:
            line = heap[0][-1]
            candidate = self._head(line)
            if candidate is None:
                heappop(heap)
            elif len(self._taken) >= self._want.attempts_max:
                self._best_left = line.priority
                return
            else:
                self._take(line, candidate)
                if self._head(line) is None:
                    heappop(heap)
                else:
                    heapreplace(heap, self._place(line))

    def _head(self, line: Line) -> Candidate | None:
        """The next one of a line, but for suspects where there are enough of them."""
        while line.head is not None and line.head.suspect and not self._suspects_left:
            line.advance()
        return line.head

    def _place(self, line: Line) -> tuple[int, int, str, str, Line]:
        """Sorts lines of one priority: by how far they are ahead of what their queue's clock was, then by age."""
        assert line.head is not None
        origin = self._before.get((line.queue, CLOCK, line.name[0]), 0)
        return self._start(line) - origin, line.head.ready_at_ms, line.queue, line.name, line

    def _start(self, line: Line) -> int:
        """The pass at which the next one of a line would be handed out."""
        clock = self._books.get((line.queue, CLOCK, line.name[0]), 0)
        return max(clock, self._books.get((line.queue, PASS, line.name), 0))

    def _take(self, line: Line, candidate: Candidate) -> None:
        self._taken.append(candidate.key)
        self._suspects_left -= candidate.suspect
        start = self._start(line)
        self._books[line.queue, CLOCK, line.name[0]] = start
        self._books[line.queue, PASS, line.name] = start + STRIDE // candidate.weight_milli
        line.advance()

    def _changes(self) -> dict[Entry, int | None]:
        """What is to be written; passes that are not ahead of their clock need not be kept."""
        touched = {entry for entry, value in self._books.items() if self._before.get(entry) != value}
        for queue, priority in {(queue, of[0]) for queue, what, of in touched if what == PASS}:
            self._prune(queue, priority)
        written = {entry: value for entry, value in self._books.items() if self._before.get(entry) != value}
        return written | dict.fromkeys(entry for entry in self._before if entry not in self._books)

    def _prune(self, queue: str, priority: str) -> None:
        passes = sorted(
            (value, entry)
            for entry, value in self._books.items()
            if entry[:2] == (queue, PASS) and entry[2][0] == priority
        )
        clock = self._books[queue, CLOCK, priority]
        if len(passes) > PASSES_MAX:
            # So many keys that came once each: without this their passes would be kept for ever.
            clock = self._books[queue, CLOCK, priority] = max(clock, passes[-PASSES_MAX - 1][0])
        for value, entry in passes:
            if value <= clock:
                del self._books[entry]
