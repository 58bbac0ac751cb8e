"""The schedule as a program: what it is told, and what is handed from run to run."""

from datetime import UTC, datetime, timedelta

import pytest
from msgspec.structs import replace

from perdure.core.command import CancelRun
from perdure.core.errors import UnknownQuery
from perdure.core.message import CancelRequested, Query, Signaled
from perdure.core.payload import Payload, from_payload, to_payload
from perdure.programs.schedule.spec import Calendar, ScheduleSpec
from perdure.programs.schedule.state import (
    BackfillRequest,
    Overlap,
    Pause,
    State,
    Trigger,
    Update,
)
from tests.unit.schedule_world import (
    Bench,
    cancelled,
    failed,
    hour,
    plan_of,
    terminated,
    with_overlap,
)


def test_a_pause_lets_nothing_happen_and_what_was_due_is_not_made_up_for() -> None:
    bench = Bench(plan_of())
    bench.signal("pause", Pause("holidays"))
    assert bench.described.next_ms == ()

    bench.until(hour(5.5))
    bench.signal("unpause", Pause("back"))
    bench.until(hour(6))

    assert bench.hours == [6]
    assert (bench.state.paused, bench.state.note) == (False, "back")


def test_a_pause_drops_what_waits_but_not_what_was_asked_for() -> None:
    bench = Bench(with_overlap(Overlap.BUFFER_ALL))
    bench.until(hour(2.5))
    bench.signal("trigger", Trigger())
    bench.signal("pause", Pause())

    bench.end_all()

    assert bench.hours == [1, 2.5]
    assert bench.state.skipped_count == 1


def test_a_failure_pauses_where_that_is_wanted() -> None:
    bench = Bench(plan_of(pause_on_failure=True))
    bench.until(hour(1))

    bench.end(bench.children[0].call_id, failed("no paper"))
    bench.until(hour(3))

    assert bench.hours == [1]
    assert bench.state.paused
    assert bench.state.note == "report-2026-11-20T01:00:00Z failed: ValueError: no paper"


@pytest.mark.parametrize("outcome", [cancelled(), terminated()])
def test_an_end_from_outside_is_no_failure(outcome: object) -> None:
    bench = Bench(plan_of(pause_on_failure=True))
    bench.until(hour(1))

    bench.end(bench.children[0].call_id, outcome)  # type: ignore[arg-type]

    assert not bench.state.paused


def test_a_trigger_happens_at_once_also_while_it_is_paused() -> None:
    bench = Bench(plan_of(), State(paused=True))
    bench.until(hour(0.25))

    bench.signal("trigger", Trigger())

    assert bench.hours == [0.25]
    assert bench.state.recent[0].moment_ms == hour(0.25)


def test_triggers_of_one_moment_have_ids_of_their_own() -> None:
    bench = Bench(plan_of())

    for _ in range(3):
        bench.signal("trigger", Trigger(Overlap.ALLOW_ALL))

    assert len({child.workflow_id for child in bench.children}) == 3


def test_a_request_that_is_repeated_counts_once_also_in_later_runs() -> None:
    bench = Bench(with_overlap(Overlap.ALLOW_ALL), turns_max=3)
    bench.signal("trigger", Trigger(), request_id="same")

    for number in range(1, 8):
        bench.until(hour(number))
        bench.signal("trigger", Trigger(), request_id="same")

    assert bench.runs_count > 2
    assert bench.hours == [0, 1, 2, 3, 4, 5, 6, 7]


def test_a_backfill_runs_one_after_the_other_while_the_schedule_goes_on() -> None:
    bench = Bench(with_overlap(Overlap.ALLOW_ALL))
    bench.until(hour(0.5))

    bench.signal("backfill", BackfillRequest(hour(-3), hour(-1)))
    for _ in range(3):
        assert len(bench.open) == 1
        bench.end_all()
    bench.until(hour(1))

    assert bench.hours == [-3, -2, -1, 1]
    assert bench.state.backfills == []


def test_a_backfill_with_another_policy_starts_all_at_once() -> None:
    bench = Bench(plan_of())

    bench.signal("backfill", BackfillRequest(hour(-120), hour(-1), Overlap.ALLOW_ALL))
    bench.until(hour(0))

    assert bench.hours == list(range(-120, 0))


def test_a_backfill_ends_with_the_present() -> None:
    bench = Bench(plan_of())
    bench.until(hour(0.5))

    bench.signal("backfill", BackfillRequest(hour(-1), hour(24), Overlap.ALLOW_ALL))

    assert bench.hours == [-1, 0]


def test_limited_actions_end_by_themselves_and_triggers_do_not_count() -> None:
    bench = Bench(plan_of(actions_max=2), State(actions_left=2))
    bench.signal("trigger", Trigger(Overlap.ALLOW_ALL))
    bench.end_all()

    for number in range(1, 5):
        bench.until(hour(number))
        bench.end_all()

    assert bench.hours == [0, 1, 2]
    assert bench.state.actions_left == 0
    assert bench.described.next_ms == ()
    assert bench.timers == {}


def test_a_workflow_that_cannot_start_is_told_and_does_not_count() -> None:
    bench = Bench(plan_of(actions_max=1), State(actions_left=1))
    bench.until(hour(1))

    bench.refuse(bench.children[0].call_id)

    assert bench.state.recent == []
    assert [each.status for each in bench.state.lapsed] == ["refused"]
    assert bench.state.actions_left == 1
    bench.until(hour(3))
    assert bench.hours == [1, 2]


