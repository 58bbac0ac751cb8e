"""Random workflows, and random orders of what is told to them."""

import asyncio
import itertools
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

from perdure import workflow
from perdure.core.command import (
    CancelActivity,
    CancelRun,
    CancelTimer,
    Command,
    CompleteRun,
    FailRun,
    RunActivity,
    StartTimer,
)
from perdure.core.failure import ActivityError
from perdure.core.message import CancelRequested, Message, TimerFired
from perdure.programs.code.definition import Activity
from tests.unit.code_driver import Driver, done, failed


async def _echo(value: Any) -> Any:
    return value


echo: Activity[[Any], Any] = Activity(_echo, name="echo")


@dataclass
class Node:
    """One step of a random program."""

    kind: str
    children: "list[Node]"


LEAVES = st.sampled_from(["activity", "sleep", "receive", "random", "effect", "yield"]).map(lambda kind: Node(kind, []))
INNER = ["sequence", "gather", "group", "completed", "first", "timeout", "cleanup", "shield", "locked"]


def _inner(children: st.SearchStrategy[Node]) -> st.SearchStrategy[Node]:
    return st.builds(Node, st.sampled_from(INNER), st.lists(children, min_size=1, max_size=4))


PROGRAMS = st.recursive(LEAVES, _inner, max_leaves=12)


class Interpreter:
    """Runs a program as workflow code."""

    effects = itertools.count()

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.channel = workflow.channel("go")

    async def run(self, node: Node) -> Any:
        """The value of a node."""
        return await getattr(self, f"_{node.kind}")(node.children)

    async def _activity(self, _: list[Node]) -> Any:
        try:
            return await echo(workflow.random().randrange(100))
        except ActivityError as error:
            return str(error)

    async def _sleep(self, _: list[Node]) -> Any:
        await asyncio.sleep(workflow.random().randrange(1, 4))

    async def _receive(self, _: list[Node]) -> Any:
        return await self.channel.receive()

    async def _random(self, _: list[Node]) -> Any:
        return [str(workflow.uuid4()), workflow.time()]

    async def _effect(self, _: list[Node]) -> Any:
        return workflow.side_effect(lambda: next(self.effects))

    async def _yield(self, _: list[Node]) -> Any:
        await asyncio.sleep(0)

    async def _sequence(self, children: list[Node]) -> Any:
        return [await self.run(child) for child in children]

    async def _gather(self, children: list[Node]) -> Any:
        return list(await asyncio.gather(*[self.run(child) for child in children]))

    async def _group(self, children: list[Node]) -> Any:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self.run(child)) for child in children]
        return [task.result() for task in tasks]

    async def _completed(self, children: list[Node]) -> Any:
        return [await each for each in asyncio.as_completed([self.run(child) for child in children])]

    async def _first(self, children: list[Node]) -> Any:
        tasks = {asyncio.create_task(self.run(child)) for child in children}
        finished, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in pending:
            task.cancel()
        return [task.result() for task in finished]

    async def _timeout(self, children: list[Node]) -> Any:
        try:
            async with asyncio.timeout(2):
                return await self._sequence(children)
        except TimeoutError:
            return "late"

    async def _cleanup(self, children: list[Node]) -> Any:
        try:
            return await self.run(children[0])
        finally:
            for child in children[1:]:
                await self.run(child)

    async def _shield(self, children: list[Node]) -> Any:
        return await asyncio.shield(asyncio.ensure_future(self._sequence(children)))

    async def _locked(self, children: list[Node]) -> Any:
        async with self.lock:
            return await self._sequence(children)


class World:
    """What may be told to the run next."""

    def __init__(self) -> None:
        self.activities: list[int] = []
        self.timers: dict[int, int] = {}
        self.closed = False

    def take(self, commands: list[Command]) -> None:
        """Note what was asked for."""
        for command in commands:
            match command:
                case RunActivity(call_id):
                    self.activities.append(call_id)
                case CancelActivity(call_id):
                    self.activities.remove(call_id)
                case StartTimer(call_id, due_at_ms):
                    self.timers[call_id] = due_at_ms
                case CancelTimer(call_id):
                    del self.timers[call_id]
                case CompleteRun() | FailRun() | CancelRun():
                    self.closed = True
                case _:
                    pass


def play(driver: Driver, data: st.DataObject, steps_max: int = 30) -> None:
    """Start the run and tell it things, until it closes or there were enough steps."""
    world = World()
    world.take(driver.start())
    for _ in range(steps_max):
        if world.closed:
            break
        messages: list[Message] = []
        after_ms = 0
        for _ in range(data.draw(st.integers(1, 4))):
            choice = data.draw(st.integers(0, 9))
            if choice <= 4 and world.activities:
                call_id = world.activities.pop(data.draw(st.integers(0, len(world.activities) - 1)))
                messages.append(failed(call_id) if choice == 4 else done(call_id, choice))
            elif choice <= 7 and world.timers:
                call_id = min(world.timers, key=lambda each: (world.timers[each], each))
                after_ms = max(after_ms, world.timers.pop(call_id) - driver.at_ms, 0)
                messages.append(TimerFired(call_id))
            elif choice == 9:
                messages.append(CancelRequested("drawn", f"x{driver.at_ms}{len(messages)}"))
            else:
                messages.append(driver.signal("go", choice))
        world.take(driver.step(*messages, after_ms=after_ms))
