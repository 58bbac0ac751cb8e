"""The only place that reads a clock, makes an id or draws a number; everything else is handed what it needs."""

import time
from random import Random, SystemRandom
from typing import Protocol

from perdure.core.ids import RunId, uuid7


class Clock(Protocol):
    """Time and ids for one process."""

    def now_ms(self) -> int:
        """The moment, in milliseconds since 1970."""
        ...

    def new_run_id(self) -> RunId:
        """A fresh run id."""
        ...

    def new_id(self) -> str:
        """A fresh request or worker id."""
        ...


class SystemClock:
    """The machine's clock; ids from a generator seeded by the system's randomness."""

    # Workflow code may find `time.time` replaced (programs/code/guards); the engine keeps the real one.
    _time_ns = staticmethod(time.time_ns)

    def __init__(self) -> None:
        self._random = Random(SystemRandom().getrandbits(128))

    def now_ms(self) -> int:
        """The moment, in milliseconds since 1970."""
        return self._time_ns() // 1_000_000

    def new_run_id(self) -> RunId:
        """A UUIDv7."""
        return RunId(uuid7(self.now_ms(), self._random))

    def new_id(self) -> str:
        """A UUIDv7."""
        return uuid7(self.now_ms(), self._random)
