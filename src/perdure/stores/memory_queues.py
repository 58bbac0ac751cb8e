"""The memory store's attempts with a rank, and the choice among those that wait. It decides nothing."""

from collections import Counter
from collections.abc import Iterable, Sequence

from perdure.core.dispatch import Candidate, Choice, Entry, Line, Want, choose
from perdure.core.rank import PLAIN_LINE
from perdure.core.store import SUSPECT_DEATHS, ClaimRequest
from perdure.stores.memory_run import MemoryAttempt


class RankedQueues:
    """All attempts with a rank, held or free, and what choosing among them must remember."""

    def __init__(self) -> None:
        self._attempts: dict[tuple[int, int], MemoryAttempt] = {}
        self._books: dict[Entry, int] = {}

    def __bool__(self) -> bool:
        """Whether any attempt has a rank."""
        return bool(self._attempts)

    def put(self, attempt: MemoryAttempt) -> None:
        """It has a rank."""
        self._attempts[attempt.key] = attempt

    def drop(self, attempt: MemoryAttempt) -> None:
        """It is over."""
        self._attempts.pop(attempt.key, None)

    def choose(self, request: ClaimRequest, plain: Sequence[MemoryAttempt], now_ms: int) -> Choice:
        """The choice among those that are due; `plain` are those without a rank."""
        due = [*plain, *(attempt for attempt in self._free(request) if attempt.ready_at_ms <= now_ms)]
        suspects_max = min(request.suspects_max, request.attempts_max)
        want = Want(now_ms, request.attempts_max, suspects_max, request.limits)
        books = {entry: number for entry, number in self._books.items() if entry[0] in request.queues}
        lines, full = (
            _lines([each for each in due if each.name in names]) for names in (request.activities, request.full)
        )
        held = Counter((each.queue, each.line or "") for each in self._attempts.values() if each.worker is not None)
        choice = choose(lines, books, want, held=held, full=full)
        for entry, number in choice.changes.items():
            if number is None:
                del self._books[entry]
            else:
                self._books[entry] = number
        return choice

    def _free(self, request: ClaimRequest) -> list[MemoryAttempt]:
        names = request.activities | request.full
        return [
            each
            for each in self._attempts.values()
            if each.worker is None and each.queue in request.queues and each.name in names
        ]

    def next_ms(self, request: ClaimRequest, now_ms: int) -> list[int]:
        """When more of them can be taken."""
        if request.attempts_max <= 0:
            return []
        return [
            each.ready_at_ms
            for each in self._free(request)
            if each.ready_at_ms > now_ms
            and each.name in request.activities
            and (each.deaths_count < SUSPECT_DEATHS or request.suspects_max > 0)
        ]


def _lines(attempts: Iterable[MemoryAttempt]) -> list[Line]:
    by_line: dict[tuple[str, str], list[Candidate]] = {}
    for attempt in attempts:
        by_line.setdefault((attempt.queue, attempt.line or PLAIN_LINE), []).append(attempt.candidate())
    return [Line(queue, line, sorted(found)) for (queue, line), found in sorted(by_line.items())]
