"""A turn: one step of a run, messages in, commands out; one history row."""

import msgspec

from perdure.core.command import Command
from perdure.core.message import Message


class Turn(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One step of a run. `at_ms` is the run's time during the step; it never goes back from turn to turn."""

    number: int
    """From 1, without gaps."""
    at_ms: int
    inputs: tuple[Message, ...]
    outputs: tuple[Command, ...]
