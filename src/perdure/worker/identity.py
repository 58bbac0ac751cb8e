"""Worker ids that tell where their process is, so that one that is certainly gone need not be waited for.

An id is "place|pid|start|unique". Only a process of the same place (boot and process namespace) can judge another one;
everybody else waits for the lease to expire.
"""

import os
import socket
from pathlib import Path

from perdure.core.ids import WorkerId


def _place() -> str:
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot}/{Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return f"{socket.gethostname()}/"


def _start_of(pid: int) -> str:
    """When a process started, in the kernel's own unit; empty where that cannot be known."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        # The second field is the program's name in parentheses, which may itself hold spaces.
        return stat.rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""


def new_worker_id(unique: str) -> WorkerId:
    """An id for a worker of this process."""
    pid = os.getpid()
    return WorkerId("|".join([_place(), str(pid), _start_of(pid), unique]))


def is_gone(worker: WorkerId) -> bool:
    """Whether the worker's process has certainly ended."""
    parts = worker.split("|")
    if len(parts) != 4 or parts[0] != _place() or not parts[1].isdecimal():
        return False
    pid = int(parts[1])
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return parts[2] != _start_of(pid)
