"""The watchdog: it names the stack of a step, or of a loop, that stands still, once."""

import logging
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager

import pytest

from perdure.core.ids import RunId
from perdure.worker import watchdog
from perdure.worker.watchdog import Watchdog, Watched

RUN_ID = RunId("run-1")
STEP_MS = 60
LOOP_MS = 100


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watchdog, "STEP_MS_MAX", STEP_MS)
    monkeypatch.setattr(watchdog, "LOOP_MS_MAX", LOOP_MS)


class Report(logging.Handler):
    """What the watchdog says."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []
        self.came = threading.Event()

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())
        self.came.set()


def at_once(callback: Callable[[], None]) -> None:
    """A loop that answers."""
    callback()


def never(_: Callable[[], None]) -> None:
    """A loop that stands still."""


@contextmanager
def watching(
    watched: Watched, ping: Callable[[Callable[[], None]], None] = at_once, thread_id: int | None = None
) -> Generator[Report]:
    """A watchdog over this thread, and what it says."""
    report = Report()
    own = threading.get_ident() if thread_id is None else thread_id
    dog = Watchdog(watched, engine_thread_id=own, user_thread_id=own, ping=ping)
    watchdog.logger.addHandler(report)
    dog.start()
    try:
        yield report
    finally:
        dog.stop()
        watchdog.logger.removeHandler(report)


def a_step_that_blocks(report: Report) -> None:
    """Its name is in the stack."""
    assert report.came.wait(10)


def test_a_step_that_blocks_is_named_with_its_stack() -> None:
    watched = Watched()
    with watching(watched) as report:
        watched.enter(RUN_ID)
        a_step_that_blocks(report)
        watched.leave()

    assert report.lines[0].startswith("a step of run run-1 has not ended for 0.")
    assert "in a_step_that_blocks" in report.lines[0]
    assert "assert report.came.wait(10)" in report.lines[0]


def test_a_step_is_named_once() -> None:
    watched = Watched()
    with watching(watched) as report:
        watched.enter(RUN_ID)
        a_step_that_blocks(report)
        time.sleep(STEP_MS * 3 / 1_000)

    assert len(report.lines) == 1


def test_the_next_step_that_blocks_is_named_again() -> None:
    watched = Watched()
    with watching(watched) as report:
        for name in ("run-1", "run-2"):
            report.came.clear()
            watched.enter(RunId(name))
            a_step_that_blocks(report)
            watched.leave()

    assert ["run-1" in report.lines[0], "run-2" in report.lines[1]] == [True, True]


def test_many_short_steps_are_none_that_blocks() -> None:
    watched = Watched()
    with watching(watched) as report:
        until = time.monotonic() + STEP_MS * 4 / 1_000
        while time.monotonic() < until:
            watched.enter(RUN_ID)
            time.sleep(0.001)
            watched.leave()

    assert report.lines == []


def test_a_loop_that_stands_still_is_named_once_with_its_stack() -> None:
    with watching(Watched(), never) as report:
        a_step_that_blocks(report)
        time.sleep(LOOP_MS * 2 / 1_000)

    (line,) = report.lines
    assert line.startswith("the event loop has not answered for 0.")
    assert "in a_step_that_blocks" in line


def test_a_loop_that_answers_again_is_watched_again() -> None:
    asked: list[Callable[[], None]] = []
    with watching(Watched(), asked.append) as report:
        for _ in range(2):
            report.came.clear()
            a_step_that_blocks(report)
            asked[-1]()

    assert len(report.lines) == 2
    assert len(asked) >= 2


def test_a_loop_that_answers_is_not_named() -> None:
    with watching(Watched()) as report:
        time.sleep(LOOP_MS * 2 / 1_000)

    assert report.lines == []


def test_a_thread_that_is_gone_has_no_stack() -> None:
    with watching(Watched(), never, thread_id=-1) as report:
        a_step_that_blocks(report)

    assert report.lines[0].endswith("(the thread is gone)")


def test_a_closed_loop_ends_the_watch() -> None:
    def closed(_: Callable[[], None]) -> None:
        asked.set()
        raise RuntimeError("Event loop is closed")

    asked = threading.Event()
    with watching(Watched(), closed) as report:
        assert asked.wait(10)

    assert report.lines == []
