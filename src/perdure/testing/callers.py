"""What clients of a wide world do beside the errands of `director`: they update, complete by token, reset and fork."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from contextlib import suppress
from random import Random
from typing import Any

from perdure.core.command import CompleteUpdate, RejectUpdate
from perdure.core.errors import ActivityNotOpen, AlreadyRunning, InvalidTurn, RunClosed, WorkflowNotFound
from perdure.core.ids import WorkflowId
from perdure.core.message import Completed, Signaled, Started, StartOptions, UpdateRequested
from perdure.core.payload import to_payload, to_payloads
from perdure.core.policy import RetryPolicy
from perdure.core.store import RunStatus
from perdure.engine.completing import Completing
from perdure.engine.later import parsed_token
from perdure.engine.reset import Point, fork, reset
from perdure.engine.starting import AT_ONCE, IdConflict, StartPolicy
from perdure.testing.actors import UPDATE, WORKFLOW
from perdure.testing.plans import (
    Call,
    Plan,
    Receive,
    Side,
    Spawn,
    Tell,
    failures_count,
    parts_of,
    signals_count,
    updates_count,
    value_of,
)
from perdure.testing.world import FORK, QUEUE, Process, Start, World

TOKEN_S_MAX = 4.0
"""A token waits so long at most for somebody to complete its attempt."""


def note(number: int) -> Signaled:
    """The signal with this number."""
    return Signaled("note", to_payload(number), f"note{number}")


def update(start: Start, number: int) -> UpdateRequested:
    """The update with this number; those below 0 are rejected."""
    key = f"{start.family}.u{number}"
    return UpdateRequested(UPDATE, to_payloads([number, key]), f"update{number}")


def message_of(start: Start) -> Started:
    """How a run is started."""
    failures = failures_count(start.plan)
    retry = RetryPolicy(initial_ms=300, attempts_max=failures + 1) if failures else None
    options = StartOptions(retry=retry, rank=start.rank) if retry or start.rank else None
    return Started(WORKFLOW, start.workflow_id, QUEUE, to_payloads([start.plan]), options=options)


def policy_of(start: Start) -> StartPolicy:
    """Under which policy: some are told their first signal or update together with their start."""
    if not start.told_first:
        return AT_ONCE
    told = note(0) if signals_count(start.plan) else update(start, 0)
    return StartPolicy(conflict=IdConflict.USE_EXISTING, told=told)


def can_be_told(plan: Plan) -> bool:
    """Whether a plan waits for signals or updates."""
    return bool(signals_count(plan) or updates_count(plan))


def errands(
    world: World, start: Start, random: Random, choose: "Callable[[], Process]"
) -> "Iterator[Coroutine[Any, Any, None]]":
    """What is done to a run of a wide world, by chance."""
    yield _send_updates(world, start, random, choose)
    if random.random() < 0.15:
        yield _send_wrong_update(world, start, random, choose)
    if random.random() < 0.3 and signals_count(start.plan):
        yield _signal_again(world, start, random, choose)
    if start.reset:
        yield _reset(world, start, random, choose)
    if random.random() < 0.2 and _can_be_forked(start.plan):
        yield _fork(world, start, random, choose)


# Updates and signals


async def _send_updates(world: World, start: Start, random: Random, choose: "Callable[[], Process]") -> None:
    number = 0
    while number < updates_count(start.plan):
        await asyncio.sleep(random.random() * 2)
        if not await _update(world, start, number, choose):
            return
        if random.random() < 0.2 and not await _update(world, start, number, choose):
            return
        number += 1


async def _update(world: World, start: Start, number: int, choose: "Callable[[], Process]") -> bool:
    """Send an update until it is answered; False where the run has ended without."""
    message = update(start, number)
    while True:
        try:
            answered = await world.ask(
                choose,
                lambda engine: engine.update(start.workflow_id, None, message, fresh=False, early=False),
                watches=True,
            )
        except (RunClosed, WorkflowNotFound):
            if start.run_id is not None and not start.reset:
                return False
            await asyncio.sleep(0.5)
            continue
        answer = answered.answer
        assert answer is None or isinstance(answer, CompleteUpdate | RejectUpdate)
        if answer is not None:
            start.answers.append(answer)
            return True
        # Its run was ended, or gave way to another one: there the same update waits, or is asked for again.
        record = await world.witness.inner.find_run(start.workflow_id)
        if record is not None and record.status is not RunStatus.RUNNING and not start.reset:
            return False
        await asyncio.sleep(0.1)


async def _send_wrong_update(world: World, start: Start, random: Random, choose: "Callable[[], Process]") -> None:
    await asyncio.sleep(random.random() * 6)
    await _update(world, start, -1, choose)


async def _signal_again(world: World, start: Start, random: Random, choose: "Callable[[], Process]") -> None:
    """Somebody who heard no answer sends a signal once more, to the run that he knows."""
    await asyncio.sleep(random.random() * 8)
    if start.signalled_count:
        again = note(random.randrange(start.signalled_count))
        with suppress(RunClosed):
            await world.ask(choose, lambda engine: engine.signal(start.workflow_id, start.run_id, again))


# Completions


async def complete_all(world: World, client: Process) -> None:
    """Complete whatever waits for it, for ever."""
    random = Random(world.random.random())
    begun_count = 0
    async with asyncio.TaskGroup() as group:
        while True:
            await asyncio.sleep(0.5)
            for key, token in world.ledger.tokens[begun_count:]:
                group.create_task(_complete(world, client, key, token, random))
            begun_count = len(world.ledger.tokens)


async def _complete(world: World, client: Process, key: str, token: str, random: Random) -> None:
    await asyncio.sleep(random.random() * TOKEN_S_MAX)
    if await _ended(world, client, token, value_of(key)) and random.random() < 0.3:
        await asyncio.sleep(random.random())
        if await _ended(world, client, token, value_of(key) + 1):
            world.violations.append(f"step {key} could be completed twice by the token {token}")


async def _ended(world: World, client: Process, token: str, value: int) -> bool:
    """Whether an attempt was ended by a call that was answered."""
    outcome = Completed(to_payload(value))
    target = parsed_token(token)
    try:
        await world.ask(lambda: client, lambda engine: Completing(engine, engine.clock).end(target, lambda _: outcome))
    except ActivityNotOpen:
        world.witness.counts["token refused"] += 1
        return False
    world.witness.counts["completed by token"] += 1
    return True


# Beginning again


async def _point(world: World, start: Start, random: Random) -> Point:
    record = await world.witness.inner.find_run(start.workflow_id)
    assert record is not None
    return Point(turn=random.randint(0, record.turns_count), reason="on purpose")


async def _reset(world: World, start: Start, random: Random, choose: "Callable[[], Process]") -> None:
    await asyncio.sleep(random.random() * 10)
    point = await _point(world, start, random)
    try:
        # Refused where it names a turn that closed the run, or where somebody else was first.
        with suppress(InvalidTurn, AlreadyRunning):
            await world.ask(choose, lambda engine: reset(engine, start.workflow_id, None, point))
    finally:
        start.reset = False


def _can_be_forked(plan: Plan) -> bool:
    """Whether a fork of it comes to its end: it is told nothing, since what it waits for is told to the other one."""
    alone = Receive | Tell | Call | Spawn | Side
    return not can_be_told(plan) and not any(isinstance(op, alone) for op in parts_of(plan))


async def _fork(world: World, start: Start, random: Random, choose: "Callable[[], Process]") -> None:
    await asyncio.sleep(random.random() * 10)
    point = await _point(world, start, random)
    new_id = WorkflowId(start.workflow_id + FORK)
    with suppress(InvalidTurn, AlreadyRunning):
        await world.ask(choose, lambda engine: fork(engine, start.workflow_id, None, point, new_id))
