"""`perdure workflow start`, `signal`, `update`, `cancel`, `terminate` and `resume`: telling runs something, durably."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, cast

from perdure.app import Perdure
from perdure.cli.clients import ask, handle_of
from perdure.cli.exits import Exit
from perdure.cli.inputs import arguments_of, value_of
from perdure.cli.output import print_fields, print_json
from perdure.cli.verbs import Parser, Verb, add_app, add_id, add_input, add_output, add_store
from perdure.core.errors import StillRunning
from perdure.handle import Handle
from perdure.programs.code.ranks import RANK_KEYWORDS, RankKeywords


def _add_start(parser: Parser) -> None:
    parser.add_argument("name", metavar="NAME", help="the workflow's registered name")
    add_input(parser, "a JSON array of all arguments, or any other JSON value as the only one (default: no arguments)")
    parser.add_argument("--id", help="the workflow id (default: a fresh one)")
    parser.add_argument("--queue", help="the task queue of the workers that know it (default: the app's, else default)")
    parser.add_argument("--request-id", metavar="ID", help="starting again with the same one gives the same run")
    parser.add_argument(
        "--priority", type=int, metavar="1..5", help="of its activities: lower ones go first (default: 3)"
    )
    parser.add_argument("--fairness-key", metavar="KEY", help="whom it is done for: keys share a task queue fairly")
    parser.add_argument(
        "--fairness-weight", type=float, metavar="WEIGHT", help="how large the key's share is (default: 1)"
    )
    add_app(parser)
    add_store(parser)
    add_output(parser)


def _start(options: Any) -> int:
    args = arguments_of(options.input)

    async def start(app: Perdure) -> Handle[Any]:
        # Without an app nothing can be known of the name; with one, a name that it lacks is a mistake.
        queue = options.queue or (None if options.app else app.queue)
        ranks = {name: getattr(options, name) for name in sorted(RANK_KEYWORDS)}
        given = cast(RankKeywords, {name: value for name, value in ranks.items() if value is not None})
        request_id = options.request_id
        return await app.start_by_name(options.name, *args, id=options.id, queue=queue, request_id=request_id, **given)

    started = ask(options, start, creates=True)
    if options.output == "json":
        print_json({"workflow_id": started.workflow_id, "run_id": started.run_id})
    else:
        print_fields([("workflow id", started.workflow_id), ("run id", started.run_id)])
    return Exit.OK


def _add_signal(parser: Parser) -> None:
    add_id(parser)
    parser.add_argument("name", metavar="NAME", help="the signal")
    add_input(parser, "its value as JSON (default: null)")
    parser.add_argument("--request-id", metavar="ID", help="sending again with the same one changes nothing")
    add_app(parser)
    add_store(parser)


def _signal(options: Any) -> int:
    value = value_of(options.input)

    async def send(app: Perdure) -> None:
        await handle_of(app, options).signal(options.name, value, request_id=options.request_id)

    ask(options, send)
    return Exit.OK


def _add_update(parser: Parser) -> None:
    add_id(parser)
    parser.add_argument("name", metavar="NAME", help="the update")
    add_input(parser, "a JSON array of all arguments, or any other JSON value as the only one (default: no arguments)")
    parser.add_argument("--update-id", metavar="ID", help="sending again with the same one gives the answer it had")
    parser.add_argument("--timeout", type=float, metavar="SECONDS", help="give up after so long (default: never)")
    add_app(parser)
    add_store(parser)


def _update(options: Any) -> int:
    args = arguments_of(options.input)

    async def update(app: Perdure) -> Any:
        try:
            async with asyncio.timeout(options.timeout):
                return await handle_of(app, options).update(options.name, *args, id=options.update_id)
        except TimeoutError as error:
            raise StillRunning(workflow_id=options.id, timeout_s=options.timeout) from error

    print_json(ask(options, update))
    return Exit.OK


def _add_reasoned(parser: Parser) -> None:
    add_id(parser)
    parser.add_argument("--reason", default="", metavar="TEXT", help="recorded in the history")
    add_app(parser)
    add_store(parser)


def _add_resume(parser: Parser) -> None:
    add_id(parser)
    add_app(parser)
    add_store(parser)


def _add_message(parser: Parser) -> None:
    add_id(parser)
    parser.add_argument("message", metavar="MESSAGE", help="the id of a waiting message, as `workflow show` lists it")
    parser.add_argument("--reason", default="", metavar="TEXT", help="recorded in the history")
    add_app(parser)
    add_store(parser)


def _add_edit(parser: Parser) -> None:
    _add_message(parser)
    add_input(parser, "its new value as JSON (default: null)")


def _edit(options: Any) -> int:
    value = value_of(options.input)

    async def edit(app: Perdure) -> None:
        await handle_of(app, options).edit(options.message, value, options.reason)

    ask(options, edit)
    return Exit.OK


def _add_reset(parser: Parser) -> None:
    _add_reasoned(parser)
    parser.add_argument("--turn", type=int, metavar="N", help="keep turns 1 to N; -1 keeps all but the last")
    parser.add_argument("--event", type=int, metavar="ID", help="keep the turns that were complete at this event")
    parser.add_argument("--no-signals", action="store_true", help="do not tell later signals and updates again")
    parser.add_argument("--request-id", metavar="ID", help="doing it again with the same one gives the same run")
    add_output(parser)


def _add_fork(parser: Parser) -> None:
    _add_reset(parser)
    parser.add_argument("--as", dest="new_id", required=True, metavar="ID", help="the workflow id of the new run")


def _begin_again(options: Any) -> int:
    point = {"turn": options.turn, "event": options.event, "reason": options.reason, "request_id": options.request_id}

    async def begin(app: Perdure) -> Handle[Any]:
        handle, signals = handle_of(app, options), not options.no_signals
        if getattr(options, "new_id", None) is None:
            return await handle.reset(**point, reapply_signals=signals)
        return await handle.fork(id=options.new_id, **point, reapply_signals=signals)

    begun = ask(options, begin)
    if options.output == "json":
        print_json({"workflow_id": begun.workflow_id, "run_id": begun.run_id})
    else:
        print_fields([("workflow id", begun.workflow_id), ("run id", begun.run_id)])
    return Exit.OK


def _telling(tell: Callable[[Handle[Any], Any], Awaitable[None]]) -> Callable[[Any], int]:
    def act(options: Any) -> int:
        async def told(app: Perdure) -> None:
            await tell(handle_of(app, options), options)

        ask(options, told)
        return Exit.OK

    return act


VERBS = (
    Verb(("workflow", "start"), "start a run of a workflow by name; workers do the rest", _add_start, _start),
    Verb(("workflow", "signal"), "send a signal to a run", _add_signal, _signal),
    Verb(("workflow", "update"), "send an update to a run, wait for its answer and print it", _add_update, _update),
    Verb(
        ("workflow", "cancel"),
        "ask a run to cancel itself; its code may clean up",
        _add_reasoned,
        _telling(lambda handle, options: handle.cancel(options.reason)),
    ),
    Verb(
        ("workflow", "terminate"),
        "end a run at once, without running its code",
        _add_reasoned,
        _telling(lambda handle, options: handle.terminate(options.reason)),
    ),
    Verb(
        ("workflow", "pause"),
        "let a run take no turn until it is resumed",
        _add_reasoned,
        _telling(lambda handle, options: handle.pause(options.reason)),
    ),
    Verb(
        ("workflow", "skip"),
        "drop a message that a parked run cannot take",
        _add_message,
        _telling(lambda handle, options: handle.skip(options.message, options.reason)),
    ),
    Verb(("workflow", "edit"), "change a message that a parked run cannot take", _add_edit, _edit),
    Verb(("workflow", "reset"), "let a new run go on from an earlier turn of this one", _add_reset, _begin_again),
    Verb(
        ("workflow", "fork"),
        "start a run under another id with the first turns of this one",
        _add_fork,
        _begin_again,
    ),
    Verb(
        ("workflow", "delete"),
        "delete a closed run with its history",
        _add_resume,
        _telling(lambda handle, _: handle.delete()),
    ),
    Verb(
        ("workflow", "resume"),
        "let a paused run go on, or a parked one try again, after its cause was mended",
        _add_resume,
        _telling(lambda handle, _: handle.resume()),
    ),
)
