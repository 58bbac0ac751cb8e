"""The choice among attempts that wait: strict priorities, fair shares between the keys of one priority, limits. Pure.

Within a priority each fairness key has a pass: what it was given so far, by weight. The key with the lowest pass is
next (stride scheduling), and within a key the oldest. A key that comes back after a rest begins at the clock of its
priority, so that nobody saves up. Stores keep the passes and clocks beside the attempts: all workers share them.

A queue's limits let through only what its rates and the attempts that run already leave room for. A line that they keep
is passed over, so that what they do not keep goes on. Source: docs/decisions/0070-task-queues.md.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from heapq import heapify, heappop, heapreplace
from typing import NamedTuple, TypeAlias

from perdure.core.queue_limit import QueueLimit
from perdure.core.rank import PLAIN_LINE

STRIDE = 1_000_000_000
"""Divided by thousandths of a weight, it is how far one attempt moves its key's pass."""
PASSES_MAX = 2_000
"""Most keys of one queue and priority that are remembered as ahead of the others."""

BURST_US = 100_000
"""A queue that was idle may start as many at once as its rate allows in so many microseconds, and at least one."""

CLOCK, PASS, RATE, KEY_RATE = "clock", "pass", "rate", "key rate"

Entry: TypeAlias = tuple[str, str, str]
"""Names a number in the books of a store: the queue, what it is, and of whom."""
Held: TypeAlias = Mapping[tuple[str, str], int]
"""How many attempts of each queue and line are held."""


class Candidate(NamedTuple):
    """An attempt that is due."""

    ready_at_ms: int
    key: tuple[int, int]
    """How the store names it; among equally old ones the lower comes first."""
    weight_milli: int = 1_000
    suspect: bool = False
    expires_at_ms: int | None = None


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

    @property
    def key(self) -> str:
        """The fairness key; empty where there is none."""
        return self.name[1:]

    def advance(self) -> None:
        """Drop the head."""
        self.head = next(self._later, None)


class Want(NamedTuple):
    """What a claim asks for."""

    now_ms: int
    attempts_max: int
    suspects_max: int
    limits: tuple[QueueLimit, ...] = ()


class Choice(NamedTuple):
    """What a claim gets."""

    keys: list[tuple[int, int]]
    """In the order in which they are handed out."""
    best_left: int | None = None
    """The best priority among those that could be handed out as well, if there were room for them."""
    changes: Mapping[Entry, int | None] = {}
    """Entries to be written into the books; None takes one away."""
    next_at_ms: int | None = None
    """When more of those that are due can be handed out: a limit keeps them until then."""
    limited: Sequence[tuple[int, int]] = ()
    """Plain ones of queues with limits among them: from here on they must be counted."""


def choose(
    lines: Iterable[Line],
    books: Mapping[Entry, int],
    want: Want,
    *,
    held: Held | None = None,
    full: Iterable[Line] = (),
) -> Choice:
    """Which attempts a claim hands out. The lines are used up as far as needed; those in `full` have no room.

    `held` is only looked at where the limits bound how many run at once.
    """
    return _Choosing(books, want, held or {}).choose(lines, full)


