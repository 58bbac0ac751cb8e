"""Schedules: typed by the workflow that they start."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import assert_type

from perdure import RetryPolicy
from perdure.schedules import (
    Action,
    Calendar,
    Interval,
    Overlap,
    Schedule,
    ScheduleDescription,
    ScheduleHandle,
    ScheduleSpec,
    ScheduleSummary,
    preview,
)
from tests.types.shop import Approval, app, checkout, order, tick

SPEC = ScheduleSpec(
    crons=["0 9 * * mon-fri"],
    intervals=["1h", timedelta(hours=2), 90, Interval("1d", "2h")],
    calendars=[Calendar(hour=9, day_of_week="mon-fri")],
    skip=[Calendar(month=12, day_of_month="24-26")],
    zone="Europe/Berlin",
    start=datetime(2026, 1, 1, tzinfo=UTC),
    jitter="1m",
)


async def creating() -> None:
    """Arguments are those of the workflow."""
    handle = await app.schedules.create("nightly", SPEC, checkout, "tok", 1, overlap=Overlap.SKIP, catch_up="1d")
    assert_type(handle, ScheduleHandle)
    await app.schedules.create("tick", SPEC, tick, paused=True, note="not yet", trigger=True)
    await app.schedules.create("order", SPEC, order, Approval("me"), actions_max=3, queue="q", workflow_id="o")
    await app.schedules.create_by_name("elsewhere", SPEC, "elsewhere", 1, "x", queue="q", request_id="r")
    assert_type(await app.schedules.list(limit=10), list[ScheduleSummary])
    assert_type(app.schedules.action("o", checkout, "tok", 1), Action)
    assert_type(app.schedules.action("o", checkout, "tok", 1, memo={"a": 1}, run_timeout="1h"), Action)
    assert_type(app.schedules.action_by_name("o", "checkout", "tok", queue="q", retry=RetryPolicy()), Action)
    await app.schedules.create("tidy", SPEC, tick, retry=RetryPolicy(maximum_attempts=3), execution_timeout="1d")


async def telling(handle: ScheduleHandle) -> None:
    """Verbs of a handle."""
    assert_type(await handle.describe(), ScheduleDescription)
    await handle.pause("holidays", request_id="r")
    await handle.unpause()
    await handle.trigger(Overlap.ALLOW_ALL)
    await handle.backfill(datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC))
    await handle.update(lambda schedule: replace(schedule, spec=SPEC, overlap=Overlap.BUFFER_ONE))
    await handle.delete()


def looking() -> None:
    """What comes next."""
    assert_type(preview("@daily", "Europe/Berlin", 5), list[datetime])
    assert_type(app.schedules.preview(SPEC, count=5), list[datetime])
    assert_type(Schedule(spec=SPEC, action=Action("w", "w")).overlap, Overlap)
