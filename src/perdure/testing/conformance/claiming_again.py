"""What `claim` promises to a worker that did not hear the answer of an earlier try."""

from perdure.core.store import Store
from perdure.testing.conformance.runner import certifies
from perdure.testing.conformance.samples import (
    ANNA,
    BERT,
    NOW,
    attempts_of,
    birth,
    call,
    call_ids,
    finish,
    hire,
    message,
    new_run,
    request,
    run_ids,
    turn,
)


@certifies
class TestClaimingAgain:
    """Nothing is held by a worker that does not know of it."""

    async def test_a_try_after_a_missed_answer_is_handed_the_same_again(self, store: Store) -> None:
        run, other = new_run(1), new_run(2)
        await hire(store, ANNA, BERT)
        await store.create([run])
        await store.commit(BERT, [birth(other, attempts=(call(1), call(2)))])

        first = await store.claim(request(ANNA, number=1, since=1), NOW)
        again = await store.claim(request(ANNA, number=2, since=1), NOW)
        and_again = await store.claim(request(ANNA, number=3, since=1), NOW)
        heard = await store.claim(request(ANNA, number=4, since=4), NOW)

        assert (run_ids(first), call_ids(first)) == ([run.run_id], [1, 2])
        assert again == and_again == first
        assert (heard.runs, heard.attempts) == ((), ())

    async def test_what_missed_tries_took_is_handed_out_above_the_maxima(self, store: Store) -> None:
        runs = [new_run(number) for number in range(4)]
        await hire(store, ANNA)
        await store.create(runs)
        for number in (1, 2):
            await store.claim(request(ANNA, number=number, since=number, runs_max=1), NOW)

        claimed = await store.claim(request(ANNA, number=3, since=1, runs_max=1), NOW)

        assert run_ids(claimed) == [run.run_id for run in runs[:3]]
        assert [found.messages for found in claimed.runs] == [(b"start",)] * 3

    async def test_what_was_heard_of_is_not_handed_out_again(self, store: Store) -> None:
        runs = [new_run(number) for number in range(3)]
        await hire(store, ANNA)
        await store.create(runs)
        for number in (1, 2):
            await store.claim(request(ANNA, number=number, since=number, runs_max=1), NOW)

        claimed = await store.claim(request(ANNA, number=3, since=2, runs_max=0), NOW)

        assert run_ids(claimed) == [runs[1].run_id]

    async def test_attempts_of_missed_tries_are_handed_out_again(self, store: Store) -> None:
        run = new_run()
        await hire(store, ANNA, BERT)
        await store.commit(BERT, [birth(run, attempts=(call(1), call(2), call(3, kept=True)))])
        await store.claim(request(ANNA, number=1, since=1), NOW)
        await store.finish(ANNA, [finish(run, 1)])

        claimed = await store.claim(request(ANNA, number=2, since=1, attempts_max=0), NOW)

        assert [(found.call_id, found.attempt, found.turn) for found in claimed.attempts] == [(2, 1, b"turn 1")]

    async def test_a_cancelled_attempt_of_a_missed_try_is_gone(self, store: Store) -> None:
        run = new_run()
        await hire(store, ANNA, BERT)
        await store.commit(BERT, [birth(run, attempts=(call(1), call(2)))])
        await store.claim(request(ANNA, number=1, since=1), NOW)
        await store.commit(BERT, [turn(run, 2, cancelled=(1,))])

        claimed = await store.claim(request(ANNA, number=2, since=1), NOW)

        assert call_ids(claimed) == [2]
        assert [found.call_id for found in await attempts_of(store, run)] == [2]

    async def test_what_a_worker_kept_by_a_commit_was_not_claimed(self, store: Store) -> None:
        run = new_run()
        await hire(store, ANNA)
        await store.commit(ANNA, [birth(run, attempts=(call(1, kept=True),))])

        claimed = await store.claim(request(ANNA, number=2, since=1), NOW)

        assert (claimed.runs, claimed.attempts) == ((), ())

    async def test_what_the_worker_no_longer_holds_is_not_handed_out_again(self, store: Store) -> None:
        run = new_run()
        await hire(store, ANNA)
        await store.create([run])
        await store.claim(request(ANNA, number=1, since=1), NOW)
        await store.commit(None, [turn(run, 1, consumed=("start",))])

        claimed = await store.claim(request(ANNA, number=2, since=1), NOW)

        assert run_ids(claimed) == []

    async def test_a_message_that_came_since_is_among_those_handed_out_again(self, store: Store) -> None:
        run = new_run()
        await hire(store, ANNA)
        await store.create([run])
        await store.claim(request(ANNA, number=1, since=1), NOW)
        await store.deliver([message(run, "s1")])

        claimed = await store.claim(request(ANNA, number=2, since=1), NOW)
        nothing_new = await store.claim(request(ANNA, number=3, since=3), NOW)

        assert [found.messages for found in claimed.runs] == [(b"start", b"s1")]
        assert run_ids(nothing_new) == []

    async def test_a_late_try_takes_nothing(self, store: Store) -> None:
        run = new_run()
        await hire(store, ANNA, BERT)
        await store.claim(request(ANNA, number=2, since=1), NOW)
        await store.create([run])

        late = await store.claim(request(ANNA, number=1, since=1), NOW)
        other = await store.claim(request(BERT, number=1, since=1), NOW)

        assert (late.runs, late.attempts) == ((), ())
        assert run_ids(other) == [run.run_id]

    async def test_a_try_that_nobody_gave_up_may_come_after_a_later_one(self, store: Store) -> None:
        run = new_run()
        await hire(store, ANNA)
        await store.claim(request(ANNA, number=2, since=2), NOW)
        await store.create([run])

        claimed = await store.claim(request(ANNA, number=1, since=1), NOW)

        assert run_ids(claimed) == [run.run_id]

    async def test_a_released_worker_counts_anew(self, store: Store) -> None:
        run = new_run()
        await hire(store, ANNA)
        await store.claim(request(ANNA, number=9, since=1), NOW)
        await store.release(ANNA, died=False, now_ms=NOW)
        await hire(store, ANNA)
        await store.create([run])

        assert run_ids(await store.claim(request(ANNA, number=1, since=1), NOW)) == [run.run_id]
