"""`perdure schedule ...`: the rules that start workflows at moments."""

import asyncio
from argparse import BooleanOptionalAction
from collections.abc import Awaitable, Callable
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from msgspec import structs

from perdure.app import Perdure
from perdure.cli.clients import ask
from perdure.cli.exits import Exit
from perdure.cli.inputs import arguments_of
from perdure.cli.output import moment, print_error, print_fields, print_json, print_table
from perdure.cli.verbs import Parser, Verb, add_app, add_input, add_output, add_store
from perdure.core.errors import InvalidOption, StillRunning
from perdure.core.moment import moment_ns
from perdure.programs.schedule.state import ID_PREFIX
from perdure.schedules import (
    Calendar,
    Overlap,
    Schedule,
    ScheduleDescription,
    ScheduleHandle,
    ScheduleKeywords,
    ScheduleSpec,
    preview,
)

NONE = "none"
"""Takes an option away."""
EMPTY = ScheduleSpec()
_OVERLAPS = [each.value for each in Overlap]
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def _add_spec(parser: Parser) -> None:
    parser.add_argument("--cron", action="append", default=[], metavar="LINE", help="a cron line; may be given again")
    parser.add_argument("--every", action="append", default=[], metavar="LENGTH", help="an interval, such as 1h30m")
    calendar = "such as 'hour=9 day_of_week=mon-fri'"
    parser.add_argument(
        "--calendar", action="append", default=[], metavar="FIELDS", help=f"moments that fit all fields, {calendar}"
    )
    parser.add_argument("--skip", action="append", default=[], metavar="FIELDS", help="moments that are left out")
    parser.add_argument("--zone", help="the time zone of cron lines and calendars, such as Europe/Berlin")
    parser.add_argument("--start", metavar="MOMENT", help="the first moment that counts")
    parser.add_argument("--end", metavar="MOMENT", help="the last moment that counts")
    parser.add_argument("--jitter", metavar="LENGTH", help="start up to so much later")


def _spec(options: Any, before: ScheduleSpec = EMPTY) -> ScheduleSpec:
    """A spec by the options; what they leave out is as before. With one rule all rules are given."""
    given: dict[str, Any] = {}
    if options.cron or options.every or options.calendar:
        calendars = [_calendar("--calendar", each) for each in options.calendar]
        given |= {"crons": options.cron, "intervals": options.every, "calendars": calendars}
    if options.skip:
        given["skip"] = [_calendar("--skip", each) for each in options.skip if each != NONE]
    for name in ("zone", "jitter"):
        if getattr(options, name) is not None:
            given[name] = getattr(options, name)
    for name in ("start", "end"):
        text = getattr(options, name)
        if text is not None:
            given[name] = None if text == NONE else _moment(f"--{name}", text)
    return replace(before, **given)


def _calendar(option: str, text: str) -> Calendar:
    known = [each.name for each in fields(Calendar)]
    found: dict[str, str] = {}
    for each in text.split():
        name, equals, value = each.partition("=")
        if name not in known or not equals or name in found:
            remedy = f"write 'hour=9 day_of_week=mon-fri'; known are {', '.join(known)}"
            raise InvalidOption(name=option, value=repr(text)[:80], fact=f"has no use for {each!r}", remedy=remedy)
        found[name] = value
    return Calendar(**found)


def _add_id(parser: Parser) -> None:
    parser.add_argument("id", metavar="ID", help="the schedule")
    add_store(parser)


def _add_plan(parser: Parser) -> None:
    parser.add_argument("--overlap", choices=_OVERLAPS, help="while a workflow still runs")
    parser.add_argument("--catch-up", metavar="LENGTH", help="later than this it is missed")
    parser.add_argument("--actions-max", metavar="N", help="so often at most; none: for ever")
    parser.add_argument("--pause-on-failure", action=BooleanOptionalAction, help="pause when a workflow fails")


def _plan(options: Any) -> dict[str, Any]:
    """What is given of it."""
    given: dict[str, Any] = {}
    if options.overlap is not None:
        given["overlap"] = Overlap(options.overlap)
    if options.actions_max is not None:
        text = options.actions_max
        # What is no number is refused with all others that cannot be.
        given["actions_max"] = None if text == NONE else int(text) if text.isdecimal() else text
    for name in ("catch_up", "pause_on_failure"):
        if getattr(options, name) is not None:
            given[name] = getattr(options, name)
    return given


