"""Schedules through the public API, in virtual time: workers that are gone, crash and come back, on every store."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from perdure import Perdure
from perdure.core.errors import (
    InvalidArguments,
    InvalidOption,
    InvalidSchedule,
    ScheduleExists,
    ScheduleNotFound,
    UnknownWorkflow,
)
from perdure.core.store import RunStatus
from perdure.schedules import Calendar, Interval, Overlap, Schedule, ScheduleSpec, preview
from perdure.testing import TestEnvironment
from perdure.testing.invariants import fsck

START = datetime(2026, 11, 20, tzinfo=UTC)
HOURLY = ScheduleSpec(crons=["@hourly"])


def at(hours: float) -> datetime:
    """A moment so many hours after the beginning."""
    return START + timedelta(hours=hours)


class Shop:
    """An app whose workflow notes for which word it was started, and takes some time."""

    def __init__(self, url: str) -> None:
        self.app = Perdure(url)
        self.done: list[str] = []
        self.minutes = 1.0
        self.fails = False

        @self.app.activity
        async def note(word: str) -> float:
            self.done.append(word)
            return self.minutes

        @self.app.workflow
        async def report(word: str) -> str:
            import asyncio

            await asyncio.sleep(await note(word) * 60)
            if self.fails:
                raise ValueError("no paper")
            return word

        self.report = report

    async def ids(self) -> list[str]:
        """Moments of the workflows that were started, oldest first, in hours after the beginning."""
        runs = await self.app.list(workflow="report", limit=1_000)
        return sorted(run.workflow_id for run in runs)

    async def hours(self) -> list[float]:
        """The same in hours after the beginning."""
        moments = [datetime.fromisoformat(each.removeprefix("r-")) for each in await self.ids()]
        return [(moment - START) / timedelta(hours=1) for moment in moments]


@asynccontextmanager
async def open_shop(url: str, **options: Any) -> AsyncGenerator[tuple[Shop, TestEnvironment]]:
    """A shop in virtual time; nothing in its store is amiss at the end."""
    shop = Shop(url)
    async with TestEnvironment(shop.app, store=url, start=START, **options) as environment:
        yield shop, environment
        found = await shop.app.call(lambda engine: fsck(engine.store))
        assert found.violations == ()


async def test_a_schedule_starts_its_workflow_at_its_moments(url: str) -> None:
    async with open_shop(url) as (shop, environment):
        handle = await shop.app.schedules.create("r", HOURLY, shop.report, "word")

        await environment.sleep("3h30m")

        assert await shop.hours() == [1, 2, 3]
        assert shop.done == ["word"] * 3
        found = await handle.describe()
        assert (found.actions_count, found.skipped_count, found.missed_count) == (3, 0, 0)
        assert [each.status for each in found.recent] == ["completed"] * 3
        assert found.next_times[:2] == (at(4), at(5))
        assert found.running == ()


async def test_down_time_is_made_up_for_within_the_catch_up_window(url: str) -> None:
    async with open_shop(url) as (shop, environment):
        handle = await shop.app.schedules.create(
            "r", HOURLY, shop.report, "word", overlap=Overlap.BUFFER_ALL, catch_up="3h"
        )
        await environment.sleep("90m")
        await environment.crash(restart=False)
        await environment.sleep("7h")
        await environment.start_worker()
        await environment.sleep("20m")

        assert await shop.hours() == [1, 6, 7, 8]
        found = await handle.describe()
        assert found.missed_count == 4
        assert [each.status for each in found.lapsed] == ["missed"] * 4


@pytest.mark.parametrize(
    ("overlap", "expected"),
    [
        (Overlap.SKIP, [1, 4, 7]),
        (Overlap.BUFFER_ONE, [1, 2, 4, 6]),
        (Overlap.BUFFER_ALL, [1, 2, 3, 4]),
        (Overlap.CANCEL_OTHER, [1, 2, 3, 4, 5, 6, 7, 8, 9]),
        (Overlap.TERMINATE_OTHER, [1, 2, 3, 4, 5, 6, 7, 8, 9]),
        (Overlap.ALLOW_ALL, [1, 2, 3, 4, 5, 6, 7, 8, 9]),
    ],
)
async def test_overlapping_actions_follow_the_policy(url: str, overlap: Overlap, expected: list[float]) -> None:
    async with open_shop(url) as (shop, environment):
        shop.minutes = 130
        await shop.app.schedules.create("r", HOURLY, shop.report, "word", overlap=overlap)

        await environment.sleep("9h5m")

        assert await shop.hours() == expected
        statuses = {run.status for run in await shop.app.list(workflow="report")}
        assert (RunStatus.CANCELLED in statuses) == (overlap is Overlap.CANCEL_OTHER)
        assert (RunStatus.TERMINATED in statuses) == (overlap is Overlap.TERMINATE_OTHER)


async def test_a_killed_worker_loses_and_doubles_nothing(url: str) -> None:
    async with open_shop(url) as (shop, environment):
        await shop.app.schedules.create("r", HOURLY, shop.report, "word", overlap=Overlap.ALLOW_ALL)

        for number in range(1, 13):
            how = ("crash before", "crash after", "unknown", "refused")[number % 4]
            environment.fail_store_call(number, how=how)
            await environment.sleep("1h")
            if "crash" in how:
                await environment.start_worker()
        await environment.sleep("5m")

        assert await shop.hours() == list(range(1, 13))


async def test_a_pause_is_obeyed_at_once_and_across_down_time(url: str) -> None:
    async with open_shop(url) as (shop, environment):
        handle = await shop.app.schedules.create("r", HOURLY, shop.report, "word")
        await environment.sleep("90m")
        await environment.crash(restart=False)

        await handle.pause("holidays")
        await environment.sleep("2h")
        await environment.start_worker()
        await environment.sleep("2h")
        assert (await handle.describe()).note == "holidays"
        assert (await handle.describe()).next_times == ()
        await handle.unpause()
        await environment.sleep("1h")

        assert await shop.hours() == [1, 6]


async def test_a_failure_pauses_where_that_is_wanted(url: str) -> None:
    async with open_shop(url) as (shop, environment):
        shop.fails = True
        handle = await shop.app.schedules.create("r", HOURLY, shop.report, "word", pause_on_failure=True)

        await environment.sleep("3h")

        assert await shop.hours() == [1]
        found = await handle.describe()
        assert found.paused
        assert "failed: ValueError: no paper" in found.note
        assert found.recent[0].status == "failed"


async def test_triggers_and_backfills_are_applied_once(url: str) -> None:
    async with open_shop(url) as (shop, environment):
        handle = await shop.app.schedules.create("r", HOURLY, shop.report, "word", paused=True)
        await environment.sleep("4h15m")

        for _ in range(3):
            await handle.trigger(request_id="now")
            await handle.backfill(at(1), at(3), request_id="past")
        await environment.sleep("30m")

        assert await shop.hours() == [1, 2, 3, 4.25]


async def test_a_new_schedule_can_act_at_once_and_make_up_for_the_past(url: str) -> None:
    async with open_shop(url) as (shop, environment):
        await shop.app.schedules.create(
            "r", HOURLY, shop.report, "word", trigger=True, backfill=[(at(-2), at(-1))], actions_max=1
        )

        await environment.sleep("5h")

        assert await shop.hours() == [-2, -1, 0, 1]


async def test_an_update_changes_what_is_due_and_what_is_done(url: str) -> None:
    async with open_shop(url) as (shop, environment):
        schedules = shop.app.schedules
        handle = await schedules.create("r", HOURLY, shop.report, "before")
        await environment.sleep("90m")

        def change(schedule: Schedule) -> Schedule:
            spec = ScheduleSpec(intervals=["30m"])
            return replace(schedule, spec=spec, action=schedules.action("r", shop.report, "after"))

        await handle.update(change)
        await handle.update(lambda _: None)
        await environment.sleep("60m")

        assert shop.done == ["before", "after", "after"]
        assert (await handle.describe()).version == 2


async def test_two_updates_at_once_are_both_applied(url: str) -> None:
    async with open_shop(url) as (shop, _):
        handle = await shop.app.schedules.create("r", HOURLY, shop.report, "word")
        tries: list[int] = []

        async def other(schedule: Schedule) -> None:
            await handle.update(lambda found: replace(found, overlap=Overlap.ALLOW_ALL))

        first = await handle.describe()
        await other(first.schedule)

        def change(found: Schedule) -> Schedule:
            tries.append(1)
            return replace(found, pause_on_failure=True)

        await handle.update(change)

        found = (await handle.describe()).schedule
        assert (found.overlap, found.pause_on_failure) == (Overlap.ALLOW_ALL, True)


async def test_a_deleted_schedule_is_gone_for_ever_and_its_workflows_go_on(url: str) -> None:
    async with open_shop(url) as (shop, environment):
        shop.minutes = 60
        handle = await shop.app.schedules.create("r", HOURLY, shop.report, "word")
        await environment.sleep("61m")

        await handle.delete()
        await environment.sleep("5h")

        (run,) = await shop.app.list(workflow="report")
        assert run.status is RunStatus.COMPLETED
        assert await shop.app.schedules.list() == []
        for verb in (handle.describe, handle.pause, handle.unpause, handle.trigger, handle.delete):
            with pytest.raises(ScheduleNotFound):
                await verb()


async def test_a_schedule_that_no_worker_has_seen_is_described_as_it_was_created(url: str) -> None:
    async with open_shop(url) as (shop, environment):
        await environment.crash(restart=False)
        handle = await shop.app.schedules.create("r", HOURLY, shop.report, "word", note="new")

        found = await handle.describe()

        assert (found.note, found.actions_count, found.next_times[0]) == ("new", 0, at(1))
        await environment.start_worker()
        await environment.sleep("61m")
        assert await shop.hours() == [1]


async def test_schedules_are_listed_and_their_ids_are_their_own(url: str) -> None:
    async with open_shop(url) as (shop, environment):
        schedules = shop.app.schedules
        await schedules.create("a", HOURLY, shop.report, "word", request_id="once")
        await schedules.create("a", HOURLY, shop.report, "word", request_id="once")
        await environment.sleep("1s")
        await schedules.create_by_name("b", HOURLY, "report", "word")

        assert [each.id for each in await schedules.list()] == ["b", "a"]
        with pytest.raises(ScheduleExists):
            await schedules.create("a", HOURLY, shop.report, "word")
        with pytest.raises(ScheduleNotFound):
            await schedules.handle("c").describe()


async def test_a_long_history_is_left_behind_while_workflows_run(url: str) -> None:
    async with open_shop(url) as (shop, environment):
        shop.minutes = 90
        spec = ScheduleSpec(intervals=["5m"])
        handle = await shop.app.schedules.create("r", spec, shop.report, "word", overlap=Overlap.ALLOW_ALL)

        await environment.sleep("23h")

        runs = await shop.app.list(workflow="perdure.schedule")
        assert len(runs) >= 2
        found = await handle.describe()
        assert found.actions_count == 23 * 12
        assert len(found.running) == 90 // 5
        assert {each.status for each in found.recent} == {"running"}


async def test_what_cannot_be_is_refused_and_nothing_is_stored(url: str) -> None:
    async with open_shop(url) as (shop, _):
        schedules, report = shop.app.schedules, shop.report
        with pytest.raises(InvalidSchedule, match="never due"):
            await schedules.create("r", ScheduleSpec(crons=["0 0 31 2 *"]), report, "word")
        with pytest.raises(InvalidSchedule, match="never due"):
            await schedules.create("r", ScheduleSpec(crons=["@daily"], end=at(-1)), report, "word")
        with pytest.raises(InvalidSchedule, match="Mars/Olympus"):
            await schedules.create("r", ScheduleSpec(crons=["@daily"], zone="Mars/Olympus"), report, "word")
        with pytest.raises(InvalidSchedule, match="hour 25"):
            await schedules.create("r", ScheduleSpec(calendars=[Calendar(hour=25)]), report, "word")
        wrong: Any = [
            {"catch_up": "5s"},
            {"actions_max": 0},
            {"overlap": "sometimes"},
            {"workflow_id": "w" * 999},
            {"backfill": [(at(1), at(0))]},
            {"backfill": [(datetime(2026, 1, 1), at(0))]},  # noqa: DTZ001
            {"colour": "red"},
            {"note": 5},
        ]
        for options in wrong:
            with pytest.raises(InvalidOption):
                await schedules.create("r", HOURLY, report, "word", **options)
        unfit: Any = [
            ScheduleSpec(crons="@daily"),
            ScheduleSpec(intervals=[Interval("10ms")]),
            ScheduleSpec(intervals=[Interval("1h", "2h")]),
            ScheduleSpec(crons=["@daily"] * 101),
            ScheduleSpec(calendars=["@daily"]),  # type: ignore[list-item]
            ScheduleSpec(start=datetime(2026, 1, 1)),  # noqa: DTZ001
            ScheduleSpec(jitter=-1),
            "@daily",
        ]
        for spec in unfit:
            with pytest.raises(InvalidOption):
                await schedules.create("r", spec, report, "word")
        for crons in ([["@daily"]], [None], [5], ["@daily " * 200]):
            with pytest.raises(InvalidSchedule):
                await schedules.create("r", ScheduleSpec(crons=crons), report, "word")  # type: ignore[arg-type]
        with pytest.raises(InvalidArguments):
            await schedules.create("r", HOURLY, report, "too", "many")  # type: ignore[call-arg]
        with pytest.raises(UnknownWorkflow):
            await schedules.create_by_name("r", HOURLY, "elsewhere")

        assert await schedules.list() == []


async def test_what_cannot_be_told_is_refused_and_nothing_changes(url: str) -> None:
    async with open_shop(url) as (shop, _):
        handle: Any = await shop.app.schedules.create("r", HOURLY, shop.report, "word")
        no: Any = "no"

        def nothing(_: Schedule) -> Any:
            return no

        def no_action(schedule: Schedule) -> Schedule:
            return replace(schedule, action=no)

        def no_spec(schedule: Schedule) -> Schedule:
            return replace(schedule, spec=no)

        for tell in (
            lambda: handle.pause(5),
            lambda: handle.unpause("n" * 1_001),
            lambda: handle.trigger("sometimes"),
            lambda: handle.backfill(at(1), at(2), "never"),
            lambda: handle.backfill(at(2), at(1)),
            lambda: handle.backfill("yesterday", "today"),
            lambda: handle.update(nothing),
            lambda: handle.update(no_action),
            lambda: handle.update(no_spec),
        ):
            with pytest.raises(InvalidOption):
                await tell()

        found = await handle.describe()
        assert (found.version, found.paused, found.recent) == (1, False, ())


def test_a_preview_needs_no_store() -> None:
    berlin = preview("30 2 * * *", "Europe/Berlin", 3, after=datetime(2026, 3, 27, 12, tzinfo=UTC))

    assert [each.isoformat() for each in berlin] == [
        "2026-03-28T02:30:00+01:00",
        "2026-03-29T03:30:00+02:00",
        "2026-03-30T02:30:00+02:00",
    ]
    assert Perdure("memory://").schedules.preview(HOURLY, count=1, after=START) == [at(1)]
    with pytest.raises(InvalidOption):
        preview(HOURLY, count=0)
    with pytest.raises(InvalidOption):
        preview(HOURLY, "UTC")
