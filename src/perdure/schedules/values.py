"""Schedules as users write them and are told of them, and the moments of a spec."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import cast
from zoneinfo import ZoneInfo

import msgspec

from perdure.core.errors import InvalidOption
from perdure.core.ids import ID_CHARS_MAX, checked_id
from perdure.description import moment
from perdure.programs.code.options import COUNT_MAX, Duration, duration_ms
from perdure.programs.code.run_options import OnceKeywords
from perdure.programs.schedule.spec import ScheduleSpec, moment_ms
from perdure.programs.schedule.state import CATCH_UP_MS_MIN, Action, Described, Overlap, Plan, Recent

STAMP_CHARS_MAX = 30
"""What the moment adds to a workflow id."""
PREVIEW_MAX = 10_000
NOTE_CHARS_MAX = 1_000


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """What a schedule does, and when; change a copy of it with `dataclasses.replace`."""

    spec: ScheduleSpec
    action: Action
    overlap: Overlap = Overlap.SKIP
    """What happens when an action is due while a workflow of the schedule still runs."""
    catch_up: Duration = "365d"
    """An action that is late by more than this, because nobody worked, is missed; at least 10 seconds."""
    pause_on_failure: bool = False
    """Pause when a workflow fails or times out."""
    actions_max: int | None = None
    """So often at most it acts by itself; None: for ever."""


class ScheduleKeywords(OnceKeywords, total=False):
    """The options of a new schedule, and of the runs that it starts, as keyword arguments."""

    overlap: Overlap
    catch_up: Duration
    pause_on_failure: bool
    actions_max: int | None
    paused: bool
    """It is created paused."""
    note: str
    """For people."""
    trigger: bool
    """It acts at once, too."""
    backfill: Sequence[tuple[datetime, datetime]]
    """Stretches of the past that it makes up for, one action after the other."""
    queue: str | None
    """Task queue of the schedule and of its workflows; None: the app's own."""
    workflow_id: str | None
    """Workflow ids are this and the moment; None: the schedule's id."""
    request_id: str | None
    """Creating it again with the same one changes nothing."""


class ScheduleEntry(msgspec.Struct, frozen=True):
    """One action: when it was due, and what became of it."""

    moment: datetime
    at: datetime
    """When it was decided upon."""
    status: str
    """`running`, `completed`, `failed`, `timed_out`, `cancelled`, `terminated`; `skipped`, `missed`, `refused`."""
    workflow_id: str | None
    run_id: str | None


class ScheduleDescription(msgspec.Struct, frozen=True):
    """A schedule as its last step left it."""

    id: str
    schedule: Schedule
    paused: bool
    note: str
    actions_left: int | None
    """How often it acts by itself from now on; None: for ever."""
    next_times: tuple[datetime, ...]
    """The next moments, at most ten, without jitter; none while it is paused."""
    running: tuple[str, ...]
    """Ids of the workflows that run."""
    waiting_count: int
    """Actions that wait for the end of a workflow."""
    backfills_count: int
    """Backfills under way."""
    recent: tuple[ScheduleEntry, ...]
    """The last ten actions that happened, newest last."""
    lapsed: tuple[ScheduleEntry, ...]
    """The last ten that did not happen, newest last."""
    actions_count: int
    skipped_count: int
    missed_count: int
    version: int
    """Grows with each update."""


class ScheduleSummary(msgspec.Struct, frozen=True):
    """One line of a list of schedules."""

    id: str
    created_at: datetime
    """Of its present run: a long-lived schedule goes on as a new run now and then."""
    run_id: str
    parked: str | None
    """Why a parked schedule cannot go on."""


def preview(
    spec: ScheduleSpec | str, zone: str | None = None, count: int = 10, *, after: datetime | None = None
) -> list[datetime]:
    """The next moments of a spec or a cron line, in its zone; after now unless `after` says otherwise. No jitter.

    Raises `InvalidSchedule` or `InvalidOption`.
    """
    if isinstance(spec, str):
        spec = ScheduleSpec(crons=[spec], zone=zone or "UTC")
    elif zone is not None:
        raise InvalidOption(
            name="zone", value=repr(zone), fact="is part of the spec", remedy="give ScheduleSpec(zone=)"
        )
    if isinstance(count, bool) or not 1 <= count <= PREVIEW_MAX:
        raise InvalidOption(name="count", value=repr(count), fact="is out of bounds", remedy=f"give 1 to {PREVIEW_MAX}")
    record = spec.recorded()
    local = UTC if record.zone.upper() == "UTC" else ZoneInfo(record.zone)
    after_ms = moment_ms("after", datetime.now(UTC) if after is None else after)
    moments = islice(record.timetable().after(after_ms), count)
    return [datetime.fromtimestamp(each / 1_000, local) for each in moments]


