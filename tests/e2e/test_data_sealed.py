"""Encrypted runs, end to end: what the store's file holds, what the next key changes, and what is done without one."""

import asyncio
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from perdure import (
    ActivityError,
    ApplicationError,
    ChildWorkflowError,
    Perdure,
    Signal,
    WorkflowFailed,
    activity,
    workflow,
)
from perdure.cli import main
from perdure.core import codec
from perdure.core.errors import UnreadablePayload
from perdure.core.ids import RunId
from perdure.core.message import Signaled
from perdure.core.payload import JSON
from perdure.core.store import Delivery
from perdure.data import Encryption, PayloadCodec, Zstd
from perdure.data.seal import Seal, Sealing
from perdure.stores.sqlite import SqliteStore
from tests.e2e.worlds import sqlite_url, until_parked

SECRET = "sEcReT"
FIRST, SECOND = b"1" * 32, b"2" * 32
GO = Signal("go", str)


def first_key() -> list[PayloadCodec]:
    """As the app began."""
    return [Zstd(), Encryption(keys={"k1": FIRST}, current="k1")]


def second_key() -> list[PayloadCodec]:
    """After a rotation."""
    return [Zstd(), Encryption(keys={"k1": FIRST, "k2": SECOND}, current="k2")]


def shop(url: str, codecs: Sequence[PayloadCodec]) -> Perdure:
    """An app that has secrets everywhere."""
    app = Perdure(url, codecs=codecs)

    @app.activity(retries=1)
    async def charge(card: str) -> str:
        activity.heartbeat({"heartbeat": SECRET})
        if activity.info().attempt == 1:
            raise ValueError(f"{SECRET} card {card}")
        return f"{SECRET} receipt of {card}"

    @app.activity(retries=0)
    async def refuse(card: str) -> str:
        raise ApplicationError(f"{SECRET} refused {card}", {"detail": SECRET}, type="Refused")

    @app.workflow
    async def leaf(card: str) -> str:
        raise ApplicationError(f"{SECRET} in a child {card}")

    @app.workflow
    async def order(card: str) -> list[str]:
        told: list[str] = [workflow.side_effect(lambda: f"{SECRET} effect")]

        @workflow.query
        def so_far() -> list[str]:
            return told

        told.append(await charge(card))
        told.append(await workflow.channel(GO).receive())
        try:
            await refuse(f"{card} " * 100)
        except ActivityError as error:
            told.append(f"{error.type}: {error.failure.message[:12]}")
        try:
            await leaf(card)
        except ChildWorkflowError as error:
            told.append(error.failure.message[:12])
        return told

    @app.workflow
    async def broken(card: str) -> None:
        raise ApplicationError(f"{SECRET} at last", {"detail": SECRET})

    return app


EXPECTED = [f"{SECRET} effect", f"{SECRET} receipt of {SECRET}", SECRET, "Refused: sEcReT refus", "sEcReT in a "]


def files_with(tmp_path: Path, text: str) -> list[str]:
    """Names of the store's files that hold a text, the log of SQLite included."""
    return [file.name for file in sorted(tmp_path.iterdir()) if text.encode() in file.read_bytes()]


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    """Logs are not encrypted, and long."""
    caplog.set_level(logging.CRITICAL + 1, "perdure")


async def begun(app: Perdure) -> Any:
    """A handle on an order that waits for its signal."""
    handle = await app.start_by_name("order", SECRET, id="order-1")
    while len(await handle.query("so_far")) < 2:
        await asyncio.sleep(0.01)
    return handle


async def test_the_files_of_the_store_hold_nothing_in_the_clear(tmp_path: Path) -> None:
    async with shop(sqlite_url(tmp_path), first_key()) as app:
        handle = await begun(app)
        await handle.signal(GO, SECRET)
        assert await handle.result() == EXPECTED
        with pytest.raises(WorkflowFailed) as caught:
            await (await app.start_by_name("broken", SECRET, id="broken-1")).result()

        assert files_with(tmp_path, "order-1"), "ids stay in the clear"
        assert files_with(tmp_path, SECRET) == []
        assert files_with(tmp_path, Path(__file__).name) == [], "as tracebacks do"

    assert caught.value.facts["failure"].message == f"{SECRET} at last"
    assert isinstance(caught.value.__cause__, ApplicationError)
    assert caught.value.__cause__.details == ({"detail": SECRET},)
    assert files_with(tmp_path, SECRET) == []


