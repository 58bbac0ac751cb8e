"""Workflow code whose recorded histories are replayed for ever. Never changed: new features come as new workflows."""

import asyncio
import random
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from perdure import workflow
from perdure.core.command import ParentClosePolicy
from perdure.core.failure import ActivityError, ActivityTimeout, ApplicationError, ChildWorkflowError
from perdure.programs.code.classes import workflow_of
from perdure.programs.code.definition import Activity, Signal, Workflow
from perdure.programs.code.options import ActivityKeywords, RetryPolicy

tries: dict[str, int] = {}
"""How often each activity was tried, while a history is recorded."""


@dataclass
class Item:
    """An argument that is no plain JSON value."""

    name: str
    price: Decimal


async def _price(item: Item, count: int = 1) -> Decimal:
    return item.price * count


async def _echo(value: Any) -> Any:
    return value


async def _nap(ms: int) -> int:
    await asyncio.sleep(ms / 1_000)
    return ms


async def _flaky(failures: int) -> int:
    tries["flaky"] = tries.get("flaky", 0) + 1
    if tries["flaky"] <= failures:
        raise ApplicationError("not yet", type="Flaky")
    return failures


async def _fatal() -> None:
    raise ApplicationError("never", {"code": 51}, type="Fatal", retryable=False)


async def _late(value: int) -> int:
    return value


async def _silent() -> None:
    await asyncio.sleep(3_600)


QUICKLY = RetryPolicy(initial_interval="100ms", maximum_interval="1s", non_retryable=["TypeError"])
price: Activity[..., Decimal] = Activity(_price, name="price")
echo: Activity[..., Any] = Activity(_echo, name="echo")
nap: Activity[..., int] = Activity(_nap, name="nap")
flaky: Activity[..., int] = Activity(_flaky, name="flaky", keywords=ActivityKeywords(retry=QUICKLY))
fatal: Activity[..., None] = Activity(_fatal, name="fatal")
late: Activity[..., int] = Activity(_late, name="late")
silent: Activity[..., None] = Activity(_silent, name="silent", keywords=ActivityKeywords(heartbeat="500ms", retries=1))
ACTIVITIES = (price, echo, nap, flaky, fatal, late, silent)

WORKFLOWS: dict[str, "Workflow[..., Any]"] = {}


def recorded(fn: Callable[..., Any]) -> Any:
    """Register a workflow whose history is recorded under its name."""
    WORKFLOWS[fn.__name__] = Workflow(fn)
    return WORKFLOWS[fn.__name__]


@recorded
async def sequence(items: list[Item]) -> str:
    """Activities one after the other, with and without defaults, and one by its name."""
    total = Decimal(0)
    for item in items:
        total += await price(item, 2)
    total += await price(items[0])
    named: Decimal = await workflow.execute_activity("price", items[0], result_type=Decimal)
    return str(total + named)


@recorded
async def retries() -> list[Any]:
    """Failures of all kinds, caught."""
    found: list[Any] = [await flaky(2)]
    for call in (fatal, silent, nap.options(timeout="50ms", retries=0), nap.options(schedule_to_start="10s")):
        try:
            found.append(await (call(200) if call.name == "nap" else call()))
        except ActivityTimeout as error:
            found.append([error.kind.value, error.attempt])
        except ActivityError as error:
            found.append([error.type, str(error.__cause__), error.failure.details != ()])
    return found


@recorded
async def timers() -> list[Any]:
    """Sleeps and timeouts, those that pass and those that are withdrawn."""
    found: list[Any] = []
    await asyncio.sleep(0)
    await asyncio.sleep(0.25)
    for limit_s in (0.05, 5.0):
        try:
            async with asyncio.timeout(limit_s):
                found.append(await nap(200))
        except TimeoutError:
            found.append("timeout")
        try:
            found.append(await asyncio.wait_for(nap(100), limit_s))
        except TimeoutError:
            found.append("wait_for")
    loop = asyncio.get_running_loop()
    event = asyncio.Event()
    loop.call_later(1.5, event.set)
    loop.call_later(900, event.clear).cancel()
    await event.wait()
    found.append(round(loop.time() * 1_000) % 10 >= 0)
    return found


@recorded
async def crowds() -> list[Any]:
    """Many at once: gather, as_completed, wait, shield."""
    found: list[Any] = [await asyncio.gather(*[nap(ms) for ms in (30, 10, 20)])]
    mixed: list[Any] = list(await asyncio.gather(echo(1), fatal(), return_exceptions=True))
    found.append([each if isinstance(each, int) else type(each).__name__ for each in mixed])
    found.append([await each for each in asyncio.as_completed([nap(50), nap(5), nap(25)])])
    tasks = {asyncio.create_task(nap(ms)) for ms in (40, 80, 120)}
    done, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in pending:
        task.cancel()
    await asyncio.gather(*pending, return_exceptions=True)
    found.append([task.result() for task in done])
    shielded = asyncio.ensure_future(nap(60))
    outer = asyncio.ensure_future(asyncio.shield(shielded))
    await asyncio.sleep(0.01)
    outer.cancel()
    found.append(await shielded)
    return found


