"""Wrong calls about schedules: each marked line is an error of that rule, and no other line is one."""

from perdure.schedules import Interval, ScheduleHandle, ScheduleSpec
from tests.types.shop import app, checkout, tick

SPEC = ScheduleSpec(crons=["@daily"])


async def creating() -> None:
    """Arguments and options."""
    await app.schedules.create("s", SPEC, checkout, "tok", "1")  # error: reportArgumentType
    await app.schedules.create("s", SPEC, checkout, "tok")  # error: reportArgumentType
    await app.schedules.create("s", SPEC, tick, 1)  # error: reportArgumentType
    await app.schedules.create("s", "@daily", tick)  # error: reportArgumentType
    await app.schedules.create("s", SPEC, tick, overlap="skip")  # error: reportArgumentType
    await app.schedules.create("s", SPEC, tick, colour="red")  # error: reportCallIssue
    ScheduleSpec(crons=[5])  # error: reportArgumentType
    ScheduleSpec(["@daily"])  # error: reportCallIssue
    Interval(None)  # error: reportArgumentType


async def telling(handle: ScheduleHandle) -> None:
    """Verbs of a handle."""
    handle.pause()  # error: reportUnusedCoroutine
    await handle.backfill("yesterday", "today")  # error: reportArgumentType
    await handle.update(lambda schedule: "no")  # error: reportArgumentType
