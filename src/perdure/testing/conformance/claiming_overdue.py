"""What `claim` promises of attempts that nobody takes in time."""

from perdure.core.store import OVERDUE_MAX, NewAttempt, Store
from perdure.testing.conformance.runner import certifies
from perdure.testing.conformance.samples import (
    ANNA,
    BERT,
    NOW,
    birth,
    call,
    call_ids,
    claim,
    finish,
    hire,
    inbox_of,
    new_run,
    request,
    retry,
)


def elsewhere(call_id: int, **changes: int) -> NewAttempt:
    """A call of an activity that no worker knows, in a queue that none serves; it expires soon."""
    return call(call_id, name="rare", queue="elsewhere", **{"expires_at_ms": NOW + 10} | changes)


@certifies
class TestClaimingOverdue:
    """Whoever could take the run ends what nobody takes in time."""

    async def test_an_attempt_that_nobody_serves_goes_to_who_serves_its_run_when_it_expires(self, store: Store) -> None:
        run = new_run()
        await hire(store, ANNA, BERT)
        calls = (elsewhere(1), elsewhere(2, expires_at_ms=NOW + 20))
        await store.commit(ANNA, [birth(run, attempts=calls)])

        early = await claim(store, BERT, now_ms=NOW + 9)
        first = await claim(store, BERT, now_ms=NOW + 10)
        again = await claim(store, ANNA, now_ms=NOW + 11)
        second = await claim(store, ANNA, now_ms=NOW + 20)

        assert (call_ids(early), early.next_due_at_ms) == ([], NOW + 10)
        assert [(each.call_id, each.expired) for each in first.attempts] == [(1, True)]
        assert (first.next_due_at_ms, call_ids(again)) == (NOW + 20, [])
        assert [(each.call_id, each.expired) for each in second.attempts] == [(2, True)]

    async def test_its_end_is_an_answer_like_others(self, store: Store) -> None:
        run = new_run()
        await hire(store, ANNA, BERT)
        await store.commit(ANNA, [birth(run, attempts=(elsewhere(1),))])
        await claim(store, BERT, now_ms=NOW + 10)

        assert list(await store.finish(BERT, [finish(run, 1)])) == [True]

        assert await inbox_of(store, run) == ["a1"]
        assert (await claim(store, ANNA, now_ms=NOW + 10)).attempts == ()

    async def test_a_retry_of_it_is_free_again(self, store: Store) -> None:
        run = new_run()
        await hire(store, ANNA, BERT)
        await store.commit(ANNA, [birth(run, attempts=(elsewhere(1),))])
        await claim(store, ANNA, now_ms=NOW + 10)

        await store.finish(ANNA, [retry(run, 1, due_at_ms=NOW + 11)])

        assert call_ids(await claim(store, ANNA, now_ms=NOW + 50)) == []

    async def test_it_needs_no_room_for_activities(self, store: Store) -> None:
        run = new_run()
        await hire(store, ANNA)
        await store.commit(ANNA, [birth(run, attempts=(elsewhere(1), call(2, expires_at_ms=NOW + 10)))])

        claimed = await store.claim(request(ANNA, attempts_max=0, activities=frozenset()), NOW + 10)

        assert call_ids(claimed) == [1, 2]

    async def test_it_is_handed_out_once_to_who_serves_both(self, store: Store) -> None:
        run = new_run()
        await hire(store, ANNA)
        await store.commit(ANNA, [birth(run, attempts=(call(1, expires_at_ms=NOW + 10),))])

        assert call_ids(await claim(store, ANNA, now_ms=NOW + 10)) == [1]

    async def test_who_serves_neither_gets_nothing(self, store: Store) -> None:
        run = new_run()
        await hire(store, ANNA, BERT)
        await store.commit(ANNA, [birth(run, attempts=(elsewhere(1),))])

        for stranger in (
            request(BERT, queues=("other",)),
            request(BERT, routes=frozenset({"shipment"})),
            request(BERT, routes=frozenset[str]()),
        ):
            assert call_ids(await store.claim(stranger, NOW + 10)) == []
        assert call_ids(await claim(store, BERT, now_ms=NOW + 10)) == [1]

    async def test_what_one_claim_does_not_get_the_next_one_gets_soon(self, store: Store) -> None:
        run = new_run()
        await hire(store, ANNA)
        calls = tuple(elsewhere(number) for number in range(1, OVERDUE_MAX + 2))
        await store.commit(ANNA, [birth(run, attempts=calls)])

        first = await claim(store, ANNA, now_ms=NOW + 10)
        second = await claim(store, ANNA, now_ms=NOW + 11)

        assert (len(first.attempts), first.next_due_at_ms) == (OVERDUE_MAX, NOW + 11)
        assert (call_ids(second), second.next_due_at_ms) == ([OVERDUE_MAX + 1], None)

    async def test_one_that_is_held_is_left_alone(self, store: Store) -> None:
        run = new_run()
        await hire(store, ANNA, BERT)
        await store.commit(ANNA, [birth(run, attempts=(elsewhere(1),))])
        theirs = request(BERT, queues=("elsewhere",), activities=frozenset({"rare"}))

        assert call_ids(await store.claim(theirs, NOW)) == [1]

        assert call_ids(await claim(store, ANNA, now_ms=NOW + 10)) == []
