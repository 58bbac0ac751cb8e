"""Plans: what the simulator's workflows do, and what must come of it, computed without the engine.

A plan travels as the argument of its run, so that whoever finds a run in the store can tell what it owes.
"""

from collections.abc import Sequence
from typing import Any, TypeAlias, cast
from zlib import crc32

import msgspec

FOREVER_MS = 10_000_000
"""Longer than any simulation: what takes so long never ends by itself."""

DIED = "WorkerDied"
"""The outcome of an activity under which three workers died, or one at its last attempt."""


class Step(msgspec.Struct, frozen=True, tag=True):
    """An activity: takes `ms`, fails in its first `failures` attempts, ends at once if it is `fatal`."""

    key: str
    ms: int = 0
    failures: int = 0
    attempts_max: int = 0
    fatal: bool = False
    timeout_ms: int | None = None
    wait_ms: int | None = None
    """Longest wait in the queue."""


class Fan(msgspec.Struct, frozen=True, tag=True):
    """Steps at the same time."""

    steps: tuple[Step, ...]


class Sleep(msgspec.Struct, frozen=True, tag=True):
    """A timer."""

    ms: int


class Race(msgspec.Struct, frozen=True, tag=True):
    """A step that is cancelled after some time."""

    step: Step
    limit_ms: int


class Beats(msgspec.Struct, frozen=True, tag=True):
    """A long activity that beats `count` times and fails once on its way, unless `fails_at` is 0."""

    key: str
    count: int
    gap_ms: int
    fails_at: int = 0


class Silence(msgspec.Struct, frozen=True, tag=True):
    """An activity that should beat and does not."""

    key: str


class Receive(msgspec.Struct, frozen=True, tag=True):
    """So many signals, numbered from 0 by their sender."""

    count: int


class Side(msgspec.Struct, frozen=True, tag=True):
    """A side effect, and a step that is handed what it recorded."""

    key: str


class Local(msgspec.Struct, frozen=True, tag=True):
    """Local activities at the same time, each taking `ms` and failing in its first `failures` attempts."""

    key: str
    ms: int
    failures: int
    count: int


class Tell(msgspec.Struct, frozen=True, tag=True):
    """A signal to itself by its workflow id, and its receipt."""

    key: str


class Ghost(msgspec.Struct, frozen=True, tag=True):
    """Calls an activity that nobody knows until the world is mended: the run is parked until then."""

    key: str


class Call(msgspec.Struct, frozen=True, tag=True):
    """A child workflow, awaited."""

    plan: "Plan"


class Spawn(msgspec.Struct, frozen=True, tag=True):
    """A child workflow that is not awaited; its id may be taken."""

    plan: "Plan"
    id: str | None
    policy: int


class Later(msgspec.Struct, frozen=True, tag=True):
    """An activity that somebody outside completes, by its token."""

    key: str


class Mark(msgspec.Struct, frozen=True, tag=True):
    """A search attribute that gets a value."""

    name: str
    value: int


class Apply(msgspec.Struct, frozen=True, tag=True):
    """So many updates, numbered from 0 by their sender."""

    count: int


class Fail(msgspec.Struct, frozen=True, tag=True):
    """Fails the run in its first `times` tries."""

    times: int


class Again(msgspec.Struct, frozen=True, tag=True):
    """Goes on as a new run with another plan: the last part of its own."""

    plan: "Plan"


Op: TypeAlias = (
    Step
    | Fan
    | Sleep
    | Race
    | Beats
    | Silence
    | Receive
    | Side
    | Local
    | Tell
    | Ghost
    | Call
    | Spawn
    | Later
    | Mark
    | Apply
    | Fail
    | Again
)


class Plan(msgspec.Struct, frozen=True):
    """What one run does, one thing after the other; `clean_up` is done where the run is cancelled."""

    ops: tuple[Op, ...]
    clean_up: Step | None = None


def value_of(key: str) -> int:
    """What the activity of this key returns."""
    return crc32(key.encode())


LOCAL = "/local/"
"""In the keys of local activities: these may run again whenever their turn does."""


def local_key(key: str, index: int) -> str:
    """The key of one of the local activities of a part."""
    return f"{key}{LOCAL}{index}"


