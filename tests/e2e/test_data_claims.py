"""Large payloads outside the store, end to end: written before they are pointed to, checked before they are seen."""

import asyncio
import contextlib
import logging
import os
import subprocess
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from perdure import Perdure, Signal, workflow
from perdure.core.errors import PayloadTooLarge, StoreUnavailable, UnreadablePayload
from perdure.data import ClaimCheck, Encryption, Folder, PayloadCodec, Zstd
from tests.e2e.worlds import sqlite_url, until_parked

ROOT = Path(__file__).resolve().parents[2]
MIB = 1024 * 1024
GO = Signal("go", str)
SEALED: list[PayloadCodec] = [Zstd(), Encryption(keys={"k1": b"1" * 32}, current="k1")]


def letters(count: int) -> str:
    """Text that does not compress away."""
    return os.urandom(count // 2).hex()


def shop(url: str, blobs: Folder, codecs: list[PayloadCodec] | None = None, above: int = 10_000) -> Perdure:
    """An app with large values everywhere."""
    app = Perdure(url, codecs=codecs or [], claim_check=ClaimCheck(blobs, above=above))

    @app.activity
    async def twice(text: str) -> str:
        return text * 2

    @app.workflow
    async def leaf(text: str) -> str:
        return await twice(text)

    @app.workflow
    async def grow(text: str) -> str:
        @workflow.query
        def so_far() -> str:
            return text

        kept = workflow.side_effect(lambda: text + "!", result_type=str)
        added = await workflow.channel(GO).receive()
        text = await leaf(await twice(text)) + added + kept[-1]
        return text

    return app


def contents(folder: Path) -> list[Path]:
    """The files of a blob folder."""
    return [file for file in sorted(folder.rglob("*")) if file.is_file() and len(file.name) == 64]


def store_size(folder: Path) -> int:
    """Bytes of the store's own files."""
    return sum(file.stat().st_size for file in folder.iterdir() if file.is_file())


def holding(folder: Path, text: str) -> bool:
    """Whether a content holds the text in the clear."""
    return any(text.encode() in file.read_bytes() for file in contents(folder))


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    """What is missing is told with its stack."""
    caplog.set_level(logging.CRITICAL + 1, "perdure")


@pytest.mark.parametrize("codecs", [[], SEALED], ids=["plain", "encrypted"])
async def test_large_values_lie_outside_and_come_back(tmp_path: Path, codecs: list[PayloadCodec]) -> None:
    text, added = letters(3 * MIB), letters(MIB)
    blobs = Folder(tmp_path / "blobs")

    async with shop(sqlite_url(tmp_path), blobs, codecs) as app:
        handle = await app.start_by_name("grow", text, id="grow-1")
        assert await handle.query("so_far") == text

    # A fresh process recalls the run from what lies there.
    async with shop(sqlite_url(tmp_path), blobs, codecs) as app:
        handle = app.handle("grow-1")
        await handle.signal(GO, added)
        assert await handle.result() == text * 4 + added + "!"
        assert await handle.query("so_far") == text * 4 + added + "!"

    assert store_size(tmp_path) < MIB
    # The argument, with the side effect, the signal, both results and the last one: each once, but that a new process
    # does not know what the one before had encrypted.
    assert len(contents(tmp_path / "blobs")) == (7 if codecs else 6)
    assert holding(tmp_path / "blobs", text[:100]) == (not codecs)


async def test_a_store_that_points_to_nothing_parks_the_run_until_it_is_back(tmp_path: Path) -> None:
    blobs = Folder(tmp_path / "blobs")
    async with shop(sqlite_url(tmp_path), blobs) as app:
        await (await app.start_by_name("grow", letters(MIB), id="grow-1")).query("so_far")
    (tmp_path / "blobs").rename(tmp_path / "away")

    async with shop(sqlite_url(tmp_path), blobs) as app:
        handle = app.handle("grow-1")
        await handle.signal(GO, "x")
        assert "is missing from the folder" in await until_parked(handle)

    async with shop(sqlite_url(tmp_path), Folder(tmp_path / "away")) as app:
        handle = app.handle("grow-1")
        await handle.resume()
        assert (await handle.result()).endswith("x!")


async def test_a_content_that_was_altered_is_refused(tmp_path: Path) -> None:
    async with shop(sqlite_url(tmp_path), Folder(tmp_path / "blobs")) as app:
        handle = await app.start_by_name("leaf", letters(MIB), id="leaf-1")
        await handle.result()
        for file in contents(tmp_path / "blobs"):
            file.write_bytes(b'"other"')

        with pytest.raises(UnreadablePayload, match=r"PDR3010: value cannot be read: its content .* was altered"):
            await app.handle("leaf-1").result()


async def test_an_app_without_the_claim_check_says_so(tmp_path: Path) -> None:
    async with shop(sqlite_url(tmp_path), Folder(tmp_path / "blobs")) as app:
        await (await app.start_by_name("leaf", letters(MIB), id="leaf-1")).result()

    async with Perdure(sqlite_url(tmp_path)).client() as client:
        with pytest.raises(UnreadablePayload, match="its content lies outside the store"):
            await client.handle("leaf-1").result()
        events = await client.handle("leaf-1").history()
    assert "'blob': " in str(events[0].attributes)


async def test_even_with_a_claim_check_a_payload_has_a_limit(tmp_path: Path) -> None:
    check = ClaimCheck(Folder(tmp_path / "blobs"), above=1_000, bytes_max=5_000)
    app = Perdure(sqlite_url(tmp_path), claim_check=check)

    @app.workflow
    async def echo(text: str) -> str:
        return text

    async with app:
        assert await (await app.start(echo, letters(4_000))).result()
        with pytest.raises(PayloadTooLarge, match="more than the 5000 allowed"):
            await app.start(echo, letters(6_000))


class Flaky(Folder):
    """Away at every other write and read."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.asked_count = 0

    def _ask(self) -> None:
        self.asked_count += 1
        if self.asked_count % 2:
            raise StoreUnavailable(store=self.url, reason="it is away")

    async def put(self, key: str, data: bytes) -> None:
        self._ask()
        await super().put(key, data)

    async def get(self, key: str) -> bytes | None:
        self._ask()
        return await super().get(key)


async def repeated(call: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
    """The answer of a call that says that it may be repeated."""
    while True:
        with contextlib.suppress(StoreUnavailable):
            return await call()


async def test_a_blob_store_that_is_away_is_waited_for(tmp_path: Path) -> None:
    text = letters(MIB)
    blobs = Flaky(tmp_path / "blobs")
    async with shop(sqlite_url(tmp_path), blobs) as app:
        with pytest.raises(StoreUnavailable):
            await app.start_by_name("leaf", text, id="leaf-1", request_id="once")
        # Whoever calls is told at once, and may call again; the worker repeats what it must write by itself.
        handle = await repeated(lambda: app.start_by_name("leaf", text, id="leaf-1", request_id="once"))
        assert await repeated(handle.result) == text * 2
    assert blobs.asked_count >= 4


KILLED = """
import asyncio, os, sys
from pathlib import Path
from perdure.data import Folder
from tests.e2e.test_data_claims import shop
from tests.e2e.worlds import sqlite_url

class Deadly(Folder):
    async def put(self, key, data):
        await super().put(key, data)
        if len(data) > 150_000:
            os._exit(9)

async def main():
    folder = Path(sys.argv[1])
    async with shop(sqlite_url(folder), Deadly(folder / "blobs")) as app:
        handle = await app.start_by_name("leaf", "x" * 100_000, id="leaf-1")
        await handle.result()

asyncio.run(main())
"""


async def test_a_process_that_dies_between_the_content_and_its_commit_loses_nothing(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"}
    words = [sys.executable, "-c", KILLED, str(tmp_path)]
    died = await asyncio.to_thread(subprocess.run, words, env=environment, check=False)

    async with shop(sqlite_url(tmp_path), Folder(tmp_path / "blobs")) as app:
        result: Any = await app.handle("leaf-1").result()

    assert died.returncode == 9
    assert result == "x" * 200_000
    sizes = sorted(file.stat().st_size for file in contents(tmp_path / "blobs"))
    assert sizes == [100_002, 200_002], "what the dead one wrote is what is pointed to now"
