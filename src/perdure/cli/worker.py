"""`perdure worker`: a process that works until it is told to stop."""

import logging
from typing import Any

from perdure.cli.exits import Exit
from perdure.cli.output import one_line, print_error
from perdure.cli.targets import load_app, required_store
from perdure.cli.verbs import Parser, Verb, add_store


def _add_worker(parser: Parser) -> None:
    parser.add_argument("app", metavar="MODULE:APP", help="the app; its module may be in the working directory")
    add_store(parser)


def _worker(options: Any) -> int:
    app = load_app(options.app)
    app.use_store(required_store(options.store, app))
    # Does nothing where the app's module set up logging.
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    workflows, activities = len(app.registry.workflow_types), len(app.registry.activities)
    known = f"{workflows} workflows, {activities} activities"
    print_error(one_line(f"perdure: working on {app.url}, queue {app.queue}: {known}; Ctrl-C or SIGTERM ends it"))
    app.serve()
    print_error("perdure: stopped; what was not finished is given back")
    return Exit.OK


VERBS = (
    Verb(("worker",), "work on what the store holds until SIGTERM or Ctrl-C, then give back", _add_worker, _worker),
)
