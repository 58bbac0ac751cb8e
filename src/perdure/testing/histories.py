"""Recorded histories in tests and in continuous integration: take them from a store, keep them in files, replay them.

from perdure.testing.histories import load, replay

def test_open_runs_can_go_on() -> None:
    assert [each.mismatch for each in replay(app, load("histories")) if not each.clean] == []
"""

import asyncio
import platform
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from perdure.app import Perdure
from perdure.core.errors import InvalidOption, UnknownWorkflow
from perdure.core.ids import RunId, WorkflowId, checked_id
from perdure.core.route import route_of, version_of
from perdure.engine import recorded
from perdure.engine.engine import Engine
from perdure.engine.recorded import Mismatch, RecordedHistory, Replayed, parse_histories, recorded_history

__all__ = ["Mismatch", "RecordedHistory", "Replayed", "load", "record", "replay"]

SUFFIXES = (".json", ".jsonl")
"""Files of a folder that hold histories."""


def load(path: str | Path) -> list[RecordedHistory]:
    """The histories in a file, or in all `.json` and `.jsonl` files of a folder. Raises `InvalidOption`."""
    where = Path(path)
    files = sorted(each for each in where.iterdir() if each.suffix in SUFFIXES) if where.is_dir() else [where]
    try:
        found = [history for file in files for history in parse_histories(file.read_bytes(), str(file))]
    except OSError as error:
        remedy = "name files of recorded histories"
        fact = f"cannot be read: {error.strerror}"
        raise InvalidOption(name="history", value=str(path), fact=fact, remedy=remedy) from error
    if not found:
        remedy = "name a folder with .json or .jsonl files"
        raise InvalidOption(name="history", value=str(path), fact="holds no history", remedy=remedy)
    return found


async def record(app: Perdure, workflow_id: str, run_id: str | None = None) -> RecordedHistory:
    """The history of a run so far: the one named, else the open or last one. Raises `WorkflowNotFound`."""
    checked_id("workflow id", workflow_id)

    async def read(engine: Engine) -> RecordedHistory:
        found = await engine.find(WorkflowId(workflow_id), None if run_id is None else RunId(run_id))
        turns = [turn async for turn in engine.turns(found.run_id)]
        recorded_by = f"Python {platform.python_version()}"
        version = version_of(found.route, found.workflow_type, begun=True) or 1
        return recorded_history(
            found.workflow_type, found.workflow_id, found.run_id, turns, recorded_by, version=version
        )

    return await app.call(read)


def replay(
    app: Perdure, histories: Iterable[RecordedHistory], done: Callable[[Replayed], object] | None = None
) -> list[Replayed]:
    """Replay histories against the workflows of `app`, one after the other; `done` hears of each.

    Needs no store, runs no activity, and raises nothing for a mismatch. Raises `ForbiddenInWorkflow` for a workflow
    that could not even be registered, `InvalidOption` for a damaged document.
    """
    app.registry.make_programs()

    def replay_all() -> list[Replayed]:
        found: list[Replayed] = []
        for history in histories:
            found.append(_replay(app, history))
            if done is not None:
                done(found[-1])
        return found

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return replay_all()
    # Workflow code brings its own loop, and two in one thread mix up their tasks.
    with ThreadPoolExecutor(1) as threads:
        return threads.submit(replay_all).result()


def _replay(app: Perdure, history: RecordedHistory) -> Replayed:
    program = app.registry.program(history.workflow, history.version)
    if program is not None:
        return recorded.replay(history, program)
    known = ", ".join(sorted(app.registry.workflow_types)) or "none"
    version = None if history.version == 1 else history.version
    error = UnknownWorkflow(name=route_of(history.workflow, version), known=known)
    mismatch = Mismatch(error.code, 1, 1, None, None, None, str(error))
    return Replayed(history.workflow, history.workflow_id, history.run_id, len(history.turns), mismatch)
