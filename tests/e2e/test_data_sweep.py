"""Sweeping what no run points to any more: of deleted runs, and of processes that died before their commit."""

import asyncio
import os
import sys
from pathlib import Path

import pytest

from perdure.cli import main
from perdure.core.ids import RunId
from perdure.data import Folder
from perdure.data.sweep import sweep
from perdure.stores.sqlite import SqliteStore
from tests.e2e.test_data_claims import GO, MIB, contents, letters, shop
from tests.e2e.worlds import sqlite_url

LATER_MS = 4_000_000_000_000
"""After everything that a test writes."""
ORPHAN = "ab" * 32


async def closed_and_open(folder: Path) -> RunId:
    """A store with a closed run, whose id it gives, and one that waits for its signal."""
    async with shop(sqlite_url(folder), Folder(folder / "blobs")) as app:
        closed = await app.start_by_name("leaf", letters(MIB), id="leaf-1")
        await closed.result()
        waiting = await app.start_by_name("grow", letters(MIB), id="grow-1")
        await waiting.query("so_far")
    return RunId(str(closed.run_id))


async def test_nothing_that_a_run_points_to_is_ever_swept(tmp_path: Path) -> None:
    closed = await closed_and_open(tmp_path)
    blobs, store = Folder(tmp_path / "blobs"), SqliteStore(tmp_path / "perdure.db")
    await blobs.put(ORPHAN, b"of a process that died")
    await store.open()

    young = await sweep(store, blobs, 1)
    dry = await sweep(store, blobs, LATER_MS, dry=True)
    first = await sweep(store, blobs, LATER_MS)
    await store.delete([closed])
    second = await sweep(store, blobs, LATER_MS)
    await store.close()

    assert young.swept == ()
    assert dry.swept == first.swept == (ORPHAN,)
    assert (first.pointed_to_count, second.pointed_to_count) == (4, 2)
    assert len(second.swept) == 2, "the argument and the result of the deleted run"
    async with shop(sqlite_url(tmp_path), blobs) as app:
        handle = app.handle("grow-1")
        await handle.signal(GO, "x")
        assert (await handle.result()).endswith("x!")


async def test_a_signal_that_waits_keeps_its_content(tmp_path: Path) -> None:
    blobs = Folder(tmp_path / "blobs")
    async with shop(sqlite_url(tmp_path), blobs).client() as client:
        await client.start_by_name("grow", letters(MIB), id="grow-1")
        await client.handle("grow-1").signal(GO, letters(MIB))
    store = SqliteStore(tmp_path / "perdure.db")
    await store.open()

    swept = await sweep(store, blobs, LATER_MS)
    await store.close()

    assert (swept.pointed_to_count, swept.swept) == (2, ())


async def test_a_content_that_is_written_again_is_young_again(tmp_path: Path) -> None:
    blobs = Folder(tmp_path / "blobs")
    await blobs.put(ORPHAN, b"x")
    (file,) = contents(tmp_path / "blobs")
    os.utime(file, (1_000, 1_000))
    assert [key async for key in blobs.keys(2_000_000)] == [ORPHAN]

    await blobs.put(ORPHAN, b"x")

    assert not await blobs.delete(ORPHAN, 2_000_000)
    assert await blobs.get(ORPHAN) == b"x"


APP = """
from perdure import Perdure
from perdure.data import ClaimCheck, Folder

app = Perdure({url!r}, claim_check=ClaimCheck(Folder({folder!r})))
plain = Perdure({url!r})
"""


@pytest.fixture
def apps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A module with an app, and a content that nothing points to, old enough to go."""
    folder = tmp_path / "blobs"
    (tmp_path / "swept_app.py").write_text(APP.format(url=sqlite_url(tmp_path), folder=str(folder)))
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    monkeypatch.delitem(sys.modules, "swept_app", raising=False)
    file = folder / ORPHAN[:2] / ORPHAN
    file.parent.mkdir(parents=True)
    file.write_bytes(b"x")
    os.utime(file, (1_000, 1_000))
    return file


async def make_store(folder: Path) -> None:
    """An empty one."""
    store = SqliteStore(folder / "perdure.db")
    await store.open()
    await store.close()


def test_the_command_sweeps_what_is_old(apps: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asyncio.run(make_store(tmp_path))

    dry = main(["blobs", "sweep", "--app", "swept_app:app", "--dry-run"])
    there = apps.exists()
    wet = main(["blobs", "sweep", "--app", "swept_app:app", "-o", "json"])

    assert (dry, there, wet, apps.exists()) == (0, True, 0, False)
    out = capsys.readouterr().out
    assert "1 contents would be deleted, 0 are pointed to" in out
    assert ORPHAN in out


@pytest.mark.parametrize(
    ("words", "fact"),
    [
        (["--app", "swept_app:plain"], "has no claim check"),
        (["--app", "swept_app:app", "--older-than", "59m"], "is too short"),
        (["--app", "swept_app:app", "--older-than", "soon"], "PDR1002"),
        (["--app", "swept_app:app"], "names a file that does not exist"),
    ],
)
def test_the_command_refuses_what_could_do_harm(
    words: list[str], fact: str, apps: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["blobs", "sweep", *words]) == 2

    assert fact in capsys.readouterr().err
    assert apps.exists()
