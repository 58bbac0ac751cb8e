"""The suite that certifies a store. It knows the port and nothing of any store.

A store's author writes one test module:

    from pathlib import Path

    import pytest

    from perdure.testing.conformance import *

    @pytest.fixture
    def store(tmp_path: Path) -> MyStore:
        return MyStore(tmp_path / "runs.db")    # empty, not yet opened

and runs it with pytest. Each test opens the store and closes it, inside an event loop of its own; no plugin is needed.
What was stored outlives `close`: tests close a store and open it again. For failures that show the values compared, say
`pytest.register_assert_rewrite("perdure.testing.conformance")` in a `conftest.py` beside the module.
"""

from perdure.testing.conformance.attributes import TestAttributes
from perdure.testing.conformance.claiming_again import TestClaimingAgain
from perdure.testing.conformance.claiming_attempts import TestClaimingAttempts
from perdure.testing.conformance.claiming_overdue import TestClaimingOverdue
from perdure.testing.conformance.claiming_runs import TestClaimingRuns
from perdure.testing.conformance.committing import TestCommitting
from perdure.testing.conformance.copying import TestCopying
from perdure.testing.conformance.creating import TestCreating
from perdure.testing.conformance.delivering import TestDelivering
from perdure.testing.conformance.effects import TestCommitEffects
from perdure.testing.conformance.following import TestFollowing, TestStartingAgain
from perdure.testing.conformance.lasting import TestLasting
from perdure.testing.conformance.leasing import TestLeasing
from perdure.testing.conformance.limiting import TestLimiting
from perdure.testing.conformance.listing import TestListing
from perdure.testing.conformance.missed_answers import TestMissedAnswers
from perdure.testing.conformance.parking import TestParkingAndRetention
from perdure.testing.conformance.ranking import TestRanking
from perdure.testing.conformance.reading import TestReading
from perdure.testing.conformance.resting import TestResting
from perdure.testing.conformance.waiting import TestWaiting

__all__ = [
    "TestAttributes",
    "TestClaimingAgain",
    "TestClaimingAttempts",
    "TestClaimingOverdue",
    "TestClaimingRuns",
    "TestCommitEffects",
    "TestCommitting",
    "TestCopying",
    "TestCreating",
    "TestDelivering",
    "TestFollowing",
    "TestLasting",
    "TestLeasing",
    "TestLimiting",
    "TestListing",
    "TestMissedAnswers",
    "TestParkingAndRetention",
    "TestRanking",
    "TestReading",
    "TestResting",
    "TestStartingAgain",
    "TestWaiting",
]
