"""The drain report: which versions and builds still have open runs, and which of those nobody works on."""

from collections.abc import Sequence
from datetime import datetime

import msgspec

from perdure.core.route import parsed
from perdure.core.store import OpenRuns
from perdure.description import WAITS_MS, moment
from perdure.worker.registry import Registry


class DrainLine(msgspec.Struct, frozen=True):
    """Open runs of one workflow, version, build and queue."""

    workflow_type: str
    version: int
    build: str | None
    """The build that they are pinned to."""
    queue: str
    runs_count: int
    held_count: int
    """Of those that a worker has in its hands; others sleep, or wait."""
    parked_count: int
    waiting_since: datetime | None
    """Since when the first of them has something to do that no worker has taken; None: none has waited so long."""
    served_here: bool
    """This process could work on them."""

    @property
    def unserved(self) -> bool:
        """Some wait, and nobody takes them: as far as a store can know, no worker serves their version or build."""
        return self.waiting_since is not None


def drain_lines(counts: Sequence[OpenRuns], registry: Registry, now_ms: int) -> list[DrainLine]:
    """What the counts of a store mean, at a moment, to a process that has registered these."""
    lines: list[DrainLine] = []
    for each in counts:
        version, build = parsed(each.route, each.workflow_type)
        late = each.due_at_ms is not None and each.due_at_ms + WAITS_MS <= now_ms
        lines.append(
            DrainLine(
                workflow_type=each.workflow_type,
                version=version or 1,
                build=build,
                queue=each.queue,
                runs_count=each.runs_count,
                held_count=each.held_count,
                parked_count=each.parked_count,
                waiting_since=moment(each.due_at_ms) if late and each.due_at_ms is not None else None,
                served_here=each.route in registry.routes,
            )
        )
    return lines
