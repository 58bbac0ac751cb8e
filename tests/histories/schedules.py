"""Records the histories of schedules that are missing: `python -m tests.histories.schedules`. It only ever adds.

A schedule decides nothing in a replay, so a history is kept with what the schedule knew at its end.
"""

import platform
from collections.abc import Callable
from pathlib import Path

import msgspec
from msgspec.structs import replace

from perdure.core.attributes import Attribute, AttributeKind
from perdure.core.message import Query, StartOptions
from perdure.core.payload import to_payload
from perdure.core.policy import RetryPolicy
from perdure.engine.recorded import RecordedHistory, recorded_history
from perdure.programs.schedule.program import ScheduleProgram
from perdure.programs.schedule.spec import Calendar, ScheduleSpec
from perdure.programs.schedule.state import NAME, BackfillRequest, Overlap, Pause, State, Trigger, Update
from tests.unit.schedule_world import Bench, cancelled, failed, hour, plan_of, terminated, with_overlap

FOLDER = Path(__file__).parent / "schedules"


class Kept(msgspec.Struct, frozen=True):
    """A history and the answer of the schedule at its end."""

    history: RecordedHistory
    described: str


def _overlapping(overlap: Overlap) -> Callable[[], Bench]:
    def script() -> Bench:
        bench = Bench(with_overlap(overlap))
        bench.until(hour(3.5))
        for call_id, outcome in zip(sorted(bench.open), [cancelled(), terminated(), failed()], strict=False):
            bench.end(call_id, outcome)
        bench.sleep(hour(8.5))
        bench.end_all()
        return bench

    return script


def _told() -> Bench:
    spec = ScheduleSpec(
        crons=["15 */2 * * *"],
        intervals=["90m"],
        calendars=[Calendar(hour=3)],
        skip=[Calendar(hour=6)],
        zone="Europe/Berlin",
        jitter="5m",
    )
    bench = Bench(plan_of(spec, pause_on_failure=True, actions_max=9), State(note="new", actions_left=9))
    bench.signal("trigger", Trigger(Overlap.ALLOW_ALL))
    bench.signal("backfill", BackfillRequest(hour(-6), hour(-1)))
    bench.until(hour(2))
    bench.refuse(bench.children[-1].call_id)
    bench.end_all()
    bench.end_all()
    bench.signal("pause", Pause("holidays"))
    bench.until(hour(5))
    bench.signal("unpause", Pause())
    bench.signal("update", Update(replace(plan_of(), overlap=Overlap.BUFFER_ALL), version=1))
    bench.signal("update", Update(plan_of(), version=1))
    bench.until(hour(8))
    bench.end(bench.children[-1].call_id, failed("no paper"))
    return bench


def _handed_over() -> Bench:
    bench = Bench(with_overlap(Overlap.ALLOW_ALL), turns_max=6)
    bench.until(hour(7))
    bench.end_all()
    return bench


def _with_options() -> Bench:
    options = StartOptions(
        retry=RetryPolicy(attempts_max=3),
        run_ms=60_000,
        memo={"team": to_payload("red")},
        attributes=(Attribute("Region", AttributeKind.KEYWORD, "eu"),),
        headers={"tenant": to_payload("acme")},
    )
    plan = plan_of()
    bench = Bench(replace(plan, action=replace(plan.action, options=options)))
    bench.until(hour(2))
    bench.end_all()
    # An update brings the whole plan, and with it other options.
    bench.signal("update", Update(replace(plan, action=replace(plan.action, options=StartOptions(run_ms=1)))))
    bench.until(hour(4))
    return bench


SCRIPTS: dict[str, Callable[[], Bench]] = {
    **{f"overlap_{overlap}": _overlapping(overlap) for overlap in Overlap},
    "told": _told,
    "handed_over": _handed_over,
    "with_options": _with_options,
}
"""By file: what happens to the schedule; the history is that of its last run."""


def recorded(name: str) -> Kept:
    """Run a script."""
    bench = SCRIPTS[name]()
    live = bench.live
    by = f"Python {platform.python_version()}"
    history = recorded_history(NAME, live.workflow_id, live.run_id, bench.turns, by)
    return Kept(history, described(history))


def described(history: RecordedHistory) -> str:
    """What a schedule knows that recalls a history."""
    run = ScheduleProgram().open(history.run_id)
    turns = history.decoded()
    for turn in turns:
        run.recall(turn)
    return run.query(Query("describe", (to_payload(turns[-1].at_ms),))).data.decode()


def kept() -> dict[str, Kept]:
    """Every recorded history by its file's name."""
    return {path.stem: msgspec.json.decode(path.read_bytes(), type=Kept) for path in sorted(FOLDER.glob("*.json"))}


def record_missing() -> list[str]:
    """Record what has no file yet; returns the names."""
    missing = [name for name in SCRIPTS if not (FOLDER / f"{name}.json").exists()]
    for name in missing:
        with (FOLDER / f"{name}.json").open("xb") as file:
            file.write(msgspec.json.format(msgspec.json.encode(recorded(name)), indent=1) + b"\n")
    return missing


if __name__ == "__main__":
    print("\n".join(record_missing()) or "nothing is missing")