class Expectation:
    """What each part of a result may be, given what happened around the run."""

    def __init__(self, *, deaths: bool, quarantines: bool, disturbed: bool) -> None:
        """`deaths`: a worker died; `quarantines`: enough of them did; `disturbed`: anything may have been late."""
        self._deaths = deaths
        self._died: set[int | str] = {DIED} if quarantines else set()
        self._disturbed = disturbed

    def mismatches(self, plan: Plan, results: Sequence[Any]) -> list[str]:
        """What is wrong with the results of a plan that was carried out to its end."""
        parts = parts_of(plan)
        if len(results) != len(parts):
            return [f"{len(results)} results of {len(parts)} parts"]
        found: list[str] = []
        counts = {Receive: 0, Apply: 0}
        for index, (op, result) in enumerate(zip(parts, results, strict=True)):
            if isinstance(op, Receive | Apply):
                before = counts[type(op)]
                counts[type(op)] += op.count
                fits = result == list(range(before, before + op.count))
            else:
                fits = self._fits(op, result)
            if not fits:
                found.append(f"part {index} {op!r} gave {result!r}")
        return found

    def _fits(self, op: Op, result: Any) -> bool:
        match op:
            case Step():
                return result in self._step(op)
            case Fan(steps):
                return len(result) == len(steps) and all(
                    each in self._step(step) for step, each in zip(steps, result, strict=True)
                )
            case Sleep():
                return result == "slept"
            case Race(step, limit_ms):
                # Far from the limit only the disturbed may end on the other side of it.
                if step.ms >= FOREVER_MS:
                    return result in {"timeout"} | self._died
                near = self._disturbed or step.failures > 0 or step.ms * 4 > limit_ms
                return result in self._step(step) or (near and result == "timeout")
            case Beats(key, count):
                return result in {value_of(key) + count} | self._died
            case Silence():
                return result == "heartbeat" or (self._deaths and result == DIED)
            case Receive() | Apply() | Again():
                return False
            case Mark(value=value):
                return result == value
            case Fail(times):
                return result == times + 1
            case Side(key):
                return len(result) == 2 and result[1] in {result[0]} | self._died
            case Local(key, _, _, count):
                return result == [value_of(local_key(key, index)) for index in range(count)]
            case Tell(key):
                return result in {value_of(key)} | self._died
            case Ghost(key) | Later(key):
                return result in {value_of(key)} | self._died
            case Call(plan):
                return type(result) is list and not self.mismatches(plan, cast(list[Any], result))
            case Spawn():
                return result in ("started", "refused") if op.id else result == "started"

    def _step(self, step: Step) -> set[int | str]:
        fits: set[int | str]
        if step.ms >= FOREVER_MS:
            fits = {"start_to_close"}
        elif step.attempts_max and step.failures >= step.attempts_max:
            fits = {"Flaky"}
        else:
            fits = {"Fatal"} if step.fatal else {value_of(step.key)}
        if step.wait_ms is not None and self._disturbed:
            fits |= {"schedule_to_start"}
        # Each death counts as an attempt.
        return fits | self._died | ({DIED} if self._deaths and step.attempts_max else set[int | str]())


def parts_of(plan: Plan) -> tuple[Op, ...]:
    """All parts of a plan, also those that the runs after the first one carry out; what goes on as one is none."""
    parts: list[Op] = []
    for op in plan.ops:
        parts += parts_of(op.plan) if isinstance(op, Again) else (op,)
    return tuple(parts)


def signals_count(plan: Plan) -> int:
    """How many signals a plan waits for."""
    return sum(op.count for op in parts_of(plan) if isinstance(op, Receive))


def updates_count(plan: Plan) -> int:
    """How many updates a plan waits for."""
    return sum(op.count for op in parts_of(plan) if isinstance(op, Apply))


def failures_count(plan: Plan) -> int:
    """How many runs of a plan fail before one goes through."""
    return sum(op.times for op in plan.ops if isinstance(op, Fail))


def marks_of(plan: Plan) -> dict[str, int]:
    """The search attributes that a plan leaves."""
    return {op.name: op.value for op in parts_of(plan) if isinstance(op, Mark)}
