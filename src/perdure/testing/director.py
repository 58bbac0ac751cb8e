"""What happens in a simulated world: clients that start, signal, cancel, terminate, ask; blows to processes; the end.

First the safety phase, in which calls fail, come late or come twice, processes die, stand still and disagree about the
time. Then the liveness phase: faults stop, fresh workers come, and everything must end within bounded time.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import suppress
from random import Random
from typing import Any

from perdure.core import codec
from perdure.core.errors import AlreadyRunning, RunClosed, StoreError, UnknownQuery, WorkflowNotFound
from perdure.core.filter.build import runs_where
from perdure.core.ids import WorkflowId
from perdure.core.message import Query, Signaled, Started
from perdure.core.payload import from_payload, to_payload, to_payloads
from perdure.core.rank import PLAIN_LINE
from perdure.core.store import RunRecord, RunStatus
from perdure.engine.engine import Engine
from perdure.testing.actors import WORKFLOW
from perdure.testing.callers import can_be_told, complete_all, errands, message_of, note, policy_of
from perdure.testing.drawing import PlanMaker, WidePlanMaker
from perdure.testing.invariants import all_runs, fsck
from perdure.testing.plans import Plan, parts_of, signals_count
from perdure.testing.world import QUEUE, Process, Start, World, draw_rank

LIVENESS_S_MAX = 600
"""Everything must have ended so long after the faults stopped, in virtual seconds."""
LOOK_S = 0.5
POISON = "poison"
"""A signal's value that is no number."""


async def direct(world: World) -> None:
    """Let a world live and end."""
    random = world.random
    clients = [world.new_process("client", works=False) for _ in range(random.choice((1, 2)))]
    first = [asyncio.create_task(world.add_worker()) for _ in range(world.shape.workers_count)]
    tasks = [*first, *_client_tasks(world, clients), asyncio.create_task(_operate(world, clients[0]))]
    tasks.append(asyncio.create_task(_inspect(world)))
    if world.wide:
        tasks.append(asyncio.create_task(complete_all(world, clients[0])))
    if world.shape.chaos_ms:
        tasks.append(asyncio.create_task(_blows(world)))
    try:
        await asyncio.sleep(world.shape.safety_ms / 1_000)
        await _calm(world)
        async with asyncio.timeout(LIVENESS_S_MAX):
            await _all_ended(world, tasks[len(first) : len(first) + len(world.starts)])
    except TimeoutError:
        world.violations.append(f"not everything has ended {LIVENESS_S_MAX} s after the faults stopped")
    finally:
        for task in tasks:
            task.cancel()
    for task in tasks:
        if task.done() and not task.cancelled() and task.exception() is not None:
            world.violations.append(f"a client failed: {task.exception()!r}")
    await _stop(world)


async def _inspect(world: World) -> None:
    """The invariants hold at every moment, not only at the end."""
    for _ in range(2):
        await asyncio.sleep(world.random.random() * world.shape.safety_ms / 1_000)
        report = await fsck(world.witness.inner)
        world.violations += [f"at {world.time.now_s:.3f} s: {each}" for each in report.violations]
        await _inspect_queue(world)


async def _inspect_queue(world: World) -> None:
    """No more attempts are held at once than the limits of their queue allow; those that expired are not to be run."""
    held: Counter[str | None] = Counter()
    async for record in all_runs(world.witness.inner):
        for each in (await world.witness.inner.read_waiting(record.run_id)).attempts:
            if each.worker is not None and (record.run_id, each.call_id) not in world.witness.expired:
                held.update([None, (each.line or PLAIN_LINE)[1:]])
    for limit in world.shape.options.queue_limits:
        for of, count in held.items():
            most = limit.concurrent if of is None else limit.concurrent_per_key
            if most is not None and count > most:
                world.violations.append(
                    f"{count} attempts of key {of!r} are held, of {most} at {world.time.now_s:.3f} s"
                )


async def _calm(world: World) -> None:
    world.chaotic = False
    world.rates = world.shape.calm_rates
    for process in world.processes:
        process.fates.rates = world.rates
        if not process.loop.dead:
            process.loop.resume()
    world.ledger.mended = True
    world.blows.append(f"{world.time.now_s:9.3f} calm")
    await world.add_worker()


async def _all_ended(world: World, clients: "list[asyncio.Task[None]]") -> None:
    while True:
        open_count = sum((await world.witness.inner.count_runs(runs_where(status=RunStatus.RUNNING))).values())
        if not open_count and all(task.done() for task in clients):
            break
        await asyncio.sleep(LOOK_S)
    # Whatever still runs for a run that is closed must hear of it by its heartbeats.
    while world.running_count:  # noqa: ASYNC110 # it is looked at from outside, as a person would
        await asyncio.sleep(LOOK_S)


async def _stop(world: World) -> None:
    for process in world.processes:
        if process.loop.stopped or process.stopping:
            continue
        try:
            async with asyncio.timeout(120):
                await world.on(process, process.stop)
        except TimeoutError:
            world.violations.append(f"{process.name} has not stopped within 120 s")


