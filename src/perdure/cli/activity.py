"""`perdure activity complete` and `fail`: ending an activity from outside, by its token or by hand."""

from typing import Any

from perdure.app import Perdure
from perdure.cli.clients import ask
from perdure.cli.exits import Exit
from perdure.cli.inputs import value_of
from perdure.cli.verbs import Parser, Verb, add_app, add_input, add_store
from perdure.core.errors import InvalidCommand
from perdure.engine.completing import ActivityRef


def _add_target(parser: Parser) -> None:
    parser.add_argument("token", nargs="?", metavar="TOKEN", help="the activity's token")
    parser.add_argument("--id", metavar="ID", help="instead of a token: the workflow id, with --activity")
    parser.add_argument("--run", metavar="RUN", help="one run of it (default: the open one)")
    parser.add_argument(
        "--activity", metavar="NAME", help="the activity's name, or its call id where a name fits several"
    )


def _target(options: Any) -> "str | ActivityRef":
    if (options.token is None) == (options.id is None) or (options.id is None) != (options.activity is None):
        raise InvalidCommand(problem="it is not said which activity", remedy="give TOKEN, or --id ID --activity NAME")
    if options.token is not None:
        return str(options.token)
    named = str(options.activity)
    return ActivityRef(options.id, int(named) if named.isascii() and named.isdigit() else named, options.run)


def _add_complete(parser: Parser) -> None:
    _add_target(parser)
    add_input(parser, "its result as JSON (default: null)")
    add_app(parser)
    add_store(parser)


def _complete(options: Any) -> int:
    target, result = _target(options), value_of(options.input)

    async def complete(app: Perdure) -> None:
        await app.activities.complete(target, result)

    ask(options, complete)
    return Exit.OK


def _add_fail(parser: Parser) -> None:
    _add_target(parser)
    parser.add_argument("--reason", default="failed by hand", metavar="TEXT", help="the message of its failure")
    add_app(parser)
    add_store(parser)


def _fail(options: Any) -> int:
    target = _target(options)

    async def fail(app: Perdure) -> None:
        await app.activities.fail(target, options.reason)

    ask(options, fail)
    return Exit.OK


VERBS = (
    Verb(("activity", "complete"), "give an activity its result from outside", _add_complete, _complete),
    Verb(("activity", "fail"), "say that an activity failed; its retry policy decides what follows", _add_fail, _fail),
)