def _add_create(parser: Parser) -> None:
    _add_id(parser)
    parser.add_argument("name", metavar="WORKFLOW", help="the workflow's registered name")
    _add_spec(parser)
    add_input(parser, "a JSON array of all arguments, or any other JSON value as the only one (default: no arguments)")
    _add_plan(parser)
    parser.add_argument("--paused", action="store_true", help="create it paused")
    parser.add_argument("--note", default="", metavar="TEXT", help="for people")
    parser.add_argument("--queue", help="the task queue of the workers that know the workflow")
    add_app(parser)


def _create(options: Any) -> int:
    args = arguments_of(options.input)
    keywords: ScheduleKeywords = {"paused": options.paused, "note": options.note}
    keywords.update(cast(ScheduleKeywords, _plan(options)))

    async def create(app: Perdure) -> ScheduleHandle:
        # Without an app nothing can be known of the name; with one, a name that it lacks is a mistake.
        keywords["queue"] = options.queue or (None if options.app else app.queue)
        return await app.schedules.create_by_name(options.id, _spec(options), options.name, *args, **keywords)

    ask(options, create, creates=True)
    return Exit.OK


def _add_update(parser: Parser) -> None:
    _add_id(parser)
    _add_spec(parser)
    _add_plan(parser)
    parser.add_argument("--workflow", metavar="NAME", help="start this workflow, with the arguments of --input")
    add_input(parser, "other arguments: a JSON array of all of them, or any other JSON value as the only one")
    parser.add_argument("--queue", help="the task queue of the workers that know the workflow")
    parser.add_argument("--timeout", type=float, metavar="SECONDS", help="give up after so long (default: never)")
    add_app(parser)


def _update(options: Any) -> int:
    args = arguments_of(options.input)

    async def update(app: Perdure) -> None:
        def change(schedule: Schedule) -> Schedule:
            action = schedule.action
            if options.workflow is not None or options.input is not None:
                name = options.workflow or action.workflow_type
                queue = options.queue or action.queue or (None if options.app else app.queue)
                told = app.schedules.action_by_name(action.workflow_id, name, *args, queue=queue)
                action = structs.replace(action, workflow_type=told.workflow_type, args=told.args)
            if options.queue is not None:
                action = structs.replace(action, queue=options.queue)
            return replace(schedule, spec=_spec(options, schedule.spec), action=action, **_plan(options))

        try:
            async with asyncio.timeout(options.timeout):
                await app.schedules.handle(options.id).update(change)
        except TimeoutError as error:
            raise StillRunning(workflow_id=f"{ID_PREFIX}{options.id}", timeout_s=options.timeout) from error

    ask(options, update)
    return Exit.OK


def _add_list(parser: Parser) -> None:
    parser.add_argument("--limit", type=int, default=100, metavar="N", help="at most so many, 1 to 1000 (default: 100)")
    parser.add_argument("--before", metavar="RUN", help="only those older than this run: the next page")
    add_store(parser)
    add_output(parser)


def _list(options: Any) -> int:
    found = ask(options, lambda app: app.schedules.list(limit=options.limit, before=options.before))
    if options.output == "json":
        print_json(found)
        return Exit.OK
    rows = [(each.id, moment(each.created_at), each.parked, each.run_id) for each in found]
    print_table(("ID", "SINCE", "PARKED", "RUN ID"), rows)
    if len(found) == options.limit:
        print_error(f"perdure: there may be more: add --before {found[-1].run_id}")
    return Exit.OK


def _add_describe(parser: Parser) -> None:
    _add_id(parser)
    add_output(parser)


def _describe(options: Any) -> int:
    found = ask(options, lambda app: app.schedules.handle(options.id).describe())
    if options.output == "json":
        print_json(_document(found))
        return Exit.OK
    action, left = found.schedule.action, found.actions_left
    print_fields(
        [
            ("id", found.id),
            ("workflow", action.workflow_type),
            ("crons", "; ".join(found.schedule.spec.crons)),
            ("zone", found.schedule.spec.zone),
            ("overlap", found.schedule.overlap),
            ("state", "paused" if found.paused else "active"),
            ("note", found.note),
            ("actions left", left),
            ("happened", found.actions_count),
            ("skipped", found.skipped_count or None),
            ("missed", found.missed_count or None),
            ("running", ", ".join(found.running)),
            ("next", ", ".join(moment(each) for each in found.next_times[:3])),
        ]
    )
    entries = sorted([*found.recent, *found.lapsed], key=lambda each: each.moment)
    if entries:
        print("\nRecent actions")
        rows = [(moment(each.moment), each.status, each.workflow_id) for each in entries]
        print_table(("MOMENT", "STATUS", "WORKFLOW ID"), rows)
    return Exit.OK


