"""The doors out of a run that takes no turn: a message that cannot be taken is skipped or edited; a closed run deleted.

What is done to a run from outside is a turn of its own, so that the history shows it. See also `engine.reset`.
"""

import re
from collections.abc import Callable
from typing import NamedTuple

from msgspec.structs import replace

from perdure.core import codec
from perdure.core.command import Command, EditMessage, RejectUpdate, SkipMessage
from perdure.core.errors import (
    MessageNeeded,
    MessageNotWaiting,
    Paused,
    RunClosed,
    RunNotParked,
    RunOpen,
    UndecodablePayload,
)
from perdure.core.failure import Failure
from perdure.core.ids import RunId, WorkflowId
from perdure.core.message import (
    ActivityClosed,
    CancelRequested,
    ChildClosed,
    Completed,
    Message,
    PauseRequested,
    Resumed,
    Signaled,
    UpdateRequested,
)
from perdure.core.payload import Payload
from perdure.core.store import Delivery, RunRecord, RunStatus, WaitingMessage
from perdure.engine.commit import to_commit
from perdure.engine.engine import Engine

_ANSWER = re.compile(r"([abct])(\d+)")


class Changed(NamedTuple):
    """What becomes of a message that waits."""

    commands: tuple[Command, ...]
    instead: Message | None = None


class Edit(NamedTuple):
    """What a message shall say: its payload, or all arguments of one that has several."""

    payload: Payload
    args: tuple[Payload, ...]
    reason: str = ""


def is_paused(record: RunRecord) -> bool:
    """Whether a parked run was asked to pause, rather than being unable to go on."""
    return record.parked is not None and codec.failures.decode(record.parked).type == Paused.__name__


async def skip(engine: Engine, workflow_id: WorkflowId, run_id: RunId | None, message_id: str, reason: str) -> None:
    """Drop a message that waits for a parked run, and let the run go on unless it is paused.

    Raises `RunNotParked`, `MessageNotWaiting`, or `MessageNeeded` where the run could never go on without it.
    """

    def skipped(message: Message | None) -> Changed:
        skipping = SkipMessage(message_id, reason)
        match message:
            case UpdateRequested(update_id=update_id):
                failure = Failure("MessageSkipped", reason or "an operator skipped it", retryable=False)
                return Changed((RejectUpdate(update_id, failure), skipping))
            case Signaled() | CancelRequested() | PauseRequested() | Resumed():
                return Changed((skipping,))
            case None if not _ANSWER.fullmatch(message_id):
                return Changed((skipping,))
            case _:
                raise MessageNeeded(
                    workflow_id=workflow_id,
                    message_id=message_id,
                    fact="is what the run waits for",
                    remedy="edit it, or reset the run to a turn before",
                )

    await _change(engine, (workflow_id, run_id), message_id, skipped)


async def edit(engine: Engine, workflow_id: WorkflowId, run_id: RunId | None, message_id: str, what: Edit) -> None:
    """Let a message that waits for a parked run say something else, and let the run go on unless it is paused.

    An answer becomes a result, whatever it was. Raises as `skip` does.
    """

    def edited(message: Message | None) -> Changed:
        editing = EditMessage(message_id, what.reason)
        match message or _unreadable(message_id):
            case Signaled() as signal:
                return Changed((editing,), replace(signal, payload=what.payload))
            case UpdateRequested() as update:
                return Changed((editing,), replace(update, args=what.args))
            case ActivityClosed() | ChildClosed() as answer:
                return Changed((editing,), replace(answer, outcome=Completed(what.payload)))
            case _:
                fact = "cannot be read" if message is None else "has no value"
                raise MessageNeeded(
                    workflow_id=workflow_id, message_id=message_id, fact=fact, remedy="it can only be skipped"
                )

    await _change(engine, (workflow_id, run_id), message_id, edited)


def _unreadable(message_id: str) -> Message | None:
    """The answer that a message must have been which nobody can read."""
    found = _ANSWER.fullmatch(message_id)
    if found is None:
        return None
    call_id, nothing = int(found[2]), Completed(Payload(b"null"))
    answers: dict[str, Message] = {"a": ActivityClosed(call_id, nothing), "c": ChildClosed(call_id, nothing)}
    return answers.get(found[1])


async def _change(
    engine: Engine,
    run: tuple[WorkflowId, RunId | None],
    message_id: str,
    change: Callable[[Message | None], Changed],
) -> None:
    workflow_id, run_id = run
    while True:
        record = await engine.find(workflow_id, run_id)
        if record.status is not RunStatus.RUNNING:
            raise RunClosed(workflow_id=workflow_id, status=record.status.value)
        if record.parked is None:
            raise RunNotParked(workflow_id=workflow_id)
        waiting = await _waiting(engine, record, message_id)
        changed = change(_read(waiting))
        live = await engine.folded(record)
        now_ms = engine.clock.now_ms()
        deliveries: list[Delivery] = []
        if changed.instead is not None:
            follows = not isinstance(changed.instead, ActivityClosed)
            data = codec.messages.encode(changed.instead)
            # At the place of the old one: the order of signals is kept.
            deliveries.append(Delivery(record.run_id, message_id, data, waiting.visible_at_ms, follows=follows))
        if not is_paused(record):
            resumed = Resumed(engine.clock.new_id())
            data = codec.messages.encode(resumed)
            deliveries.append(Delivery(record.run_id, resumed.id, data, now_ms, unparks=True))
        turn = live.note(now_ms, changed.commands)
        commit = to_commit(live, turn, consumed=[message_id], keeps=lambda _: False)
        if not await engine.store.commit(None, [replace(commit, deliveries=tuple(deliveries))]):
            engine.look()
            return
        # Somebody took a turn in between: look again.


async def _waiting(engine: Engine, record: RunRecord, message_id: str) -> WaitingMessage:
    messages = (await engine.store.read_waiting(record.run_id)).messages
    for each in messages:
        if each.message_id == message_id:
            break
    else:
        names = ", ".join(each.message_id for each in messages[:20]) or "none"
        raise MessageNotWaiting(workflow_id=record.workflow_id, message_id=message_id, waiting=names)
    if not record.turns_count:
        # Its history begins with its start, which only its code can take.
        remedy = "terminate it and start it again"
        fact = "waits for a run that has not begun"
        raise MessageNeeded(workflow_id=record.workflow_id, message_id=message_id, fact=fact, remedy=remedy)
    return each


def _read(waiting: WaitingMessage) -> Message | None:
    try:
        return codec.messages.decode(waiting.data)
    except UndecodablePayload:
        return None


async def delete(engine: Engine, workflow_id: WorkflowId, run_id: RunId | None) -> None:
    """Delete a closed run with its history. Raises `RunOpen` or `WorkflowNotFound`."""
    record = await engine.find(workflow_id, run_id)
    if not await engine.store.delete([record.run_id]) and record.status is RunStatus.RUNNING:
        raise RunOpen(workflow_id=workflow_id, run_id=record.run_id)
