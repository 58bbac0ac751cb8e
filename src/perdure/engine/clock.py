"""The only place that reads a clock, makes an id or draws a number; everything else is handed what it needs."""

import time
from random import Random, SystemRandom
from typing import Protocol

from perdure.core.ids import ID_BITS, RunId, uuid7, uuid7_of


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
        self._last_ms = 0
        self._last_bits = 0

    def now_ms(self) -> int:
        """The moment, in milliseconds since 1970."""
        return self._time_ns() // 1_000_000

    def new_run_id(self) -> RunId:
        """A UUIDv7 that sorts after those before it: runs are listed by their ids. Only for the engine's thread."""
        at_ms = self.now_ms()
        if at_ms > self._last_ms:
            # Half of what there is: the other half is for those that follow within the millisecond.
            self._last_ms, self._last_bits = at_ms, self._random.getrandbits(ID_BITS - 1)
        else:
            self._last_bits += 1 + self._random.getrandbits(ID_BITS // 2)
        return RunId(uuid7_of(self._last_ms, self._last_bits))

    def new_id(self) -> str:
        """A UUIDv7."""
        return uuid7(self.now_ms(), self._random)
