"""What the SQLite store says of files that it cannot use, and how it goes on after a full disk."""

import asyncio
import resource
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from perdure.core.errors import (
    ForeignStore,
    InvalidUrl,
    SchemaTooNew,
    StoreCorrupt,
    StoreError,
    StoreFull,
    StoreUnavailable,
)
from perdure.core.filter.tree import EVERYTHING
from perdure.stores import store_for
from perdure.stores.memory import MemoryStore
from perdure.stores.sqlite import SqliteStore
from perdure.stores.sqlite.files import APPLICATION_ID
from perdure.testing.conformance.samples import count_of, message, new_run

NOBODY = 65_534


async def make(path: Path) -> None:
    """A store's file."""
    store = SqliteStore(path)
    await store.open()
    await store.create([new_run()])
    await store.close()


def names(folder: Path) -> set[str]:
    """What is in the folder."""
    return {file.name for file in folder.iterdir()}


async def test_urls_name_stores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for url in ("sqlite:///relative.db", f"sqlite:///{tmp_path}/absolute.db", "sqlite:///Größe 你好.db"):
        store = store_for(url)
        await store.open()
        await store.close()
        assert store.url == url

    assert isinstance(store_for("memory://"), MemoryStore)
    assert names(tmp_path) == {"relative.db", "absolute.db", "Größe 你好.db"}


@pytest.mark.parametrize(
    "url",
    [
        "",
        "shop.db",
        "sqlite:",
        "sqlite://",
        "sqlite:///",
        "sqlite:////",
        "sqlite://shop.db",
        "sqlite:///.",
        "sqlite:////tmp",
        "sqlite:///a\0b.db",
        "sqlite:///a\ud800.db",
        "sqlite:///:memory:",
        "sqlite:///shop.db?mode=ro",
        "postgresql://localhost/shop",
        "memory://shop",
        "SQLITE:///shop.db",
    ],
)
def test_urls_that_name_no_store_are_refused(url: str) -> None:
    with pytest.raises(InvalidUrl) as caught:
        store_for(url)

    assert caught.value.code == "PDR1003"


async def test_a_garbage_file_is_damaged(tmp_path: Path) -> None:
    path = tmp_path / "garbage.db"
    path.write_bytes(b"no database at all " * 500)

    with pytest.raises(StoreCorrupt) as caught:
        await SqliteStore(path).open()

    assert isinstance(caught.value.__cause__, sqlite3.DatabaseError)
    assert path.read_bytes().startswith(b"no database at all")


async def test_a_damaged_page_is_noticed_when_it_is_used(tmp_path: Path) -> None:
    path = tmp_path / "damaged.db"
    await make(path)
    connection = sqlite3.connect(path)
    pages = [row[0] for row in connection.execute("select rootpage from sqlite_master where tbl_name <> 'leases'")]
    connection.close()
    whole = bytearray(path.read_bytes())
    for page in pages:
        whole[(page - 1) * 4_096 : page * 4_096] = b"\xee" * 4_096
    path.write_bytes(whole)

    store = SqliteStore(path)
    await store.open()
    with pytest.raises(StoreCorrupt):
        await store.create([new_run(2)])
    with pytest.raises(StoreCorrupt):
        await store.list_runs(EVERYTHING, 10)
    await store.close()


async def test_a_database_of_another_program_is_left_alone(tmp_path: Path) -> None:
    for number, statement in enumerate(("create table theirs (id)", "pragma application_id = 77")):
        path = tmp_path / f"foreign-{number}.db"
        connection = sqlite3.connect(path)
        connection.execute(statement)
        connection.commit()
        connection.close()
        before = path.read_bytes()

        with pytest.raises(ForeignStore):
            await SqliteStore(path).open()

        assert path.read_bytes() == before


async def test_an_empty_file_becomes_a_store(tmp_path: Path) -> None:
    path = tmp_path / "empty.db"
    path.touch()

    await make(path)

    connection = sqlite3.connect(path)
    assert connection.execute("pragma application_id").fetchone() == (APPLICATION_ID,)
    assert connection.execute("pragma journal_mode").fetchone() == ("wal",)
    assert connection.execute("pragma integrity_check").fetchone() == ("ok",)
    connection.close()


async def test_a_newer_schema_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "newer.db"
    await make(path)
    connection = sqlite3.connect(path)
    connection.execute("pragma user_version = 999")
    connection.close()

    with pytest.raises(SchemaTooNew) as caught:
        await SqliteStore(path).open()

    assert caught.value.facts["found"] == 999


async def test_a_directory_or_a_missing_directory_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable, match="it is a directory"):
        await SqliteStore(tmp_path).open()
    with pytest.raises(StoreUnavailable, match="there is no directory"):
        await SqliteStore(tmp_path / "missing" / "shop.db").open()


async def test_a_store_that_is_not_open_says_so(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "shop.db")
    with pytest.raises(StoreUnavailable):
        await store.deliver([message(new_run())])
    await store.open()
    await store.close()

    with pytest.raises(StoreUnavailable):
        await count_of(store)
    await store.close()


@pytest.fixture
def public_folder() -> Iterator[Path]:
    """A folder that other users can enter."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


OPEN_AS_NOBODY = f"""
import asyncio, os, sys
from perdure.core.errors import StoreError
from perdure.stores.sqlite import SqliteStore
if os.geteuid() == 0:
    os.setgroups([])
    os.setuid({NOBODY})
try:
    asyncio.run(SqliteStore(sys.argv[1]).open())
except StoreError as error:
    print(type(error).__name__)
"""


def opened_without_rights(path: Path) -> str:
    """The error that a user without special rights gets."""
    command = [sys.executable, "-c", OPEN_AS_NOBODY, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_a_file_that_cannot_be_written_is_said_so(public_folder: Path) -> None:
    path = public_folder / "shop.db"
    asyncio.run(make(path))
    path.chmod(0o444)
    public_folder.chmod(0o555)

    assert opened_without_rights(path) == "StoreReadOnly"
    public_folder.chmod(0o755)


def test_a_directory_that_cannot_be_written_is_said_so(public_folder: Path) -> None:
    public_folder.chmod(0o555)

    assert opened_without_rights(public_folder / "shop.db") == "StoreReadOnly"
    public_folder.chmod(0o755)


async def test_a_full_disk_is_said_so_and_work_goes_on_when_there_is_space(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "full.db")
    await store.open()
    await store.create([new_run()])
    size = (tmp_path / "full.db-wal").stat().st_size
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    big = message(new_run(), "big", data=bytes(1_000_000))

    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 500_000, hard))
    try:
        with pytest.raises(StoreFull):
            await store.deliver([big])
        small = await store.deliver([message(new_run(), "small")])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    assert list(small) == [True]
    assert list(await store.deliver([big])) == [True]
    waiting = await store.read_waiting(new_run().run_id)
    assert [one.message_id for one in waiting.messages] == ["start", "small", "big"]
    await store.close()


async def test_every_store_error_names_the_store(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=str(tmp_path)):
        await SqliteStore(tmp_path).open()
