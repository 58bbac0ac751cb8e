"""The kill sweep of all that workflows can do beside steps: updates, continue-as-new, completion by token, a schedule.

Each life does everything from the beginning, under the same request ids, as clients do that know of no other life.
"""

import asyncio
import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import msgspec

from perdure import Perdure, activity, workflow
from perdure.core.errors import ActivityNotOpen, RunClosed, ScheduleExists, UpdateUnanswered
from perdure.core.message import Completed, Outcome
from perdure.core.payload import to_payload
from perdure.core.store import RunStatus, Store
from perdure.runtime import Runtime
from perdure.schedules import ScheduleSpec
from perdure.worker.options import WorkerOptions
from tests.e2e.kill_world import LEDGER, note, step

app = Perdure("memory://")
"""Entered on a store of the sweep's."""

take = app.activity(step)
"""A step, noted in the ledger."""
RESULT = 1 + 2 + 5 + 7 + 1 + 4


@app.activity
async def approve(key: str) -> int:
    """Left to whoever reads the tokens."""
    await step(key, 0)
    note(_tokens(), activity.info().token)
    raise activity.CompleteLater


@app.workflow
async def part(key: str) -> int:
    """A child of one step."""
    return await take(key, 1)


@app.workflow
async def report() -> int:
    """What the schedule starts."""
    return await take("report", 1)


@app.workflow(name="order")
class Order:
    """Two updates in its first run; a signal, a child and somebody outside in its second one."""

    def __init__(self) -> None:
        self.total = 0
        self.count = 0

    @workflow.run
    async def run(self, stage: int = 1, total: int = 0) -> int:
        """Its result is RESULT."""
        if stage == 1:
            await workflow.wait_condition(lambda: self.count == 2)
            workflow.continue_as_new(2, self.total + await take.local("local", 5))
        received = await workflow.channel("seven", int).receive()
        return total + received + await part("part") + await approve("approve")

    @workflow.update
    async def add(self, number: int) -> int:
        """The sum so far."""
        self.total += await take(f"add{number}", number)
        self.count += 1
        return self.total


def _tokens() -> str:
    return os.environ[LEDGER] + ".tokens"


def _read_tokens() -> list[str]:
    path = Path(_tokens())
    return path.read_text().split() if path.exists() else []


async def _complete() -> None:
    """Complete every activity whose token is known, for ever."""
    tried_count = 0
    while True:
        await asyncio.sleep(0.005)
        for token in _read_tokens()[tried_count:]:
            tried_count += 1
            # Completed before, in another life; or there is another attempt, with a token of its own.
            with suppress(ActivityNotOpen):
                await app.activities.complete(token, 4)


async def _order() -> Outcome:
    handle = await app.start(Order.run, id="order", request_id="order")
    with suppress(RunClosed):
        await handle.signal("seven", 7, request_id="seven")
    # Each one waits for the one before: what they were answered is known.
    for number, answer in ((1, 1), (2, 3)):
        with suppress(RunClosed, UpdateUnanswered):
            found = await handle.update(Order.add, number, id=f"add{number}")
            assert found == answer, (number, found)
    return Completed(to_payload(await handle.result()))


async def _report() -> Outcome:
    with suppress(ScheduleExists):
        await app.schedules.create("reports", ScheduleSpec(intervals=["1h"]), report)
    await app.schedules.handle("reports").trigger(request_id="once")
    while True:
        runs = await app.list(workflow="report")
        if runs and all(run.status is RunStatus.COMPLETED for run in runs):
            return Completed(to_payload(len(runs)))
        await asyncio.sleep(0.01)


class Features(msgspec.Struct, frozen=True):
    """An order and a schedule that was triggered once."""

    async def lived(self, store: Store) -> Sequence[Outcome]:
        """See `kill_world.Swept`."""
        await app.enter_on(lambda: Runtime(store, app.registry, WorkerOptions()))
        completing = asyncio.create_task(_complete())
        try:
            return await asyncio.gather(_order(), _report())
        finally:
            completing.cancel()
            await app.leave()

    def wrong(self, outcomes: Sequence[Outcome]) -> list[str]:
        """See `kill_world.Swept`."""
        owed = [Completed(to_payload(RESULT)), Completed(to_payload(1))]
        return [f"{outcome} instead of {each}" for outcome, each in zip(outcomes, owed, strict=True) if outcome != each]
