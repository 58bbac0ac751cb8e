"""`perdure progress`: what a run says of how far it is, once or until it closes."""

from typing import Any

from perdure.app import Perdure
from perdure.cli.clients import ask, handle_of
from perdure.cli.exits import Exit
from perdure.cli.output import one_line, print_json
from perdure.cli.verbs import Parser, Verb, add_app, add_id, add_output, add_store


def _add_progress(parser: Parser) -> None:
    add_id(parser)
    parser.add_argument("--follow", action="store_true", help="go on until the run closes, with a line for each change")
    add_app(parser)
    add_store(parser)
    add_output(parser)


def _progress(options: Any) -> int:
    async def show(app: Perdure) -> None:
        async for progress in handle_of(app, options).watch_progress():
            if options.output == "json":
                print_json(progress)
            else:
                print(f"{progress.run_status.value}: {one_line(str(progress))}", flush=True)
            if not options.follow:
                return

    ask(options, show)
    return Exit.OK


VERBS = (Verb(("progress",), "what a run says of how far it is", _add_progress, _progress),)
