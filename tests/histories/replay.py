"""Replays every recorded history: `python -m tests.histories.replay` raises where today's code decides otherwise."""

import base64
from pathlib import Path

import msgspec

from perdure.core import codec
from perdure.core.command import CompleteRun
from perdure.core.ids import RunId, WorkflowId
from perdure.core.turn import Turn
from perdure.engine.live import LiveRun
from perdure.programs.code.program import CodeProgram
from tests.histories.workflows import ACTIVITIES, WORKFLOWS

FOLDER = Path(__file__).parent


class History(msgspec.Struct, frozen=True):
    """One recorded run."""

    workflow: str
    run_id: RunId
    workflow_id: WorkflowId
    recorded_by: str
    """The Python that recorded it."""
    turns: tuple[str, ...]
    """Each as persisted, in base 64."""

    def decoded(self) -> list[Turn]:
        """The turns."""
        return [codec.turns.decode(base64.b64decode(turn)) for turn in self.turns]


def histories() -> dict[str, History]:
    """Every recorded history by its file's name."""
    return {path.stem: msgspec.json.decode(path.read_bytes(), type=History) for path in sorted(FOLDER.glob("*.json"))}


def program_of(history: History) -> CodeProgram:
    """Today's program of a history's workflow."""
    known = {activity.name: activity for activity in ACTIVITIES}
    return CodeProgram(WORKFLOWS[history.workflow], known.get, known.keys)


def replay(history: History) -> None:
    """Recall a history, turn by turn. Raises `NonDeterminism`, or AssertionError for another result."""
    program = program_of(history)
    turns = history.decoded()
    live = LiveRun(history.run_id, history.workflow_id, program.open(history.run_id))
    for turn in turns:
        live.recall([turn])
    live.close()
    *earlier, last = turns
    if last.outputs and isinstance(last.outputs[-1], CompleteRun):
        again = program.open(history.run_id)
        for turn in earlier:
            again.recall(turn)
        assert again.step(last.at_ms, last.inputs)[-1] == last.outputs[-1], "another result"
        again.close()


if __name__ == "__main__":
    for name, history in histories().items():
        replay(history)
        print(name)
