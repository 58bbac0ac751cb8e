"""`perdure blobs sweep`: deletes contents of a claim check that no run points to any more."""

import asyncio
from typing import Any

from perdure.cli.clients import existing_store
from perdure.cli.exits import Exit
from perdure.cli.output import print_json
from perdure.cli.targets import load_app
from perdure.cli.verbs import Parser, Verb, add_output
from perdure.core.errors import InvalidOption
from perdure.data.claims import ClaimCheck
from perdure.data.sweep import LEAST_AGE_MS, Swept, sweep
from perdure.engine.clock import SystemClock
from perdure.programs.code.options import duration_ms
from perdure.stores import store_for


def _add_sweep(parser: Parser) -> None:
    # No --store: contents that another store points to must never be compared with this one's runs.
    parser.add_argument(
        "--app", metavar="MODULE:APP", required=True, help="the app, with its store and its claim check"
    )
    parser.add_argument(
        "--older-than", metavar="TIME", default="1d", help="only what was last written so long ago (default: 1d)"
    )
    parser.add_argument("--dry-run", action="store_true", help="only count what would go")
    add_output(parser)


def _sweep(options: Any) -> int:
    app = load_app(options.app)
    if app.data.claim_check is None:
        remedy = "name one that was made with claim_check="
        raise InvalidOption(name="--app", value=options.app, fact="has no claim check", remedy=remedy)
    age_ms = duration_ms("--older-than", options.older_than)
    if age_ms < LEAST_AGE_MS:
        fact, remedy = "is too short: a commit may be on its way", "give 1h or more"
        raise InvalidOption(name="--older-than", value=options.older_than, fact=fact, remedy=remedy)
    written_before_ms = SystemClock().now_ms() - age_ms
    url = existing_store(app.url)
    swept = asyncio.run(_swept(url, app.data.claim_check, written_before_ms, dry=options.dry_run))
    if options.output == "json":
        print_json(swept)
    else:
        verb = "would be deleted" if options.dry_run else "deleted"
        print(f"{len(swept.swept)} contents {verb}, {swept.pointed_to_count} are pointed to")
    return Exit.OK


async def _swept(url: str, check: ClaimCheck, written_before_ms: int, *, dry: bool) -> Swept:
    store = store_for(url)
    await store.open()
    try:
        return await sweep(store, check.blobs, written_before_ms, dry=dry)
    finally:
        await store.close()


VERBS = (Verb(("blobs", "sweep"), "delete large payloads that no run points to any more", _add_sweep, _sweep),)
