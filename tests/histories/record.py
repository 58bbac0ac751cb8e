"""Records the histories that are missing: `python -m tests.histories.record`.

It only ever adds: a file that exists is the history of a run that is still open somewhere.
"""

import asyncio
import platform
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, cast

import msgspec

from perdure.core.failure import Failure
from perdure.core.ids import WorkflowId
from perdure.core.message import Signaled, StartOptions, UpdateRequested
from perdure.core.payload import Payload, to_payload, to_payloads
from perdure.core.rank import Rank
from perdure.engine.doors import Edit, edit, skip
from perdure.engine.moving import move
from perdure.engine.recorded import RecordedHistory, recorded_history
from perdure.engine.reset import Point, reset
from perdure.programs.code.program import CodeProgram
from perdure.worker.registry import Registry
from tests.histories import workflows
from tests.histories.replay import FOLDER, replay
from tests.histories.telling import ACTIVITIES, WORKFLOWS
from tests.histories.workflows import Item
from tests.unit.virtual_time import in_virtual_time, virtual_clock
from tests.unit.worker_world import Yard, yard

Script = Callable[[Yard], Awaitable[None]]
MAIN = WorkflowId("recorded")
BUILD = "recorder"


async def _nothing(_: Yard) -> None:
    """The run goes its way alone."""


async def _signals(place: Yard) -> None:
    for number in (1, 2):
        await place.signal(MAIN, "note", number, f"before-{number}")
    await asyncio.sleep(2)
    for number in (3, 3, 10):
        await place.signal(MAIN, "note", number, f"after-{number}")
    await asyncio.sleep(2)
    await place.signal(MAIN, "approve", True, "approval")


async def _handle(place: Yard) -> None:
    await place.signal(MAIN, "note", 1, "note-1")
    sent = [("put", ("tea",)), ("put", ("much too long",)), ("fail", ()), ("never", ()), ("put", ("cup",))]

    async def update(number: int) -> None:
        name, args = sent[number]
        message = UpdateRequested(name, to_payloads(args), f"update-{number}")
        await place.client.update(MAIN, None, message, fresh=True, early=False)

    await asyncio.gather(*[update(number) for number in range(4)])
    await asyncio.sleep(3)
    last = asyncio.create_task(update(4))
    await place.signal(MAIN, "note", 2, "note-2")
    await place.signal(MAIN, "close", None, "close")
    await last


async def _carry(place: Yard) -> None:
    alice, bob = ({"tenant": to_payload(name)} for name in ("alice", "bob"))
    await place.client.signal(MAIN, None, Signaled("tell", to_payload("a word"), "tell-1", alice))
    update = UpdateRequested("change", to_payloads(("another",)), "change-1", bob)
    await place.client.update(MAIN, None, update, fresh=True, early=False)


async def _notes(place: Yard) -> None:
    for number in (1, 2):
        await place.signal(MAIN, "note", number, f"note-{number}")


async def _cancel(place: Yard) -> None:
    await asyncio.sleep(1)
    await place.client.cancel(MAIN, None, "changed my mind")


async def _cancel_at_once(place: Yard) -> None:
    await place.client.cancel(MAIN, None, "before it began")


async def _terminate(place: Yard) -> None:
    await asyncio.sleep(1)
    await place.client.terminate(MAIN, None, "by an operator")


async def _resume(place: Yard) -> None:
    await asyncio.sleep(1)
    place.registry.add_activity(workflows.late)
    await place.client.resume(MAIN, None)


async def _operate(place: Yard) -> None:
    await place.signal(MAIN, "note", 1, "before")
    await asyncio.sleep(2)
    await place.client.pause(MAIN, None, "look first")
    await asyncio.sleep(2)
    await place.signal(MAIN, "note", "poison", "poison")
    await place.signal(MAIN, "note", "four", "typo")
    await skip(place.client, MAIN, None, "spoison", "no number")
    said = Edit(to_payload(4), (to_payload(4),), "a number in words")
    await edit(place.client, MAIN, None, "stypo", said)
    await place.client.resume(MAIN, None)
    await place.signal(MAIN, "note", 10, "after")
    await asyncio.sleep(2)
    await place.signal(MAIN, "approve", True, "approval")


async def _move(place: Yard) -> None:
    await asyncio.sleep(1)
    await move(place.client, virtual_clock(), MAIN, None, BUILD)


async def _reset_at_once(place: Yard) -> None:
    await asyncio.sleep(0.05)
    await reset(place.client, MAIN, None, Point(turn=1, reason="by an operator"))


