"""The SQLite store behind codecs is certified by the shipped suite."""

from pathlib import Path

import pytest

from perdure.stores.sqlite import SqliteStore
from perdure.testing.conformance import *  # noqa: F403 (this is how the suite is run)
from tests.conformance.sealed import OpaqueStore

pytestmark = pytest.mark.slow


@pytest.fixture
def store(tmp_path: Path) -> OpaqueStore:
    """An empty file."""
    return OpaqueStore(SqliteStore(tmp_path / "runs.db"))