def planned(schedule_id: str, schedule: Schedule) -> Plan:
    """The plan as it is kept. Raises `InvalidOption` or `InvalidSchedule`."""
    if not isinstance(schedule, Schedule):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise refused("schedule", schedule, "is no Schedule", "return dataclasses.replace(schedule, ...)")
    if not isinstance(schedule.action, Action):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise refused("action", schedule.action, "is no Action", "give app.schedules.action(...)")
    if not isinstance(schedule.spec, ScheduleSpec):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise refused("spec", schedule.spec, "is no ScheduleSpec", "give ScheduleSpec(crons=['0 9 * * *'])")
    catch_up_ms = duration_ms("catch_up", schedule.catch_up)
    if catch_up_ms < CATCH_UP_MS_MIN:
        raise refused("catch_up", schedule.catch_up, "is shorter than 10 seconds", "give 10s or more")
    most = cast(object, schedule.actions_max)
    if most is not None and (isinstance(most, bool) or not isinstance(most, int) or not 1 <= most <= COUNT_MAX):
        raise refused("actions_max", most, "is no count", f"give 1 to {COUNT_MAX}, or None")
    action = schedule.action
    if len(checked_id("workflow id", action.workflow_id)) > ID_CHARS_MAX - STAMP_CHARS_MAX:
        fact = f"has more than {ID_CHARS_MAX - STAMP_CHARS_MAX} characters"
        raise refused("workflow_id", action.workflow_id, fact, "give a shorter one: the moment is appended")
    spec = schedule.spec.recorded()
    return Plan(
        schedule_id,
        spec,
        action,
        overlap_of(schedule.overlap),
        catch_up_ms,
        bool(schedule.pause_on_failure),
        schedule.actions_max,
    )


def overlap_of(value: object) -> Overlap:
    """The overlap policy of this name. Raises `InvalidOption`."""
    try:
        return Overlap(value)
    except ValueError as error:
        raise refused("overlap", value, "is unknown", f"give one of {', '.join(Overlap)}") from error


def note_of(value: object) -> str:
    """A note. Raises `InvalidOption`."""
    if not isinstance(value, str) or len(value) > NOTE_CHARS_MAX:
        raise refused("note", value, "is no short text", f"give text of at most {NOTE_CHARS_MAX} characters")
    return value


def refused(name: str, value: object, fact: str, remedy: str) -> InvalidOption:
    """The error for an option that cannot be."""
    return InvalidOption(name=name, value=repr(value)[:80], fact=fact, remedy=remedy)


def written(plan: Plan) -> Schedule:
    """A plan as a user would write it."""
    return Schedule(
        spec=plan.spec.written(),
        action=plan.action,
        overlap=plan.overlap,
        catch_up=timedelta(milliseconds=plan.catch_up_ms),
        pause_on_failure=plan.pause_on_failure,
        actions_max=plan.actions_max,
    )


def _entry(recent: Recent) -> ScheduleEntry:
    return ScheduleEntry(
        moment(recent.moment_ms), moment(recent.at_ms), recent.status, recent.workflow_id, recent.run_id
    )


def described(found: Described) -> ScheduleDescription:
    """A schedule's own answer as users are told."""
    state = found.state
    return ScheduleDescription(
        id=found.plan.schedule_id,
        schedule=written(found.plan),
        paused=state.paused,
        note=state.note,
        actions_left=state.actions_left,
        next_times=tuple([moment(each) for each in found.next_ms]),
        running=tuple([each.workflow_id for each in state.running]),
        waiting_count=len(state.buffered),
        backfills_count=len(state.backfills),
        recent=tuple([_entry(each) for each in state.recent]),
        lapsed=tuple([_entry(each) for each in state.lapsed]),
        actions_count=state.actions_count,
        skipped_count=state.skipped_count,
        missed_count=state.missed_count,
        version=state.version,
    )


def stretch(start: object, end: object) -> tuple[int, int]:
    """A stretch of time in ms. Raises `InvalidOption`."""
    start_ms, end_ms = moment_ms("start", start), moment_ms("end", end)
    if end_ms < start_ms:
        raise refused("end", end, "is before start", "give the earlier moment first")
    return start_ms, end_ms
