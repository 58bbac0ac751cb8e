"""Every test that asks for `url` runs on the memory store and on SQLite."""

from pathlib import Path

import pytest

from tests.e2e.worlds import sqlite_url


@pytest.fixture(params=["memory", "sqlite"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty store."""
    return "memory://" if request.param == "memory" else sqlite_url(tmp_path)