async def _reset(place: Yard) -> None:
    await _signals(place)
    await reset(place.client, MAIN, None, Point(turn=2, reason="by an operator"))
    # This time all of them came at once, and the code waits for others.
    await asyncio.sleep(1)
    await place.signal(MAIN, "note", 12, "note-2")
    await place.signal(MAIN, "approve", True, "approval-2")


PRICES = [Item("tea", workflows.Decimal("1.50")), Item("cup", workflows.Decimal("12.25"))]
SCRIPTS: dict[str, tuple[str, tuple[Any, ...], Script]] = {
    **{name: (name, (), _nothing) for name in WORKFLOWS},
    "sequence": ("sequence", (PRICES,), _nothing),
    "leaf": ("leaf", (1, 100), _nothing),
    "leaf_in_line": ("leaf_in_line", (1,), _nothing),
    "leaf_of_a_version": ("leaf_of_a_version", ("word",), _nothing),
    "carrying": ("carrying", (), _carry),
    "leaf_that_fails": ("leaf", (-1, 100), _nothing),
    "channels": ("channels", (), _signals),
    "cancelled_run": ("cancelled_run", (), _cancel),
    "cancelled_before_it_began": ("cancelled_run", (), _cancel_at_once),
    "stubborn_run": ("stubborn_run", (), _cancel),
    "terminated": ("terminated", (), _terminate),
    "parked": ("parked", (), _resume),
    "going_on": ("going_on", (1,), _notes),
    "operated": ("channels", (), _operate),
    "reset": ("primitives", (), _reset_at_once),
    "began_again": ("channels", (), _reset),
    "began_again_by_chance": ("chance", (), _reset_at_once),
    "moved": ("moved", (), _move),
    "handling": ("handling", (5,), _handle),
}
"""By file: the workflow, its arguments, and what happens to it from outside."""
BEGAN_AGAIN = ("began_again", "began_again_by_chance")
"""Recorded is the run that goes on after a reset."""


OPTIONS = {
    "timed_out": StartOptions(run_ms=60_000),
    "in_line": StartOptions(rank=Rank(priority=2, key="shop")),
    "carrying": StartOptions(headers={"tenant": to_payload("acme")}),
}
"""What some are started with."""


def _register(place: Yard) -> None:
    registry = place.registry
    for activity in ACTIVITIES:
        if activity is not workflows.late:
            registry.add_activity(activity)
    for each in WORKFLOWS.values():
        registry.add_program(
            each.name, each.place, lambda each=each: CodeProgram(each, registry.activity, registry.activities.keys)
        )


async def _recorded(name: str) -> RecordedHistory:
    """Run a script in virtual time; its history."""
    workflow, args, script = SCRIPTS[name]
    workflows.tries.clear()
    async with yard() as place:
        place.registry = Registry(BUILD)
        _register(place)
        run_id = await place.start(WORKFLOWS[workflow], *args, id=MAIN, options=OPTIONS.get(name))
        if script is _cancel_at_once:
            await script(place)
        await place.process("worker")
        if script is not _cancel_at_once:
            await script(place)
        await place.outcome(run_id)
        if name in BEGAN_AGAIN:
            run_id = (await place.client.find(MAIN)).run_id
            await place.outcome(run_id)
        turns = [_anonymous(turn) for turn in await place.turns(run_id)]
        return recorded_history(workflow, MAIN, run_id, turns, f"Python {platform.python_version()}")


def _anonymous(value: Any) -> Any:
    """The value without tracebacks: they name the folders of whoever recorded it."""
    if isinstance(value, Failure):
        value = msgspec.structs.replace(value, traceback="")
    if isinstance(value, Payload) and value.metadata is not None:
        failure = msgspec.json.decode(value.data, type=Failure)
        return Payload(msgspec.json.encode(_anonymous(failure)), value.metadata)
    if isinstance(value, msgspec.Struct):
        fields = {name: _anonymous(getattr(value, name)) for name in value.__struct_fields__}
        return msgspec.structs.replace(value, **fields)
    return tuple(map(_anonymous, cast(tuple[Any, ...], value))) if isinstance(value, tuple) else value


def record_missing(folder: Path) -> list[str]:
    """Record what has no file yet; returns the names."""
    added: list[str] = []
    for name in SCRIPTS:
        path = folder / f"{name}.json"
        if path.exists():
            continue
        found: list[RecordedHistory] = []

        @in_virtual_time
        async def record(name: str = name, found: list[RecordedHistory] = found) -> None:
            found.append(await _recorded(name))

        record()
        replay(found[0])
        with path.open("xb") as file:
            file.write(msgspec.json.format(msgspec.json.encode(found[0]), indent=1) + b"\n")
        added.append(name)
    return added


if __name__ == "__main__":
    print("\n".join(record_missing(FOLDER)) or "nothing is missing")
