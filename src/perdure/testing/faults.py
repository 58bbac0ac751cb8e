"""A store that fails on purpose: before a call, after it, late, never, or twice.

What becomes of each call is drawn by a `Fates`: by chance (seeded), or for the call with a given number only. The
wrapper knows no verb but those that it may repeat.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine
from random import Random
from typing import Any, Protocol, TypeVar

import msgspec

from perdure.core.errors import StoreUnavailable
from perdure.core.store import Store
from perdure.testing.wrapper import StoreWrapper

R = TypeVar("R")

REPEATABLE = frozenset({"create", "deliver", "commit", "finish", "park"})
"""Verbs of which a second, late copy may arrive."""
LIFE = frozenset({"open", "close"})
"""Verbs that no fate touches."""


class Fate(msgspec.Struct, frozen=True):
    """What becomes of one call; moments count from the call, in milliseconds."""

    arrives_ms: float = 0.0
    """When it reaches the store."""
    answers_ms: float = 0.0
    """How long the answer takes back."""
    refused: bool = False
    """It raises `StoreUnavailable`, and nothing happened."""
    unknown: bool = False
    """It raises `StoreUnavailable`, and it happened."""
    silent: bool = False
    """It happens, and no answer ever comes."""
    again_ms: float | None = None
    """It reaches the store a second time, so much later; where the verb is one that is repeated."""


class Fates(Protocol):
    """Draws what becomes of each call."""

    def draw(self, verb: str, number: int) -> Fate | None:
        """The fate of call number `number` (from 1, over all verbs); None: nothing special."""
        ...


class FaultRates(msgspec.Struct, frozen=True):
    """How often what befalls a call, from 0 to 1, and how long it travels."""

    refused: float = 0.0
    unknown: float = 0.0
    silent: float = 0.0
    again: float = 0.0
    travel_ms_max: float = 0.0
    """Of each way."""
    slow: float = 0.0
    slow_ms_max: float = 0.0
    """Of calls that are slow, silent or repeated."""


class RandomFates:
    """Fates by chance; `rates` may change at any time."""

    def __init__(self, random: Random, rates: FaultRates) -> None:
        self.rates = rates
        self._random = random

    def draw(self, verb: str, number: int) -> Fate | None:
        """See `Fates`."""
        random, rates = self._random, self.rates
        travel_ms = rates.travel_ms_max
        arrives_ms, answers_ms = random.random() * travel_ms, random.random() * travel_ms
        kind = random.random()
        if kind >= rates.refused + rates.unknown + rates.silent + rates.again + rates.slow:
            return Fate(arrives_ms, answers_ms) if travel_ms else None
        late_ms = random.random() * rates.slow_ms_max
        if kind < rates.refused:
            return Fate(arrives_ms, answers_ms, refused=True)
        kind -= rates.refused
        if kind < rates.unknown:
            return Fate(arrives_ms, answers_ms, unknown=True)
        kind -= rates.unknown
        if kind < rates.silent:
            return Fate(late_ms, silent=True)
        kind -= rates.silent
        if kind < rates.again:
            return Fate(arrives_ms, answers_ms, again_ms=late_ms)
        return Fate(late_ms, answers_ms)


class OneFate:
    """One fate, for the call with one number."""

    def __init__(self, number: int, fate: Fate) -> None:
        self.number = number
        self.fate = fate
        self.verb: str | None = None
        """Which verb it befell, once it did."""

    def draw(self, verb: str, number: int) -> Fate | None:
        """See `Fates`."""
        if number != self.number:
            return None
        self.verb = verb
        return self.fate


class FaultyStore(StoreWrapper):
    """A `Store` whose calls meet their fates."""

    def __init__(self, inner: Store, fates: Fates, *, carrier: asyncio.AbstractEventLoop | None = None) -> None:
        """Calls travel on the loop `carrier`, where they outlive their caller; None: on the caller's own."""
        super().__init__(inner)
        self._fates = fates
        self._carrier = carrier
        self._under_way: set[asyncio.Task[None]] = set()
        self.calls_count = 0
        self.counts: Counter[str] = Counter()
        """Calls by verb."""
        self.silences_count = 0
        """How many callers were left without an answer."""
        self.cut_off = False
        """Whatever is called from now on raises, and never happens."""

    async def call(self, verb: str, action: Callable[[], Coroutine[Any, Any, R]]) -> R:
        """See `StoreWrapper`."""
        if self.cut_off:
            raise StoreUnavailable(store=self.url, reason="cut off")
        if verb in LIFE:
            return await action()
        self.calls_count += 1
        self.counts[verb] += 1
        fate = self._fates.draw(verb, self.calls_count)
        if fate is None:
            return await action()
        loop = asyncio.get_running_loop()
        self.silences_count += fate.silent
        answer: asyncio.Future[R] = loop.create_future()
        carrier = self._carrier or loop
        task = carrier.create_task(self._carry(verb, action, fate, answer))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)
        return await answer

    async def _carry(
        self, verb: str, action: Callable[[], Coroutine[Any, Any, R]], fate: Fate, answer: "asyncio.Future[R]"
    ) -> None:
        """Take one call to the store and its answer back."""
        if fate.arrives_ms:
            await asyncio.sleep(fate.arrives_ms / 1_000)
        error: Exception | None = None
        result: R | None = None
        if fate.refused:
            error = StoreUnavailable(store=self.url, reason=f"{verb} did not happen, on purpose")
        else:
            try:
                result = await action()
            except Exception as problem:  # whatever it is, it is the caller's
                error = problem
        if fate.unknown:
            error = StoreUnavailable(store=self.url, reason=f"{verb} has happened, on purpose without an answer")
        if fate.answers_ms:
            await asyncio.sleep(fate.answers_ms / 1_000)
        if not fate.silent:
            answer.get_loop().call_soon_threadsafe(_settle, answer, result, error)
        if fate.again_ms is not None and verb in REPEATABLE:
            await asyncio.sleep(fate.again_ms / 1_000)
            await action()


def _settle(answer: "asyncio.Future[Any]", result: object, error: Exception | None) -> None:
    if answer.done():
        return
    if error is None:
        answer.set_result(result)
    else:
        answer.set_exception(error)
