"""Whichever call to the store fails, and however: a schedule acts once for each moment."""

from datetime import timedelta

import pytest

from perdure.core.store import RunStatus
from perdure.schedules import Overlap, ScheduleSpec
from perdure.testing import TestEnvironment, for_each_store_call
from perdure.testing.histories import record, replay
from perdure.testing.invariants import fsck
from tests.e2e.test_schedules import HOURLY, START, Shop, open_shop


@pytest.mark.slow
async def test_every_call_to_the_store_may_fail_in_every_way() -> None:
    shop = Shop("memory://")

    async def scenario(environment: TestEnvironment) -> None:
        shop.done.clear()
        spec = ScheduleSpec(intervals=["1h"], jitter="1m")
        handle = await shop.app.schedules.create("r", spec, shop.report, "word", overlap=Overlap.ALLOW_ALL)
        await environment.sleep("65m")
        await handle.trigger(request_id="once")
        await environment.sleep("60m")
        await environment.start_worker()
        await environment.sleep("5m")
        await handle.trigger(request_id="once")
        await environment.sleep("5m")

        hours = await shop.hours()
        assert hours[0] == 1
        assert hours[2] == 2
        assert len(hours) == 3
        assert {run.status for run in await shop.app.list(workflow="report")} == {RunStatus.COMPLETED}
        assert (await handle.describe()).actions_count == 3
        assert (await shop.app.call(lambda engine: fsck(engine.store))).violations == ()

    assert await for_each_store_call(shop.app, scenario, start=START) > 50


async def test_the_history_of_a_schedule_can_be_exported_and_replayed(url: str) -> None:
    async with open_shop(url) as (shop, environment):
        handle = await shop.app.schedules.create("r", HOURLY, shop.report, "word")
        await environment.sleep(timedelta(hours=3))
        await handle.pause("enough")
        await environment.sleep("1m")

        history = await record(shop.app, handle.workflow_id)

    (replayed,) = replay(shop.app, [history])
    assert replayed.mismatch is None
