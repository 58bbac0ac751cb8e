"""Files that are damaged, foreign, too new, read-only or on a full disk: a coded error, and nothing in them changed."""

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import perdure
from perdure import Perdure, PerdureError, StoreError
from perdure.core.errors import ForeignStore, SchemaTooNew, StoreCorrupt, StoreUnavailable
from tests.e2e.bad_input import assert_sound, result_of

FOLDER = Path(__file__).parent
NOBODY = 65_534


def echo_app(path: Path) -> tuple[Perdure, Any]:
    """An app over a file, with a workflow that answers with its argument by way of an activity."""
    app = Perdure(f"sqlite:///{path}")

    @app.activity(name="act")
    async def act(value: str) -> str:
        return value

    @app.workflow(name="echo")
    async def echo(value: str) -> str:
        return await act(value)

    return app, echo


async def fill(path: Path, runs_count: int = 30) -> None:
    """Make a store with closed runs, all of it in the one file."""
    app, echo = echo_app(path)
    async with app:
        for number in range(runs_count):
            await result_of(await app.start(echo, f"{number}" * 500, id=f"run-{number}"))
    with sqlite3.connect(path) as connection:
        connection.execute("pragma wal_checkpoint(truncate)")
    connection.close()


async def opening(path: Path) -> PerdureError:
    """The error of opening the file as a worker and as a client, which is the same."""
    errors: list[PerdureError] = []
    for app, client in ((echo_app(path)[0], False), (echo_app(path)[0], True)):
        with pytest.raises(StoreError) as caught:
            await (app.client() if client else app).__aenter__()
        errors.append(caught.value)
    assert str(errors[0]) == str(errors[1])
    return errors[0]


async def test_a_file_of_another_kind_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("Dear diary, " * 1_000)

    error = await opening(path)

    assert isinstance(error, StoreCorrupt | ForeignStore)
    assert "notes.txt" in str(error)
    assert path.read_text() == "Dear diary, " * 1_000
    assert not list(path.parent.glob("notes.txt?*"))


async def test_a_database_of_another_program_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    with sqlite3.connect(path) as connection:
        connection.execute("create table runs (id text)")
    connection.close()
    before = path.read_bytes()

    error = await opening(path)

    assert isinstance(error, ForeignStore)
    assert str(error).startswith("PDR4005: ")
    assert str(error).endswith("give another path")
    assert path.read_bytes() == before


