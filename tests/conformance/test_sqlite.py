"""The SQLite store is certified by the shipped suite."""

from pathlib import Path

import pytest

from perdure.stores.sqlite import SqliteStore
from perdure.testing.conformance import *  # noqa: F403 (this is how the suite is run)


@pytest.fixture
def store(tmp_path: Path) -> SqliteStore:
    """An empty file."""
    return SqliteStore(tmp_path / "runs.db")
