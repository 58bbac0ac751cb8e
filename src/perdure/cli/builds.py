"""`perdure drain` and `perdure workflow move`: which code still has open runs, and giving them other code."""

from typing import Any

from perdure.app import LIST_MAX, Perdure
from perdure.cli.clients import ask, handle_of
from perdure.cli.exits import Exit
from perdure.cli.output import moment, print_error, print_json, print_table
from perdure.cli.verbs import Parser, Verb, add_app, add_output, add_store
from perdure.core.errors import InvalidOption, RunClosed
from perdure.core.store import RunStatus
from perdure.drain import DrainLine

HEAD = ("TYPE", "VERSION", "BUILD", "QUEUE", "OPEN", "HELD", "PARKED", "WAITING FOR A WORKER SINCE")


def _add_drain(parser: Parser) -> None:
    parser.add_argument("--type", metavar="NAME", help="only runs of this workflow")
    parser.add_argument("--version", type=int, metavar="N", help="only of this version; ends with 1 if there are any")
    parser.add_argument("--build", metavar="BUILD", help="only pinned to this build; ends with 1 if there are any")
    add_app(parser)
    add_store(parser)
    add_output(parser)


def _drain(options: Any) -> int:
    lines = [each for each in ask(options, lambda app: app.drain()) if _fits(each, options)]
    if options.output == "json":
        print_json([{**_shown(each), "unserved": each.unserved} for each in lines])
    else:
        print_table(HEAD, [_row(each) for each in lines])
    asked = options.version is not None or options.build is not None
    return Exit.FAILED if asked and lines else Exit.OK


def _fits(line: DrainLine, options: Any) -> bool:
    return (
        (options.type is None or line.workflow_type == options.type)
        and (options.version is None or line.version == options.version)
        and (options.build is None or line.build == options.build)
    )


def _shown(line: DrainLine) -> dict[str, Any]:
    return {name: getattr(line, name) for name in line.__struct_fields__}


def _row(line: DrainLine) -> tuple[object, ...]:
    counts = (line.runs_count, line.held_count, line.parked_count)
    return (line.workflow_type, line.version, line.build, line.queue, *counts, moment(line.waiting_since))


def _add_move(parser: Parser) -> None:
    parser.add_argument("id", metavar="ID", nargs="?", help="the workflow id (default: all runs pinned to --from)")
    parser.add_argument("--run", metavar="RUN", help="one run of it (default: the open one)")
    parser.add_argument("--from", dest="source", metavar="BUILD", help="move all runs that are pinned to this build")
    parser.add_argument("--to", metavar="BUILD", help="the build that takes them (default: any)")
    add_app(parser)
    add_store(parser)


def _move(options: Any) -> int:
    if (options.id is None) == (options.source is None):
        remedy = "give a workflow id, or --from BUILD for all of a build"
        raise InvalidOption(name="--from", value=repr(options.source), fact="does not go with ID", remedy=remedy)
    if options.id is not None:
        moved_count = ask(options, lambda app: handle_of(app, options).move(options.to)) + 0
    else:
        moved_count = ask(options, lambda app: _move_all(app, options.source, options.to))
    print_error(f"perdure: {moved_count} runs moved")
    return Exit.OK


async def _move_all(app: Perdure, source: str, build: str | None) -> int:
    count, before = 0, None
    while True:
        page = await app.list(status=RunStatus.RUNNING, limit=LIST_MAX, before=before)
        for run in page:
            if run.build == source:
                try:
                    count += await app.handle(run.workflow_id, run_id=run.run_id).move(build)
                except RunClosed:
                    continue
        if len(page) < LIST_MAX:
            return count
        before = page[-1].run_id


VERBS = (
    Verb(("drain",), "show which versions and builds still have open runs, and who works on them", _add_drain, _drain),
    Verb(("workflow", "move"), "let runs go on with another build than the one they are pinned to", _add_move, _move),
)
