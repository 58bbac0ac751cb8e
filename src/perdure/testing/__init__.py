"""Tests of workflows: an environment with a virtual clock, and mocks. Beside it, what certifies Perdure itself.

Each name is imported when it is first asked for: the command line uses other parts of this package, and the kit uses
neither the simulator nor pytest.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from perdure.testing.kit.activities import ActivityEnvironment
    from perdure.testing.kit.answers import ANY, Answers, Mock, MockCall, matching
    from perdure.testing.kit.environment import TestEnvironment
    from perdure.testing.kit.errors import (
        NetworkRefused,
        NotIdempotent,
        NotReplayable,
        Standstill,
        TestError,
        UnfitMock,
        UnmockedActivity,
    )
    from perdure.testing.kit.faults import Fault, FaultKind
    from perdure.testing.kit.options import EnvironmentOptions
    from perdure.testing.kit.pace import Alarm
    from perdure.testing.kit.snapshot import assert_history
    from perdure.testing.kit.sweep import for_each_store_call

__all__ = [
    "ANY",
    "ActivityEnvironment",
    "Alarm",
    "Answers",
    "EnvironmentOptions",
    "Fault",
    "FaultKind",
    "Mock",
    "MockCall",
    "NetworkRefused",
    "NotIdempotent",
    "NotReplayable",
    "Standstill",
    "TestEnvironment",
    "TestError",
    "UnfitMock",
    "UnmockedActivity",
    "assert_history",
    "for_each_store_call",
    "matching",
]

_PLACES = {
    "errors": (
        "NetworkRefused",
        "NotIdempotent",
        "NotReplayable",
        "Standstill",
        "TestError",
        "UnfitMock",
        "UnmockedActivity",
    ),
    "activities": ("ActivityEnvironment",),
    "answers": ("ANY", "Answers", "Mock", "MockCall", "matching"),
    "environment": ("TestEnvironment",),
    "faults": ("Fault", "FaultKind"),
    "options": ("EnvironmentOptions",),
    "pace": ("Alarm",),
    "snapshot": ("assert_history",),
    "sweep": ("for_each_store_call",),
}


def __getattr__(name: str) -> object:
    for module, names in _PLACES.items():
        if name in names:
            found: object = getattr(import_module(f"perdure.testing.kit.{module}"), name)
            globals()[name] = found
            return found
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
