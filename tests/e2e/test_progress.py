"""Progress and status: said by a run, read by handles, followed, drawn, and shown on the command line."""

import asyncio
import io
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import pytest

from perdure import Perdure, Progress, RunStatus, workflow
from perdure.cli import main
from perdure.core.errors import InvalidOption


def counting(url: str) -> Perdure:
    """An app whose workflow tells how far it is."""
    app = Perdure(url)

    @app.workflow
    async def count(total: int) -> str:
        workflow.set_status("counting")
        for number in range(total):
            workflow.set_progress(number, total, f"item {number}")
            await workflow.channel("go").receive()
        workflow.set_progress(total, total)
        workflow.set_status("")
        return "counted"

    return app


async def test_a_handle_reads_the_last_word_of_a_run() -> None:
    async with counting("memory://") as app:
        handle = await app.start_by_name("count", 2, id="c")
        first = await handle.progress()
        await handle.signal("go")
        await handle.signal("go")

        assert await handle.result() == "counted"

        assert first == Progress(0, 2, "item 0", "counting")
        assert await handle.progress() == Progress(2, 2, run_status=RunStatus.COMPLETED)


async def test_changes_are_followed_to_the_end() -> None:
    async with counting("memory://") as app:
        handle = await app.start_by_name("count", 3, id="c")
        seen: list[float] = []
        async for progress in handle.watch_progress():
            seen.append(progress.done)
            if progress.run_status is RunStatus.RUNNING:
                await handle.signal("go")

        assert seen[0] == 0
        assert seen[-1] == 3
        assert seen == sorted(seen)


async def test_a_run_that_said_nothing_has_no_progress() -> None:
    app = Perdure("memory://")

    @app.workflow
    async def silent() -> None: ...

    async with app:
        handle = await app.start(silent)
        await handle.result()

        assert await handle.progress() == Progress(run_status=RunStatus.COMPLETED)
        assert (await handle.describe()).run.progress is None


async def test_a_bar_is_drawn_until_the_run_closes() -> None:
    async with counting("memory://") as app:
        handle = await app.start_by_name("count", 1, id="c")
        shown = io.StringIO()
        with redirect_stdout(shown):
            drawing = asyncio.ensure_future(handle.progress_bar())
            await handle.signal("go")
            assert await drawing == "counted"

        assert "1/1" in shown.getvalue()


async def test_what_is_no_amount_is_refused() -> None:
    app = Perdure("memory://")

    @app.workflow
    async def bad() -> list[str]:
        found: list[str] = []
        wrong: list[Any] = [(-1, 1, ""), (float("nan"), 1, ""), (0, 0, ""), ("1", 1, ""), (1, 1, "x" * 2_000)]
        for each in wrong:
            try:
                workflow.set_progress(*each)
            except InvalidOption as error:
                found.append(error.code)
        return found

    async with app:
        assert await (await app.start(bad)).result() == ["PDR1002"] * 5


def test_the_command_line_shows_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    url = f"sqlite:///{tmp_path}/shop.db"
    app = counting(url)

    async def start() -> None:
        async with app:
            handle = await app.start_by_name("count", 2, id="c")
            assert (await handle.describe()).run.progress == Progress(0, 2, "item 0", "counting")

    asyncio.run(start())

    assert main(["progress", "c", "--store", url]) == 0

    assert capsys.readouterr().out == "running: 0/2 item 0 (counting)\n"
