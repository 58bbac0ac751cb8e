"""What a schedule does while a workflow of it still runs, and after a time without workers."""

import pytest
from msgspec.structs import replace

from perdure.core.command import CancelChild, TerminateChild
from perdure.programs.schedule.spec import ScheduleSpec
from perdure.programs.schedule.state import (
    BUFFERED_MAX,
    Overlap,
    Wanted,
)
from tests.unit.schedule_world import (
    Bench,
    cancelled,
    hour,
    plan_of,
    terminated,
    with_overlap,
)


def test_an_action_happens_at_each_moment_under_an_id_of_its_own() -> None:
    bench = Bench(plan_of())

    for number in range(1, 4):
        bench.until(hour(number))
        bench.end_all()

    assert [child.workflow_id for child in bench.children] == [
        "report-2026-11-20T01:00:00Z",
        "report-2026-11-20T02:00:00Z",
        "report-2026-11-20T03:00:00Z",
    ]
    assert len({child.run_id for child in bench.children}) == 3
    assert bench.state.actions_count == 3
    assert [each.status for each in bench.state.recent] == ["completed"] * 3


def test_a_moment_with_milliseconds_is_told_in_the_id() -> None:
    bench = Bench(plan_of(ScheduleSpec(intervals=["1500ms"])))

    bench.until(hour(0) + 1_500)

    assert bench.children[0].workflow_id == "report-2026-11-20T00:00:01.500Z"


def test_skip_leaves_out_what_is_due_while_a_workflow_runs() -> None:
    bench = Bench(with_overlap(Overlap.SKIP))

    bench.until(hour(3.5))
    bench.end_all()
    bench.until(hour(4))

    assert bench.hours == [1, 4]
    assert bench.state.skipped_count == 2
    assert [(each.status, each.moment_ms) for each in bench.state.lapsed] == [
        ("skipped", hour(2)),
        ("skipped", hour(3)),
    ]


def test_buffer_one_keeps_one_action_for_later() -> None:
    bench = Bench(with_overlap(Overlap.BUFFER_ONE))

    bench.until(hour(4.5))
    assert bench.state.buffered == [Wanted(hour(2))]
    bench.end_all()

    assert bench.hours == [1, 2]
    assert bench.state.buffered == []
    assert bench.state.skipped_count == 2


def test_buffer_all_keeps_every_action_and_runs_them_one_after_the_other() -> None:
    bench = Bench(with_overlap(Overlap.BUFFER_ALL))

    bench.until(hour(4.5))
    for _ in range(4):
        assert len(bench.open) == 1
        bench.end_all()

    assert bench.hours == [1, 2, 3, 4]
    assert bench.open == set()


def test_a_full_buffer_takes_no_more() -> None:
    bench = Bench(with_overlap(Overlap.BUFFER_ALL))

    bench.sleep(hour(1_200))

    assert len(bench.state.buffered) == BUFFERED_MAX
    assert bench.state.skipped_count == 1_200 - 1 - BUFFERED_MAX


def test_cancel_other_asks_once_and_starts_the_last_action_when_the_workflow_has_ended() -> None:
    bench = Bench(with_overlap(Overlap.CANCEL_OTHER))
    bench.until(hour(3.5))
    (first,) = bench.children

    assert bench.asked == [CancelChild(first.call_id, "the schedule's next action is due")]
    bench.end(first.call_id, cancelled())

    assert bench.hours == [1, 3]
    assert bench.state.skipped_count == 1
    assert [each.status for each in bench.state.recent] == ["cancelled", "running"]


def test_terminate_other_ends_the_workflow_and_starts_the_action() -> None:
    bench = Bench(with_overlap(Overlap.TERMINATE_OTHER))
    bench.until(hour(2))
    (first,) = bench.children

    assert bench.asked == [TerminateChild(first.call_id, "the schedule's next action is due")]
    bench.end(first.call_id, terminated())

    assert bench.hours == [1, 2]
    assert [each.status for each in bench.state.recent] == ["terminated", "running"]


def test_allow_all_starts_every_action() -> None:
    bench = Bench(with_overlap(Overlap.ALLOW_ALL))

    bench.until(hour(4.5))

    assert bench.hours == [1, 2, 3, 4]
    assert len(bench.open) == 4


@pytest.mark.parametrize(
    ("overlap", "expected"),
    [
        (Overlap.SKIP, [1]),
        (Overlap.BUFFER_ONE, [1, 2]),
        (Overlap.BUFFER_ALL, [1, 2, 3, 4, 5, 6]),
        (Overlap.CANCEL_OTHER, [1, 6]),
        (Overlap.TERMINATE_OTHER, [1, 6]),
        (Overlap.ALLOW_ALL, [1, 2, 3, 4, 5, 6]),
    ],
)
def test_after_a_time_without_workers_what_was_due_is_made_up_for(overlap: Overlap, expected: list[float]) -> None:
    bench = Bench(with_overlap(overlap))

    bench.sleep(hour(6.5))
    while bench.open:
        bench.end_all()

    assert bench.hours == expected
    bench.until(hour(7))
    assert bench.hours == [*expected, 7]


def test_what_is_later_than_the_catch_up_window_is_missed() -> None:
    bench = Bench(replace(with_overlap(Overlap.ALLOW_ALL), catch_up_ms=2 * 3_600_000))

    bench.sleep(hour(10.5))

    assert bench.hours == [9, 10]
    assert bench.state.missed_count == 8
    assert {each.status for each in bench.state.lapsed} == {"missed"}


def test_years_without_workers_are_passed_over_in_one_step() -> None:
    bench = Bench(replace(plan_of(ScheduleSpec(crons=["* * * * * *"])), catch_up_ms=10_000))

    bench.sleep(hour(24 * 365 * 20))

    assert len(bench.children) == 1
    assert bench.turns_count < 10
    assert bench.state.missed_count >= 500


def test_many_moments_are_taken_in_slices() -> None:
    bench = Bench(with_overlap(Overlap.ALLOW_ALL))

    bench.sleep(hour(200))

    assert bench.hours == list(range(1, 201))
    assert bench.turns_count >= 4
