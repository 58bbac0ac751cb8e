"""History snapshots: what a run did, as stable text in a file, and the history itself, which today's code must repeat.

A snapshot is a recorded history with one field more, so `perdure replay` reads it too.
"""

import difflib
import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, cast

import msgspec

from perdure.app import Perdure
from perdure.engine.history import flatten
from perdure.engine.recorded import RecordedHistory
from perdure.handle import Handle
from perdure.testing.histories import record, replay

UPDATE = "--perdure-update-snapshots"
"""The option of pytest that writes snapshots anew."""
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_UNSTABLE = frozenset(("traceback",))


class HistorySnapshot(RecordedHistory, frozen=True):
    """One run's history with its events as text."""

    events: tuple[str, ...] = ()


async def assert_history(handle: "Handle[Any]", path: str | Path, *, update: bool = False) -> None:
    """The run's history so far is that of the snapshot at `path`, and the code of today can repeat the recorded one.

    `update` writes the snapshot. Raises AssertionError with the difference.
    """
    app = cast(Perdure, cast(Any, handle)._app)
    snapshot = _snapshot(await record(app, handle.workflow_id, handle.run_id))
    if update:
        _write(Path(path), snapshot)
    else:
        _compare(app, Path(path), snapshot)


def _compare(app: Perdure, file: Path, snapshot: HistorySnapshot) -> None:
    __tracebackhide__ = True
    if not file.exists():
        raise AssertionError(f"there is no snapshot {file}; write it with {UPDATE}, and look at it")
    known = msgspec.json.decode(file.read_bytes(), type=HistorySnapshot)
    (replayed,) = replay(app, [known])
    if replayed.mismatch is not None:
        raise AssertionError(
            f"the code of today cannot go on with the history recorded in {file}:\n{replayed.mismatch.message}"
        )
    if known.events != snapshot.events:
        lines = difflib.unified_diff(known.events, snapshot.events, str(file), "this run", lineterm="", n=2)
        told = "\n".join(lines)
        raise AssertionError(f"the history is another one; if that is right, write it with {UPDATE}\n{told}")


def history_text(history: RecordedHistory) -> list[str]:
    """Events as lines that are the same each time: moments count from the start, ids are numbered as they appear."""
    events = list(flatten(history.decoded()))
    ids: dict[str, str] = {}
    start_ms = events[0].at_ms if events else 0
    lines: list[str] = []
    for event in events:
        attributes = {key: _stable(key, value, start_ms) for key, value in event.attributes.items()}
        told = json.dumps({key: value for key, value in attributes.items() if key not in _UNSTABLE}, ensure_ascii=False)
        line = f"{_since(event.at_ms - start_ms)} {event.type} {told}"
        lines.append(_UUID.sub(lambda found: ids.setdefault(found[0], f"<id {len(ids) + 1}>"), line))
    return lines


def _stable(key: str, value: Any, start_ms: int) -> Any:
    if isinstance(value, dict):
        entries = cast("dict[str, Any]", value)
        return {name: _stable(name, each, start_ms) for name, each in entries.items() if name not in _UNSTABLE}
    if isinstance(value, list | tuple):
        return [_stable(key, each, start_ms) for each in cast("Iterable[Any]", value)]
    if key.endswith("_at_ms") and isinstance(value, int):
        return _since(value - start_ms)
    return value


def _since(length_ms: int) -> str:
    seconds, ms = divmod(length_ms, 1_000)
    days, seconds = divmod(seconds, 86_400)
    parts = (f"{days}d", f"{seconds // 3600}h", f"{seconds // 60 % 60}m", f"{seconds % 60}s", f"{ms}ms")
    return "+" + ("".join(part for part in parts if not re.fullmatch(r"0\D+", part)) or "0s")


def _snapshot(history: RecordedHistory) -> HistorySnapshot:
    return HistorySnapshot(
        history.workflow,
        history.run_id,
        history.workflow_id,
        history.recorded_by,
        history.turns,
        history.version,
        tuple(history_text(history)),
    )


def _write(file: Path, snapshot: HistorySnapshot) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(msgspec.json.format(msgspec.json.encode(snapshot), indent=1) + b"\n")
