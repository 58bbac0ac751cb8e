"""`perdure replay` and `perdure workflow export`: recorded histories, and today's code."""

import sys
import time
from collections.abc import AsyncIterator
from typing import Any

import msgspec

from perdure.app import LIST_MAX, Perdure
from perdure.cli.clients import ask
from perdure.cli.exits import Exit
from perdure.cli.output import one_line, print_error, print_json
from perdure.cli.targets import load_app
from perdure.cli.verbs import Parser, Verb, add_app, add_output, add_runs, add_store
from perdure.core.errors import InvalidOption
from perdure.description import RunSummary
from perdure.testing.histories import RecordedHistory, Replayed, load, record, replay

PROGRESS_S = 1.0
"""So often a terminal is told how far it is."""


async def _chosen(app: Perdure, options: Any) -> AsyncIterator[RunSummary]:
    """The runs that the options choose, newest first."""
    if options.limit < 1:
        remedy = "give a whole number from 1 on"
        raise InvalidOption(name="--limit", value=str(options.limit), fact="is out of bounds", remedy=remedy)
    left, before = options.limit, None
    while left > 0:
        page = await app.list(
            options.query,
            status=options.status,
            workflow=options.type,
            id_prefix=options.id_prefix,
            parked=True if options.parked else None,
            limit=min(left, LIST_MAX),
            before=before,
        )
        for run in page:
            yield run
        if len(page) < min(left, LIST_MAX):
            return
        left -= len(page)
        before = page[-1].run_id


# perdure workflow export


def _add_export(parser: Parser) -> None:
    parser.add_argument(
        "id", metavar="ID", nargs="?", help="the workflow id (default: all runs that the options choose)"
    )
    parser.add_argument("--run", metavar="RUN", help="one run of it (default: the open one, else the last one)")
    add_runs(parser)
    add_app(parser)
    add_store(parser)


def _export(options: Any) -> int:
    async def export(app: Perdure) -> int:
        if options.id is not None:
            _print_history(await record(app, options.id, options.run))
            return 1
        count = 0
        async for run in _chosen(app, options):
            _print_history(await record(app, run.workflow_id, run.run_id))
            count += 1
        return count

    count = ask(options, export)
    print_error(f"perdure: {count} histories exported")
    return Exit.OK


def _print_history(history: RecordedHistory) -> None:
    print(msgspec.json.encode(history).decode())


# perdure replay


def _add_replay(parser: Parser) -> None:
    parser.add_argument("files", metavar="FILE|DIR", nargs="*", help="recorded histories (default: those of the store)")
    add_app(parser)
    add_runs(parser)
    add_store(parser)
    add_output(parser)


def _replay(options: Any) -> int:
    if options.app is None:
        remedy = "name the app whose code is to replay: --app module:app"
        raise InvalidOption(name="--app", value="''", fact="is missing", remedy=remedy)
    told = _Telling(quiet=options.output == "json")
    skipped = 0
    if options.files:
        replay(load_app(options.app), [each for path in options.files for each in load(path)], told.hear)
    else:
        skipped = ask(options, lambda app: _replay_store(app, options, told))
    told.end(skipped)
    if options.output == "json":
        print_json(told.heard)
    return Exit.FAILED if told.unclean else Exit.OK


async def _replay_store(app: Perdure, options: Any, told: "_Telling") -> int:
    """Replay runs of the store; returns how many were left out, as the app does not know their workflow."""
    skipped = 0
    async for run in _chosen(app, options):
        if run.workflow_type in app.registry.workflow_types:
            replay(app, [await record(app, run.workflow_id, run.run_id)], told.hear)
        else:
            skipped += 1
    return skipped


class _Telling:
    """Hears of each replay; tells what is not clean at once, and how far it is now and then."""

    def __init__(self, *, quiet: bool) -> None:
        self.heard: list[Replayed] = []
        self.unclean = 0
        self._quiet = quiet
        self._shown_at_s = time.monotonic()
        self._terminal = sys.stderr.isatty()

    def hear(self, replayed: Replayed) -> None:
        """One more."""
        self.heard.append(replayed)
        mismatch = replayed.mismatch
        if mismatch is not None:
            self.unclean += 1
            if not self._quiet:
                where = "" if mismatch.where is None else f"{mismatch.where}: "
                found = f"{mismatch.code}: turn {mismatch.turn}, event {mismatch.event} of run {replayed.run_id}"
                what = mismatch.message.removeprefix(f"{mismatch.code}: ")
                if mismatch.asked is not None:
                    what = f"history has {mismatch.recorded}, the code asks for {mismatch.asked}"
                print(one_line(f"{where}{found} ({replayed.workflow} {replayed.workflow_id!r}): {what}"))
        if self._terminal and time.monotonic() - self._shown_at_s > PROGRESS_S:
            self._shown_at_s = time.monotonic()
            print_error(f"perdure: {len(self.heard)} replayed, {self.unclean} not clean ...")

    def end(self, skipped: int) -> None:
        """The sum."""
        rest = f"; {skipped} runs of workflows that this app does not know were left out" if skipped else ""
        clean = len(self.heard) - self.unclean
        print_error(f"perdure: {len(self.heard)} histories replayed, {clean} clean, {self.unclean} not{rest}")


VERBS = (
    Verb(("workflow", "export"), "print histories, one JSON object a line, for `perdure replay`", _add_export, _export),
    Verb(("replay",), "replay recorded histories against the code of today", _add_replay, _replay),
)