class _Choosing:
    """One choice under way."""

    def __init__(self, books: Mapping[Entry, int], want: Want, held: Held) -> None:
        self._before = books
        self._books = dict(books)
        self._want = want
        self._gate = _Gate(self._books, want, held)
        self._suspects_left = want.suspects_max
        self._taken: list[tuple[int, int]] = []
        self._limited: list[tuple[int, int]] = []
        self._moments: list[int] = []
        self._best_left: int | None = None

    def choose(self, lines: Iterable[Line], full: Iterable[Line]) -> Choice:
        by_priority: dict[int, list[Line]] = {}
        for line in lines:
            by_priority.setdefault(line.priority, []).append(line)
        for priority in sorted(by_priority):
            self._serve(by_priority[priority])
            if self._best_left is not None:
                break
        left = [line.priority for line in full if self._head(line) is not None and self._gate.opens_ms(line) == 0]
        left += [] if self._best_left is None else [self._best_left]
        return Choice(
            self._taken,
            min(left, default=None),
            self._changes(),
            min(self._moments, default=None),
            self._limited,
        )

    def _serve(self, lines: Iterable[Line]) -> None:
        """Hand out attempts of one priority, as long as there is room."""
        heap = [self._place(line) for line in lines if self._head(line) is not None]
        heapify(heap)
        while heap:
            line = heap[0][-1]
            candidate = self._head(line)
            if candidate is None or not self._passes(line, candidate):
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

    def _expired(self, candidate: Candidate) -> bool:
        return candidate.expires_at_ms is not None and candidate.expires_at_ms <= self._want.now_ms

    def _passes(self, line: Line, candidate: Candidate) -> bool:
        """Whether the limits let it through; one that has expired is to be ended, not run."""
        if self._expired(candidate):
            return True
        opens_ms = self._gate.opens_ms(line)
        if opens_ms == 0:
            return True
        moments = (opens_ms, candidate.expires_at_ms)
        self._moments += [moment for moment in moments if moment is not None]
        return False

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
        line.advance()
        if self._expired(candidate):
            return
        start = self._start(line)
        self._books[line.queue, CLOCK, line.name[0]] = start
        self._books[line.queue, PASS, line.name] = start + STRIDE // candidate.weight_milli
        if self._gate.enter(line) and line.name == PLAIN_LINE:
            self._limited.append(candidate.key)

    def _changes(self) -> dict[Entry, int | None]:
        """What is to be written; what says nothing any more need not be kept."""
        touched = {entry for entry, value in self._books.items() if self._before.get(entry) != value}
        for queue, priority in {(queue, of[0]) for queue, what, of in touched if what == PASS}:
            self._prune(queue, priority)
        if touched:
            now_us = self._want.now_ms * 1_000
            for entry in [each for each, value in self._books.items() if each[1] in _RATES and value <= now_us]:
                del self._books[entry]
        written = {entry: value for entry, value in self._books.items() if self._before.get(entry) != value}
        return written | dict.fromkeys(entry for entry in self._before if entry not in self._books)

    def _prune(self, queue: str, priority: str) -> None:
        """Forget the passes that are not ahead of their clock."""
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


_RATES = (RATE, KEY_RATE)


class _Gate:
    """The limits of queues. A rate is kept as the moment, in microseconds, at which all of its burst is there again."""

    def __init__(self, books: dict[Entry, int], want: Want, held: Held) -> None:
        self._books = books
        self._now_ms = want.now_ms
        self._limits = {limit.queue: limit for limit in want.limits}
        self._held: Counter[tuple[str, str | None]] = Counter()
        for (queue, line), count in held.items() if self._limits else ():
            self._held[queue, None] += count
            self._held[queue, line[1:]] += count

    def opens_ms(self, line: Line) -> int | None:
        """From when on the next one of a line may go: 0 is now, None when one that runs has ended."""
        limit = self._limits.get(line.queue)
        if limit is None:
            return 0
        counts = ((limit.concurrent, None), (limit.concurrent_per_key, line.key))
        if any(most is not None and self._held[line.queue, of] >= most for most, of in counts):
            return None
        return max(_opens_ms(rate, self._books.get(entry, 0), self._now_ms) for rate, entry in _rates(limit, line))

    def enter(self, line: Line) -> bool:
        """One more of it goes; whether its queue has limits."""
        limit = self._limits.get(line.queue)
        if limit is None:
            return False
        self._held[line.queue, None] += 1
        self._held[line.queue, line.key] += 1
        for rate, entry in _rates(limit, line):
            if rate is not None:
                self._books[entry] = max(self._books.get(entry, 0), self._now_ms * 1_000) + _interval_us(rate)
        return True


def _rates(limit: QueueLimit, line: Line) -> Iterable[tuple[float | None, Entry]]:
    yield limit.per_second, (line.queue, RATE, "")
    yield limit.per_key_per_second, (line.queue, KEY_RATE, line.key)


def _interval_us(rate: float) -> int:
    return max(1, round(1_000_000 / rate))


def _opens_ms(rate: float | None, full_us: int, now_ms: int) -> int:
    """When a rate lets one more through; 0 is now."""
    if rate is None:
        return 0
    opens_us = full_us - max(0, BURST_US - _interval_us(rate))
    return 0 if opens_us <= now_ms * 1_000 else -(-opens_us // 1_000)
