"""The two threads of the store: one writes, in groups; one reads. Verbs go in as functions, answers go to their loops.

Group commit: whatever was asked while one transaction was being written goes into the next one, and shares its fsync.
"""

import asyncio
import queue
import sqlite3
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from enum import Enum
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from perdure.core.errors import StoreUnavailable
from perdure.stores.changes import Changes
from perdure.stores.sqlite.database import Database
from perdure.stores.sqlite.faults import store_error
from perdure.stores.sqlite.files import connect_for_reading, connect_for_writing, patiently

POLL_MS = 25
"""How often other processes' writes are looked for while somebody waits for them."""
GROUP_MAX = 1_000
"""Most verbs in one transaction."""

T = TypeVar("T")


class _Word(Enum):
    STOP = "stop"
    NUDGE = "nudge"


class _Asked(NamedTuple):
    verb: Callable[[Database], Any]
    future: asyncio.Future[Any]
    loop: asyncio.AbstractEventLoop


class _Answer(NamedTuple):
    future: asyncio.Future[Any]
    value: Any
    error: BaseException | None


class VerbThread(ABC):
    """A thread with a connection of its own; subclasses connect it and answer groups of verbs."""

    def __init__(self, path: Path, name: str) -> None:
        self._path = path
        self._name = name
        self._lock = threading.Lock()
        self._asked: queue.SimpleQueue[_Asked | _Word] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    async def start(self) -> None:
        """Connect; return when the thread is ready, or raise why it is not."""
        loop = asyncio.get_running_loop()
        ready: asyncio.Future[Any] = loop.create_future()
        thread = threading.Thread(target=self._live, args=(ready, loop), name=self._name, daemon=True)
        thread.start()
        await asyncio.shield(ready)
        self._thread = thread

    async def stop(self) -> None:
        """Answer what was asked, then close the connection."""
        with self._lock:
            thread, self._thread = self._thread, None
            self._asked.put(_Word.STOP)
        if thread is not None:
            await asyncio.to_thread(thread.join)

    async def ask(self, verb: Callable[[Database], T]) -> T:
        """Have the verb done; what it raised is raised here."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        with self._lock:
            if self._thread is None:
                raise StoreUnavailable(store=str(self._path), reason="it is not open")
            self._asked.put(_Asked(verb, future, loop))
        return await future

    @abstractmethod
    def connect(self) -> sqlite3.Connection:
        """A connection; may wait for other processes."""

    @abstractmethod
    def answer(self, db: Database, group: Sequence[_Asked]) -> list[_Answer]:
        """Do the verbs."""

    def pause_s(self) -> float | None:
        """How long to wait for verbs before `rest`; None for ever."""
        return None

    def rest(self, db: Database) -> None:  # noqa: B027 # optional: the reader has nothing to do then
        """Called after every group and every pause."""

    def _live(self, ready: asyncio.Future[Any], loop: asyncio.AbstractEventLoop) -> None:
        try:
            connection = patiently(self.connect, self._path)
        except Exception as error:  # Whatever it is, it belongs to the caller of `start`.
            _hand_back([(loop, _Answer(ready, None, error))])
            return
        _hand_back([(loop, _Answer(ready, None, None))])
        db = Database(connection)
        try:
            while self._answer_next(db):
                self.rest(db)
        finally:
            connection.close()

    def _answer_next(self, db: Database) -> bool:
        """Answer what was asked meanwhile; False if that was to stop."""
        group: list[_Asked] = []
        going = True
        try:
            asked = self._asked.get(timeout=self.pause_s())
            while True:
                if isinstance(asked, _Asked):
                    group.append(asked)
                going = going and asked is not _Word.STOP
                if not going or len(group) >= GROUP_MAX:
                    break
                asked = self._asked.get_nowait()
        except queue.Empty:
            pass
        if group:
            answers = self.answer(db, group)
            _hand_back([(asked.loop, answer) for asked, answer in zip(group, answers, strict=True)])
        return going


class Writer(VerbThread):
    """The thread that writes: each group is one transaction."""

    def __init__(self, path: Path, changes: Changes) -> None:
        super().__init__(path, "perdure-sqlite-writer")
        self._changes = changes
        self._data_version = 0
        self._polled_s = 0.0

    def connect(self) -> sqlite3.Connection:
        """A connection that writes; makes the file where there is none."""
        connection = connect_for_writing(self._path)
        self._data_version = connection.execute("pragma data_version").fetchone()[0]
        return connection

    def answer(self, db: Database, group: Sequence[_Asked]) -> list[_Answer]:
        """All in one transaction; where one of them raises, each in a transaction of its own."""
        db.changed = False
        try:
            patiently(lambda: db.execute("begin immediate"), self._path)
            answers = [_Answer(asked.future, asked.verb(db), None) for asked in group]
            db.execute("commit")
        except Exception as error:  # A verb's bad value must neither end the thread nor harm the others.
            self._roll_back(db)
            if len(group) > 1:
                return [answer for asked in group for answer in self.answer(db, [asked])]
            return [_Answer(group[0].future, None, _ours(error, self._path))]
        if db.changed:
            self._changes.bump()
        return answers

    def _roll_back(self, db: Database) -> None:
        db.forget_keys()
        # SQLite itself has rolled back after some errors.
        if db.connection.in_transaction:
            db.execute("rollback")

    def pause_s(self) -> float | None:
        """Other processes are looked at only for somebody who waits for them."""
        return POLL_MS / 1_000 if self._changes.awaited else None

    def rest(self, db: Database) -> None:
        """See whether another process has written; this connection's own writes do not count."""
        now_s = time.monotonic()
        if not self._changes.awaited or now_s - self._polled_s < POLL_MS / 2_000:
            return
        self._polled_s = now_s
        try:
            found = db.execute("pragma data_version").fetchone()[0]
        except sqlite3.Error:
            # Whoever waits asks again and learns of it from a verb.
            found = 0
        if found != self._data_version:
            self._data_version = found
            self._changes.bump()

    def nudge(self) -> None:
        """Somebody waits from now on: what the thread sleeps for has changed."""
        self._asked.put(_Word.NUDGE)


