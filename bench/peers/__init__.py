"""The engines that Perdure is compared with. A peer is a line in PEERS and a program beside this file.

The program is run as `python -m bench.peers.NAME_program WORKLOAD RUNS STEPS CONCURRENCY FOLDER` in an environment
of its own, does the same work as Perdure's workload of that name, and prints the same figures as one line of JSON.
"""

from typing import NamedTuple


class Peer(NamedTuple):
    """One engine."""

    name: str
    requirements: tuple[str, ...]
    """What pip installs into its environment."""
    sizes: dict[str, tuple[int, int, int]]
    """The workloads that its program knows, each with runs, steps and concurrency that it does in a few seconds."""

    @property
    def module(self) -> str:
        """Its program."""
        return f"bench.peers.{self.name}_program"


PEERS = {
    "dbos": Peer(
        "dbos",
        # DBOS needs a newer SQLite than Debian 12 ships; pysqlite3-binary brings one.
        ("dbos==3.4.0", "pysqlite3-binary==0.5.4.post2"),
        {"sequential": (200, 10, 50), "latency": (150, 1, 1), "fanout": (1, 200, 1), "signal": (50, 1, 1)},
    ),
}
