"""The SQLite store: one file, any number of processes on one machine, nothing to install."""

from perdure.stores.sqlite.store import SqliteStore

__all__ = ["SqliteStore"]
