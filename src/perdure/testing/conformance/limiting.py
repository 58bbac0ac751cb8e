"""What claims that have limits of queues hand out."""

import asyncio

from perdure.core.ids import WorkerId
from perdure.core.queue_limit import QueueLimit
from perdure.core.rank import Rank
from perdure.core.store import Claimed, Store
from perdure.testing.conformance.runner import certifies
from perdure.testing.conformance.samples import (
    ANNA,
    BERT,
    NOW,
    birth,
    call,
    call_ids,
    finish,
    hire,
    new_run,
    request,
    retry,
    turn,
)
from perdure.testing.conformance.waiting import wakes

TEN = tuple(call(number) for number in range(1, 11))


async def claim(store: Store, limit: QueueLimit, *, worker: WorkerId = ANNA, now_ms: int = NOW) -> Claimed:
    """Claim all that the limit lets through."""
    return await store.claim(request(worker, limits=(limit,)), now_ms)


@certifies
class TestLimiting:
    """Rates and counts hold for all workers together; what they keep does not keep others."""

    async def test_a_rate_lets_one_through_at_a_time_and_tells_when_the_next_one_goes(self, store: Store) -> None:
        run, limit = new_run(), QueueLimit("main", per_second=4)
        await hire(store, ANNA, BERT)
        await store.commit(ANNA, [birth(run, attempts=TEN)])

        first = await claim(store, limit)
        early = await claim(store, limit, worker=BERT, now_ms=NOW + 249)
        later = await claim(store, limit, worker=BERT, now_ms=NOW + 250)

        assert [(call_ids(each), each.next_due_at_ms) for each in (first, early, later)] == [
            ([1], NOW + 250),
            ([], NOW + 250),
            ([2], NOW + 500),
        ]

    async def test_a_fast_rate_lets_a_tenth_of_a_second_through_at_once(self, store: Store) -> None:
        run, limit = new_run(), QueueLimit("main", per_second=50)
        await hire(store, ANNA)
        await store.commit(ANNA, [birth(run, attempts=TEN)])

        first = await claim(store, limit)
        later = await claim(store, limit, now_ms=NOW + 45)

        assert (call_ids(first), first.next_due_at_ms) == ([1, 2, 3, 4, 5], NOW + 20)
        assert (call_ids(later), later.next_due_at_ms) == ([6, 7], NOW + 60)

    async def test_a_rate_saves_nothing_up(self, store: Store) -> None:
        run, limit = new_run(), QueueLimit("main", per_second=4)
        await hire(store, ANNA)
        await store.commit(ANNA, [birth(run, attempts=TEN)])
        await claim(store, limit)

        assert call_ids(await claim(store, limit, now_ms=NOW + 60_000)) == [2]

    async def test_each_key_has_a_rate_of_its_own(self, store: Store) -> None:
        run, limit = new_run(), QueueLimit("main", per_key_per_second=2)
        await hire(store, ANNA)
        keys = [None, "a", "b"]
        calls = tuple(call(number, rank=Rank(key=keys[number % 3])) for number in range(1, 10))
        await store.commit(ANNA, [birth(run, attempts=(*calls, call(10, rank=Rank(priority=1, key="a"))))])

        first = await claim(store, limit)
        later = await claim(store, limit, now_ms=NOW + 500)

        assert (sorted(call_ids(first)), first.next_due_at_ms) == ([2, 3, 10], NOW + 500)
        assert len(call_ids(later)) == 3

    async def test_so_many_run_at_once_whoever_holds_them(self, store: Store) -> None:
        run, limit = new_run(), QueueLimit("main", concurrent=3)
        await hire(store, ANNA, BERT)
        await store.commit(ANNA, [birth(run, attempts=TEN)])

        first = await store.claim(request(ANNA, limits=(limit,), attempts_max=2), NOW)
        second = await claim(store, limit, worker=BERT)
        none = await claim(store, limit)
        await store.finish(ANNA, [finish(run, 1)])
        await store.finish(BERT, [retry(run, 3)])
        third = await claim(store, limit)

        assert [call_ids(each) for each in (first, second, none)] == [[1, 2], [3], []]
        assert (none.next_due_at_ms, none.best_left) == (None, None)
        assert call_ids(third) == [3, 4]

    async def test_so_many_of_each_key_run_at_once(self, store: Store) -> None:
        run, limit = new_run(), QueueLimit("main", concurrent=4, concurrent_per_key=2)
        await hire(store, ANNA)
        calls = tuple(call(number, rank=Rank(number % 2 + 1, "ab"[number > 5])) for number in range(1, 11))
        await store.commit(ANNA, [birth(run, attempts=(*calls, call(11)))])

        claimed = call_ids(await claim(store, limit))

        assert claimed == [2, 6, 4, 8]

    async def test_two_claimers_together_never_get_too_many(self, store: Store) -> None:
        run, limit = new_run(), QueueLimit("main", concurrent=5)
        await hire(store, ANNA, BERT)
        await store.commit(ANNA, [birth(run, attempts=TEN)])

        claims = await asyncio.gather(
            *(
                store.claim(request(worker, attempts_max=2, limits=(limit,)), NOW)
                for worker in (ANNA, BERT)
                for _ in range(5)
            )
        )

        assert sum(len(each.attempts) for each in claims) == 5

    async def test_what_a_limit_keeps_does_not_keep_other_queues_and_keys(self, store: Store) -> None:
        run, limit = new_run(), QueueLimit("main", concurrent_per_key=1)
        await hire(store, ANNA)
        urgent = tuple(call(number, rank=Rank(priority=1, key="a")) for number in (1, 2, 3))
        others = (call(4, rank=Rank(priority=5, key="b")), call(5, queue="side"), call(6, queue="side"))
        await store.commit(ANNA, [birth(run, attempts=(*urgent, *others))])

        claimed = await store.claim(request(ANNA, queues=("main", "side"), limits=(limit,)), NOW)

        assert call_ids(claimed) == [1, 5, 6, 4]

    async def test_what_has_expired_is_handed_out_whatever_the_limits_say(self, store: Store) -> None:
        run, limit = new_run(), QueueLimit("main", concurrent=1, per_second=0.001)
        await hire(store, ANNA)
        calls = (call(1), call(2, expires_at_ms=NOW + 10), call(3, expires_at_ms=NOW + 20))
        await store.commit(ANNA, [birth(run, attempts=calls)])

        first = await claim(store, limit)
        second = await claim(store, limit, now_ms=NOW + 10)

        assert (call_ids(first), first.next_due_at_ms) == ([1], NOW + 10)
        assert [(each.call_id, each.expired) for each in second.attempts] == [(2, True)]
        assert second.next_due_at_ms == NOW + 20

    async def test_a_slot_that_is_freed_wakes_who_waits(self, store: Store) -> None:
        run, other, limit = new_run(), new_run(2), QueueLimit("main", concurrent=1)
        await hire(store, ANNA)
        await store.commit(ANNA, [birth(run, attempts=(call(1),)), birth(other, attempts=(call(1), call(2)))])
        (held,) = (await claim(store, limit)).attempts
        assert held.run_id == run.run_id

        assert await wakes(store, lambda: store.commit(ANNA, [turn(run, 2, finished=(1,))]))
        assert call_ids(await claim(store, limit)) == [1]

    async def test_what_a_dead_worker_held_no_longer_counts(self, store: Store) -> None:
        run, limit = new_run(), QueueLimit("main", concurrent=1)
        await store.register(BERT, NOW + 10)
        await hire(store, ANNA)
        await store.commit(None, [birth(run, attempts=(call(1), call(2)))])
        await claim(store, limit, worker=BERT)

        assert call_ids(await claim(store, limit, now_ms=NOW + 9)) == []
        assert call_ids(await claim(store, limit, now_ms=NOW + 11)) != []

    async def test_without_limits_in_the_request_nothing_is_kept_back(self, store: Store) -> None:
        run = new_run()
        await hire(store, ANNA)
        await store.commit(ANNA, [birth(run, attempts=TEN)])
        await claim(store, QueueLimit("main", concurrent=1, per_second=0.001))

        assert len(call_ids(await store.claim(request(ANNA), NOW))) == 9