class Reader(VerbThread):
    """The thread that reads: each verb sees one state, without waiting for the writer."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, "perdure-sqlite-reader")

    def connect(self) -> sqlite3.Connection:
        """A connection that only reads."""
        return connect_for_reading(self._path)

    def answer(self, db: Database, group: Sequence[_Asked]) -> list[_Answer]:
        """Each in a snapshot of its own."""
        return [self._read(db, asked) for asked in group]

    def _read(self, db: Database, asked: _Asked) -> _Answer:
        try:
            patiently(lambda: db.execute("begin"), self._path)
            value = patiently(lambda: asked.verb(db), self._path)
        except Exception as error:  # A verb's bad value must not end the thread.
            return _Answer(asked.future, None, _ours(error, self._path))
        finally:
            if db.connection.in_transaction:
                db.execute("rollback")
        return _Answer(asked.future, value, None)


def _ours(error: Exception, path: Path) -> Exception:
    if not isinstance(error, sqlite3.Error):
        return error
    ours = store_error(error, path)
    ours.__cause__ = error
    return ours


def _hand_back(answers: Sequence[tuple[asyncio.AbstractEventLoop, _Answer]]) -> None:
    """Wake each caller's loop once."""
    by_loop: dict[asyncio.AbstractEventLoop, list[_Answer]] = {}
    for loop, answer in answers:
        by_loop.setdefault(loop, []).append(answer)
    for loop, ours in by_loop.items():
        try:
            loop.call_soon_threadsafe(_resolve, ours)
        except RuntimeError:
            # The loop was closed before its verbs were done: nobody is left to be told.
            continue


def _resolve(answers: Sequence[_Answer]) -> None:
    for future, value, error in answers:
        if future.done():
            continue
        if error is None:
            future.set_result(value)
        else:
            future.set_exception(error)
