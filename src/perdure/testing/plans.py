"""Plans: what the simulator's workflows do, drawn by chance, and what must come of it, computed without the engine.

A plan travels as the argument of its run, so that whoever finds a run in the store can tell what it owes.
"""

from collections.abc import Callable, Sequence
from random import Random
from typing import Any, TypeAlias, cast
from zlib import crc32

import msgspec

from perdure.core.command import ParentClosePolicy

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


Op: TypeAlias = Step | Fan | Sleep | Race | Beats | Silence | Receive | Side | Local | Tell | Ghost | Call | Spawn


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
        if len(results) != len(plan.ops):
            return [f"{len(results)} results of {len(plan.ops)} parts"]
        found: list[str] = []
        received_count = 0
        for index, (op, result) in enumerate(zip(plan.ops, results, strict=True)):
            if isinstance(op, Receive):
                fits = result == list(range(received_count, received_count + op.count))
                received_count += op.count
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
            case Receive():
                return False
            case Side(key):
                return len(result) == 2 and result[1] in {result[0]} | self._died
            case Local(key, _, _, count):
                return result == [value_of(local_key(key, index)) for index in range(count)]
            case Tell(key):
                return result in {value_of(key)} | self._died
            case Ghost(key):
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


class PlanMaker:
    """Draws plans; `shared_ids` are workflow ids that several children compete for."""

    def __init__(self, random: Random, shared_ids: Sequence[str]) -> None:
        self._random = random
        self._shared_ids = shared_ids

    def plan(self, name: str, *, depth: int = 0) -> Plan:
        """A plan whose keys begin with `name`."""
        random = self._random
        count = random.choice((1, 1, 2, 3, 3, 4, 6) if depth == 0 else (0, 1, 1, 2))
        makers: list[Callable[[str, int], Op]] = [
            *([self._step] * 6), *([self._fan] * 2), *([self._sleep] * 2), self._race, self._race, self._beats,
            self._side, self._odd, self._odd,
        ]  # fmt: skip
        if depth == 0:
            makers += [self._receive, self._receive, self._silence, self._ghost]
        if depth < 2:
            makers += [self._call, self._spawn]
        ops = tuple(random.choice(makers)(f"{name}.{index}", depth) for index in range(count))
        return Plan(ops, Step(f"{name}.x", random.randint(0, 50)) if random.random() < 0.6 else None)

    def _step(self, key: str, _depth: int = 0) -> Step:
        random = self._random
        ms = random.choice((0, 0, 1, 20, 300, random.randint(0, 4_000)))
        return Step(key, ms, failures=random.choice((0, 0, 0, 0, 1, 2)))

    def _odd(self, key: str, _depth: int) -> Step:
        random = self._random
        match random.randrange(4):
            case 0:
                return Step(key, 5, fatal=True)
            case 1:
                return Step(key, FOREVER_MS, attempts_max=random.choice((1, 2)), timeout_ms=random.randint(200, 2_000))
            case 2:
                return Step(key, 5, failures=9, attempts_max=random.choice((1, 2, 3)))
            case _:
                return Step(key, 5, wait_ms=random.randint(50, 2_000))

    def _fan(self, key: str, _depth: int) -> Fan:
        return Fan(tuple(self._step(f"{key}.{index}") for index in range(self._random.choice((2, 3, 5, 9)))))

    def _sleep(self, _key: str, _depth: int) -> Sleep:
        return Sleep(self._random.choice((1, 40, self._random.randint(1, 3_000), self._random.randint(1, 20_000))))

    def _race(self, key: str, _depth: int) -> Race:
        random = self._random
        ms = random.choice((10, 1_000, FOREVER_MS))
        return Race(Step(key, ms, failures=random.choice((0, 0, 1))), random.choice((5, 1_000, 4_000)))

    def _beats(self, key: str, _depth: int) -> Beats:
        count = self._random.randint(2, 8)
        return Beats(
            key, count, self._random.randint(50, 900), self._random.choice((0, 0, self._random.randint(1, count)))
        )

    def _silence(self, key: str, _depth: int) -> Silence:
        return Silence(key)

    def _receive(self, _key: str, _depth: int) -> Receive:
        return Receive(self._random.choice((1, 2, 5)))

    def _side(self, key: str, _depth: int) -> Side | Local | Tell:
        # Decided by the key: another draw would make other worlds of all seeds.
        number = value_of(key)
        match number % 3:
            case 0:
                return Side(key)
            case 1:
                return Local(
                    key, ms=(0, 1, 300, 4_000)[number // 3 % 4], failures=number // 12 % 3, count=1 + number % 2
                )
            case _:
                return Tell(key)

    def _ghost(self, key: str, _depth: int) -> Ghost:
        return Ghost(key)

    def _call(self, key: str, depth: int) -> Call:
        return Call(self.plan(key, depth=depth + 1))

    def _spawn(self, key: str, depth: int) -> Spawn:
        own = self._random.choice((None, *self._shared_ids))
        return Spawn(self.plan(key, depth=depth + 1), own, self._random.choice(list(ParentClosePolicy)).value)


def signals_count(plan: Plan) -> int:
    """How many signals a plan waits for."""
    return sum(op.count for op in plan.ops if isinstance(op, Receive))
