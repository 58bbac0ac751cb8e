"""A recorded history as a document of its own, and its replay against the code of today."""

import base64
import binascii
from collections.abc import Iterable, Sequence

import msgspec

from perdure.core import codec
from perdure.core.errors import (
    ForbiddenInWorkflow,
    InvalidOption,
    NonDeterminism,
    ParkedError,
    PerdureError,
    UndecodablePayload,
)
from perdure.core.ids import RunId, WorkflowId
from perdure.core.message import Forked
from perdure.core.program import Program
from perdure.core.turn import Turn
from perdure.engine.history import flatten
from perdure.engine.live import LiveRun

_REMEDY = "record it with `perdure workflow export`"


class RecordedHistory(msgspec.Struct, frozen=True):
    """One run's history as a JSON object: what `perdure workflow export` writes, one a line."""

    workflow: str
    """The workflow type."""
    run_id: RunId
    workflow_id: WorkflowId
    recorded_by: str
    """What recorded it, for people."""
    turns: tuple[str, ...]
    """Each as persisted, in base 64."""
    version: int = 1
    """Of the workflow."""

    def decoded(self) -> list[Turn]:
        """The turns. Raises `InvalidOption` for a document that was cut or damaged."""
        try:
            found = [codec.turns.decode(base64.b64decode(turn, validate=True)) for turn in self.turns]
        except (binascii.Error, UndecodablePayload) as error:
            raise self._damaged(str(error)) from error
        if [turn.number for turn in found] != list(range(1, len(found) + 1)):
            raise self._damaged("a turn is missing")
        return found

    def _damaged(self, reason: str) -> InvalidOption:
        return InvalidOption(name="history", value=self.run_id, fact=f"is damaged: {reason}", remedy=_REMEDY)


def recorded_history(
    workflow: str, workflow_id: WorkflowId, run_id: RunId, turns: Iterable[Turn], recorded_by: str, *, version: int = 1
) -> RecordedHistory:
    """The document of a run's turns."""
    encoded = tuple(base64.b64encode(codec.turns.encode(turn)).decode() for turn in turns)
    return RecordedHistory(workflow, run_id, workflow_id, recorded_by, encoded, version)


def parse_histories(data: bytes, name: str) -> list[RecordedHistory]:
    """The histories in a file: one JSON object, or one a line. Raises `InvalidOption`; `name` is the file's."""
    try:
        return [msgspec.json.decode(data, type=RecordedHistory)]
    except (msgspec.MsgspecError, UnicodeDecodeError):
        pass
    found: list[RecordedHistory] = []
    for number, line in enumerate(data.splitlines(), 1):
        if line.strip():
            try:
                found.append(msgspec.json.decode(line, type=RecordedHistory))
            except (msgspec.MsgspecError, UnicodeDecodeError) as error:
                fact = f"holds no history in line {number}: {error}"
                raise InvalidOption(name="history", value=name, fact=fact, remedy=_REMEDY) from error
    if not found:
        raise InvalidOption(name="history", value=name, fact="is empty", remedy=_REMEDY)
    return found


class Mismatch(msgspec.Struct, frozen=True):
    """Why the code of today cannot go on with a history."""

    code: str
    """PDR3001 where it asks for something else than is recorded; else the code of what kept it from running."""
    turn: int
    """The turn that the code could not repeat."""
    event: int
    """Id of the history event that is not asked for any more; of the next one, where too much is asked for."""
    recorded: str | None
    asked: str | None
    where: str | None
    """Line of the code that asks for something else, or waits instead, such as `shop.py:17`."""
    message: str
    """All of it in words, with the remedy."""


class Replayed(msgspec.Struct, frozen=True):
    """What came of the replay of one history."""

    workflow: str
    workflow_id: WorkflowId
    run_id: RunId
    turns_count: int
    mismatch: Mismatch | None

    @property
    def clean(self) -> bool:
        """The code asks for exactly what is recorded."""
        return self.mismatch is None


def replay(history: RecordedHistory, program: Program) -> Replayed:
    """Repeat a history turn by turn, and stop at the first that comes out differently.

    Not for a thread where another event loop runs. Raises `InvalidOption` for a damaged document.
    """
    turns = history.decoded()
    live = LiveRun(history.run_id, history.workflow_id, program.open(opened_as(history.run_id, turns)))
    mismatch: Mismatch | None = None
    number = 0
    try:
        for turn in turns:
            number = turn.number
            live.recall([turn])
    except (ParkedError, ForbiddenInWorkflow) as error:
        mismatch = _mismatch(error, turns[:number])
    finally:
        live.close()
    return Replayed(history.workflow, history.workflow_id, history.run_id, len(turns), mismatch)


def opened_as(run_id: RunId, turns: Sequence[Turn]) -> RunId:
    """Under which run id a run with this history began: another one's, if its first turns are from there."""
    forks = (each for turn in turns for each in turn.inputs if isinstance(each, Forked))
    first = next(forks, None)
    return run_id if first is None else first.source_run_id


def _mismatch(error: PerdureError, turns: list[Turn]) -> Mismatch:
    *earlier, last = turns
    index: int = error.facts.get("index", 0)
    before = [*earlier, msgspec.structs.replace(last, outputs=last.outputs[:index])]
    told = isinstance(error, NonDeterminism)
    where: str = error.facts.get("where", "")
    return Mismatch(
        code=error.code,
        turn=last.number,
        event=sum(1 for _ in flatten(before)) + 1,
        recorded=error.facts["recorded"] if told else None,
        asked=error.facts["asked"] if told else None,
        where=where.removeprefix(" at ") or None,
        message=str(error),
    )