async def test_a_run_outlives_the_rotation_of_its_key(tmp_path: Path) -> None:
    async with shop(sqlite_url(tmp_path), first_key()) as app:
        await begun(app)

    async with shop(sqlite_url(tmp_path), second_key()) as app:
        handle = app.handle("order-1")
        await handle.signal(GO, SECRET)
        assert await handle.result() == EXPECTED

    async with Perdure(sqlite_url(tmp_path)).client() as client:
        shown = str([event.attributes for event in await client.handle("order-1").history()])
    assert "'key': 'k1'" in shown
    assert "'key': 'k2'" in shown
    assert SECRET not in shown


WITHOUT: dict[str, list[PayloadCodec]] = {
    "no codec": [],
    "another key": [Zstd(), Encryption(keys={"k2": SECOND}, current="k2")],
    "another key of the same id": [Zstd(), Encryption(keys={"k1": SECOND}, current="k1")],
    "only one of the codecs": [Zstd()],
}


@pytest.mark.parametrize("codecs", WITHOUT.values(), ids=WITHOUT)
async def test_without_the_key_a_run_is_parked_and_goes_on_with_it(codecs: list[PayloadCodec], tmp_path: Path) -> None:
    async with shop(sqlite_url(tmp_path), first_key()) as app:
        await begun(app)

    async with shop(sqlite_url(tmp_path), codecs) as app:
        handle = app.handle("order-1")
        # Of the app that lacks the key, but meant for the run as it is afterwards.
        async with shop(sqlite_url(tmp_path), first_key()).client() as client:
            await client.handle("order-1").signal(GO, SECRET)
        assert "PDR3010" in await until_parked(handle)

    async with shop(sqlite_url(tmp_path), first_key()) as app:
        handle = app.handle("order-1")
        await handle.resume()
        assert await handle.result() == EXPECTED


async def test_a_message_that_was_altered_parks_the_run_that_takes_it(tmp_path: Path) -> None:
    forger = Seal([Encryption(keys={"k1": SECOND}, current="k1")])
    async with shop(sqlite_url(tmp_path), first_key()) as app:
        handle = await begun(app)
        store = SqliteStore(tmp_path / "perdure.db")
        await store.open()
        forged = Sealing(forger)(Signaled("go", JSON.to_payload("forged"), "f"))
        delivery = Delivery(RunId(str(handle.run_id)), forged.id, codec.messages.encode(forged), 0)
        await store.deliver([delivery])
        await store.close()
        parked = await until_parked(handle)

    assert "it was altered, or key 'k1' is another one" in parked


async def test_a_client_without_the_key_is_refused_with_a_code(tmp_path: Path) -> None:
    async with shop(sqlite_url(tmp_path), first_key()) as app:
        handle = await begun(app)
        await handle.signal(GO, SECRET)
        await handle.result()
        with pytest.raises(WorkflowFailed):
            await (await app.start_by_name("broken", SECRET, id="broken-1")).result()

    async with Perdure(sqlite_url(tmp_path)).client() as client:
        with pytest.raises(UnreadablePayload, match="PDR3010: value cannot be read: it went through aes-256-gcm"):
            await client.handle("order-1").result()
        with pytest.raises(WorkflowFailed, match="ApplicationError: Encoded failure"):
            await client.handle("broken-1").result()


APP = """
from perdure import Perdure
from perdure.data import Encryption, Zstd

app = Perdure({url!r}, codecs=[Zstd(), Encryption(keys={{"k1": b"1" * 32}}, current="k1")])
"""


def test_the_command_line_shows_the_encoding_or_with_the_app_the_values(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def work() -> None:
        async with shop(sqlite_url(tmp_path), first_key()) as app:
            handle = await begun(app)
            await handle.signal(GO, SECRET)
            await handle.result()
            with pytest.raises(WorkflowFailed):
                await (await app.start_by_name("broken", SECRET, id="broken-1")).result()

    asyncio.run(work())
    (tmp_path / "sealed_app.py").write_text(APP.format(url=sqlite_url(tmp_path)))
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    store = ("--store", sqlite_url(tmp_path))

    codes = [main(["workflow", "show", id, "--history", "-o", "json", *store]) for id in ("order-1", "broken-1")]
    outside = capsys.readouterr().out
    result = main(["workflow", "result", "order-1", "--app", "sealed_app:app"])
    inside = capsys.readouterr().out
    sys.modules.pop("sealed_app", None)

    assert [codes, result] == [[0, 0], 0]
    assert SECRET not in outside
    assert "aes-256-gcm" in outside
    assert "Encoded failure" in outside
    assert SECRET in inside


async def test_what_is_not_encrypted_would_be_found(tmp_path: Path) -> None:
    async with shop(sqlite_url(tmp_path), []) as app:
        handle = await begun(app)
        await handle.signal(GO, SECRET)
        await handle.result()

    assert files_with(tmp_path, SECRET)
    assert files_with(tmp_path, Path(__file__).name)