async def test_a_newer_schema_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    await fill(path, 1)
    with sqlite3.connect(path) as connection:
        connection.execute("pragma user_version = 99")
    connection.close()
    before = path.read_bytes()

    error = await opening(path)

    assert isinstance(error, SchemaTooNew)
    assert "PDR4006: " in str(error)
    assert "has schema 99" in str(error)
    assert str(error).endswith("upgrade perdure")
    assert path.read_bytes() == before


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "header": lambda data: b"\xff" * 100 + data[100:],
    "first page": lambda data: data[:100] + b"\xff" * 3_996 + data[4_096:],
    "half": lambda data: data[: len(data) // 2],
    "all pages but the first": lambda data: data[:4_096] + b"\xa5" * (len(data) - 4_096),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
async def test_a_damaged_file_is_told_by_its_code_and_never_hangs(
    damage: Callable[[bytes], bytes], tmp_path: Path
) -> None:
    path = tmp_path / "store.db"
    await fill(path)
    path.write_bytes(damage(path.read_bytes()))
    app, _ = echo_app(path)

    async def read_all() -> None:
        async with app.client():
            for number in range(30):
                await app.handle(f"run-{number}").history()

    remedy = "(restore a backup|give another path)"
    with pytest.raises((StoreCorrupt, ForeignStore), match=rf"PDR400[45]: .*store\.db.*; {remedy}"):
        await read_all()


async def test_a_path_that_cannot_be_opened_says_why(tmp_path: Path) -> None:
    app, _ = echo_app(tmp_path / "no" / "such" / "folder" / "store.db")

    with pytest.raises(StoreUnavailable, match=r"PDR4001: .*there is no directory .*; the call may be repeated"):
        async with app:
            pass


def in_a_child(program: Path | str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run a program of these tests in a process of its own, with the package on its path."""
    path = os.pathsep.join([str(Path(perdure.__file__).parents[1]), str(FOLDER.parents[1])])
    command = [sys.executable, *(["-c", program] if isinstance(program, str) else [str(program)]), *map(str, arguments)]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=60, env={**os.environ, "PYTHONPATH": path}, cwd="/"
    )


# Rights on files do not bind root, and what it installed may be closed to others: so first everything is imported, by
# opening a store, and then the rights are given up.
OPENS = """
import asyncio, os, sys
from perdure import Perdure

async def opened(url):
    async with asyncio.timeout(10), Perdure(url):
        pass

asyncio.run(opened(sys.argv[2]))
if os.geteuid() == 0:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
try:
    asyncio.run(opened(sys.argv[1]))
except Exception as error:
    print(type(error).__name__, error)
"""


def opens(path: Path, tmp_path: Path) -> str:
    """What an unprivileged process has to say when it opens the store at `path`."""
    for each in (tmp_path, *tmp_path.parents):
        if not each.stat().st_mode & 0o005:
            each.chmod(0o755)
    done = in_a_child(OPENS, f"sqlite:///{path}", f"sqlite:///{tmp_path / 'first.db'}")
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(("folder_mode", "file_mode"), [(0o755, 0o444), (0o555, 0o644), (0o555, 0o444)])
async def test_a_file_that_cannot_be_written_is_told(folder_mode: int, file_mode: int, tmp_path: Path) -> None:
    path = tmp_path / "data" / "store.db"
    path.parent.mkdir()
    await fill(path, 1)
    before = path.read_bytes()
    if os.geteuid() == 0:
        os.chown(path, NOBODY, NOBODY)
        os.chown(path.parent, NOBODY, NOBODY)
    path.chmod(file_mode)
    path.parent.chmod(folder_mode)
    try:
        said = opens(path, tmp_path)
    finally:
        path.parent.chmod(0o755)

    assert said.startswith("StoreReadOnly PDR4003: ")
    assert "grant write access to the file and its directory" in said
    assert path.read_bytes() == before


async def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir(mode=0o555)

    said = opens(folder / "store.db", tmp_path)

    assert said.startswith("StoreReadOnly PDR4003: ")
    assert list(folder.iterdir()) == []


def test_a_full_disk_stops_nothing_for_good(tmp_path: Path) -> None:
    done = in_a_child(FOLDER / "bad_input_full_disk.py", tmp_path / "store.db")

    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    assert (seen["start"], seen["signal"], seen["reads"]) == ("PDR4002", "PDR4002", True)
    assert "free some space, work goes on by itself" in seen["warning"]
    assert (seen["before"], seen["results"], seen["told"], seen["after"]) == (8_000, True, "small", 8_000)
    assert seen["violations"] == []
    assert seen["resumed_after_s"] < 15
    assert seen["warnings"] < 100, "the log is not flooded"


async def test_two_apps_on_one_file_share_its_runs(tmp_path: Path) -> None:
    first, echo = echo_app(tmp_path / "store.db")
    second, _ = echo_app(tmp_path / "store.db")

    async with first, second:
        handles = [await first.start(echo, str(number), id=f"run-{number}") for number in range(50)]

        assert [await result_of(second.handle(each.workflow_id)) for each in handles] == [str(n) for n in range(50)]
        assert len(await second.list()) == 50
        await assert_sound(second)


async def test_an_app_in_memory_has_its_runs_to_itself() -> None:
    first, second = Perdure("memory://"), Perdure("memory://")

    @first.workflow
    async def nothing() -> None: ...

    async with first, second:
        await result_of(await first.start(nothing, id="a"))
        assert [len(await app.list()) for app in (first, second)] == [1, 0]
