"""Tests of workflows: an environment with a virtual clock, and mocks. Beside it, what certifies Perdure itself.

Importing it imports neither the simulator nor pytest.
"""

from perdure.testing.kit.answers import ANY, Answers, Mock, MockCall, matching
from perdure.testing.kit.environment import TestEnvironment
from perdure.testing.kit.faults import Fault, FaultKind
from perdure.testing.kit.options import EnvironmentOptions
from perdure.testing.kit.pace import Alarm
from perdure.testing.kit.sweep import for_each_store_call

__all__ = [
    "ANY",
    "Alarm",
    "Answers",
    "EnvironmentOptions",
    "Fault",
    "FaultKind",
    "Mock",
    "MockCall",
    "TestEnvironment",
    "for_each_store_call",
    "matching",
]
