"""The memory store is certified by the shipped suite."""

import pytest

from perdure.stores.memory import MemoryStore
from perdure.testing.conformance import *  # noqa: F403 (this is how the suite is run)


@pytest.fixture
def store() -> MemoryStore:
    """Empty."""
    return MemoryStore()
