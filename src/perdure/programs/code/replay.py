"""Recall: compares what the code asks for with what is recorded, and finds the line that asked for something else.

Compared are the kinds, the numbers of the calls and the names; not the bytes of arguments, nor options or moments: a
changed encoding or a longer timeout is no other decision.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from perdure.core.command import (
    AcceptUpdate,
    CancelActivity,
    CancelChild,
    CancelRun,
    CancelTimer,
    Command,
    CompleteRun,
    CompleteUpdate,
    ContinueRun,
    EditMessage,
    FailRun,
    RecordLocalActivity,
    RecordSideEffect,
    RecordVersion,
    RejectUpdate,
    ResetRun,
    RunActivity,
    SetProgress,
    SetStatus,
    SkipMessage,
    StartChild,
    StartTimer,
    TerminateChild,
    TerminateRun,
    TimeOutRun,
    UpsertAttributes,
    UpsertMemo,
)
from perdure.core.errors import NonDeterminism
from perdure.core.payload import Payload
from perdure.core.turn import Turn
from perdure.programs.code import trace

if TYPE_CHECKING:
    from perdure.programs.code.run import CodeRun

_NONE: Mapping[int, Payload] = {}


def side_effects(turn: Turn) -> Mapping[int, Payload]:
    """The values that the code computed in the turn, by call."""
    effects: dict[int, Payload] | None = None
    for command in turn.outputs:
        if type(command) is RecordSideEffect:
            if effects is None:
                effects = {}
            effects[command.call_id] = command.value
    return effects or _NONE


def differs(recorded: Sequence[Command], asked: Sequence[Command]) -> bool:
    """Whether the code decided something else."""
    if len(recorded) != len(asked):
        return first_difference(recorded, asked) is not None
    for old, new in zip(recorded, asked, strict=True):
        if type(old) is RunActivity and type(new) is RunActivity:
            if old.call_id != new.call_id or old.name != new.name:
                return True
        elif not _same(old, new):
            return first_difference(recorded, asked) is not None
    return False


def _same(old: Command, new: Command) -> bool:
    return type(old) is type(new) and _identity(old) == _identity(new)


def _identity(command: Command) -> tuple[object, ...]:
    """What of a command makes it that decision and no other."""
    match command:
        case RunActivity() | RecordLocalActivity():
            return command.call_id, command.name
        case StartChild():
            return command.call_id, command.workflow_type, command.workflow_id
        case CancelActivity() | StartTimer() | CancelTimer() | CancelChild() | TerminateChild() | RecordSideEffect():
            return (command.call_id,)
        case AcceptUpdate() | RejectUpdate() | CompleteUpdate():
            return (command.update_id,)
        case RecordVersion():
            return (command.change_id,)
        case _:
            return ()


def first_difference(recorded: Sequence[Command], asked: Sequence[Command]) -> tuple[int, int] | None:
    """Index of the first recorded command that differs, and of what is asked for instead; None if there is none.

    Records of versions count by what they record, not by their place in the turn: a change may be asked for sooner
    or later than it was. One that is deprecated may be gone. What was rejected is not decided again.
    """
    old = [index for index, each in enumerate(recorded) if type(each) not in _ANYWHERE]
    new = [index for index, each in enumerate(asked) if type(each) not in _ANYWHERE]
    length = min(len(old), len(new))
    alike = next((n for n in range(length) if not _same(recorded[old[n]], asked[new[n]])), None)
    if alike is None and len(old) != len(new):
        alike = length
    found = [] if alike is None else [(_at(old, alike, recorded), _at(new, alike, asked))]
    lost = _lost_version(recorded, asked)
    if lost is not None:
        found.append((lost, _at(new, sum(index < lost for index in old), asked)))
    return min(found, default=None)


_ANYWHERE = (RecordVersion, RejectUpdate)


def _at(indexes: Sequence[int], number: int, commands: Sequence[Command]) -> int:
    return indexes[number] if number < len(indexes) else len(commands)


def _lost_version(recorded: Sequence[Command], asked: Sequence[Command]) -> int | None:
    """Index of a record whose change the code does not ask for any more."""
    changes = {each.change_id for each in asked if type(each) is RecordVersion}
    for index, each in enumerate(recorded):
        if type(each) is RecordVersion and not each.deprecated and each.change_id not in changes:
            return index
    return None


def describe(command: Command | None) -> str:
    """A command in words."""
    match command:
        case None:
            return "nothing more"
        case RunActivity():
            return f"activity {command.name!r} (call {command.call_id})"
        case CancelActivity():
            return f"the cancellation of an activity (call {command.call_id})"
        case StartTimer():
            return f"a timer (call {command.call_id})"
        case CancelTimer():
            return f"the cancellation of a timer (call {command.call_id})"
        case StartChild():
            return f"child workflow {command.workflow_type!r} with id {command.workflow_id!r} (call {command.call_id})"
        case CancelChild():
            return f"the cancellation of a child workflow (call {command.call_id})"
        case RecordSideEffect():
            return f"a side effect (call {command.call_id})"
        case CompleteRun():
            return "the run's completion"
        case FailRun():
            return f"the run's failure ({command.failure.type}: {command.failure.message})"
        case CancelRun():
            return "the run's cancellation"
        case TerminateRun():
            return "the run's termination"
        case SkipMessage() | EditMessage() | ResetRun():
            return "what an operator did"
        case ContinueRun():
            return "the run's continuation as a new one"
        case TimeOutRun():
            return "the run's time-out"
        case AcceptUpdate():
            return f"the acceptance of update {command.update_id!r}"
        case RejectUpdate():
            return f"the rejection of update {command.update_id!r}"
        case CompleteUpdate():
            return f"the answer of update {command.update_id!r}"
        case RecordVersion():
            return f"version {command.version} of change {command.change_id!r}"
        case RecordLocalActivity():
            return f"local activity {command.name!r} (call {command.call_id})"
        case UpsertMemo():
            return "a change of the memo"
        case UpsertAttributes():
            return "a change of search attributes"
        case SetProgress():
            return "progress"
        case SetStatus():
            return "a status"
        case TerminateChild():
            return f"the termination of a child workflow (call {command.call_id})"


def mismatch(run: "CodeRun", history: Sequence[Turn], turn: Turn, asked: Sequence[Command]) -> NonDeterminism:
    """The error for a turn in which the code decided something else; `history` are the turns up to and with it."""
    difference = first_difference(turn.outputs, asked)
    assert difference is not None, "the turn differs"
    old, new = difference
    where = trace.place_of_command(run.program, run.opened_as, history, new) if len(history) == turn.number else None
    return NonDeterminism(
        turn=turn.number,
        index=old,
        run_id=run.run_id,
        recorded=describe(turn.outputs[old] if old < len(turn.outputs) else None),
        asked=describe(asked[new] if new < len(asked) else None),
        where="" if where is None else f" at {where}",
    )
