"""Live runs that wait for something, the least recently used leave first. A miss costs a replay, never an error."""

from collections import OrderedDict

from perdure.core.ids import RunId
from perdure.engine.live import LiveRun


class LiveRunCache:
    """At most `size` live runs that this worker does not hold at the moment."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._runs: OrderedDict[RunId, LiveRun] = OrderedDict()

    def __len__(self) -> int:
        return len(self._runs)

    def put(self, live: LiveRun) -> None:
        """Keep a run; the oldest one leaves if there are too many."""
        self._runs[live.run_id] = live
        while len(self._runs) > self._size:
            _, oldest = self._runs.popitem(last=False)
            oldest.close()

    def get(self, run_id: RunId) -> LiveRun | None:
        """Look at a run without taking it."""
        return self._runs.get(run_id)

    def take(self, run_id: RunId) -> LiveRun | None:
        """Remove and return a run."""
        return self._runs.pop(run_id, None)

    def clear(self) -> None:
        """Let go of all."""
        while self._runs:
            self._runs.popitem()[1].close()