def test_start_and_end_bound_what_happens() -> None:
    start, end = (datetime.fromtimestamp(hour(each) / 1_000, UTC) for each in (2, 4))
    bench = Bench(plan_of(ScheduleSpec(crons=["@hourly"], start=start, end=end), overlap=Overlap.ALLOW_ALL))

    bench.until(hour(9))

    assert bench.hours == [2, 3, 4]
    assert bench.timers == {}


def test_jitter_delays_the_start_and_not_the_moment() -> None:
    spec = ScheduleSpec(crons=["@hourly"], jitter=timedelta(minutes=59))
    bench = Bench(plan_of(spec, overlap=Overlap.ALLOW_ALL))

    bench.until(hour(50))

    assert bench.hours == list(range(1, len(bench.children) + 1))
    delays = [each.at_ms - each.moment_ms for each in bench.state.recent]
    assert all(0 <= delay < 59 * 60_000 for delay in delays)
    assert len(set(delays)) > 5


def test_an_update_changes_what_comes_and_leaves_what_was() -> None:
    bench = Bench(plan_of())
    bench.until(hour(1.5))
    changed = replace(plan_of(ScheduleSpec(crons=["*/30 * * * *"])), overlap=Overlap.ALLOW_ALL)

    bench.signal("update", Update(changed, version=1))
    bench.until(hour(3))

    assert bench.hours == [1, 2, 2.5, 3]
    assert bench.state.version == 2
    assert bench.described.plan == changed


def test_an_update_of_another_version_is_refused() -> None:
    bench = Bench(plan_of())
    changed = replace(plan_of(), overlap=Overlap.ALLOW_ALL)

    bench.signal("update", Update(changed, version=1), request_id="first")
    bench.signal("update", Update(plan_of(), version=1), request_id="second")

    assert bench.described.plan == changed
    assert [(each.request_id, each.refusal) for each in bench.state.handled] == [("first", ""), ("second", "changed")]


def test_updates_in_one_turn_are_taken_in_their_order() -> None:
    bench = Bench(plan_of())
    first = replace(plan_of(), overlap=Overlap.ALLOW_ALL)
    second = replace(plan_of(), overlap=Overlap.BUFFER_ALL)
    bench.tell(*(Signaled("update", to_payload(Update(each)), each.overlap.value) for each in (first, second)))

    assert bench.described.plan == second
    assert bench.state.version == 3


@pytest.mark.parametrize(
    ("name", "payload"),
    [
        ("pause", Payload(b"5")),
        ("trigger", Payload(b'{"overlap": "sometimes"}')),
        ("backfill", Payload(b"{}")),
        ("update", Payload(b"not json")),
        ("dance", Payload(b"null")),
    ],
)
def test_a_request_that_cannot_be_read_changes_nothing(name: str, payload: Payload) -> None:
    bench = Bench(plan_of())

    bench.tell(Signaled(name, payload, "odd"))
    bench.until(hour(1))

    assert bench.hours == [1]
    assert bench.state.handled[0].refusal != ""


def test_an_update_to_an_unknown_zone_is_refused() -> None:
    bench = Bench(plan_of())
    wrong = replace(plan_of(), spec=replace(plan_of().spec, zone="Mars/Olympus"))

    bench.signal("update", Update(wrong))

    assert "Mars/Olympus" in bench.state.handled[0].refusal
    assert bench.described.plan == plan_of()


def test_a_long_history_is_left_behind_and_nothing_with_it() -> None:
    bench = Bench(with_overlap(Overlap.ALLOW_ALL), turns_max=4)

    bench.until(hour(20))
    assert bench.runs_count > 4
    for call_id in sorted(bench.open):
        bench.end(call_id)

    assert bench.hours == list(range(1, 21))
    assert len({child.call_id for child in bench.children}) == 20
    assert bench.state.running == []
    assert {each.status for each in bench.state.recent} == {"completed"}


def test_a_workflow_that_was_handed_over_can_be_cancelled() -> None:
    bench = Bench(with_overlap(Overlap.CANCEL_OTHER), turns_max=2)
    bench.until(hour(1))
    runs_count = bench.runs_count

    bench.until(hour(2))

    assert bench.runs_count > runs_count or runs_count > 1
    assert [each.call_id for each in bench.asked] == [bench.children[0].call_id]


def test_calendars_and_exclusions_are_followed() -> None:
    spec = ScheduleSpec(
        calendars=[Calendar(hour="8-10", minute="0,30", day_of_week="mon-fri")],
        skip=[Calendar(hour=9), Calendar(day_of_month=23)],
    )
    bench = Bench(plan_of(spec, overlap=Overlap.ALLOW_ALL))

    bench.until(hour(24 * 5))

    friday, tuesday = [8, 8.5, 10, 10.5], [104, 104.5, 106, 106.5]
    assert bench.hours == [*friday, *tuesday]


def test_a_cancelled_schedule_ends_and_its_workflows_go_on() -> None:
    bench = Bench(plan_of())
    bench.until(hour(1))

    bench.tell(CancelRequested("enough", "x"))

    assert isinstance(bench.live.open.closing, CancelRun)
    assert bench.asked == []


def test_it_describes_itself_and_answers_no_other_query() -> None:
    bench = Bench(plan_of())
    bench.until(hour(0.5))

    assert bench.described.next_ms == tuple(hour(number) for number in range(1, 11))
    with pytest.raises(UnknownQuery):
        bench.live.query(Query("dance", ()))
    assert from_payload(bench.live.query(Query("describe", ())))["plan"]["schedule_id"] == "s"
