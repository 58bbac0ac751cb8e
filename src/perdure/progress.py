"""What a run says of its progress, for readers: the last word, each change, and a bar in the terminal."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager
from typing import Any

import msgspec

from perdure.core import codec
from perdure.core.errors import InvalidOption
from perdure.core.ids import RunId, WorkflowId
from perdure.core.store import RunRecord, RunStatus
from perdure.engine.engine import Engine

LOOK_MS = 1_000
"""A change is seen at the latest after this."""
PAUSE_S = 0.1
"""Least time between two looks."""


class Progress(msgspec.Struct, frozen=True):
    """How far a run is, by its own words."""

    done: float = 0
    total: float | None = None
    """None: nobody knows how much it will be."""
    text: str = ""
    status: str = ""
    """What the run does now: `workflow.set_status`."""
    run_status: RunStatus = RunStatus.RUNNING

    def __str__(self) -> str:
        amount = f"{self.done:g}" if self.total is None else f"{self.done:g}/{self.total:g}"
        return " ".join(each for each in (amount, self.text, f"({self.status})" if self.status else "") if each)


def progress_of(record: RunRecord) -> Progress:
    """The last word of a run; 0 of nothing where it has said none."""
    note = None if record.note is None else codec.notes.decode(record.note)
    if note is None:
        return Progress(run_status=record.status)
    said = note.progress
    if said is None:
        return Progress(status=note.status, run_status=record.status)
    return Progress(said.done, said.total, said.text, note.status, record.status)


async def _changed(engine: Engine, workflow_id: WorkflowId, run_id: RunId, shown: Progress) -> Progress:
    seen = 0
    while True:
        found = progress_of(await engine.find(workflow_id, run_id))
        if found != shown:
            return found
        seen = await engine.store.wait(seen, LOOK_MS)
        await asyncio.sleep(PAUSE_S)


async def changes(
    call: Callable[[Callable[[Engine], Any]], Any], workflow_id: WorkflowId, run_id: RunId | None
) -> AsyncIterator[Progress]:
    """The progress of a run now, and each change that is seen, until the run is closed."""
    record: RunRecord = await call(lambda engine: engine.find(workflow_id, run_id))
    own = record.run_id
    shown = progress_of(record)
    yield shown
    while shown.run_status is RunStatus.RUNNING:
        before = shown
        shown = await call(lambda engine, before=before: _changed(engine, workflow_id, own, before))
        yield shown


def bar(title: str) -> "AbstractContextManager[Callable[[Progress], None]]":
    """A live bar in the terminal, told of each change. Raises `InvalidOption` where `rich` is not installed."""
    try:
        from perdure.progress_bar import Bar
    except ImportError as error:
        fact, remedy = "needs the package rich", "install it: pip install 'perdure[rich]'"
        raise InvalidOption(name="progress_bar", value=title, fact=fact, remedy=remedy) from error
    return Bar(title)
