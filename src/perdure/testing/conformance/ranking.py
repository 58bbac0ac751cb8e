"""In which order a claim hands out attempts that have ranks."""

import asyncio

from perdure.core.rank import Rank
from perdure.core.store import Finish, Retry, Store
from perdure.testing.conformance.runner import certifies
from perdure.testing.conformance.samples import (
    ANNA,
    BERT,
    NOW,
    attempts_of,
    birth,
    call,
    call_ids,
    claim,
    finish,
    hire,
    new_run,
    request,
    turn,
)

URGENT, LAST = Rank(priority=1), Rank(priority=5)


async def one_by_one(store: Store, count: int) -> list[int]:
    """The call ids that so many claims of one attempt each hand out."""
    return [
        call_id for _ in range(count) for call_id in call_ids(await store.claim(request(ANNA, attempts_max=1), NOW))
    ]


@certifies
class TestRanking:
    """Lower priorities go first, keys of one priority take turns by their weights, and within a key the oldest goes."""

    async def test_lower_priorities_go_first_and_plain_attempts_are_in_the_middle(self, store: Store) -> None:
        run = new_run()
        await hire(store, ANNA)
        ranks = (LAST, None, URGENT, Rank(priority=4), Rank(priority=2), None)
        calls = tuple(call(number, rank=rank, due_at_ms=NOW - 9 + number) for number, rank in enumerate(ranks, 1))
        await store.commit(ANNA, [birth(run, attempts=calls)])

        assert call_ids(await store.claim(request(ANNA, attempts_max=4), NOW)) == [3, 5, 2, 6]
        assert call_ids(await claim(store, ANNA)) == [4, 1]

    async def test_among_equals_the_oldest_goes_first(self, store: Store) -> None:
        run = new_run()
        await hire(store, ANNA)
        dues = (NOW - 5, NOW - 9, NOW + 1, NOW - 7)
        calls = tuple(call(number, rank=URGENT, due_at_ms=due) for number, due in enumerate(dues, 1))
        await store.commit(ANNA, [birth(run, attempts=calls)])

        claimed = await claim(store, ANNA)

        assert (call_ids(claimed), claimed.next_due_at_ms) == ([2, 4, 1], NOW + 1)
        assert call_ids(await claim(store, ANNA, now_ms=NOW + 1)) == [3]

    async def test_keys_take_turns_however_much_of_one_waits(self, store: Store) -> None:
        run = new_run()
        await hire(store, ANNA)
        many = tuple(call(number, rank=Rank(key="many"), due_at_ms=NOW - 50) for number in range(1, 101))
        few = tuple(call(number, rank=Rank(key="few")) for number in (201, 202))
        await store.commit(ANNA, [birth(run, attempts=(*many, *few, call(301)))])

        assert await one_by_one(store, 7) == [1, 301, 201, 2, 202, 3, 4]

    async def test_weights_say_how_many_each_key_gets(self, store: Store) -> None:
        run = new_run()
        await hire(store, ANNA)
        heavy = tuple(call(number, rank=Rank(key="heavy", weight=3.0)) for number in range(1, 41))
        light = tuple(call(number, rank=Rank(key="light")) for number in range(101, 141))
        await store.commit(ANNA, [birth(run, attempts=(*heavy, *light))])

        found = await one_by_one(store, 20)

        assert sum(number < 100 for number in found) == 15

    async def test_a_key_that_comes_later_gets_no_more_than_its_share(self, store: Store) -> None:
        run = new_run()
        await hire(store, ANNA)
        early = tuple(call(number, rank=Rank(key="early")) for number in range(1, 21))
        await store.commit(ANNA, [birth(run, attempts=early)])
        await one_by_one(store, 10)
        late = tuple(call(number, rank=Rank(key="late")) for number in range(101, 111))
        await store.commit(ANNA, [turn(run, 2, attempts=late)])

        found = await one_by_one(store, 8)

        assert sum(number > 100 for number in found) == 4

    async def test_shares_are_kept_by_all_workers_together(self, store: Store) -> None:
        run = new_run()
        await hire(store, ANNA, BERT)
        calls = [call(number, rank=Rank(key="ab"[number % 2])) for number in range(1, 41)]
        await store.commit(ANNA, [birth(run, attempts=tuple(calls))])

        claims = await asyncio.gather(
            *(store.claim(request(worker, attempts_max=1), NOW) for worker in (ANNA, BERT) for _ in range(5))
        )

        found = [call_id for one in claims for call_id in call_ids(one)]
        assert sum(number % 2 for number in found) == 5

    async def test_what_is_left_for_lack_of_room_is_told(self, store: Store) -> None:
        run = new_run()
        await hire(store, ANNA)
        calls = (call(1, rank=URGENT), call(2, rank=LAST), call(3), call(4, rank=URGENT, due_at_ms=NOW + 1))
        await store.commit(ANNA, [birth(run, attempts=calls)])

        none = await store.claim(request(ANNA, attempts_max=0), NOW)
        full = await store.claim(request(ANNA, activities=frozenset(), full=frozenset({"charge"})), NOW)
        one = await store.claim(request(ANNA, attempts_max=1), NOW)
        rest = await claim(store, ANNA)

        assert [(call_ids(each), each.best_left) for each in (none, full, one, rest)] == [
            ([], 1),
            ([], 1),
            ([1], 3),
            ([3, 2], None),
        ]

    async def test_only_queues_and_activities_of_the_request_are_handed_out(self, store: Store) -> None:
        run = new_run()
        await hire(store, ANNA)
        calls = (call(1, queue="side", rank=URGENT), call(2, name="send", rank=URGENT), call(3, rank=LAST))
        await store.commit(ANNA, [birth(run, attempts=calls)])

        assert call_ids(await claim(store, ANNA)) == [3]
        assert call_ids(await store.claim(request(ANNA, activities=frozenset()), NOW)) == []
        assert call_ids(await store.claim(request(ANNA, queues=("side",)), NOW)) == [1]

    async def test_a_rank_stays_with_the_attempt(self, store: Store) -> None:
        run = new_run()
        await hire(store, ANNA)
        rank = Rank(priority=2, key="tenant \u00fc")
        await store.commit(ANNA, [birth(run, attempts=(call(1, rank=rank, kept=True), call(2)))])
        then = Retry(attempt=2, due_at_ms=NOW, expires_at_ms=None, failure=b"it failed")

        await store.finish(ANNA, [Finish(run.run_id, 1, 1, then)])

        assert [each.line for each in await attempts_of(store, run)] == ["2tenant \u00fc", None]
        assert call_ids(await claim(store, ANNA)) == [1, 2]

    async def test_suspects_are_handed_out_sparingly(self, store: Store) -> None:
        run = new_run()
        await hire(store, ANNA)
        await store.commit(None, [birth(run, attempts=tuple(call(number, rank=URGENT) for number in range(1, 6)))])
        for _ in range(2):
            await store.register(BERT, NOW + 10)
            await store.claim(request(BERT, attempts_max=3), NOW)
            await store.release(BERT, died=True, now_ms=NOW)

        one = await store.claim(request(ANNA, suspects_max=1), NOW + 1_000)
        none = await store.claim(request(ANNA, suspects_max=0), NOW + 1_000)
        rest = await claim(store, ANNA, now_ms=NOW + 1_000)

        assert [(found.call_id, found.deaths_count) for found in one.attempts] == [(4, 0), (5, 0), (1, 2)]
        assert call_ids(none) == []
        assert call_ids(rest) == [2, 3]

    async def test_an_attempt_that_waited_too_long_is_handed_out_as_expired(self, store: Store) -> None:
        run = new_run()
        await hire(store, ANNA)
        await store.commit(ANNA, [birth(run, attempts=(call(1, rank=LAST, due_at_ms=NOW + 9, expires_at_ms=NOW + 5),))])

        early = await claim(store, ANNA, now_ms=NOW + 4)
        claimed = await claim(store, ANNA, now_ms=NOW + 5)

        assert (call_ids(early), early.next_due_at_ms) == ([], NOW + 5)
        assert [found.expired for found in claimed.attempts] == [True]

    async def test_hundreds_of_keys_are_served_once_each(self, store: Store) -> None:
        run = new_run()
        await hire(store, ANNA)
        calls = tuple(call(number, rank=Rank(key=f"key-{number % 300}")) for number in range(1, 901))
        await store.commit(ANNA, [birth(run, attempts=calls)])

        claimed = await store.claim(request(ANNA, attempts_max=300), NOW)

        assert len({number % 300 for number in call_ids(claimed)}) == 300
        await store.finish(ANNA, [finish(run, number) for number in call_ids(claimed)])
        assert len(call_ids(await claim(store, ANNA))) == 600
