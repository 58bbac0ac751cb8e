"""`perdure bulk cancel`, `terminate`, `signal`, `reset`, `delete` and `show`: one thing done to all runs that fit."""

import shlex
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

from perdure.app import Perdure
from perdure.bulk import RATE, BulkHandle, BulkKeywords
from perdure.cli.clients import ask
from perdure.cli.exits import Exit
from perdure.cli.inputs import value_of
from perdure.cli.output import print_error, print_fields, print_json, print_table
from perdure.cli.verbs import Parser, Verb, add_app, add_input, add_output, add_store
from perdure.core.store import RunStatus
from perdure.programs.bulk.plan import BulkAction, BulkProgress, BulkResult

Begin: TypeAlias = Callable[[Perdure, Any, BulkKeywords], Awaitable[BulkHandle]]


def _add_verb(parser: Parser) -> None:
    parser.add_argument("--query", metavar="FILTER", required=True, help="the runs that fit this filter")
    parser.add_argument("--yes", action="store_true", help="do it (default: only count the runs that fit)")
    parser.add_argument("--wait", action="store_true", help="wait until it is done")
    parser.add_argument("--rate", type=float, default=RATE, metavar="N", help=f"runs a second (default: {RATE:g})")
    parser.add_argument("--id", metavar="ID", help="names the operation (default: a fresh one)")
    parser.add_argument("--request-id", metavar="ID", help="starting again with the same one gives the same operation")
    add_app(parser)
    add_store(parser)
    add_output(parser)


def _add_reasoned(parser: Parser) -> None:
    _add_verb(parser)
    parser.add_argument("--reason", default="", metavar="TEXT", help="recorded in the histories")


def _add_signal(parser: Parser) -> None:
    parser.add_argument("name", metavar="NAME", help="the signal")
    add_input(parser, "its value as JSON (default: null)")
    _add_verb(parser)


def _add_reset(parser: Parser) -> None:
    parser.add_argument(
        "--turn", type=int, required=True, metavar="N", help="keep turns 1 to N; -1 keeps all but the last"
    )
    parser.add_argument("--no-signals", action="store_true", help="do not tell later signals and updates again")
    _add_reasoned(parser)


def _bulk(action: BulkAction, begin: Begin) -> Callable[[Any], int]:
    def act(options: Any) -> int:
        if not options.yes:
            return _show_count(options, ask(options, lambda app: app.bulk.count(action, options.query)))

        async def carry_out(app: Perdure) -> tuple[str, BulkResult | None]:
            keywords = BulkKeywords(
                reason=getattr(options, "reason", ""),
                rate=options.rate,
                id=options.id,
                request_id=options.request_id,
            )
            handle = await begin(app, options, keywords)
            return handle.id, await handle.result() if options.wait else None

        id, result = ask(options, carry_out)
        return _show(options, id, result)

    return act


def _show_count(options: Any, count: int) -> int:
    if options.output == "json":
        print_json({"count": count})
    else:
        print(count)
    print_error(f"perdure: {count} runs fit; with --yes it is done")
    return Exit.OK


def _show(options: Any, id: str, found: BulkResult | BulkProgress | None) -> int:
    """Print an operation; what failed makes the exit code."""
    failures = found.failures if isinstance(found, BulkResult) else ()
    if options.output == "json":
        print_json({"id": id, "finished": isinstance(found, BulkResult), "result": found})
    elif found is None:
        print_fields([("operation", id)])
        print_error(f"perdure: workers do the rest: perdure bulk show {shlex.quote(id)}")
    else:
        counts = (("runs", found.total), ("done", found.done), ("closed", found.closed), ("failed", found.failed))
        print_fields([("operation", id), *counts])
        if failures:
            print("\nFailures")
            rows = [(each.workflow_id, each.run_id, each.reason) for each in failures]
            print_table(("WORKFLOW ID", "RUN ID", "REASON"), rows)
    return Exit.OK if found is None or not found.failed else Exit.FAILED


def _add_show(parser: Parser) -> None:
    parser.add_argument("id", metavar="ID", help="the operation")
    parser.add_argument("--wait", action="store_true", help="wait until it is done")
    add_store(parser)
    add_output(parser)


def _show_one(options: Any) -> int:
    async def look(app: Perdure) -> BulkResult | BulkProgress:
        handle = app.bulk.handle(options.id)
        run = (await app.handle(options.id).describe()).run
        if options.wait or run.status is not RunStatus.RUNNING:
            return await handle.result()
        return await handle.progress()

    return _show(options, options.id, ask(options, look))


VERBS = (
    Verb(
        ("bulk", "cancel"),
        "ask all open runs that fit to cancel themselves",
        _add_reasoned,
        _bulk(BulkAction.CANCEL, lambda app, options, keywords: app.bulk.cancel(options.query, **keywords)),
    ),
    Verb(
        ("bulk", "terminate"),
        "end all open runs that fit, without running their code",
        _add_reasoned,
        _bulk(BulkAction.TERMINATE, lambda app, options, keywords: app.bulk.terminate(options.query, **keywords)),
    ),
    Verb(
        ("bulk", "signal"),
        "send a signal to all open runs that fit",
        _add_signal,
        _bulk(
            BulkAction.SIGNAL,
            lambda app, options, keywords: app.bulk.signal(
                options.query, options.name, value_of(options.input), **keywords
            ),
        ),
    ),
    Verb(
        ("bulk", "reset"),
        "let all runs that fit go on as new ones from an earlier turn",
        _add_reset,
        _bulk(
            BulkAction.RESET,
            lambda app, options, keywords: app.bulk.reset(
                options.query, turn=options.turn, reapply_signals=not options.no_signals, **keywords
            ),
        ),
    ),
    Verb(
        ("bulk", "delete"),
        "delete all closed runs that fit, with their histories",
        _add_verb,
        _bulk(BulkAction.DELETE, lambda app, options, keywords: app.bulk.delete(options.query, **keywords)),
    ),
    Verb(("bulk", "show"), "how far a bulk operation is, or what came of it", _add_show, _show_one),
)
