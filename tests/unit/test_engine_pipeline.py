"""Group commit: what shares a write, in which order, and what becomes of writes that fail."""

import asyncio
import itertools
from collections.abc import Callable, Sequence

import pytest

from perdure.core.errors import StoreFull, StoreUnavailable
from perdure.engine.pipeline import (
    BATCH_ENTRIES_MAX,
    REPEAT_MS_FIRST,
    REPEAT_MS_MAX,
    WRITE_TIMEOUT_MS,
    Pipeline,
    surely,
)
from tests.unit.virtual_time import in_virtual_time, settle, virtual_loop

UNAVAILABLE = StoreUnavailable(store="memory://", reason="on purpose")


class Desk:
    """A pipeline, and the write at its end: each batch waits until it is let through, or for the time it is told."""

    def __init__(self, *, write_s: float = 0.0) -> None:
        self.batches: list[list[int]] = []
        """All that reached the write, repetitions too."""
        self.done: list[tuple[list[int], str, bool]] = []
        self.broken: list[Exception] = []
        self.write_s = write_s
        self.fates: list[Exception | float] = []
        """Of the next writes: an exception to raise, or seconds to take."""
        self.on_done: Callable[[Sequence[int]], None] = lambda _: None
        self.pipeline: Pipeline[int, str] = Pipeline(self._write, self._done, "commit", self.broken.append)

    async def _write(self, entries: Sequence[int]) -> str:
        self.batches.append(list(entries))
        fate = self.fates.pop(0) if self.fates else self.write_s
        if isinstance(fate, Exception):
            raise fate
        if fate:
            await asyncio.sleep(fate)
        return f"written {len(entries)}"

    def _done(self, entries: Sequence[int], result: str, /, *, repeated: bool) -> None:
        self.done.append((list(entries), result, repeated))
        self.on_done(entries)

    def put(self, *entries: int) -> None:
        """Put each of the entries."""
        for entry in entries:
            self.pipeline.put(entry)


@in_virtual_time
async def test_an_entry_alone_is_written_at_once() -> None:
    desk = Desk()

    desk.put(1)
    await desk.pipeline.drained()

    assert desk.done == [([1], "written 1", False)]
    assert virtual_loop().time() == 0.0


@in_virtual_time
async def test_what_is_ready_together_shares_a_write() -> None:
    desk = Desk()

    desk.put(*range(100))
    await desk.pipeline.drained()

    assert desk.batches == [list(range(100))]


@in_virtual_time
async def test_what_becomes_ready_because_of_another_joins_before_the_write() -> None:
    desk = Desk()

    async def chain() -> None:
        for entry in range(5):
            desk.put(entry)
            await asyncio.sleep(0)

    await chain()
    await desk.pipeline.drained()

    assert desk.batches == [[0, 1, 2, 3, 4]]


@in_virtual_time
async def test_while_one_batch_is_written_the_next_one_gathers() -> None:
    desk = Desk(write_s=1.0)

    desk.put(1)
    await asyncio.sleep(0.3)
    desk.put(2)
    await asyncio.sleep(0.3)
    desk.put(3)
    assert desk.batches == [[1]]
    await desk.pipeline.drained()

    assert desk.batches == [[1], [2, 3]]
    assert [entries for entries, _, _ in desk.done] == [[1], [2, 3]]
    assert virtual_loop().time() == 2.0


@in_virtual_time
async def test_what_is_put_when_a_batch_is_done_is_the_next_batch() -> None:
    desk = Desk(write_s=1.0)
    desk.on_done = lambda entries: desk.put(entries[0] + 1) if entries[0] < 3 else None

    desk.put(1)
    await desk.pipeline.drained()

    assert desk.batches == [[1], [2], [3]]


@in_virtual_time
async def test_a_batch_is_bounded_and_the_order_is_kept() -> None:
    desk = Desk(write_s=1.0)
    entries = list(range(BATCH_ENTRIES_MAX * 2 + 5))

    desk.put(*entries)
    await desk.pipeline.drained()

    assert [len(batch) for batch in desk.batches] == [BATCH_ENTRIES_MAX, BATCH_ENTRIES_MAX, 5]
    assert [entry for batch in desk.batches for entry in batch] == entries


@in_virtual_time
async def test_a_write_that_fails_is_repeated_until_the_store_answers() -> None:
    desk = Desk()
    desk.fates = [UNAVAILABLE, StoreFull(store="memory://", reason="on purpose"), UNAVAILABLE]

    desk.put(1, 2)
    await settle()
    desk.put(3)
    await desk.pipeline.drained()

    assert desk.batches == [[1, 2]] * 4 + [[3]]
    assert desk.done == [([1, 2], "written 2", True), ([3], "written 1", False)]
    assert desk.broken == []
    assert virtual_loop().time() == pytest.approx((REPEAT_MS_FIRST * (1 + 2 + 4)) / 1_000)


