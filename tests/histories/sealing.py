"""Recorded histories as a store keeps them behind codecs: written once by `python -m tests.histories.sealing`."""

import base64
import hashlib
from pathlib import Path

import msgspec

from perdure.core import codec
from perdure.data import Encryption, Zstd
from perdure.data.seal import Seal, Sealing
from tests.histories.replay import histories

FILE = Path(__file__).parent / "sealed" / "sealed.json"
NAMES = ("family", "failing", "channels", "retries", "chance")
SEAL = Seal([Zstd(), Encryption(keys={"2026": hashlib.sha256(b"of recorded histories").digest()}, current="2026")])


def sealed_histories() -> dict[str, list[bytes]]:
    """The turns of each, as they were written."""
    kept = msgspec.json.decode(FILE.read_bytes(), type=dict[str, list[str]])
    return {name: [base64.b64decode(turn) for turn in turns] for name, turns in kept.items()}


def record() -> None:
    """Write the file, unless there is one: it stands for stores out there."""
    if FILE.exists():
        return
    found: dict[str, list[str]] = {}
    for name in NAMES:
        turns = [codec.turns.encode(Sealing(SEAL)(turn)) for turn in histories()[name].decoded()]
        found[name] = [base64.b64encode(turn).decode() for turn in turns]
    FILE.parent.mkdir(exist_ok=True)
    FILE.write_bytes(msgspec.json.format(msgspec.json.encode(found)))


if __name__ == "__main__":
    record()
