"""What one call of the benchmark is asked to do, and what each workload does unless told otherwise."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

from bench.figures import keeps_nothing

StoreKind = Literal["sqlite", "memory"]


class Defaults(NamedTuple):
    """How large a workload is."""

    runs: int
    steps: int
    """Steps of one run: activities, timers or signals that it waits for, one after the other or at once."""
    concurrency: int
    """Runs in flight."""
    about: str


WORKLOADS: dict[str, Defaults] = {
    "sequential": Defaults(2_000, 10, 500, "runs of activities, one after the other"),
    "latency": Defaults(1_000, 1, 1, "one run of one activity at a time, compared with bare commits"),
    "fanout": Defaults(10, 1_000, 1, "parallel activities in one run"),
    "signal": Defaults(1_000, 1, 1, "from the sending of a signal to the result of the run that waits for it"),
    "start": Defaults(10_000, 0, 50, "a client without a worker starts runs"),
    "timers": Defaults(10_000, 1, 500, "runs whose timers are due at the same moment"),
    "history": Defaults(1, 5_000, 1, "one long run; then the process is killed and another one takes over"),
    "sleepers": Defaults(10_000, 1, 500, "memory of runs that are asleep"),
    "tree": Defaults(100, 16, 10, "15 workflows and 16 activities in a tree, as in the go-workflows benchmark"),
}


@dataclass(frozen=True)
class Settings:
    """One call."""

    workload: str
    store: StoreKind
    runs: int
    steps: int
    concurrency: int
    folder: Path
    """Fresh, and gone afterwards."""

    def url(self, name: str = "bench") -> str:
        """The URL of a store of its own."""
        return "memory://" if self.store == "memory" else f"sqlite:///{self.folder / name}.db"

    @property
    def durability(self) -> str:
        """What a finished step has survived."""
        if self.store == "memory":
            return "none"
        note = ", but the folder lies in memory" if keeps_nothing(self.folder) else ""
        return f"WAL, synchronous=FULL, fsync before each answer{note}"
