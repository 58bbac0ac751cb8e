"""The choice among attempts that wait: priorities, shares by weight, suspects, and what is remembered."""

from collections.abc import Iterator, Mapping

import pytest

from perdure.core.dispatch import CLOCK, PASS, PASSES_MAX, Candidate, Choice, Entry, Line, Want, choose
from perdure.core.queue_limit import QueueLimit
from perdure.core.rank import Rank, effective, inherited

Waiting = dict[str, list[Candidate]]


def waiting(**counts: int) -> Waiting:
    """So many attempts in each line; `p3_a` is key a of priority 3."""
    lines = [(name[1] + name[3:], count) for name, count in counts.items()]
    return {
        line: [Candidate(number, (place, number)) for number in range(count)]
        for place, (line, count) in enumerate(lines)
    }


def choice(
    there: Waiting,
    want: Want,
    books: Mapping[Entry, int] | None = None,
    *,
    held: Mapping[tuple[str, str], int] | None = None,
    full: Waiting | None = None,
) -> Choice:
    """What a claim gets of one queue."""
    lines = [Line("q", name, found) for name, found in there.items()]
    without_room = [Line("q", name, found) for name, found in (full or {}).items()]
    return choose(lines, books or {}, want, held=held, full=without_room)


def served(there: Waiting, count: int) -> list[int]:
    """Which line each of so many claims of one attempt gets, by its place."""
    books: dict[Entry, int] = {}
    places: list[int] = []
    for _ in range(count):
        found = choice(there, Want(10, 1, 1), books)
        for entry, number in found.changes.items():
            if number is None:
                del books[entry]
            else:
                books[entry] = number
        (key,) = found.keys
        places.append(key[0])
        for candidates in there.values():
            candidates[:] = [each for each in candidates if each.key != key]
    return places


def test_nothing_is_chosen_of_nothing() -> None:
    found = choice({}, Want(10, 5, 1))

    assert (found.keys, found.best_left, found.next_at_ms, found.changes) == ([], None, None, {})


def test_a_lower_priority_is_empty_before_the_next_one_gets_anything() -> None:
    assert served(waiting(p4_=2, p1_a=2, p2_=1), 5) == [1, 1, 2, 0, 0]


@pytest.mark.parametrize("together", [True, False])
def test_keys_get_shares_by_weight_whether_claimed_together_or_one_by_one(*, together: bool) -> None:
    def lines() -> Waiting:
        return {
            f"3{key}": [Candidate(0, (place, number), weight) for number in range(50)]
            for place, (key, weight) in enumerate([("a", 500), ("b", 1_000), ("c", 2_500)])
        }

    places = [key[0] for key in choice(lines(), Want(10, 40, 1)).keys] if together else served(lines(), 40)

    assert [places.count(place) for place in range(3)] == [5, 10, 25]


def test_within_a_key_the_oldest_goes_first() -> None:
    found = choice({"3a": [Candidate(4, (9, 1)), Candidate(7, (1, 1)), Candidate(7, (2, 1))]}, Want(10, 2, 1))

    assert found.keys == [(9, 1), (1, 1)]


def test_a_key_that_rested_saves_nothing_up() -> None:
    books = {("q", CLOCK, "3"): 5_000_000, ("q", PASS, "3a"): 6_000_000}

    found = choice(waiting(p3_a=9, p3_b=9), Want(10, 5, 1), books)

    assert [key[0] for key in found.keys] == [1, 0, 1, 0, 1]


def test_suspects_that_are_too_many_are_passed_over_and_not_told_as_left() -> None:
    there = {"3": [Candidate(number, (0, number), suspect=number < 3) for number in range(5)]}

    found = choice(there, Want(10, 9, 1))

    assert (found.keys, found.best_left) == ([(0, 0), (0, 3), (0, 4)], None)


def test_the_best_of_what_has_no_room_is_told() -> None:
    assert choice(waiting(p3_=2, p5_=1), Want(10, 2, 1)).best_left == 5
    assert choice(waiting(p3_=2), Want(10, 1, 1), full=waiting(p2_=1, p4_=1)).best_left == 2
    assert choice(waiting(p3_=2), Want(10, 2, 1), full={"1": [Candidate(0, (0, 0), suspect=True)]}).best_left == 1
    assert choice(waiting(p3_=2), Want(10, 2, 0), full={"1": [Candidate(0, (0, 0), suspect=True)]}).best_left is None


