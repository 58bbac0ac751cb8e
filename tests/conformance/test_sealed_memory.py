"""The memory store behind codecs is certified by the shipped suite."""

import pytest

from perdure.stores.memory import MemoryStore
from perdure.testing.conformance import *  # noqa: F403 (this is how the suite is run)
from tests.conformance.sealed import OpaqueStore


@pytest.fixture
def store() -> OpaqueStore:
    """Empty."""
    return OpaqueStore(MemoryStore())
