"""Work for a process pool: its functions must be importable there."""

import os


def process_id() -> int:
    """The process that ran it."""
    return os.getpid()
