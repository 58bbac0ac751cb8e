"""The command line. One module a noun; this one finds the verb and turns what happened into an exit code."""

import difflib
import io
import logging
import os
import shlex
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version

from perdure.cli import (
    activity,
    blobs,
    builds,
    bulk,
    check,
    fsck,
    inspect,
    progress,
    replay,
    run,
    schedule,
    tell,
    worker,
)
from perdure.cli.exits import Advice, Exit, exit_of, line_of
from perdure.cli.output import one_line, print_error
from perdure.cli.targets import store_url
from perdure.cli.verbs import Parser, Verb
from perdure.core.errors import InvalidCommand, PerdureError

__all__ = ["main"]

VERBS: tuple[Verb, ...] = (
    *run.VERBS,
    *worker.VERBS,
    *inspect.VERBS,
    *tell.VERBS,
    *bulk.VERBS,
    *schedule.VERBS,
    *activity.VERBS,
    *progress.VERBS,
    *check.VERBS,
    *builds.VERBS,
    *replay.VERBS,
    *fsck.VERBS,
    *blobs.VERBS,
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Carry out one command line; return its exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    for stream in (sys.stdout, sys.stderr):
        # Ids may hold characters that the terminal's encoding lacks.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    if not words or words[0] in ("-h", "--help", "help"):
        print(usage())
        return Exit.OK
    if words[0] in ("-V", "--version"):
        print(f"perdure {_version()}")
        return Exit.OK
    logging.lastResort = _Lines()
    advice = Advice("perdure --help", store_url(None))
    try:
        verb = _verb(words)
        advice = advice._replace(usage=f"perdure {' '.join(verb.words)} --help")
        parsed = _parser(verb).parse_args(words[len(verb.words) :])
        advice = advice._replace(store=getattr(parsed, "store", None) or advice.store)
        return verb.act(parsed)
    except PerdureError as error:
        print_error(line_of(error, advice))
        return exit_of(error)
    except BrokenPipeError:
        # Whoever read the output has gone; Python would complain once more at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.OK
    except KeyboardInterrupt:
        return Exit.INTERRUPTED


def usage() -> str:
    """Every verb with one line."""
    names = [" ".join(verb.words) for verb in VERBS]
    width = max(map(len, names))
    lines = [f"  {name:{width}}  {verb.summary}" for name, verb in zip(names, VERBS, strict=True)]
    return "\n".join(["usage: perdure COMMAND [ARGUMENTS...]   (COMMAND --help says more)", "", *lines])


def _verb(words: Sequence[str]) -> Verb:
    for verb in VERBS:
        if tuple(words[: len(verb.words)]) == verb.words:
            return verb
    asked = " ".join(shlex.quote(word) for word in words[:2] if not word.startswith("-"))
    near = difflib.get_close_matches(asked, [" ".join(verb.words) for verb in VERBS], 1)
    remedy = f"did you mean `perdure {near[0]}`?" if near else "`perdure --help` lists them all"
    raise InvalidCommand(problem=f"there is no command {asked or words[0]!r}", remedy=remedy)


def _parser(verb: Verb) -> Parser:
    parser = Parser(prog=f"perdure {' '.join(verb.words)}", description=verb.summary, allow_abbrev=False)
    verb.add_arguments(parser)
    return parser


def _version() -> str:
    try:
        return version("perdure")
    except PackageNotFoundError:
        return "(not installed)"


class _Lines(logging.Handler):
    """Where nobody set up logging: warnings and errors as one line each, without a traceback."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)

    def emit(self, record: logging.LogRecord) -> None:
        """Print the record."""
        print_error(one_line(f"{record.levelname.lower()}: {record.getMessage()}"))
