"""Filters in the SQLite store: only bound values reach the database, indexes are used, and none runs for ever."""

import asyncio
import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest

from perdure.core.errors import FilterTooSlow, InvalidFilter
from perdure.core.filter.evaluate import Facts, fits, page
from perdure.core.filter.parser import parse_filter
from perdure.core.filter.tree import EVERYTHING
from perdure.core.ids import RunId
from perdure.core.store import RunRecord
from perdure.stores.sqlite import SqliteStore, filters, reads
from perdure.stores.sqlite.database import Database
from perdure.stores.sqlite.files import connect_for_writing
from perdure.stores.sqlite.filters import PARTS
from perdure.stores.sqlite.statements import TEXTS
from perdure.testing.conformance.listing import populate
from tests.property.hostile_filters import COUNT, hostile_filters

_WORDS = "as key_0 key_1 key_2 key_3 key_4 run_id desc asc nulls last is not null and or in between value"
ALLOWED = frozenset(_WORDS.split())
ALLOWED_MARKS = frozenset({"begin", "<", "<=", ">", ">=", "=", "(", ")", ",", "?", "*", ".", *"0123456789"})


class Spy(sqlite3.Connection):
    """A connection that keeps what the driver is given."""

    texts: list[str]
    bound: list[Any]

    def execute(self, sql: str, parameters: Any = (), /) -> sqlite3.Cursor:
        """As the driver's, after noting it."""
        self.texts.append(sql)
        self.bound.extend(parameters)
        return super().execute(sql, parameters)


def tokens(text: str) -> list[str]:
    """The words and marks of a statement; a literal is one token."""
    return re.findall(r"'[^']*'|\w+|[<>]=|\S", text)


OURS = frozenset(token for text in (*PARTS.values(), *TEXTS.values()) for token in tokens(text))


@pytest.fixture
def spied(monkeypatch: pytest.MonkeyPatch) -> type[Spy]:
    """All connections made from here on are watched."""
    Spy.texts, Spy.bound = [], []
    connect = sqlite3.connect

    def watched(*args: Any, **options: Any) -> sqlite3.Connection:
        return connect(*args, **options, factory=Spy)

    monkeypatch.setattr(sqlite3, "connect", watched)
    return Spy


async def answered(store: SqliteStore, records: list[RunRecord], text: str) -> bool:
    """Ask a filter; whether it was asked at all. What is found is compared with the evaluator."""
    try:
        where = parse_filter(text)
    except InvalidFilter as error:
        message = str(error)
        assert message.startswith("PDR1040: filter, at character ")
        assert len(message) < 700
        message.encode()
        return False
    found = await store.list_runs(where, 7)
    assert found == page(records, where, 7, None)
    if found:
        assert await store.list_runs(where, 7, found[0].run_id) == page(records, where, 7, found[0].run_id)
    counts = await store.count_runs(where)
    assert sum(counts.values()) == sum(fits(where.where, Facts.of(record)) for record in records)
    return True


def test_hostile_texts_are_refused_or_answered_and_never_become_sql(tmp_path: Path, spied: type[Spy]) -> None:
    async def main() -> int:
        store = SqliteStore(tmp_path / "runs.db")
        await store.open()
        try:
            records = list(await populate(store, Random(3), 20))
            before = [(record.run_id, record.turns_count) for record in records]
            spied.texts.clear()
            spied.bound.clear()
            asked = [await answered(store, records, text) for text in hostile_filters()]
            after = await store.list_runs(EVERYTHING, 100)
            assert sorted((record.run_id, record.turns_count) for record in after) == sorted(before)
            return sum(asked)
        finally:
            await store.close()

    asked_count = asyncio.run(main())

    assert COUNT / 10 < asked_count < COUNT * 9 / 10
    foreign = {token for text in set(spied.texts) for token in tokens(text)} - OURS - ALLOWED - ALLOWED_MARKS
    assert foreign <= {"rollback"}
    assert "' or 1=1 --" in spied.bound
    assert "'; drop table runs; --" in spied.bound


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    """An empty file, as the writer sees it."""
    Spy.texts, Spy.bound = [], []
    connection = connect_for_writing(tmp_path / "runs.db")
    yield Database(connection)
    connection.close()


