"""A store that does not answer: calls give up in time with a code, and what they asked for can be asked for again."""

import asyncio
import sqlite3
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from perdure import Perdure, RunStatus, StoreError, workflow
from perdure.core.errors import InvalidOption, StoreUnavailable


@contextmanager
def locked(path: Path) -> Generator[None]:
    """Somebody else writes to the file, and does not stop."""
    other = sqlite3.connect(path)
    other.execute("begin immediate")
    try:
        yield
    finally:
        other.rollback()
        other.close()


def shop(path: Path, **options: Any) -> Perdure:
    """An app with a workflow that waits for a word."""
    app = Perdure(f"sqlite:///{path}", **options)

    @app.workflow
    async def patient() -> list[str]:
        words = workflow.channel("word", str)
        return [await words.receive(), await words.receive()]

    return app


@pytest.mark.parametrize("works", [True, False], ids=("worker", "client"))
async def test_a_call_that_gets_no_answer_gives_up_and_can_be_repeated(tmp_path: Path, works: bool) -> None:  # noqa: FBT001
    path = tmp_path / "shop.db"
    app = shop(path, call_timeout="300ms")
    async with app if works else app.client():
        handle = await app.start_by_name("patient", id="a")
        with locked(path):
            with pytest.raises(StoreUnavailable, match=r"PDR4001: .* no answer within 0.3 seconds"):
                await app.start_by_name("patient", id="b", request_id="r")
            with pytest.raises(StoreError):
                await handle.signal("word", "x", request_id="s")

        again = shop(path)
        async with again.client():
            await again.start_by_name("patient", id="b", request_id="r")
            await again.handle("a").signal("word", "x", request_id="s")
            await again.handle("a").signal("word", "y")
            for word in "xy":
                await again.handle("b").signal("word", word)
        if works:
            assert await handle.result() == ["x", "y"]
            assert await app.handle("b").result() == ["x", "y"]

    async with shop(path) as app:
        assert await app.handle("a").result() == ["x", "y"]
        assert await app.handle("b").result() == ["x", "y"]
        assert [run.status for run in await app.list()] == [RunStatus.COMPLETED] * 2


async def test_what_waits_for_a_run_waits_as_long_as_it_takes(tmp_path: Path) -> None:
    async with shop(tmp_path / "shop.db", call_timeout="50ms") as app:
        handle = await app.start_by_name("patient", id="a")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.5):
                await handle.result()
        await handle.signal("word", "x")
        await handle.signal("word", "y")

        assert await handle.result() == ["x", "y"]


@pytest.mark.parametrize("value", ["soon", 0, -1, True], ids=("text", "zero", "negative", "bool"))
def test_a_length_that_is_none_is_refused(value: Any) -> None:
    with pytest.raises(InvalidOption, match="call_timeout"):
        Perdure("memory://", call_timeout=value)
