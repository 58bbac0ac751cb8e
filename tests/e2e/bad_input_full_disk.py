"""A program for `test_bad_input_stores`: the disk fills while it works, and space comes back. Prints what it saw."""

import asyncio
import json
import logging
import resource
import sys
import time
from collections.abc import Awaitable
from pathlib import Path

from perdure import Perdure, StoreError, workflow
from perdure.testing.invariants import fsck

RUNS_COUNT = 20
STEPS_COUNT = 100
STEP_CHARS = 4_000


class Warnings(logging.Handler):
    """Keeps the messages."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.texts: list[str] = []
        self.full = asyncio.Event()
        self._loop = asyncio.get_running_loop()

    def emit(self, record: logging.LogRecord) -> None:
        """Keep one."""
        self.texts.append(record.getMessage())
        if "PDR4002" in self.texts[-1]:
            self._loop.call_soon_threadsafe(self.full.set)


def leave_room(room_bytes: int | None, path: Path) -> None:
    """From now on no file of this process grows past the database's size and `room_bytes`; None: as far as it likes."""
    files = [path, path.with_name(f"{path.name}-wal")]
    size = max((file.stat().st_size for file in files if file.exists()), default=0)
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard if room_bytes is None else size + room_bytes, hard))


async def code_of(verb: Awaitable[object]) -> str:
    """The code of the error that a verb raises, "done" if it raises none, "waits" if it takes its time."""
    try:
        async with asyncio.timeout(5):
            await verb
    except StoreError as error:
        return error.code
    except TimeoutError:
        return "waits"
    return "done"


async def main(path: Path) -> dict[str, object]:
    """Fill the disk, look, make room, look again."""
    app = Perdure(f"sqlite:///{path}")
    warnings = Warnings()
    logging.getLogger("perdure").addHandler(warnings)

    @app.activity
    async def grow(number: int) -> str:
        return str(number % 10) * STEP_CHARS

    @app.workflow
    async def steps(count: int) -> int:
        return sum([len(await grow(number)) for number in range(count)])

    @app.workflow
    async def told(_: str = "") -> str:
        return await workflow.channel("go", str).receive()

    large = "x" * 300_000
    seen: dict[str, object] = {}
    async with app:
        seen["before"] = await (await app.start(steps, 2, id="before")).result()
        handles = [await app.start(steps, STEPS_COUNT, id=f"run-{number}") for number in range(RUNS_COUNT)]
        waiting = await app.start(told, id="told")
        leave_room(50_000, path)
        async with asyncio.timeout(20):
            await warnings.full.wait()
        seen["start"] = await code_of(app.start(told, large, id="while full"))
        seen["signal"] = await code_of(waiting.signal("go", large))
        seen["reads"] = len(await app.list(limit=1_000)) >= RUNS_COUNT + 1
        leave_room(None, path)
        freed_s = time.monotonic()
        async with asyncio.timeout(30):
            results = [await handle.result() for handle in handles]
        seen["resumed_after_s"] = round(time.monotonic() - freed_s, 1)
        seen["results"] = results == [STEPS_COUNT * STEP_CHARS] * RUNS_COUNT
        await waiting.signal("go", "small")
        seen["told"] = await waiting.result()
        seen["after"] = await (await app.start(steps, 2, id="after")).result()
        report = await app.call(lambda engine: fsck(engine.store))
        seen["violations"] = [str(each) for each in report.violations]
    seen["warnings"] = len(warnings.texts)
    seen["warning"] = next(text for text in warnings.texts if "PDR4002" in text)
    return seen


if __name__ == "__main__":
    sys.stdout.write(json.dumps(asyncio.run(main(Path(sys.argv[1])))))