def test_only_keys_that_are_ahead_are_remembered_and_only_so_many() -> None:
    crowd = {f"3{number:05}": [Candidate(0, (number, 1), 1 + number)] for number in range(PASSES_MAX + 500)}

    changes = choice(crowd, Want(10, PASSES_MAX + 500, 1)).changes

    assert sum(entry[1] == PASS for entry in changes) <= PASSES_MAX
    assert changes["q", CLOCK, "3"] is not None


def test_what_is_no_longer_ahead_is_forgotten() -> None:
    books = {("q", CLOCK, "3"): 0, ("q", PASS, "3a"): 10, ("q", PASS, "3b"): 1_000_000}

    found = choice(waiting(p3_a=1), Want(10, 1, 1), books)

    assert found.changes == {("q", CLOCK, "3"): 10, ("q", PASS, "3a"): 1_000_010}


def test_no_more_is_read_than_needed() -> None:
    read: list[int] = []

    def endless(place: int) -> Iterator[Candidate]:
        number = 0
        while True:
            read.append(place)
            yield Candidate(number, (place, number))
            number += 1

    choose([Line("q", "1", endless(0)), Line("q", "3", endless(1))], {}, Want(10, 5, 1))

    assert (read.count(0), read.count(1)) == (6, 1)


def test_ranks_are_inherited_part_by_part() -> None:
    run, call = Rank(4, "tenant", 2.0), Rank(priority=1)

    assert inherited(call, run) == Rank(1, "tenant", 2.0)
    assert inherited(None, run) == inherited(run, None) == run
    assert inherited(None, None) is None


def test_what_says_nothing_new_is_plain() -> None:
    assert effective(Rank(priority=3), None) is None
    assert effective(Rank(priority=3), Rank(priority=5)) is None
    assert effective(None, Rank(weight=7.0)) is None
    assert effective(None, Rank(key="a")) == Rank(key="a")


@pytest.mark.parametrize("rate", [0.01, 0.5, 1, 3, 10, 64, 999, 100_000])
def test_a_rate_is_kept_to_the_millisecond_over_a_long_time(rate: float) -> None:
    books: dict[Entry, int] = {}
    count, now_ms, end_ms = 0, 0, round(20_000 / rate)
    while now_ms <= end_ms:
        there = {"3": [Candidate(0, (0, number)) for number in range(300)]}
        found = choice(there, Want(now_ms, 300, 1, (QueueLimit("q", per_second=rate),)), books)
        books = {entry: number for entry, number in (books | dict(found.changes)).items() if number is not None}
        count += len(found.keys)
        if found.next_at_ms is None:
            # More than one claim asks for.
            now_ms += 1
            continue
        assert found.next_at_ms > now_ms
        now_ms = found.next_at_ms

    allowed = rate * end_ms / 1_000
    assert allowed * 0.9 <= count <= allowed + max(1, rate / 10) + 1


def test_limits_of_one_queue_are_all_kept() -> None:
    limit = QueueLimit("q", concurrent=5, concurrent_per_key=2, per_second=30)
    there = waiting(p1_a=9, p3_=9, p3_b=9, p5_c=9)

    found = choice(there, Want(10, 50, 1, (limit,)), held={("q", "3b"): 1, ("q", "5d"): 1})

    assert [key[0] for key in found.keys] == [0, 0, 1]
    assert (found.best_left, found.next_at_ms, found.limited) == (None, None, [(1, 0)])


def test_what_a_limit_keeps_is_not_told_as_left_for_lack_of_room() -> None:
    limit = QueueLimit("q", concurrent_per_key=1)

    found = choice(waiting(p1_a=3, p4_b=3), Want(10, 0, 1, (limit,)), held={("q", "1a"): 1}, full=waiting(p2_a=1))

    assert (found.keys, found.best_left) == ([], 4)
