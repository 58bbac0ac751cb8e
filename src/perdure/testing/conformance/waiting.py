"""What `wait` promises: who sleeps is woken by whatever it may have to do."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from perdure.core.store import RunStatus, Store
from perdure.testing.conformance.runner import certifies
from perdure.testing.conformance.samples import (
    ANNA,
    BERT,
    NOW,
    birth,
    call,
    child,
    claim,
    finish,
    hire,
    message,
    new_run,
    retry,
    turn,
)

LONG_MS = 30_000
"""Longer than any test may take: who waits so long was not woken."""


async def wakes(store: Store, verb: Callable[[], Awaitable[Any]]) -> bool:
    """Whether the verb ends a long wait that began before it."""
    seen = await store.wait(0, 0)
    waiting = asyncio.create_task(store.wait(seen, LONG_MS))
    await asyncio.sleep(0)
    await verb()
    return await asyncio.wait_for(waiting, LONG_MS / 1_000) != seen


@certifies
class TestWaiting:
    """No wake-up is lost; some may be needless."""

    async def test_the_first_wait_returns_at_once(self, store: Store) -> None:
        assert await asyncio.wait_for(store.wait(0, LONG_MS), LONG_MS / 2_000) != 0

    async def test_a_wait_ends_after_its_time(self, store: Store) -> None:
        seen = await store.wait(0, 0)

        assert await store.wait(seen, 1) == seen

    async def test_what_happened_before_the_wait_ends_it(self, store: Store) -> None:
        seen = await store.wait(0, 0)
        await store.create([new_run()])

        assert await asyncio.wait_for(store.wait(seen, LONG_MS), LONG_MS / 2_000) != seen

    async def test_a_created_run_wakes(self, store: Store) -> None:
        assert await wakes(store, lambda: store.create([new_run()]))

    async def test_a_message_wakes(self, store: Store) -> None:
        run = new_run()
        await hire(store, ANNA)
        await store.commit(ANNA, [birth(run)])

        assert await wakes(store, lambda: store.deliver([message(run)]))

    async def test_a_later_message_wakes_as_it_changes_what_is_due_next(self, store: Store) -> None:
        run = new_run()
        await hire(store, ANNA)
        await store.commit(ANNA, [birth(run)])

        assert await wakes(store, lambda: store.deliver([message(run, visible_at_ms=NOW + 9)]))

    async def test_a_free_attempt_wakes(self, store: Store) -> None:
        await hire(store, ANNA)

        assert await wakes(store, lambda: store.commit(ANNA, [birth(new_run(), attempts=(call(1),))]))

    async def test_a_child_wakes(self, store: Store) -> None:
        parent = new_run(1)
        await hire(store, ANNA)
        await store.commit(ANNA, [birth(parent)])

        assert await wakes(store, lambda: store.commit(ANNA, [turn(parent, 2, children=(child(parent, new_run(2)),))]))

    async def test_a_closed_run_wakes(self, store: Store) -> None:
        run = new_run()
        await hire(store, ANNA)
        await store.commit(ANNA, [birth(run)])

        assert await wakes(store, lambda: store.commit(ANNA, [turn(run, 2, closes=RunStatus.COMPLETED)]))

    async def test_a_run_that_is_no_longer_kept_wakes(self, store: Store) -> None:
        run = new_run()
        await hire(store, ANNA)
        await store.commit(ANNA, [birth(run, deliveries=(message(run),))])

        assert await wakes(store, lambda: store.commit(ANNA, [turn(run, 2, keep=False)]))

    async def test_an_answer_and_a_retry_wake(self, store: Store) -> None:
        run = new_run()
        await hire(store, ANNA)
        await store.commit(ANNA, [birth(run, attempts=(call(1, kept=True), call(2, kept=True)))])

        assert await wakes(store, lambda: store.finish(ANNA, [finish(run, 1)]))
        assert await wakes(store, lambda: store.finish(ANNA, [retry(run, 2)]))

    async def test_a_release_wakes(self, store: Store) -> None:
        await hire(store, ANNA)
        await store.create([new_run()])
        await claim(store, ANNA)

        assert await wakes(store, lambda: store.release(ANNA, died=False, now_ms=NOW))

    async def test_a_claim_that_gives_back_wakes_others(self, store: Store) -> None:
        await hire(store, BERT)
        await store.register(ANNA, NOW + 10)
        await store.create([new_run()])
        await claim(store, ANNA)

        assert await wakes(store, lambda: claim(store, BERT, now_ms=NOW + 10))

    async def test_all_who_wait_are_woken(self, store: Store) -> None:
        seen = await store.wait(0, 0)
        waiting = [asyncio.create_task(store.wait(seen, LONG_MS)) for _ in range(10)]
        await asyncio.sleep(0)

        await store.create([new_run()])

        counts = await asyncio.wait_for(asyncio.gather(*waiting), LONG_MS / 1_000)
        assert seen not in counts

    async def test_a_wait_can_be_given_up(self, store: Store) -> None:
        seen = await store.wait(0, 0)
        waiting = asyncio.create_task(store.wait(seen, LONG_MS))
        await asyncio.sleep(0)

        waiting.cancel()

        assert (await asyncio.gather(waiting, return_exceptions=True))[0].__class__ is asyncio.CancelledError
        assert await wakes(store, lambda: store.create([new_run()]))
