"""`perdure workflow list`, `show`, `query` and `result`: looking at runs, changing nothing."""

import asyncio
import shlex
from typing import Any

from perdure.app import Perdure
from perdure.cli.clients import ask, handle_of
from perdure.cli.exits import Exit
from perdure.cli.inputs import arguments_of
from perdure.cli.output import compact, moment, print_error, print_fields, print_json, print_table
from perdure.cli.verbs import Parser, Verb, add_app, add_filter, add_id, add_input, add_output, add_runs, add_store
from perdure.core.errors import InvalidOption, StillRunning, UnreadablePayload, WorkflowFailed
from perdure.core.failure import Failure
from perdure.core.store import RunStatus
from perdure.description import RunDescription, RunSummary
from perdure.description import moment as moment_of
from perdure.engine.history import HistoryEvent, shown_failure


def _add_list(parser: Parser) -> None:
    add_runs(parser)
    parser.add_argument("--before", metavar="RUN", help="only runs older than this one: the next page")
    add_store(parser)
    add_output(parser)


def _list(options: Any) -> int:
    async def runs(app: Perdure) -> list[RunSummary]:
        return await app.list(
            options.query,
            status=options.status,
            workflow=options.type,
            id_prefix=options.id_prefix,
            parked=True if options.parked else None,
            limit=options.limit,
            before=options.before,
        )

    found = ask(options, runs)
    if options.output == "json":
        print_json(found)
        return Exit.OK
    rows = [
        (run.workflow_id, run.workflow_type, _state(run), moment(run.started_at), moment(run.closed_at), run.run_id)
        for run in found
    ]
    print_table(("WORKFLOW ID", "TYPE", "STATUS", "STARTED", "CLOSED", "RUN ID"), rows)
    if len(found) == options.limit:
        print_error(f"perdure: there may be more: add --before {found[-1].run_id}")
    return Exit.OK


def _add_count(parser: Parser) -> None:
    add_filter(parser)
    parser.add_argument("--by-status", action="store_true", help="how many of each status")
    add_store(parser)
    add_output(parser)


def _count(options: Any) -> int:
    async def counts(app: Perdure) -> dict[RunStatus, int]:
        return await app.count(options.query, group_by="ExecutionStatus")

    found = {status.value: count for status, count in ask(options, counts).items()}
    total = sum(found.values())
    if options.output == "json":
        print_json(found if options.by_status else total)
    elif options.by_status:
        print_table(("STATUS", "RUNS"), [*sorted(found.items()), ("all", total)])
    else:
        print(total)
    return Exit.OK


def _state(run: RunSummary) -> str:
    if run.parked is None:
        return run.status.value
    return "paused" if run.paused else "parked"


def _add_show(parser: Parser) -> None:
    add_id(parser)
    parser.add_argument("--history", action="store_true", help="all events too")
    add_app(parser)
    add_store(parser)
    add_output(parser)


def _show(options: Any) -> int:
    async def look(app: Perdure) -> tuple[RunDescription, Any, Failure | None, list[HistoryEvent]]:
        handle = app.handle(options.id, run_id=options.run)
        description = await handle.describe()
        # Every further look is at the same run, also where the workflow id gets a new one meanwhile.
        handle = app.handle(options.id, run_id=description.run.run_id)
        result, failure = None, None
        if description.run.status is not RunStatus.RUNNING:
            try:
                result = await handle.result()
            except WorkflowFailed as error:
                failure = error.facts["failure"]
            except UnreadablePayload as error:
                # Everything else about the run can be seen without its codecs.
                result = {"unreadable": error.facts["reason"]}
        return description, result, failure, await handle.history() if options.history else []

    description, result, failure, history = ask(options, look)
    if options.output == "json":
        _show_json(description, result, failure, history if options.history else None)
    else:
        _show_tables(description, result, failure)
        if options.history:
            _show_history(history)
    if description.run.parked is not None:
        cause = "when it shall go on" if description.run.paused else "mend the cause, then"
        print_error(f"perdure: {cause}: perdure workflow resume {shlex.quote(options.id)}")
    return Exit.OK


def _show_history(history: list[HistoryEvent]) -> None:
    print("\nHistory")
    rows = [
        (each.id, moment(moment_of(each.at_ms)), each.turn, each.type, compact(each.attributes)) for each in history
    ]
    print_table(("ID", "AT", "TURN", "EVENT", "ATTRIBUTES"), rows)


