"""What the test kit raises: a branch of the tree in `core.errors`.

TestError
└── Standstill  UnfitMock  UnmockedActivity  NotIdempotent  NetworkRefused  NotReplayable
"""

from perdure.core.error import PerdureError


class TestError(PerdureError):
    """What the test kit found, or what is wrong with the test."""

    __test__ = False


class Standstill(TestError):
    """The test waits for what nothing can bring about."""

    code = "PDR6001"
    template = "{reason}, so what the test waits for cannot come:\n{runs}\nsend, mock or cancel what they wait for; what comes later is planned with env.at(...)"


class UnfitMock(TestError):
    """A mock that does not fit the signature of what it stands for, or has no answer for a call."""

    code = "PDR6002"
    template = "the mock of {kind} {name!r} {fact}; {remedy}"


class UnmockedActivity(TestError):
    """An activity without a mock was called where all must have one."""

    code = "PDR6003"
    template = (
        "activity {name!r} was called and is not mocked; mock it with env.mock(...), or leave out unmocked='refuse'"
    )


class NotIdempotent(TestError):
    """An activity that was run twice ended differently."""

    code = "PDR6004"
    template = "activity {name!r} was run twice and ended differently: first {first}, then {second}; let a second try find what the first one did"


class NetworkRefused(TestError):
    """Code reached for the network in a test that keeps it out."""

    code = "PDR6005"
    template = "{what} is refused in this test; mock what needs it, or allow it with network=(...)"


class NotReplayable(TestError):
    """A run of the test could not be replayed in another process."""

    code = "PDR6006"
    template = "a replay in a process with the hash seed {seed} failed: {reason}; do not depend on the order of sets, nor on what one process remembers"
