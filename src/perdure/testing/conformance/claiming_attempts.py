"""What `claim` and `finish` promise of attempts."""

import asyncio

from perdure.core.store import Beat, ClaimedAttempt, Finish, Retry, Store
from perdure.testing.conformance.runner import certifies
from perdure.testing.conformance.samples import (
    ANNA,
    BERT,
    FAR,
    NOW,
    attempts_of,
    birth,
    call,
    call_ids,
    claim,
    finish,
    hire,
    inbox_of,
    message,
    new_run,
    request,
    retry,
    run_ids,
    turn,
)


@certifies
class TestClaimingAttempts:
    """Who may have an attempt, and how it ends."""

    async def test_a_claimed_attempt_comes_with_its_turn(self, store: Store) -> None:
        run = new_run()
        await hire(store, ANNA, BERT)
        await store.commit(ANNA, [birth(run)])
        await store.commit(ANNA, [turn(run, 2, attempts=(call(5, due_at_ms=NOW - 3),))])

        claimed = await claim(store, BERT)

        assert claimed.attempts == (
            ClaimedAttempt(
                run_id=run.run_id,
                workflow_id=run.workflow_id,
                call_id=5,
                attempt=1,
                turn=b"turn 2",
                queued_at_ms=NOW - 3,
                deaths_count=0,
                expired=False,
                heartbeat=None,
                failure=None,
            ),
        )
        assert (await attempts_of(store, run))[0].worker == BERT

    async def test_two_claimers_never_get_the_same_attempt(self, store: Store) -> None:
        run = new_run()
        await hire(store, ANNA, BERT)
        await store.commit(ANNA, [birth(run, attempts=tuple(call(number) for number in range(1, 51)))])

        claims = await asyncio.gather(
            *(store.claim(request(worker, attempts_max=7), NOW) for worker in (ANNA, BERT) for _ in range(5))
        )

        assert sorted(call_id for one in claims for call_id in call_ids(one)) == list(range(1, 51))

    async def test_only_queues_and_activities_of_the_request_are_claimed(self, store: Store) -> None:
        run = new_run()
        await hire(store, ANNA)
        calls = (call(1, queue="side"), call(2, name="send"), call(3))
        await store.commit(ANNA, [birth(run, attempts=calls)])

        assert call_ids(await claim(store, ANNA)) == [3]
        assert call_ids(await store.claim(request(ANNA, activities=frozenset()), NOW)) == []
        assert call_ids(await store.claim(request(ANNA, queues=("side",)), NOW)) == [1]

    async def test_the_oldest_due_come_first_and_no_more_than_asked(self, store: Store) -> None:
        run = new_run()
        await hire(store, ANNA)
        dues = (NOW - 5, NOW - 9, NOW - 7, NOW - 9)
        calls = tuple(call(number, due_at_ms=due) for number, due in enumerate(dues, 1))
        await store.commit(ANNA, [birth(run, attempts=calls)])

        first = await store.claim(request(ANNA, attempts_max=3), NOW)

        assert call_ids(first) == [2, 4, 3]
        assert call_ids(await store.claim(request(ANNA, attempts_max=0), NOW)) == []
        assert call_ids(await claim(store, ANNA)) == [1]

    async def test_an_attempt_is_claimed_when_it_is_due(self, store: Store) -> None:
        run = new_run()
        await hire(store, ANNA)
        await store.commit(ANNA, [birth(run, attempts=(call(1, due_at_ms=NOW + 10),))])

        early = await claim(store, ANNA, now_ms=NOW + 9)

        assert (call_ids(early), early.next_due_at_ms) == ([], NOW + 10)
        assert call_ids(await claim(store, ANNA, now_ms=NOW + 10)) == [1]

    async def test_an_attempt_that_expires_before_it_is_due_is_handed_out_as_expired(self, store: Store) -> None:
        run = new_run()
        await hire(store, ANNA)
        await store.commit(ANNA, [birth(run, attempts=(call(1, due_at_ms=NOW + 50, expires_at_ms=NOW + 10),))])

        early = await claim(store, ANNA, now_ms=NOW + 9)
        claimed = await claim(store, ANNA, now_ms=NOW + 10)

        assert (call_ids(early), early.next_due_at_ms) == ([], NOW + 10)
        assert [found.expired for found in claimed.attempts] == [True]

    async def test_an_attempt_that_waited_too_long_is_handed_out_as_expired(self, store: Store) -> None:
        run = new_run()
        await hire(store, ANNA)
        calls = (call(1, expires_at_ms=NOW + 10), call(2, expires_at_ms=NOW + 11))
        await store.commit(ANNA, [birth(run, attempts=calls)])

        claimed = await claim(store, ANNA, now_ms=NOW + 10)

        assert [(found.call_id, found.expired) for found in claimed.attempts] == [(1, True), (2, False)]

    async def test_an_answer_ends_the_attempt_and_tells_the_run(self, store: Store) -> None:
        run = new_run()
        await hire(store, ANNA, BERT)
        await store.commit(ANNA, [birth(run, attempts=(call(1), call(2)))])
        await claim(store, BERT)

        finished = await store.finish(BERT, [finish(run, 1), finish(run, 2)])

        assert list(finished) == [True, True]
        assert await attempts_of(store, run) == ()
        assert (await claim(store, ANNA)).runs[0].messages == (b"a1", b"a2")

    async def test_a_retry_is_the_next_attempt_free_for_anyone(self, store: Store) -> None:
        run = new_run()
        await hire(store, ANNA, BERT)
        await store.commit(ANNA, [birth(run, attempts=(call(1, kept=True),))])

        finished = await store.finish(ANNA, [retry(run, 1, due_at_ms=NOW + 20)])

        assert list(finished) == [True]
        early = await claim(store, BERT)
        assert (call_ids(early), early.next_due_at_ms) == ([], NOW + 20)
        (found,) = (await claim(store, BERT, now_ms=NOW + 20)).attempts
        assert (found.attempt, found.failure, found.queued_at_ms, found.deaths_count) == (2, b"it failed", NOW + 20, 0)
        assert found.turn == b"turn 1"

    async def test_a_retry_can_bring_a_heartbeat(self, store: Store) -> None:
        run = new_run()
        await hire(store, ANNA)
        await store.commit(ANNA, [birth(run, attempts=(call(1, kept=True), call(2, kept=True)))])
        await store.extend(ANNA, FAR, [Beat(run.run_id, 1, b"old"), Beat(run.run_id, 2, b"old")])
        then = Retry(attempt=2, due_at_ms=NOW, expires_at_ms=None, failure=b"", heartbeat=b"new")

        await store.finish(ANNA, [Finish(run.run_id, 1, 1, then), retry(run, 2)])

        assert [found.heartbeat for found in (await claim(store, ANNA)).attempts] == [b"new", b"old"]

    async def test_a_retry_can_expire(self, store: Store) -> None:
        run = new_run()
        await hire(store, ANNA)
        await store.commit(ANNA, [birth(run, attempts=(call(1, kept=True),))])
        then = Retry(attempt=2, due_at_ms=NOW + 50, expires_at_ms=NOW + 10, failure=b"")

        await store.finish(ANNA, [Finish(run.run_id, 1, 1, then)])

        claimed = await claim(store, ANNA, now_ms=NOW + 10)
        assert [found.expired for found in claimed.attempts] == [True]

    async def test_a_retry_without_a_failure_leaves_the_one_that_is_stored(self, store: Store) -> None:
        run = new_run()
        await hire(store, ANNA)
        await store.commit(ANNA, [birth(run, attempts=(call(1, kept=True),))])
        await store.finish(ANNA, [Finish(run.run_id, 1, 1, Retry(2, NOW, None, b"it failed"))])
        await claim(store, ANNA)

        await store.finish(ANNA, [Finish(run.run_id, 1, 2, Retry(2, NOW + 1, None, None))])

        (found,) = (await claim(store, ANNA, now_ms=NOW + 1)).attempts
        assert (found.attempt, found.failure) == (2, b"it failed")

    async def test_a_client_finishes_attempts_that_are_held_or_wait(self, store: Store) -> None:
        run = new_run()
        await hire(store, ANNA)
        await store.commit(ANNA, [birth(run, attempts=(call(1, kept=True), call(2)))])

        finished = await store.finish(None, [finish(run, 1), finish(run, 2), finish(run, 3)])

        assert list(finished) == [True, True, False]
        assert [found.call_id for found in await attempts_of(store, run)] == []
        assert len(await inbox_of(store, run)) == 2

    async def test_a_stranger_cannot_finish_an_attempt(self, store: Store) -> None:
        run = new_run()
        await hire(store, ANNA, BERT)
        await store.commit(ANNA, [birth(run, attempts=(call(1, kept=True), call(2)))])

        finished = await store.finish(BERT, [finish(run, 1), finish(run, 2), finish(new_run(9), 1)])

        assert list(finished) == [False, False, False]
        assert [found.call_id for found in await attempts_of(store, run)] == [1, 2]
        assert await inbox_of(store, run) == []

    async def test_an_attempt_of_another_number_is_not_finished(self, store: Store) -> None:
        run = new_run()
        await hire(store, ANNA)
        await store.commit(ANNA, [birth(run, attempts=(call(1, kept=True),))])

        finished = await store.finish(ANNA, [finish(run, 1, attempt=2), retry(run, 1, attempt=2)])

        assert list(finished) == [False, False]
        assert len(await attempts_of(store, run)) == 1

    async def test_an_attempt_ends_once(self, store: Store) -> None:
        run = new_run()
        await hire(store, ANNA)
        await store.commit(ANNA, [birth(run, attempts=(call(1, kept=True),))])

        finished = await store.finish(ANNA, [finish(run, 1), retry(run, 1)])
        again = await store.finish(ANNA, [finish(run, 1)])

        assert (list(finished), list(again)) == ([True, False], [False])
        assert await inbox_of(store, run) == ["a1"]

    async def test_a_cancelled_attempt_ends_without_an_answer_or_a_retry(self, store: Store) -> None:
        run = new_run()
        await hire(store, ANNA)
        await store.commit(ANNA, [birth(run, attempts=(call(1, kept=True), call(2, kept=True)))])
        await store.commit(ANNA, [turn(run, 2, cancelled=(1, 2))])

        finished = await store.finish(ANNA, [finish(run, 1), retry(run, 2)])

        assert list(finished) == [True, True]
        assert await attempts_of(store, run) == ()
        assert await inbox_of(store, run) == []

    async def test_many_finishes_mix_good_and_bad(self, store: Store) -> None:
        run = new_run()
        await hire(store, ANNA, BERT)
        calls = tuple(call(number, kept=number % 2 == 0) for number in range(1, 701))
        await store.commit(ANNA, [birth(run, attempts=calls)])

        finished = await store.finish(ANNA, [finish(run, number) for number in range(1, 701)])

        assert list(finished) == [number % 2 == 0 for number in range(1, 701)]
        assert len(await attempts_of(store, run)) == 350
        assert len(await inbox_of(store, run)) == 350

    async def test_an_answer_wakes_a_run_that_another_worker_holds(self, store: Store) -> None:
        run = new_run()
        await hire(store, ANNA, BERT)
        await store.commit(
            ANNA, [birth(run, attempts=(call(1),), deliveries=(message(run, "t", visible_at_ms=NOW + 9),))]
        )
        await claim(store, BERT)

        await store.finish(BERT, [finish(run, 1)])

        claimed = await claim(store, ANNA)
        assert (run_ids(claimed), claimed.runs[0].messages) == ([run.run_id], (b"a1",))

    async def test_suspects_are_handed_out_sparingly(self, store: Store) -> None:
        run = new_run()
        await hire(store, ANNA)
        await store.commit(None, [birth(run, attempts=tuple(call(number) for number in range(1, 6)))])
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

    async def test_suspects_count_among_all(self, store: Store) -> None:
        run = new_run()
        await hire(store, ANNA)
        await store.commit(None, [birth(run, attempts=(call(1), call(2, name="send"), call(3, due_at_ms=NOW + 1_001)))])
        for _ in range(2):
            await store.register(BERT, NOW + 10)
            await claim(store, BERT)
            await store.release(BERT, died=True, now_ms=NOW)

        first = await store.claim(request(ANNA, attempts_max=1), NOW + 1_001)

        assert call_ids(first) == [1]
