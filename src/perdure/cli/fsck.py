"""`perdure fsck`: checks what a store holds against the invariants that the simulator checks too."""

import asyncio
from typing import TYPE_CHECKING, Any

from perdure.cli.clients import existing_store
from perdure.cli.exits import Exit
from perdure.cli.output import print_json, print_table
from perdure.cli.targets import required_store
from perdure.cli.verbs import Parser, Verb, add_output, add_store
from perdure.stores import store_for

if TYPE_CHECKING:
    from perdure.testing.invariants import FsckReport


def _add_fsck(parser: Parser) -> None:
    add_store(parser)
    add_output(parser)


def _fsck(options: Any) -> int:
    report = asyncio.run(_checked(existing_store(required_store(options.store))))
    if options.output == "json":
        print_json(report)
    else:
        if not report.clean:
            print_table(("RUN ID", "VIOLATION"), [(each.run_id, each.text) for each in report.violations])
        print(f"{report.runs_count} runs, {report.turns_count} turns, {len(report.violations)} violations")
    return Exit.OK if report.clean else Exit.FAILED


async def _checked(url: str) -> "FsckReport":
    # Only this command pays for importing the test kit.
    from perdure.testing.invariants import fsck

    store = store_for(url)
    await store.open()
    try:
        return await fsck(store)
    finally:
        await store.close()


VERBS = (Verb(("fsck",), "check everything that a store holds; change nothing", _add_fsck, _fsck),)
