"""`perdure run`: one workflow to its result, in this process."""

import signal
from typing import Any

from perdure.cli.exits import Exit
from perdure.cli.inputs import arguments_of, check_arguments
from perdure.cli.output import one_line, print_error, print_json
from perdure.cli.targets import load_workflow, store_url
from perdure.cli.verbs import Parser, Verb, add_input, add_store
from perdure.core.ids import checked_id


def _add_run(parser: Parser) -> None:
    parser.add_argument(
        "workflow", metavar="MODULE:WORKFLOW", help="what to run; its module may be in the working directory"
    )
    add_input(parser, "a JSON array of all arguments, or any other JSON value as the only one (default: no arguments)")
    parser.add_argument(
        "--id", help="the workflow id; an interrupted run goes on under the same one (default: a fresh one)"
    )
    add_store(parser)


def _run(options: Any) -> int:
    app, workflow = load_workflow(options.workflow)
    args = arguments_of(options.input)
    check_arguments(workflow, args)
    url = store_url(options.store)
    if url is not None:
        app.use_store(url)
    workflow_id = app.new_id() if options.id is None else checked_id("workflow id", options.id)
    terminated = _terminate_as_interrupt()
    function: Any = workflow
    try:
        result = app.run(function, *args, id=workflow_id)
    except KeyboardInterrupt:
        print_error(one_line(f"perdure: interrupted; the same command with --id {workflow_id} goes on"))
        return Exit.TERMINATED if terminated else Exit.INTERRUPTED
    print_json(result)
    return Exit.OK


def _terminate_as_interrupt() -> list[int]:
    """Make SIGTERM drain and give back as SIGINT does; the list holds its number once it came."""
    came: list[int] = []

    def interrupt(number: int, _: object) -> None:
        came.append(number)
        signal.raise_signal(signal.SIGINT)

    signal.signal(signal.SIGTERM, interrupt)
    # A shell that starts it in the background has it ignore SIGINT: then SIGTERM would do nothing either.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    return came


VERBS = (Verb(("run",), "run a workflow to its result in this process and print it", _add_run, _run),)
