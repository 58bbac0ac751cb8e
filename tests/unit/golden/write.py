"""Writes the golden files of samples that have none yet: `python -m tests.unit.golden.write`.

A file that exists is never written again: it is what some store out there holds.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from perdure.core import codec
from tests.unit.core_samples import COMMANDS, FAILURE, HEARTBEAT, LEAST_FAILURE, MESSAGES, turn_of

FOLDER = Path(__file__).parent


def golden() -> dict[str, tuple[Any, Callable[[Any], bytes], Callable[[bytes], Any]]]:
    """By file name: the value, and how it is encoded and decoded."""
    found: dict[str, tuple[Any, Callable[[Any], bytes], Callable[[bytes], Any]]] = {}
    for name, message in MESSAGES.items():
        found[f"message_{name}.bin"] = message, codec.messages.encode, codec.messages.decode
    for name, command in COMMANDS.items():
        found[f"turn_{name}.bin"] = turn_of(command), codec.turns.encode, codec.turns.decode
    found["failure.bin"] = FAILURE, codec.failures.encode, codec.failures.decode
    found["failure_least.bin"] = LEAST_FAILURE, codec.failures.encode, codec.failures.decode
    found["heartbeat.bin"] = HEARTBEAT, codec.heartbeats.encode, codec.heartbeats.decode
    return found


def write_missing(folder: Path) -> list[str]:
    """Write the files that are missing; returns their names."""
    written: list[str] = []
    for name, (value, encode, _) in golden().items():
        if not (folder / name).exists():
            with (folder / name).open("xb") as file:
                file.write(encode(value))
            written.append(name)
    return written


if __name__ == "__main__":
    print("\n".join(write_missing(FOLDER)) or "nothing is missing")
