"""Schedules: rules that start workflows at moments. The verbs are at `app.schedules`."""

from perdure.programs.schedule.spec import Calendar, Interval, ScheduleSpec
from perdure.programs.schedule.state import Action, Overlap
from perdure.schedules.blocking import BlockingScheduleHandle, BlockingSchedules
from perdure.schedules.client import ScheduleHandle, Schedules
from perdure.schedules.values import (
    Schedule,
    ScheduleDescription,
    ScheduleEntry,
    ScheduleKeywords,
    ScheduleSummary,
    preview,
)

__all__ = [
    "Action",
    "BlockingScheduleHandle",
    "BlockingSchedules",
    "Calendar",
    "Interval",
    "Overlap",
    "Schedule",
    "ScheduleDescription",
    "ScheduleEntry",
    "ScheduleHandle",
    "ScheduleKeywords",
    "ScheduleSpec",
    "ScheduleSummary",
    "Schedules",
    "preview",
]