@in_virtual_time
async def test_a_write_that_hangs_is_repeated() -> None:
    desk = Desk()
    desk.fates = [1e6]

    desk.put(1)
    await desk.pipeline.drained()

    assert desk.done == [([1], "written 1", True)]
    assert virtual_loop().time() == pytest.approx((WRITE_TIMEOUT_MS + REPEAT_MS_FIRST) / 1_000)


@in_virtual_time
async def test_pauses_grow_to_a_limit_and_are_told(caplog: pytest.LogCaptureFixture) -> None:
    calls_at_s: list[float] = []

    async def call() -> str:
        calls_at_s.append(virtual_loop().time())
        if len(calls_at_s) < 11:
            raise UNAVAILABLE
        return "here"

    assert await surely(call, "read") == ("here", True)

    pauses_ms = [round((later - earlier) * 1_000) for earlier, later in itertools.pairwise(calls_at_s)]
    assert pauses_ms == [50, 100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000, 5_000]
    assert pauses_ms[-1] == REPEAT_MS_MAX
    assert "read: PDR4001: the store memory:// is unavailable" in caplog.text
    assert "trying again in 50 ms" in caplog.text


@in_virtual_time
async def test_a_call_that_answers_is_not_repeated() -> None:
    async def call() -> int:
        return 5

    assert await surely(call, "read") == (5, False)


@in_virtual_time
async def test_a_bug_of_the_caller_is_not_repeated() -> None:
    async def call() -> int:
        raise ValueError("a bug")

    with pytest.raises(ValueError, match="a bug"):
        await surely(call, "read")


@in_virtual_time
async def test_a_bug_in_a_write_is_told_and_the_rest_goes_on() -> None:
    desk = Desk(write_s=1.0)
    desk.fates = [ValueError("a bug")]

    desk.put(1)
    await settle()
    desk.put(2)
    await desk.pipeline.drained()

    assert [str(error) for error in desk.broken] == ["a bug"]
    assert desk.batches == [[1], [2]]
    assert [entries for entries, _, _ in desk.done] == [[2]]


@in_virtual_time
async def test_a_bug_after_a_write_is_told_and_the_rest_goes_on() -> None:
    desk = Desk(write_s=1.0)

    def fail_once(entries: Sequence[int]) -> None:
        if entries[0] == 1:
            raise ValueError("a bug")

    desk.on_done = fail_once
    desk.put(1)
    await settle()
    desk.put(2)
    await desk.pipeline.drained()

    assert [str(error) for error in desk.broken] == ["a bug"]
    assert desk.batches == [[1], [2]]


@in_virtual_time
async def test_drained_waits_for_all_that_was_put() -> None:
    desk = Desk(write_s=1.0)

    await desk.pipeline.drained()
    desk.put(1)
    await settle()
    desk.put(2)
    await desk.pipeline.drained()

    assert len(desk.done) == 2
    await desk.pipeline.drained()


@in_virtual_time
async def test_what_is_abandoned_is_neither_written_nor_done() -> None:
    desk = Desk(write_s=1.0)
    desk.put(1)
    await settle()
    desk.put(2)

    desk.pipeline.abandon()
    await desk.pipeline.drained()
    await asyncio.sleep(10)

    assert desk.batches == [[1]]
    assert desk.done == []
    assert desk.broken == []


@in_virtual_time
async def test_repetitions_end_when_a_pipeline_is_abandoned() -> None:
    desk = Desk()
    desk.fates = [UNAVAILABLE] * 1_000
    desk.put(1)
    await asyncio.sleep(1)
    before = len(desk.batches)

    desk.pipeline.abandon()
    await asyncio.sleep(60)

    assert len(desk.batches) == before
    await desk.pipeline.drained()


@in_virtual_time
async def test_an_abandoned_pipeline_takes_new_entries() -> None:
    desk = Desk(write_s=1.0)
    desk.put(1)
    await settle()

    desk.pipeline.abandon()
    desk.put(2)
    await desk.pipeline.drained()

    assert desk.batches == [[1], [2]]
    assert [entries for entries, _, _ in desk.done] == [[2]]


@in_virtual_time
async def test_a_pipeline_that_is_abandoned_before_it_began_takes_new_entries() -> None:
    desk = Desk()
    desk.put(1)

    desk.pipeline.abandon()
    desk.put(2)
    async with asyncio.timeout(60):
        await desk.pipeline.drained()

    assert desk.batches == [[2]]


@in_virtual_time
async def test_a_pipeline_that_is_abandoned_before_it_began_is_drained() -> None:
    desk = Desk()
    desk.put(1)

    desk.pipeline.abandon()
    async with asyncio.timeout(60):
        await desk.pipeline.drained()

    assert desk.batches == []


@in_virtual_time
async def test_an_idle_pipeline_can_be_abandoned() -> None:
    desk = Desk()

    desk.pipeline.abandon()
    desk.put(1)
    await desk.pipeline.drained()

    assert desk.batches == [[1]]
