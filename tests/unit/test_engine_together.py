"""Calls of many callers as one."""

import asyncio
from collections.abc import Sequence

import pytest

from perdure.core.errors import StoreUnavailable
from perdure.engine.together import ITEMS_MAX, Together
from tests.unit.virtual_time import in_virtual_time


class Doubler:
    """Answers twice what it is asked, when it is let."""

    def __init__(self) -> None:
        self.calls: list[list[int]] = []
        self.free = asyncio.Event()
        self.error: Exception | None = None

    async def __call__(self, items: Sequence[int]) -> list[int]:
        self.calls.append(list(items))
        await self.free.wait()
        if self.error is not None:
            raise self.error
        if -1 in items:
            raise ValueError("-1 cannot be doubled")
        return [item * 2 for item in items]


async def asked(together: "Together[int, int]", items: Sequence[int]) -> "list[asyncio.Task[int]]":
    """Everyone asks, in this order, and waits."""
    tasks = [asyncio.create_task(together.ask(item)) for item in items]
    for _ in range(3):
        await asyncio.sleep(0)
    return tasks


async def test_one_who_asks_alone_is_served_at_once() -> None:
    doubler = Doubler()
    doubler.free.set()

    assert await Together(doubler).ask(3) == 6
    assert doubler.calls == [[3]]


async def test_one_who_asks_again_as_soon_as_the_answer_is_there_is_served_too() -> None:
    doubler = Doubler()
    doubler.free.set()
    together = Together(doubler)

    async with asyncio.timeout(10):
        assert [await together.ask(item) for item in range(3)] == [0, 2, 4]

    assert doubler.calls == [[0], [1], [2]]


async def test_those_who_ask_while_a_call_is_under_way_share_the_next_one() -> None:
    doubler = Doubler()
    together = Together(doubler)
    first = await asked(together, [1])

    others = await asked(together, [2, 3, 4])
    doubler.free.set()

    assert await asyncio.gather(*first, *others) == [2, 4, 6, 8]
    assert doubler.calls == [[1], [2, 3, 4]]


async def test_a_call_holds_no_more_than_it_may() -> None:
    doubler = Doubler()
    together = Together(doubler)
    tasks = await asked(together, [0])
    tasks += await asked(together, range(1, ITEMS_MAX + 2))
    doubler.free.set()

    await asyncio.gather(*tasks)

    assert [len(call) for call in doubler.calls] == [1, ITEMS_MAX, 1]


async def test_an_error_of_the_store_reaches_all_who_shared_the_call_and_nobody_after_them() -> None:
    doubler = Doubler()
    together = Together(doubler)
    tasks = await asked(together, [1])
    tasks += await asked(together, [2, 3])
    doubler.error = StoreUnavailable(store="memory://", reason="it broke")
    doubler.free.set()

    errors = await asyncio.gather(*tasks, return_exceptions=True)
    doubler.error = None

    assert all(isinstance(error, StoreUnavailable) for error in errors)
    assert len(doubler.calls) == 2
    assert await together.ask(4) == 8


async def test_an_error_that_is_about_one_of_them_reaches_that_one() -> None:
    doubler = Doubler()
    together = Together(doubler)
    tasks = await asked(together, [1])
    tasks += await asked(together, [2, -1, 3])
    doubler.free.set()

    first, second, third, fourth = await asyncio.gather(*tasks, return_exceptions=True)

    assert (first, second, fourth) == (2, 4, 6)
    assert isinstance(third, ValueError)


async def test_one_who_stops_to_wait_has_asked_all_the_same() -> None:
    doubler = Doubler()
    together = Together(doubler)
    first, second = await asked(together, [1]), await asked(together, [2])
    second[0].cancel()
    doubler.free.set()

    assert await asyncio.gather(*first) == [2]
    with pytest.raises(asyncio.CancelledError):
        await second[0]
    assert await together.ask(5) == 10
    assert doubler.calls == [[1], [2], [5]]


async def test_nobody_waits_for_ever_when_the_loop_ends() -> None:
    together = Together(Doubler())
    tasks = await asked(together, [1])
    tasks += await asked(together, [2])

    for task in asyncio.all_tasks() - {asyncio.current_task()} - set(tasks):
        task.cancel()

    answers = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(answer) for answer in answers] == [asyncio.CancelledError, asyncio.CancelledError]


@in_virtual_time
async def test_a_call_that_is_never_answered_does_not_stop_those_after_it() -> None:
    doubler = Doubler()
    together = Together(doubler)
    (first,) = await asked(together, [1])
    (second,) = await asked(together, [2])

    with pytest.raises(StoreUnavailable, match="no answer within 30 seconds"):
        await first
    doubler.free.set()

    assert await second == 4
