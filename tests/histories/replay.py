"""Replays every recorded history: `python -m tests.histories.replay` raises where today's code decides otherwise."""

from pathlib import Path

from perdure.core.command import CompleteRun
from perdure.engine import recorded
from perdure.engine.live import LiveRun
from perdure.engine.recorded import RecordedHistory, parse_histories
from perdure.programs.code.program import CodeProgram
from tests.histories.telling import ACTIVITIES, WORKFLOWS

FOLDER = Path(__file__).parent


def histories() -> dict[str, RecordedHistory]:
    """Every recorded history by its file's name."""
    return {path.stem: parse_histories(path.read_bytes(), path.name)[0] for path in sorted(FOLDER.glob("*.json"))}


def program_of(history: RecordedHistory) -> CodeProgram:
    """Today's program of a history's workflow."""
    known = {activity.name: activity for activity in ACTIVITIES}
    return CodeProgram(WORKFLOWS[history.workflow], known.get, known.keys)


def replay(history: RecordedHistory) -> None:
    """Recall a history, turn by turn. Raises AssertionError for another decision or result."""
    program = program_of(history)
    replayed = recorded.replay(history, program)
    assert replayed.mismatch is None, replayed.mismatch.message
    *earlier, last = history.decoded()
    if last.outputs and isinstance(last.outputs[-1], CompleteRun):
        began_as = recorded.opened_as(history.run_id, history.decoded())
        again = LiveRun(history.run_id, history.workflow_id, program.open(began_as))
        again.recall(earlier)
        assert again.take_turn(last.at_ms, last.inputs).outputs[-1] == last.outputs[-1], "another result"
        again.close()


if __name__ == "__main__":
    for name, history in histories().items():
        replay(history)
        print(name)
