"""What `perdure.activity` offers to the code of an activity."""

import asyncio
import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from perdure import activity
from perdure.core.errors import NotInActivity, UndecodablePayload
from perdure.core.payload import to_payloads
from perdure.core.policy import ActivityOptions
from tests.unit.runner_world import defined, in_virtual_time, world


class Progress(msgspec.Struct):
    """Details with a type."""

    done: int


@pytest.mark.parametrize(
    "call", [activity.info, activity.heartbeat, activity.cancelled, lambda: activity.heartbeat_details(int)]
)
def test_outside_an_activity_there_is_nothing_to_ask(call: Callable[[], Any]) -> None:
    with pytest.raises(NotInActivity, match="PDR1013: activity"):
        call()


def test_code_can_ask_whether_it_runs_in_an_activity() -> None:
    assert not activity.in_activity()


@pytest.mark.parametrize("sync", [False, True])
@in_virtual_time
async def test_an_activity_can_ask_for_the_facts(*, sync: bool) -> None:
    seen: list[activity.ActivityInfo] = []

    def look() -> bool:
        seen.append(activity.info())
        return activity.in_activity()

    async def look_async() -> bool:
        await asyncio.sleep(1)
        return look()

    async with world() as its:
        its.loop.frozen = sync
        job = its.start(
            defined(look if sync else look_async),
            options=ActivityOptions(heartbeat_ms=90_000),
            attempt=2,
            heartbeat=to_payloads([7, {"a": 1}]),
        )
        assert await its.result(job) is True

    moment = datetime.fromtimestamp(job.scheduled_at_ms / 1_000, UTC)
    assert seen == [
        activity.ActivityInfo(
            workflow_id=job.workflow_id,
            run_id=job.key.run_id,
            call_id=1,
            name="look" if sync else "look_async",
            attempt=2,
            scheduled_at=moment,
            started_at=moment,
            heartbeat_timeout=timedelta(seconds=90),
            heartbeat_details=(7, {"a": 1}),
            token=f"{job.key.run_id}/1/2",
        )
    ]


@in_virtual_time
async def test_details_of_an_earlier_attempt_come_with_their_type() -> None:
    seen: list[object] = []

    @defined
    async def go_on() -> None:
        seen.append(activity.heartbeat_details(Progress))
        activity.heartbeat(Progress(4))
        seen.append(activity.heartbeat_details(Progress))
        try:
            activity.heartbeat_details(int)
        except UndecodablePayload as error:
            seen.append(error.code)

    async with world() as its:
        await its.result(its.start(go_on, heartbeat=to_payloads([Progress(3)])))

    assert seen == [Progress(3), Progress(3), "PDR3002"]


@in_virtual_time
async def test_the_first_attempt_has_no_details_of_an_earlier_one() -> None:
    seen: list[object] = []

    @defined
    async def begin() -> None:
        seen.append(activity.heartbeat_details(Progress))
        seen.append(activity.info().heartbeat_details)

    async with world() as its:
        await its.result(its.start(begin))

    assert seen == [None, ()]


@in_virtual_time
async def test_tasks_of_an_activity_share_its_attempt() -> None:
    @defined
    async def fan_out() -> tuple[int, int]:
        async def ask() -> int:
            await asyncio.sleep(1)
            return activity.info().attempt

        return await asyncio.gather(ask(), ask())

    async with world() as its:
        assert await its.result(its.start(fan_out, attempt=5)) == [5, 5]


@in_virtual_time
async def test_what_an_activity_left_behind_is_told_that_it_has_ended() -> None:
    left: list[asyncio.Task[None]] = []

    @defined
    async def leave_a_task() -> None:
        async def beat_later() -> None:
            await asyncio.sleep(1)
            activity.heartbeat()

        left.append(asyncio.create_task(beat_later()))

    async with world() as its:
        await its.result(its.start(leave_a_task))
        with pytest.raises(asyncio.CancelledError, match="has ended"):
            await left[0]


@in_virtual_time
async def test_log_records_of_an_activity_carry_its_ids(caplog: pytest.LogCaptureFixture) -> None:
    @defined
    async def speak() -> None:
        activity.logger.info("charging %d %%", 100, extra={"card": "tok"})

    caplog.set_level(logging.INFO, "perdure.activity")
    async with world() as its:
        await its.result(its.start(speak))
    activity.logger.info("outside")

    inside, outside = caplog.records
    assert inside.getMessage() == "charging 100 %"
    fields = {name: vars(inside)[name] for name in ("activity", "attempt", "workflow_id", "run_id", "card")}
    assert fields == {"activity": "speak", "attempt": 1, "workflow_id": "order-1", "run_id": "run-1", "card": "tok"}
    assert "workflow_id" not in vars(outside)


def test_the_namespace_is_what_it_says() -> None:
    public = {name for name in vars(activity) if not name.startswith("_")}

    assert set(activity.__all__) <= public
    assert activity.__all__ == sorted(activity.__all__)
