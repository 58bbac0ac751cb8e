"""The simulator: one seed in, a world lived through, what was wrong with it out. The same seed gives the same world."""

import gc
import logging
from collections import Counter
from collections.abc import Callable
from hashlib import sha256

import msgspec

from perdure.core.store import Store
from perdure.stores.memory import MemoryStore
from perdure.testing.director import direct
from perdure.testing.invariants import all_runs
from perdure.testing.verdict import judge
from perdure.testing.virtual import StandstillError
from perdure.testing.world import World

SEEDS_BETWEEN_COLLECTIONS = 20


class SeedReport(msgspec.Struct, frozen=True):
    """What came of one seed."""

    seed: int
    violations: tuple[str, ...]
    counts: dict[str, int]
    """How often what is rare happened."""
    digest: str
    """Names all that the store held in the end, and when the end was: the same seed gives the same digest."""
    story: str
    """The world's shape, and the blows it took."""

    @property
    def clean(self) -> bool:
        """Whether nothing was wrong."""
        return not self.violations


class _Errors(logging.Handler):
    """Keeps what is logged as an error: a worker that fails inside must not go unnoticed."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        # Parked runs are judged by their failures.
        if "is parked" not in record.getMessage():
            self.texts.append(self.format(record))


def simulate(seed: int, make_store: Callable[[], Store] = MemoryStore) -> SeedReport:
    """Live through the world of a seed, over the store that `make_store` makes."""
    logger = logging.getLogger("perdure")
    errors = _Errors()
    level, propagate = logger.level, logger.propagate
    logger.addHandler(errors)
    logger.setLevel(logging.ERROR)
    logger.propagate = False
    # Where and when garbage is collected must not depend on what ran before.
    gc_was_on = gc.isenabled()
    gc.disable()
    try:
        world = World(seed, make_store)
        violations, digest = _live(world)
    finally:
        logger.removeHandler(errors)
        logger.setLevel(level)
        logger.propagate = propagate
        if gc_was_on:
            gc.enable()
    if seed % SEEDS_BETWEEN_COLLECTIONS == 0:
        gc.collect()
    story = "\n".join([repr(world.shape), *world.blows])
    return SeedReport(seed, (*violations, *errors.texts), dict(_counts(world)), digest, story)


def _live(world: World) -> tuple[list[str], str]:
    try:
        world.time.run(direct(world), world.director)
        return world.time.run(_judged(world), world.director)
    except StandstillError as error:
        return [*world.violations, f"standstill: {error}"], ""
    finally:
        world.bury()


async def _judged(world: World) -> tuple[list[str], str]:
    digest = sha256(str(world.time.now_ms).encode())
    store = world.witness.inner
    async for record in all_runs(store):
        for history in await store.read_turns([(record.run_id, 0)], record.turns_count):
            for turn in history:
                digest.update(turn)
    return await judge(world), digest.hexdigest()


def _counts(world: World) -> Counter[str]:
    counts = Counter(world.witness.counts)
    counts.update(line.split()[1] for line in world.blows)
    return counts
