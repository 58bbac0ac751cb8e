"""How much a worker takes on, and its room for activities as users write it."""

import os

import msgspec

from perdure.core.limits import TURN_BYTES_MAX
from perdure.core.queue_limit import QueueLimit
from perdure.programs.code.options import checked_positive
from perdure.worker.activities import ActivityLimits


class WorkerOptions(msgspec.Struct, frozen=True):
    """How much a worker takes on."""

    queues: tuple[str, ...] = ("default",)
    runs_max: int = 1_000
    """Runs that take turns at the same time; sleeping ones do not count."""
    cache_size: int = 500
    """Idle live runs kept in memory."""
    lease_ms: int = 10_000
    """How long others wait for a silent worker."""
    limits: ActivityLimits = ActivityLimits()
    queue_limits: tuple[QueueLimit, ...] = ()
    retention_ms: int | None = None
    """Runs that closed longer ago are deleted; None: never."""
    turn_bytes_max: int = TURN_BYTES_MAX
    """As it is in memory; what lies outside the store makes it larger than it is there."""


def checked_room(activities_max: int, threads_max: int | None, processes_max: int | None) -> ActivityLimits:
    """How many activities of each kind run at once; raises `InvalidOption`."""
    cpus = os.cpu_count() or 1
    return ActivityLimits(
        activities_max=checked_positive("activities_max", activities_max),
        threads_max=checked_positive("threads_max", min(32, cpus + 4) if threads_max is None else threads_max),
        processes_max=checked_positive("processes_max", cpus if processes_max is None else processes_max),
    )
