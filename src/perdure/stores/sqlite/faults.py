"""What SQLite's errors mean to a user."""

import os
import sqlite3
from pathlib import Path

from perdure.core.errors import (
    FilterTooSlow,
    StoreCorrupt,
    StoreError,
    StoreFull,
    StoreReadOnly,
    StoreUnavailable,
)

_BUSY = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL})
_CORRUPT = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
_READ_ONLY = frozenset({sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH})
_DISK_FULL = frozenset({sqlite3.SQLITE_IOERR_WRITE, sqlite3.SQLITE_IOERR_SHMSIZE, sqlite3.SQLITE_IOERR_TRUNCATE})
"""A quota or a limit on the size of files is seen as a failed write."""

FILTER_S_MAX = 2.0
"""How long a list or a count may keep the readers of its process waiting. Only they are ever interrupted."""


def primary_code(error: sqlite3.Error) -> int:
    """The error's class, without SQLite's details; 0 for errors of the module itself."""
    return (getattr(error, "sqlite_errorcode", None) or 0) & 0xFF


def is_busy(error: sqlite3.Error) -> bool:
    """Whether another process only has to finish something."""
    return primary_code(error) in _BUSY


def store_error(error: sqlite3.Error, path: Path) -> StoreError:
    """The error that callers get; to be raised from `error`."""
    store, reason, code = str(path), str(error), primary_code(error)
    if code in _CORRUPT:
        return StoreCorrupt(store=store, reason=reason)
    if code == sqlite3.SQLITE_INTERRUPT:
        return FilterTooSlow(store=store, limit_s=FILTER_S_MAX)
    if code == sqlite3.SQLITE_FULL or getattr(error, "sqlite_errorcode", 0) in _DISK_FULL:
        return StoreFull(store=store, reason=reason)
    if code in _READ_ONLY or (code == sqlite3.SQLITE_CANTOPEN and unwritable(path)):
        return StoreReadOnly(store=store, reason=reason)
    if code == sqlite3.SQLITE_CANTOPEN:
        reason = f"{reason} ({_obstacle(path)})"
    return StoreUnavailable(store=store, reason=reason)


def unwritable(path: Path) -> bool:
    """Whether the rights on the file or its directory keep this process from writing."""
    if path.is_dir() or not path.parent.is_dir():
        return False
    return not os.access(path.parent, os.W_OK | os.X_OK) or (path.exists() and not os.access(path, os.R_OK | os.W_OK))


def _obstacle(path: Path) -> str:
    if path.is_dir():
        return "it is a directory"
    return "it cannot be opened" if path.parent.is_dir() else f"there is no directory {path.parent}"
