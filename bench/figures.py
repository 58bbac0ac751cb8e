"""What is measured and how: time, CPU, memory, quantiles, bare commits. Standard library only.

The peers' programs, which run in environments of their own, measure with this very module.
"""

import os
import sqlite3
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

PAYLOAD = "x" * 98
"""With its two quotes, 100 bytes of JSON."""

Figures = dict[str, Any]
"""One JSON line."""


def quantile(values: Sequence[float], part: float) -> float:
    """The `part` (0 to 1) quantile of `values` by nearest rank; 0.0 where there are none."""
    if not values:
        return 0.0
    return sorted(values)[min(len(values) - 1, int(part * len(values)))]


def median(values: Sequence[float]) -> float:
    """The middle one, or the mean of the two in the middle."""
    ordered = sorted(values)
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2


def rss_mb(pid: int | str = "self") -> float:
    """Resident memory of a process, in MiB."""
    pages = int(Path(f"/proc/{pid}/statm").read_text("ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def machine_busy_s() -> float:
    """CPU seconds that all processes of the machine have used, those stolen by its host included."""
    fields = [int(field) for field in Path("/proc/stat").read_text("ascii").split(maxsplit=9)[1:9]]
    idle = fields[3] + fields[4]
    return (sum(fields) - idle) / os.sysconf("SC_CLK_TCK")


class Meter:
    """Wall and CPU time of this process over a with-block, and how busy others kept the machine meanwhile."""

    def __init__(self) -> None:
        self.wall_s = 0.0
        self.cpu_s = 0.0
        """Of all threads."""
        self.foreign_cores = 0.0
        """CPUs that other processes used: a quiet run has less than 0.1."""
        self._before = (0.0, 0.0, 0.0)

    def __enter__(self) -> Self:
        self._before = (time.perf_counter(), time.process_time(), machine_busy_s())
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        wall_s, cpu_s, busy_s = self._before
        self.wall_s = time.perf_counter() - wall_s
        self.cpu_s = time.process_time() - cpu_s
        self.foreign_cores = max(0.0, machine_busy_s() - busy_s - self.cpu_s) / self.wall_s


def common_figures(meter: Meter, *, runs: int, steps: int, latencies_s: Sequence[float]) -> Figures:
    """The figures that every workload has; `steps` are those of one run."""
    steps_count = runs * steps
    return {
        "runs_per_s": round(runs / meter.wall_s, 1),
        "steps_per_s": round(steps_count / meter.wall_s, 1),
        "p50_ms": round(quantile(latencies_s, 0.5) * 1_000, 3),
        "p99_ms": round(quantile(latencies_s, 0.99) * 1_000, 3),
        "cpu_us_per_step": round(meter.cpu_s * 1e6 / steps_count, 1) if steps_count else None,
        "cpu_us_per_run": round(meter.cpu_s * 1e6 / runs, 1),
        "wall_s": round(meter.wall_s, 3),
        "foreign_cores": round(meter.foreign_cores, 2),
        "rss_mb": round(rss_mb(), 1),
        "python": sys.version.split()[0],
    }


def bare_commits_ms(folder: Path, count: int) -> list[float]:
    """Lengths of `count` transactions on a SQLite file in `folder`: insert a row, commit, fsync, nothing else."""
    path = folder / "bare-commits.db"
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        connection.execute("pragma journal_mode = wal")
        connection.execute("pragma synchronous = full")
        connection.execute("create table if not exists bare (id integer primary key, data blob)")
        lengths: list[float] = []
        for _ in range(count):
            started_s = time.perf_counter()
            connection.execute("insert into bare (data) values (?)", (PAYLOAD.encode(),))
            lengths.append((time.perf_counter() - started_s) * 1_000)
        return lengths
    finally:
        connection.close()


def keeps_nothing(folder: Path) -> bool:
    """Whether `folder` lies in memory, where fsync means nothing."""
    found, kind = "", ""
    for line in Path("/proc/mounts").read_text("utf-8").splitlines():
        _, point, file_system, *_ = line.split()
        if folder.resolve().is_relative_to(point) and len(point) >= len(found):
            found, kind = point, file_system
    return kind in ("tmpfs", "ramfs")