# Clients


def _client_tasks(world: World, clients: "list[Process]") -> "list[asyncio.Task[None]]":
    random = world.random
    shared_ids = [f"shared{index}" for index in range(2)]
    maker = WidePlanMaker(random, shared_ids) if world.wide else PlanMaker(random, shared_ids)
    for index in range(world.shape.runs_count):
        plan = maker.plan(f"r{index}")
        told_first = world.wide and can_be_told(plan) and random.random() < 0.3
        start = Start(WorkflowId(f"run{index}"), f"request{index}", plan, told_first=told_first)
        start.reset = world.wide and random.random() < 0.2
        start.rank = draw_rank(random) if world.ranked else None
        world.starts.append(start)
    return [asyncio.create_task(_client(world, start, random.choice(clients))) for start in world.starts]


async def _client(world: World, start: Start, client: Process) -> None:
    random = Random(world.random.random())
    await asyncio.sleep(random.random() * world.shape.safety_ms / 2_000)
    signals = asyncio.create_task(_signal(world, start, client, random))
    try:
        # Signals are ordered by their senders' clocks: those of one run come from one process.
        choose = (lambda: client) if start.told_first else _any(world, random)
        await _start(world, start, choose)
        if random.random() < 0.2:
            # Again, by somebody who does not know that it was done.
            await _start(world, start, choose)
        if random.random() < 0.15 and not can_be_told(start.plan):
            await _start_another(world, start, random)
        tasks = [asyncio.create_task(each) for each in _errands(world, start, client, random)]
        if world.wide:
            tasks += [asyncio.create_task(each) for each in errands(world, start, random, _any(world, random))]
        for task in tasks:
            await task
        await signals
    finally:
        signals.cancel()


def _errands(world: World, start: Start, client: Process, random: Random) -> "Iterator[Coroutine[Any, Any, None]]":
    # What waits for a run when it is ended is gone with it: a reset run that needs it would wait for ever.
    lasts = start.reset and can_be_told(start.plan)
    if random.random() < 0.12 and not lasts:
        yield _cancel(world, start, random)
    if random.random() < 0.08 and not lasts:
        yield _terminate(world, start, random)
    if random.random() < 0.05 and not lasts:
        yield _poison(world, start, random)
    if random.random() < 0.3:
        yield _query(world, start, random)
    if random.random() < 0.5:
        yield _wait(world, start, client)
    if random.random() < 0.15:
        yield _pause_run(world, start, random)


def _any(world: World, random: Random) -> "Callable[[], Process]":
    """Chooses any process that is there, paused or not."""
    return lambda: random.choice([each for each in world.processes if not each.loop.dead and not each.stopping])


async def _start(world: World, start: Start, choose: "Callable[[], Process]") -> None:
    message, policy = message_of(start), policy_of(start)
    run_id = await world.ask(choose, lambda engine: engine.start(message, start.request_id, policy=policy))
    if start.run_id not in (None, run_id):
        world.violations.append(f"{start.workflow_id} was started twice: {start.run_id} and {run_id}")
    start.run_id = run_id


async def _start_another(world: World, start: Start, random: Random) -> None:
    """Ask for another run of the same workflow id: refused while the first one is open."""
    message = Started(WORKFLOW, start.workflow_id, QUEUE, to_payloads([Plan(())]))
    start.another = True
    try:
        await world.ask(_any(world, random), lambda engine: engine.start(message, f"{start.request_id}/another"))
    except AlreadyRunning:
        return
    assert start.run_id is not None
    (first,) = await world.witness.inner.read_runs([start.run_id])
    if first.status is RunStatus.RUNNING:
        world.violations.append(f"{start.workflow_id} could be started while it was open")


async def _signal(world: World, start: Start, client: Process, random: Random) -> None:
    number = 0
    while number < signals_count(start.plan):
        await asyncio.sleep(random.random() * 3)
        signal = note(number)
        try:
            await world.ask(lambda: client, lambda engine, s=signal: engine.signal(start.workflow_id, None, s))
        except WorkflowNotFound:
            continue
        except RunClosed:
            # It was told before, and the answer was lost; or it was ended from outside.
            if not start.reset:
                return
            continue
        number += 1
        start.signalled_count = number


async def _poison(world: World, start: Start, random: Random) -> None:
    """Send a signal that the workflow cannot decode."""
    await asyncio.sleep(random.random() * 6)
    signal = Signaled("note", to_payload(POISON), "poison")
    with suppress(RunClosed):
        await world.ask(_any(world, random), lambda engine: engine.signal(start.workflow_id, start.run_id, signal))


async def _cancel(world: World, start: Start, random: Random) -> None:
    await asyncio.sleep(random.random() * 6)
    try:
        await world.ask(
            _any(world, random), lambda engine: engine.cancel(start.workflow_id, start.run_id, "on purpose")
        )
    except RunClosed:
        return


