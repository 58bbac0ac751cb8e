"""What the SQLite store's speed rests on: indexes are used, and statements do not grow with the batch but by chunks."""

import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from perdure.core.rank import Rank
from perdure.core.store import Commit
from perdure.stores.sqlite import claims, messages, turns
from perdure.stores.sqlite.database import Database
from perdure.stores.sqlite.files import connect_for_writing
from perdure.stores.sqlite.statements import REPEATED, ROWS_MAX, TEXTS, sizes
from perdure.testing.conformance.samples import ANNA, FAR, NOW, birth, call, message, new_run, request, turn

SCANS = {
    "find_claimer": "the first entry of an index tells it",
    "expired_leases": "there are as many leases as workers",
    "leaseholders": "it asks for all of them",
}
"""Statements that may look through a table, and why."""
TABLES = ("runs", "turns", "inbox", "attempts", "attributes", "leases")


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    """An empty file with a worker that has a lease, as the writer sees it."""
    connection = connect_for_writing(tmp_path / "runs.db")
    db = Database(connection)
    claims.register(db, ANNA, FAR)
    yield db
    connection.close()


def plan(connection: sqlite3.Connection, text: str) -> list[str]:
    """How SQLite would execute the text."""
    names = re.findall(r":(\w+)", text)
    parameters = dict.fromkeys(names, 1) if names else [1] * text.count("?")
    return [row[3] for row in connection.execute(f"explain query plan {text}", parameters)]


def scans(lines: list[str]) -> list[str]:
    """Those lines that look through a whole table."""
    return [line for line in lines if line.startswith("SCAN ") and line.split()[1] in TABLES]


STATEMENTS = sorted(TEXTS)


@pytest.mark.parametrize("name", STATEMENTS)
def test_no_statement_looks_through_a_table(db: Database, name: str) -> None:
    text = REPEATED[name].text(3) if name in REPEATED else TEXTS[name]

    found = scans(plan(db.connection, text))

    assert bool(found) == (name in SCANS), found


def test_retention_looks_at_old_runs_only(db: Database) -> None:
    lines = plan(db.connection, TEXTS["closed_before"])

    assert any("runs_closed (closed_at_ms<?)" in line for line in lines), lines
    assert not [line for line in lines if "TEMP B-TREE" in line], lines


def executed(db: Database, commits: list[Commit]) -> int:
    """How many statements one batch takes."""
    before = db.statements_count
    assert turns.commit(db, ANNA, commits) == frozenset()
    return db.statements_count - before


def step(number: int, turn_number: int) -> Commit:
    """The hot path: one attempt over, the next one kept."""
    return turn(new_run(number), turn_number, finished=(turn_number - 1,), attempts=(call(turn_number, kept=True),))


@pytest.mark.parametrize("count", [1, 2, 64, 512])
def test_a_batch_of_steps_takes_five_statements(db: Database, count: int) -> None:
    turns.commit(db, ANNA, [birth(new_run(number), attempts=(call(1, kept=True),)) for number in range(count)])

    assert executed(db, [step(number, 2) for number in range(count)]) == 5


def test_more_rows_take_more_statements_only_by_chunks(db: Database) -> None:
    count = 2 * ROWS_MAX + 500
    turns.commit(db, ANNA, [birth(new_run(number), attempts=(call(1, kept=True),)) for number in range(count)])

    found = executed(db, [step(number, 2) for number in range(count)])

    assert found == 1 + 4 * len(sizes(count, ROWS_MAX))
    assert len(sizes(count, ROWS_MAX)) <= 2 + 9


def test_a_step_does_not_touch_the_row_of_the_run(db: Database) -> None:
    turns.commit(db, ANNA, [birth(new_run(1), attempts=(call(1, kept=True),))])
    db.connection.execute("create temp trigger touched before update on runs begin select raise(abort, 'touched'); end")

    assert turns.commit(db, ANNA, [step(1, 2)]) == frozenset()


def test_a_claim_that_finds_nothing_takes_no_more_statements_for_ranks(db: Database) -> None:
    before = db.statements_count

    assert claims.peek(db, request(ANNA), NOW) is not None

    assert db.statements_count - before == 10


def test_whether_there_are_ranks_and_deadlines_is_seen_without_looking_at_plain_attempts(db: Database) -> None:
    lines = plan(db.connection, TEXTS["find_claimer"])

    assert [line for line in lines if "attempts" in line] == [
        "SCAN attempts USING INDEX attempts_ranked",
        "SCAN attempts USING INDEX attempts_ranked_held",
        "SEARCH attempts USING INDEX attempts_expiring (expires_at_ms>?)",
    ]


def test_overdue_attempts_are_found_without_looking_at_others(db: Database) -> None:
    for text in (REPEATED["overdue_attempts"].text(3), TEXTS["next_overdue_ms"]):
        lines = plan(db.connection, text)

        (found,) = [line for line in lines if "attempts" in line]
        assert "INDEX attempts_expiring (expires_at_ms" in found
        assert not [line for line in lines if "TEMP B-TREE" in line], lines


@pytest.mark.parametrize("name", ["ranked_attempts", "plain_attempts", "plain_suspects", "lines"])
def test_lines_are_read_in_the_order_of_their_index(db: Database, name: str) -> None:
    lines = plan(db.connection, REPEATED[name].text(3))

    assert not [line for line in lines if "TEMP B-TREE" in line], lines


def test_a_claim_among_thousands_in_a_hundred_lines_takes_few_statements(db: Database) -> None:
    ranks = [Rank(key=f"tenant-{number}") for number in range(100)]
    calls = tuple(call(number, rank=ranks[number % 100]) for number in range(1, 3_001))
    turns.commit(db, ANNA, [birth(new_run(1), attempts=calls)])
    before = db.statements_count

    claimed = claims.claim(db, request(ANNA, attempts_max=10), NOW)

    assert len(claimed.attempts) == 10
    assert db.statements_count - before <= 50


def test_five_hundred_new_runs_take_few_statements(db: Database) -> None:
    births = [birth(new_run(number), attempts=(call(1, kept=True),)) for number in range(512)]

    assert executed(db, births) <= 6


def test_a_thousand_calls_of_one_turn_take_few_statements(db: Database) -> None:
    calls = tuple(call(number) for number in range(1, 1_025))

    assert executed(db, [birth(new_run(1), attempts=calls)]) <= 7


def test_five_hundred_claimed_runs_take_few_statements(db: Database) -> None:
    messages.create(db, [new_run(number) for number in range(512)])
    before = db.statements_count

    claimed = claims.claim(db, request(ANNA), NOW)

    assert len(claimed.runs) == 512
    assert db.statements_count - before <= 16


def test_hundreds_of_messages_take_few_statements(db: Database) -> None:
    messages.create(db, [new_run(number) for number in range(512)])
    before = db.statements_count

    messages.deliver(db, [message(new_run(number)) for number in range(512)])

    assert db.statements_count - before <= 4


def test_sizes_are_few_and_add_up() -> None:
    for count in range(2_000):
        found = sizes(count, 512)
        assert sum(found) == count
        assert len(found) <= count // 512 + 2
