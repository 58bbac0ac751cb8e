"""Activities for processes: another process imports this module."""

import os
import signal
import time
from typing import Any

import msgspec

from perdure import activity
from perdure.programs.code.definition import Activity


class Point(msgspec.Struct):
    """An argument that is not plain JSON."""

    x: int
    y: int


def _process(fn: Any) -> "Activity[..., Any]":
    return Activity(fn, process=True)


@_process
def area(a: Point, b: Point) -> int:
    """Work that needs its annotations."""
    return abs((a.x - b.x) * (a.y - b.y))


@_process
def process_id() -> int:
    """Which process this is."""
    return os.getpid()


@_process
def facts() -> list[Any]:
    """What an activity can know of itself."""
    info = activity.info()
    return [info.workflow_id, info.run_id, info.call_id, info.name, info.attempt, activity.heartbeat_details(int)]


@_process
def fail() -> None:
    """An exception."""
    raise ValueError("no such card")


@_process
def leave() -> None:
    """An exception that ends a process where nobody catches it."""
    raise SystemExit(3)


@_process
def die(how: str) -> None:
    """The end of the process."""
    if how == "signal":
        os.kill(os.getpid(), signal.SIGKILL)
    os._exit(7)


@_process
def tell_and_hang() -> None:
    """Say where it runs, then never look up again."""
    activity.heartbeat(os.getpid())
    while True:
        time.sleep(1)


@_process
def beat_until_cancelled() -> None:
    """Heartbeats until one raises; ten seconds are longer than any test waits."""
    for number in range(10_000):
        activity.heartbeat(number)
        time.sleep(0.001)


def plain_function(number: int) -> int:
    """Registered without replacing the name, as one does with a library's function."""
    return number * 2


plain_activity = _process(plain_function)


class Tools:
    """A place for a method that cannot be found by name alone."""

    def use(self) -> None:
        """Needs its object."""


def local() -> Any:
    """A function that cannot be imported."""

    def inner() -> None: ...

    return inner