def _show_json(
    description: RunDescription, result: Any, failure: Failure | None, history: list[HistoryEvent] | None
) -> None:
    document: dict[str, Any] = {
        "run": description.run,
        "activities": description.activities,
        "timers": description.timers,
        "children": description.children,
        "messages_waiting_count": description.messages_waiting_count,
        "messages": description.messages,
        "unserved": description.unserved,
        "handlers": description.handlers,
        "result": result,
        "failure": None if failure is None else shown_failure(failure),
    }
    if history is not None:
        document["history"] = history
    print_json(document)


def _show_tables(description: RunDescription, result: Any, failure: Failure | None) -> None:
    run = description.run
    fields: list[tuple[str, object]] = [
        ("workflow id", run.workflow_id),
        ("run id", run.run_id),
        ("type", run.workflow_type),
        ("version", run.version if run.version != 1 else None),
        ("build", run.build),
        ("queue", run.queue),
        ("status", _state(run)),
        ("parked", run.parked),
        ("started", moment(run.started_at)),
        ("closed", moment(run.closed_at)),
        ("turns", run.turns_count),
        ("messages waiting", description.messages_waiting_count or None),
        *[(f"attribute {name}", value) for name, value in run.search_attributes.items()],
        ("progress", run.progress),
        *[(f"memo {name}", compact(value)) for name, value in run.memo.items()],
        ("unserved", description.unserved),
    ]
    if run.status is RunStatus.COMPLETED:
        fields.append(("result", compact(result)))
    while failure is not None:
        fields.append(("failure", f"{failure.type}: {failure.message}"))
        failure = failure.cause
    print_fields(fields)
    if description.activities:
        print("\nPending activities")
        rows = [
            (
                each.call_id,
                each.name,
                each.attempt,
                "running" if each.running else "waiting",
                moment(each.next_try_at),
                each.last_failure,
            )
            for each in description.activities
        ]
        print_table(("CALL", "ACTIVITY", "ATTEMPT", "STATE", "NEXT TRY", "LAST FAILURE"), rows)
    if description.messages:
        print("\nWaiting messages")
        messages = [
            (each.id, each.kind or "unreadable", each.name, moment(each.came_at)) for each in description.messages
        ]
        print_table(("ID", "KIND", "NAME", "CAME"), messages)
    if description.timers:
        print("\nTimers")
        print_table(("CALL", "DUE"), [(each.call_id, moment(each.due_at)) for each in description.timers])
    if description.children:
        print("\nChild workflows")
        children = [(each.call_id, each.workflow_id, each.workflow_type) for each in description.children]
        print_table(("CALL", "WORKFLOW ID", "TYPE"), children)
    if description.handlers:
        print("\nHandlers")
        # The first line of what is said of each.
        handlers = [(each.kind, each.signature, each.doc.partition("\n")[0]) for each in description.handlers]
        print_table(("KIND", "HANDLER", "WHAT IT DOES"), handlers)


def _add_query(parser: Parser) -> None:
    add_id(parser)
    parser.add_argument("name", metavar="NAME", help="the query")
    add_input(parser, "a JSON array of all arguments, or any other JSON value as the only one (default: no arguments)")
    add_app(parser)
    add_store(parser)


def _query(options: Any) -> int:
    if options.app is None:
        remedy = "name the app whose code answers: --app module:app"
        raise InvalidOption(name="--app", value="''", fact="is missing", remedy=remedy)
    args = arguments_of(options.input)

    async def query(app: Perdure) -> Any:
        return await handle_of(app, options).query(options.name, *args)

    print_json(ask(options, query))
    return Exit.OK


def _add_result(parser: Parser) -> None:
    add_id(parser)
    parser.add_argument("--timeout", type=float, metavar="SECONDS", help="give up after so long (default: never)")
    add_app(parser)
    add_store(parser)


def _result(options: Any) -> int:
    async def result(app: Perdure) -> Any:
        try:
            async with asyncio.timeout(options.timeout):
                return await handle_of(app, options).result()
        except TimeoutError as error:
            raise StillRunning(workflow_id=options.id, timeout_s=options.timeout) from error

    print_json(ask(options, result))
    return Exit.OK


VERBS = (
    Verb(("workflow", "list"), "list runs, newest first", _add_list, _list),
    Verb(("workflow", "count"), "count runs", _add_count, _count),
    Verb(("workflow", "show"), "show a run: its state, what it waits for, its outcome, its history", _add_show, _show),
    Verb(("workflow", "query"), "ask a run something and print the answer", _add_query, _query),
    Verb(("workflow", "result"), "wait for the result of a run and print it", _add_result, _result),
)