async def _pause_run(world: World, start: Start, random: Random) -> None:
    """An operator resumes it, or does so himself at once."""
    await asyncio.sleep(random.random() * 6)
    with suppress(RunClosed):
        await world.ask(_any(world, random), lambda engine: engine.pause(start.workflow_id, start.run_id, "on purpose"))
        if random.random() < 0.4:
            await asyncio.sleep(random.random())
            await world.ask(_any(world, random), lambda engine: engine.resume(start.workflow_id, start.run_id))


async def _terminate(world: World, start: Start, random: Random) -> None:
    await asyncio.sleep(random.random() * 6)
    try:
        await world.ask(
            _any(world, random), lambda engine: engine.terminate(start.workflow_id, start.run_id, "on purpose")
        )
        start.terminated = True
    except RunClosed:
        return


async def _query(world: World, start: Start, random: Random) -> None:
    program = world.registry.known_program(WORKFLOW)
    before = 0
    for _ in range(4):
        await asyncio.sleep(random.random() * 3)
        try:
            payload = await world.ask(
                _any(world, random),
                lambda engine: engine.query(start.workflow_id, start.run_id, Query("progress", ()), program),
            )
        except UnknownQuery:
            # Its code has not begun: no worker had room for it in time, or it was terminated before.
            continue
        done_count = from_payload(payload, int)
        parts_count = len(parts_of(start.plan))
        if not before <= done_count <= parts_count:
            world.violations.append(f"{start.workflow_id} answered {done_count} after {before} of {parts_count}")
        before = done_count


async def _wait(world: World, start: Start, client: Process) -> None:
    run_id = start.run_id
    assert run_id is not None
    while start.outcome is None:
        try:
            async with asyncio.timeout(100):
                start.outcome = await world.on(client, lambda: client.engine.wait(run_id))
        except (StoreError, TimeoutError):
            await asyncio.sleep(0.5)


async def _operate(world: World, client: Process) -> None:
    """An operator resumes what is parked, once its cause is mended, and terminates what nothing can mend."""
    mended_s = world.random.random() * world.shape.safety_ms / 500
    while True:
        await asyncio.sleep(2)
        if world.time.now_s < mended_s and world.chaotic:
            continue
        world.ledger.mended = True
        for record in await world.witness.inner.list_runs(runs_where(parked=True), 100):
            failure = codec.failures.decode(record.parked or b"")
            verb = _doors.get(failure.type)
            if verb is None:
                world.violations.append(f"run {record.run_id} is parked: {failure.type}: {failure.message}")
                continue
            with suppress(RunClosed):
                await world.ask(lambda: client, lambda engine, r=record, v=verb: v(engine, r))


_doors: dict[str, Callable[[Engine, RunRecord], Awaitable[None]]] = {
    "Paused": lambda engine, record: engine.resume(record.workflow_id, record.run_id),
    "UnregisteredActivity": lambda engine, record: engine.resume(record.workflow_id, record.run_id),
    "UndecodablePayload": lambda engine, record: engine.terminate(record.workflow_id, record.run_id, "poisoned"),
}
"""What an operator does about a parked run, by its failure."""


# Blows


async def _blows(world: World) -> None:
    random = Random(world.random.random())
    kinds = [_crash, _crash, _pause, _pause, _restart, _shift]
    while True:
        await asyncio.sleep(random.expovariate(1_000 / world.shape.chaos_ms))
        if not world.chaotic:
            return
        workers = [each for each in world.workers if not each.loop.stopped]
        if not workers:
            await world.add_worker()
            continue
        process = random.choice(workers)
        blow = random.choice(kinds)
        world.blows.append(f"{world.time.now_s:9.3f} {blow.__name__[1:]} {process.name}")
        await blow(world, process, random)


async def _crash(world: World, process: Process, random: Random) -> None:
    process.crash()
    if random.random() < 0.5:
        # Its machine knows that it is gone, as `Worker.start` finds out; elsewhere its lease has to expire.
        for worker in await world.witness.leaseholders():
            if worker.startswith(f"{process.name}/"):
                await world.witness.release(worker, died=True, now_ms=world.time.now_ms)
    if random.random() < 0.8:
        await world.add_worker()


async def _pause(world: World, process: Process, random: Random) -> None:
    process.pause()
    lease_ms = world.shape.options.lease_ms
    length_s = random.choice((random.random() * lease_ms, lease_ms * 1.5, lease_ms * 3)) / 1_000

    async def resume() -> None:
        await asyncio.sleep(length_s)
        process.loop.resume()
        await asyncio.sleep(30)
        process.unwell = process.loop.stopped or process.stopping

    process.keep(asyncio.create_task(resume()))


async def _restart(world: World, process: Process, random: Random) -> None:
    process.keep(asyncio.create_task(world.on(process, process.stop)))
    await world.add_worker()


async def _shift(world: World, process: Process, random: Random) -> None:
    """Its clock jumps, within the bounds of the world."""
    process.clock.skew_ms = random.uniform(-world.shape.skew_ms_max, world.shape.skew_ms_max)
