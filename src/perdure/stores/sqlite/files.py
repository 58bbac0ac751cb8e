"""Opening the file: is it ours, whole, and of the schema that we know. Any number of processes may do it at once."""

import sqlite3
import time
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import TypeVar

from perdure.core.errors import ForeignStore, SchemaTooNew, StoreReadOnly, StoreUnavailable
from perdure.stores.sqlite.faults import is_busy, store_error, unwritable

APPLICATION_ID = 0x50647572
"""Marks a database file as ours: "Pdur"."""
BUSY_MS_MAX = 60_000
"""How long a locked database is tried before the caller learns of it."""
BUSY_S = 5.0
"""How long SQLite itself waits for a lock."""
WAL_PAGES = 4_000
"""Length of the write-ahead log from which on a commit moves it into the database."""
WAL_BYTES_KEPT = 64 * 1024 * 1024
"""To what the log's file is cut after it grew beyond."""
STATEMENTS_MAX = 256
"""Prepared statements kept by a connection: the sizes of repeated ones that are in use."""

T = TypeVar("T")


def connect_for_reading(path: Path) -> sqlite3.Connection:
    """The connection that only reads; the file exists."""
    return _connect(path, _prepare_reading)


def connect_for_writing(path: Path) -> sqlite3.Connection:
    """The one connection that writes: makes the file and brings its schema up to date."""
    return _connect(path, _prepare_writing)


def _connect(path: Path, prepare: Callable[[sqlite3.Connection, Path], None]) -> sqlite3.Connection:
    """A connection that leaves transactions to its user and may move between threads."""
    connection = sqlite3.connect(
        path, timeout=BUSY_S, isolation_level=None, check_same_thread=False, cached_statements=STATEMENTS_MAX
    )
    try:
        _check_ours(connection, path)
        prepare(connection, path)
    except BaseException:  # Nothing may leave the connection open.
        connection.close()
        raise
    return connection


def _prepare_reading(connection: sqlite3.Connection, _: Path) -> None:
    connection.execute("pragma cache_size = -4096")
    connection.execute("pragma query_only = on")


def _prepare_writing(connection: sqlite3.Connection, path: Path) -> None:
    found = connection.execute("pragma journal_mode = wal").fetchone()[0]
    if found != "wal":
        raise StoreUnavailable(store=str(path), reason=f"its file system allows no write-ahead log ({found})")
    connection.execute("pragma synchronous = full")
    connection.execute("pragma cache_size = -4096")
    connection.execute("pragma secure_delete = off")
    connection.execute(f"pragma wal_autocheckpoint = {WAL_PAGES}")
    connection.execute(f"pragma journal_size_limit = {WAL_BYTES_KEPT}")
    _migrate(connection, path)


def patiently(action: Callable[[], T], path: Path) -> T:
    """Do it; where the database is locked, again and again with growing pauses; other errors become ours."""
    deadline = time.monotonic() + BUSY_MS_MAX / 1_000
    pause = 0.001
    while True:
        try:
            return action()
        except sqlite3.Error as error:
            if not is_busy(error) or time.monotonic() > deadline:
                raise store_error(error, path) from error
        time.sleep(pause)
        pause = min(pause * 1.5, 0.05)


def _version(connection: sqlite3.Connection) -> int:
    return connection.execute("pragma user_version").fetchone()[0]


def _check_ours(connection: sqlite3.Connection, path: Path) -> None:
    found = connection.execute("pragma application_id").fetchone()[0]
    if found == APPLICATION_ID:
        version, known = _version(connection), len(MIGRATIONS)
        if version > known:
            raise SchemaTooNew(store=str(path), found=version, known=known)
        return
    tables = connection.execute("select count(*) from sqlite_master").fetchone()[0]
    # Another process may have made the file ours since the first look.
    if (found != 0 or tables) and connection.execute("pragma application_id").fetchone()[0] != APPLICATION_ID:
        reason = f"application id {found:#x}" if found else f"{tables} tables of another program"
        raise ForeignStore(store=str(path), reason=reason)


def _migrate(connection: sqlite3.Connection, path: Path) -> None:
    if unwritable(path):
        raise StoreReadOnly(store=str(path), reason="the rights on the file or its directory forbid it")
    # Taking the write lock even where nothing is to be done tells at once whether another one can take it; of a file
    # that can only be read SQLite says nothing here, and begins to read.
    connection.execute("begin immediate")
    try:
        _check_ours(connection, path)
        version = _version(connection)
        for number, text in enumerate(MIGRATIONS[version:], version + 1):
            for statement in _split(text):
                connection.execute(statement)
            connection.execute(f"pragma user_version = {number}")
        if version < len(MIGRATIONS):
            connection.execute(f"pragma application_id = {APPLICATION_ID}")
        connection.execute("commit")
    except BaseException:  # Nothing may leave the transaction open.
        if connection.in_transaction:
            connection.execute("rollback")
        raise


def _split(text: str) -> list[str]:
    """The statements of a script: the module's own `executescript` would commit before it starts."""
    found: list[str] = []
    pending = ""
    for line in text.splitlines(keepends=True):
        pending += line
        if sqlite3.complete_statement(pending):
            found.append(pending)
            pending = ""
    return found


def _read_migrations() -> list[str]:
    folder = resources.files(f"{__package__}.migrations")
    files = sorted((file for file in folder.iterdir() if file.name.endswith(".sql")), key=lambda file: file.name)
    assert [int(file.name[:4]) for file in files] == list(range(1, len(files) + 1)), "migrations are numbered from 1"
    return [file.read_text("utf-8") for file in files]


MIGRATIONS = _read_migrations()
"""The texts of the numbered files, in order."""