class Watched(Database):
    """Keeps the last query with what was bound."""

    asked: tuple[str, Any] = ("", ())

    def execute(self, text: str, parameters: Any = ()) -> sqlite3.Cursor:
        """As its own, after noting it."""
        self.asked = (text, parameters)
        return super().execute(text, parameters)


def plan(db: Database, text: str, before: RunId | None = None) -> list[str]:
    """How SQLite lists what the filter chooses."""
    watched = Watched(db.connection)
    filters.list_keys(watched, parse_filter(text), 100, before)
    query, bound = watched.asked
    return [row[3] for row in db.connection.execute(f"explain query plan {query}", bound)]


@pytest.mark.parametrize(
    ("text", "index"),
    [
        ("CustomerId = 'x'", "attributes_found (name=? AND class=? AND value=?)"),
        ("CustomerId in ('x', 'y')", "attributes_found (name=? AND class=? AND value=?)"),
        ("Amount > 5", "attributes_found (name=? AND class=? AND value>?)"),
        ("Amount between 1 and 5", "attributes_found (name=? AND class=? AND value>? AND value<?)"),
        ("CustomerId starts_with 'a'", "attributes_found (name=? AND class=? AND value>? AND value<?)"),
        ("Note = 'two words'", "attributes_found (name=? AND class=? AND value=?)"),
        ("CustomerId is not null", "attributes_found (name=?"),
        ("CustomerId = 'x' and ExecutionStatus = 'Running' and not Amount > 5", "attributes_found (name=?"),
        ("Amount > 5 and (CustomerId = 'x' or CustomerId = 'y')", "attributes_found (name=? AND class=? AND value=?)"),
        ("CustomerId = 'x' order by StartTime desc", "attributes_found (name=? AND class=? AND value=?)"),
        ("WorkflowId = 'order-1'", "(workflow_id=?)"),
        ("WorkflowId starts_with 'order-'", "(workflow_id>? AND workflow_id<?)"),
        ("RunId in ('a', 'b')", "(run_id=?)"),
    ],
)
def test_what_an_index_can_find_is_found_by_it(db: Database, text: str, index: str) -> None:
    found = plan(db, text)

    assert any(index in line for line in found), found
    assert "SEARCH runs USING INTEGER PRIMARY KEY (rowid=?)" in found
    assert not [line for line in found if line.startswith(("SCAN runs", "SCAN attributes"))], found


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("ExecutionStatus = 'Running'", "SEARCH runs USING COVERING INDEX runs_status (status=?)"),
        ("order by StartTime desc", "SCAN runs USING INDEX runs_created"),
        ("StartTime > '2026-01-01' order by StartTime", "SEARCH runs USING INDEX runs_created (created_at_ms>?)"),
        ("", "SCAN runs USING COVERING INDEX sqlite_autoindex_runs_1"),
        ("Parked = true", "SCAN runs USING INDEX sqlite_autoindex_runs_1"),
    ],
)
def test_the_newest_or_the_next_in_order_are_found_without_sorting_all(db: Database, text: str, line: str) -> None:
    found = plan(db, text)

    assert any(each.startswith(line) for each in found), found
    assert "USE TEMP B-TREE FOR ORDER BY" not in found


def test_a_further_page_begins_at_its_mark(db: Database) -> None:
    assert any("(run_id<?)" in line for line in plan(db, "", RunId("x")))


def test_a_count_of_all_runs_needs_no_table(db: Database) -> None:
    watched = Watched(db.connection)

    assert reads.count_runs(watched, EVERYTHING) == {}

    query, bound = watched.asked
    found = [row[3] for row in db.connection.execute(f"explain query plan {query}", bound)]
    assert any("COVERING INDEX runs_status" in line for line in found), found


async def test_a_filter_that_takes_too_long_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = SqliteStore(tmp_path / "runs.db")
    await store.open()
    try:
        await populate(store, Random(4), 10)
        monkeypatch.setattr(filters, "FILTER_S_MAX", -1.0)
        monkeypatch.setattr(filters, "STEPS_A_LOOK", 1)

        with pytest.raises(FilterTooSlow, match="PDR4040"):
            await store.list_runs(EVERYTHING, 10)
        with pytest.raises(FilterTooSlow):
            await store.count_runs(parse_filter("A = 1"))

        # Others are answered: the connection was interrupted for the filter alone.
        assert await store.find_run("none") is None  # type: ignore[arg-type]
        assert len(await store.read_runs([RunId("x")])) == 0
    finally:
        await store.close()
