"""A store that fails on purpose does so as its fates say."""

import asyncio
from random import Random

import pytest

from perdure.core.errors import StoreUnavailable
from perdure.core.ids import WorkerId
from perdure.stores.memory import MemoryStore
from perdure.testing.faults import Fate, FaultRates, FaultyStore, OneFate, RandomFates

ANNA = WorkerId("anna")


def store_with(fate: Fate, number: int = 1) -> FaultyStore:
    """A memory store whose call with this number meets a fate."""
    return FaultyStore(MemoryStore(), OneFate(number, fate))


async def test_a_refused_call_did_not_happen() -> None:
    store = store_with(Fate(refused=True))

    with pytest.raises(StoreUnavailable):
        await store.register(ANNA, 1)

    assert await store.leaseholders() == ()


async def test_an_unknown_call_happened() -> None:
    store = store_with(Fate(unknown=True))

    with pytest.raises(StoreUnavailable):
        await store.register(ANNA, 1)

    assert await store.leaseholders() == (ANNA,)


async def test_a_silent_call_happens_and_never_answers() -> None:
    store = store_with(Fate(arrives_ms=1, silent=True))

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await store.register(ANNA, 1)

    assert await store.leaseholders() == (ANNA,)


async def test_a_call_outlives_its_caller() -> None:
    store = store_with(Fate(arrives_ms=20))

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.001):
            await store.register(ANNA, 1)
    await asyncio.sleep(0.05)

    assert await store.leaseholders() == (ANNA,)


async def test_only_the_call_with_the_number_meets_the_fate() -> None:
    store = store_with(Fate(refused=True), number=2)

    await store.register(ANNA, 1)
    with pytest.raises(StoreUnavailable):
        await store.leaseholders()

    assert (store.calls_count, store.counts) == (2, {"register": 1, "leaseholders": 1})


async def test_what_is_cut_off_reaches_nothing() -> None:
    store = FaultyStore(MemoryStore(), RandomFates(Random(1), FaultRates()))
    store.cut_off = True

    with pytest.raises(StoreUnavailable):
        await store.register(ANNA, 1)

    assert await store.inner.leaseholders() == ()


def test_fates_come_as_often_as_their_rates_say() -> None:
    fates = RandomFates(
        Random(7), FaultRates(refused=0.1, unknown=0.2, silent=0.05, again=0.1, slow=0.05, slow_ms_max=9)
    )

    drawn = [fates.draw("commit", number) for number in range(10_000)]

    assert 0.48 < sum(fate is None for fate in drawn) / 10_000 < 0.52
    assert 900 < sum(fate is not None and fate.refused for fate in drawn) < 1_100
    assert 1_850 < sum(fate is not None and fate.unknown for fate in drawn) < 2_150