@recorded
async def groups() -> list[Any]:
    """Task groups: one that ends well, one whose member fails and takes the others along."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(nap(ms)) for ms in (20, 10)]
    found: list[Any] = [task.result() for task in tasks]
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(nap(3_600_000))
            group.create_task(asyncio.sleep(7_200))
            group.create_task(fatal())
    except* ActivityError as errors:
        found.append([type(each).__name__ for each in errors.exceptions])
    return found


APPROVE = Signal("approve", bool)


@recorded
async def channels() -> list[Any]:
    """Signals: before the channel is read, by iteration, at once, and beside a timer; and a query on the way."""
    found: list[Any] = []

    @workflow.query
    def seen() -> list[Any]:
        return found

    await asyncio.sleep(1)
    notes = workflow.channel("note", int)
    found.append([notes.receive_nowait() for _ in range(len(notes))])
    async for note in notes:
        found.append(note)
        if note >= 10:
            break
    try:
        found.append(await asyncio.wait_for(workflow.channel(APPROVE).receive(), 0.5))
    except TimeoutError:
        found.append("nobody")
    found.append(await workflow.channel(APPROVE).receive())
    return found


@recorded
async def leaf(value: int, ms: int) -> int:
    """A child."""
    if value < 0:
        raise ApplicationError("below nothing", type="Negative")
    await asyncio.sleep(ms / 1_000)
    return value


@recorded
async def family() -> list[Any]:
    """Children: awaited, several, by name, refused, failing, cancelled, abandoned."""
    found: list[Any] = [await leaf(1, 10), await asyncio.gather(leaf(2, 20), leaf(3, 10))]
    handle = await workflow.start_child(leaf, 4, 100, id="family-4")
    try:
        await workflow.start_child("leaf", 5, 1, id="family-4")
    except ChildWorkflowError as error:
        found.append(error.type)
    found.append(await handle)
    try:
        await leaf(-1, 0)
    except ChildWorkflowError as error:
        found.append([error.type, str(error.__cause__)])
    cancelled = await workflow.start_child(leaf, 6, 3_600_000, id="family-6")
    cancelled.cancel("no longer wanted")
    try:
        await cancelled
    except ChildWorkflowError as error:
        found.append(error.type)
    for number, policy in enumerate(ParentClosePolicy):
        await workflow.start_child(leaf, 7, 5_000, id=f"family-7{number}", parent_close_policy=policy)
    return found


@recorded
async def cancelled_parts() -> list[Any]:
    """An activity, a timer and a child, each cancelled alone: at once, and after a while."""
    found: list[Any] = []
    for pause_s in (0.0, 0.05):
        for make in (lambda: nap(3_600_000), lambda: asyncio.sleep(3_600), lambda: leaf(1, 3_600_000)):
            task: asyncio.Task[Any] = asyncio.create_task(make())
            await asyncio.sleep(pause_s)
            task.cancel("enough")
            try:
                found.append(await task)
            except asyncio.CancelledError:
                found.append("cancelled")
    return found


@recorded
async def cancelled_run() -> str:
    """Cancelled from outside; cleans up with activities and timers."""
    try:
        await asyncio.gather(nap(3_600_000), asyncio.sleep(3_600), leaf(1, 3_600_000))
    finally:
        assert workflow.cancellation_requested()
        await echo("clean")
        await asyncio.sleep(0.1)
    return "never"


@recorded
async def stubborn_run() -> str:
    """Cancelled from outside, and completes all the same."""
    try:
        await asyncio.sleep(3_600)
    except asyncio.CancelledError:
        return str(await echo("stayed"))
    return "never"


@recorded
async def chance() -> list[Any]:
    """Side effects, and all that is drawn or read from the run."""
    found: list[Any] = []
    for _ in range(2):
        found.append(workflow.side_effect(uuid.uuid4) != "")
        found.append(workflow.side_effect(lambda: [1, {"a": None}]))
        found += [str(workflow.uuid4()), workflow.random().random(), workflow.random().randrange(10**9)]
        found += [str(uuid.uuid4()), random.random(), random.choice("abc"), random.sample(range(100), 3)]
        found += [workflow.now().isoformat(), workflow.time(), time.time(), time.monotonic(), time.time_ns()]
        found.append([workflow.info().workflow_id, workflow.info().turn_number])
        await echo(found[-1])
        await asyncio.sleep(workflow.random().randrange(1, 5) / 10)
    try:
        workflow.side_effect(lambda: 1 // 0)
    except ApplicationError as error:
        found.append(error.type)
    return found


@recorded
async def primitives() -> list[Any]:
    """Queue, event, lock, semaphore, condition between tasks."""
    found: list[Any] = []
    queue: asyncio.Queue[int] = asyncio.Queue(maxsize=2)
    lock, semaphore, condition, event = asyncio.Lock(), asyncio.Semaphore(2), asyncio.Condition(), asyncio.Event()

    async def produce(number: int) -> None:
        async with semaphore:
            value = await nap(10 * number)
        await queue.put(value)

    async def consume() -> None:
        for _ in range(4):
            value = await queue.get()
            async with lock:
                found.append(value)
                await echo(value)
            queue.task_done()
        async with condition:
            condition.notify_all()
        event.set()

    async def watch() -> None:
        async with condition:
            await condition.wait_for(lambda: len(found) >= 4)
        found.append("watched")

    async with asyncio.TaskGroup() as group:
        for number in (4, 3, 2, 1):
            group.create_task(produce(number))
        group.create_task(watch())
        group.create_task(consume())
        await event.wait()
    await queue.join()
    return found


@recorded
async def failing() -> None:
    """Fails, with details and a cause."""
    try:
        await fatal()
    except ActivityError as error:
        raise ApplicationError("the run fails", [1, 2], type="Ended", retryable=False) from error


@recorded
async def terminated() -> None:
    """Ended from outside, in the middle."""
    await asyncio.gather(nap(10), nap(3_600_000), asyncio.sleep(3_600), leaf(1, 3_600_000))


@recorded
async def parked() -> list[int]:
    """Parked because nobody knows its activity, then resumed."""
    first = await nap(10)
    return [first, await workflow.execute_activity("late", 5)]


@recorded
async def changes() -> list[Any]:
    """Changes of code: a patch, one that is deprecated, a version, and each again in a later turn."""
    found: list[Any] = []
    for _ in range(2):
        found += [workflow.patched("tax"), workflow.version("rate", workflow.DEFAULT_VERSION, 3)]
        workflow.deprecate_patch("old")
        await asyncio.gather(echo(found[-1]), nap(10))
    if workflow.patched("late"):
        found.append(await echo("late"))
    return found


@recorded
async def local_activities() -> list[Any]:
    """Within the turn: one, several at once, a failure, one that is dropped, and one that waits by a timer."""
    found: list[Any] = [await echo.local("first")]
    found.append(await asyncio.gather(*[nap.local(ms) for ms in (30, 10, 20)]))
    try:
        await fatal.local()
    except ActivityError as error:
        found.append([error.type, error.attempt])
    slow = asyncio.ensure_future(nap.local(60_000))
    await asyncio.wait({slow, asyncio.ensure_future(echo.local("quick"))}, return_when=asyncio.FIRST_COMPLETED)
    slow.cancel()
    later = RetryPolicy(initial_interval="30s")
    found += await asyncio.gather(flaky.options(retry=later).local(1), nap(5))
    return [*found, await echo("last")]


@recorded
async def going_on(left: int) -> list[int]:
    """Goes on as a new run, with signals that were not received."""
    notes = workflow.channel("note", int)
    found = [await notes.receive()]
    await nap(10)
    if left:
        try:
            workflow.continue_as_new(left - 1)
        finally:
            await echo("clean")
    return [*found, workflow.info().attempt]


@recorded
async def timed_out() -> None:
    """Closed by its deadline, in the middle."""
    await asyncio.gather(nap(10), asyncio.sleep(3_600))


@recorded
async def moved() -> list[Any]:
    """Moved to another build while it sleeps."""
    found: list[Any] = [await echo("before")]
    await asyncio.sleep(5)
    return [*found, await echo("after")]


class Handling:
    """A class with handlers of every kind: sync, async, validated, those that fail, and one that came too late."""

    @workflow.init
    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.lines: list[Any] = []
        self.closed = False

    @workflow.run
    async def run(self, limit: int) -> list[Any]:
        self.lines.append(["run", limit])
        try:
            await workflow.wait_condition(lambda: self.closed, timeout="2s")
        except TimeoutError:
            self.lines.append("timeout")
        await workflow.wait_condition(lambda: self.closed and workflow.all_handlers_finished())
        return [*self.lines, await echo("end")]

    @workflow.signal
    async def note(self, line: int) -> None:
        self.lines.append(line)
        self.lines.append(await nap(10))

    @workflow.signal
    def close(self) -> None:
        self.closed = True

    @workflow.update
    async def put(self, line: str) -> list[Any]:
        self.lines.append(await echo(line))
        await asyncio.sleep(0.5)
        return [workflow.current_update_id(), len(self.lines)]

    @put.validator
    def check_put(self, line: str) -> None:
        if len(line) > self.limit:
            raise ApplicationError("too long", {"limit": self.limit}, type="TooLong")

    @workflow.update(name="fail")
    def broken(self) -> None:
        raise ApplicationError("on purpose", type="Broken")


WORKFLOWS["handling"] = workflow_of(Handling)