def _document(found: ScheduleDescription) -> dict[str, Any]:
    """All of it but the arguments, which are bytes."""
    schedule, spec = found.schedule, found.schedule.spec
    rest = {name: getattr(found, name) for name in found.__struct_fields__ if name != "schedule"}
    return {
        **rest,
        "workflow": schedule.action.workflow_type,
        "workflow_id": schedule.action.workflow_id,
        "overlap": schedule.overlap,
        "catch_up": schedule.catch_up,
        "pause_on_failure": schedule.pause_on_failure,
        "spec": spec,
    }


def _add_noted(parser: Parser) -> None:
    _add_id(parser)
    parser.add_argument("--note", default="", metavar="TEXT", help="why, for people")


def _add_trigger(parser: Parser) -> None:
    _add_id(parser)
    parser.add_argument("--overlap", choices=_OVERLAPS, help="while a workflow still runs (default: as it is set)")


def _add_backfill(parser: Parser) -> None:
    _add_id(parser)
    parser.add_argument("start", metavar="START", help="the first moment, such as 2026-01-01T00:00:00Z")
    parser.add_argument("end", metavar="END", help="the last moment")
    parser.add_argument("--overlap", choices=_OVERLAPS, default="buffer_all", help="(default: one after the other)")


def _moment(name: str, text: str) -> datetime:
    at_ns = moment_ns(text)
    if at_ns is None:
        raise InvalidOption(name=name, value=repr(text), fact="is no moment", remedy="write 2026-01-01T00:00:00Z")
    return _EPOCH + timedelta(microseconds=at_ns // 1_000)


def _telling(tell: Callable[[ScheduleHandle, Any], Awaitable[None]]) -> Callable[[Any], int]:
    def act(options: Any) -> int:
        async def told(app: Perdure) -> None:
            await tell(app.schedules.handle(options.id), options)

        ask(options, told)
        return Exit.OK

    return act


async def _trigger(handle: ScheduleHandle, options: Any) -> None:
    await handle.trigger(None if options.overlap is None else Overlap(options.overlap))


async def _backfill(handle: ScheduleHandle, options: Any) -> None:
    start, end = _moment("START", options.start), _moment("END", options.end)
    await handle.backfill(start, end, Overlap(options.overlap))


def _add_preview(parser: Parser) -> None:
    _add_spec(parser)
    parser.add_argument("--count", type=int, default=10, metavar="N", help="so many moments (default: 10)")
    parser.add_argument("--after", metavar="MOMENT", help="after this moment (default: now)")


def _preview(options: Any) -> int:
    after = None if options.after is None else _moment("--after", options.after)
    for each in preview(_spec(options), count=options.count, after=after):
        print(each.isoformat())
    return Exit.OK


VERBS = (
    Verb(("schedule", "create"), "start a workflow at moments", _add_create, _create),
    Verb(("schedule", "list"), "list schedules, newest first", _add_list, _list),
    Verb(("schedule", "describe"), "show a schedule: what it did, and what comes next", _add_describe, _describe),
    Verb(
        ("schedule", "pause"),
        "let nothing happen until it is unpaused",
        _add_noted,
        _telling(lambda handle, options: handle.pause(options.note)),
    ),
    Verb(
        ("schedule", "unpause"),
        "let a schedule go on",
        _add_noted,
        _telling(lambda handle, options: handle.unpause(options.note)),
    ),
    Verb(("schedule", "update"), "change what a schedule does, and when", _add_update, _update),
    Verb(("schedule", "trigger"), "let a schedule act now", _add_trigger, _telling(_trigger)),
    Verb(("schedule", "backfill"), "make up for moments of the past", _add_backfill, _telling(_backfill)),
    Verb(
        ("schedule", "delete"),
        "end a schedule; what it started goes on",
        _add_id,
        _telling(lambda handle, _: handle.delete()),
    ),
    Verb(("schedule", "preview"), "print the next moments of a rule; needs no store", _add_preview, _preview),
)
