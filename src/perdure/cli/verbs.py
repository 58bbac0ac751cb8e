"""What a verb of the command line is, and the options that several verbs share."""

import argparse
from collections.abc import Callable
from typing import Any, NamedTuple, NoReturn

from perdure.core.errors import InvalidCommand
from perdure.core.store import RunStatus


class Parser(argparse.ArgumentParser):
    """Raises `InvalidCommand` instead of printing its usage and ending the process."""

    def error(self, message: str) -> NoReturn:
        """Refuse the command line."""
        raise InvalidCommand(problem=message, remedy=f"`{self.prog} --help` shows what it takes")


class Verb(NamedTuple):
    """One command: its words after `perdure`, one line about it, its arguments, and what it does."""

    words: tuple[str, ...]
    summary: str
    add_arguments: Callable[[Parser], object]
    act: Callable[[Any], int]
    """Takes the parsed arguments, returns the exit code; errors are raised."""


def add_store(parser: Parser) -> None:
    """`--store`."""
    parser.add_argument(
        "--store",
        metavar="URL",
        help="the store, such as sqlite:///shop.db (default: the variable PERDURE_STORE, else the app's own)",
    )


def add_app(parser: Parser) -> None:
    """`--app`."""
    parser.add_argument("--app", metavar="MODULE:APP", help="take the store and the definitions of this app")


def add_output(parser: Parser) -> None:
    """`-o`."""
    parser.add_argument(
        "-o", "--output", choices=("table", "json"), default="table", help="for people or for programs (default: table)"
    )


def add_input(parser: Parser, what: str) -> None:
    """`--input`."""
    parser.add_argument("--input", metavar="JSON", help=f"{what}; @FILE reads it from a file, - from standard input")


def add_id(parser: Parser) -> None:
    """The workflow id and `--run`."""
    parser.add_argument("id", metavar="ID", help="the workflow id")
    parser.add_argument("--run", metavar="RUN", help="one run of it (default: the open one, else the last one)")


def add_filter(parser: Parser) -> None:
    """`--query`."""
    parser.add_argument("--query", metavar="FILTER", default="", help="only runs that fit this filter")


def add_runs(parser: Parser) -> None:
    """`--query`, `--status` and what else chooses runs."""
    add_filter(parser)
    parser.add_argument("--status", choices=[status.value for status in RunStatus], help="only runs in this state")
    parser.add_argument("--type", metavar="NAME", help="only runs of this workflow")
    parser.add_argument("--id-prefix", metavar="TEXT", help="only workflow ids that begin so")
    parser.add_argument("--parked", action="store_true", help="only runs that cannot go on")
    parser.add_argument(
        "--limit", type=int, default=100, metavar="N", help="at most so many, newest first (default: 100)"
    )
