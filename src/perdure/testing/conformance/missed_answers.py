"""What `claim` promises to a worker that missed an answer, and of calls that arrive late."""

from perdure.core.store import Store
from perdure.testing.conformance.runner import certifies
from perdure.testing.conformance.samples import (
    ANNA,
    BERT,
    NOW,
    birth,
    call,
    call_ids,
    claim,
    hire,
    message,
    new_run,
    request,
    run_ids,
    turn,
)


@certifies
class TestMissedAnswers:
    """Nothing is lost with an answer, and nothing with a call that comes late."""

    async def test_what_a_missed_answer_held_is_handed_out_again(self, store: Store) -> None:
        waiting, trying = new_run(1), new_run(2)
        await hire(store, ANNA, BERT)
        await store.create([waiting])
        await store.commit(BERT, [birth(trying)])
        await store.commit(BERT, [turn(trying, 2, attempts=(call(5),))])
        missed = await store.claim(request(ANNA, number=1, since=1), NOW)

        nothing = await store.claim(request(ANNA, number=2, since=2), NOW)
        again = await store.claim(request(ANNA, number=3, since=1), NOW)

        assert (run_ids(nothing), call_ids(nothing)) == ([], [])
        assert (run_ids(again), call_ids(again)) == (run_ids(missed), call_ids(missed))
        assert again.runs[0].messages == missed.runs[0].messages
        assert again.attempts == missed.attempts

    async def test_what_an_answer_held_that_came_is_not_handed_out_again(self, store: Store) -> None:
        first, second = new_run(1), new_run(2)
        await hire(store, ANNA)
        await store.create([first])
        await store.claim(request(ANNA, number=1, since=1), NOW)
        await store.create([second])
        await store.claim(request(ANNA, number=2, since=2), NOW)

        again = await store.claim(request(ANNA, number=3, since=2), NOW)

        assert run_ids(again) == [second.run_id]

    async def test_what_the_worker_kept_itself_is_not_handed_out_again(self, store: Store) -> None:
        run = new_run()
        await hire(store, ANNA)
        await store.commit(ANNA, [birth(run, attempts=(call(2, kept=True),))])

        again = await store.claim(request(ANNA, number=2, since=1), NOW)

        assert (run_ids(again), call_ids(again)) == ([], [])

    async def test_it_is_handed_out_again_above_the_maxima(self, store: Store) -> None:
        run = new_run()
        await hire(store, ANNA)
        await store.create([run])
        await store.claim(request(ANNA, number=1, since=1), NOW)

        again = await store.claim(request(ANNA, number=2, since=1, runs_max=0, attempts_max=0), NOW)

        assert run_ids(again) == [run.run_id]

    async def test_messages_that_came_since_come_too(self, store: Store) -> None:
        run = new_run()
        await hire(store, ANNA)
        await store.create([run])
        await store.claim(request(ANNA, number=1, since=1), NOW)
        await store.deliver([message(run, "since")])

        again = await store.claim(request(ANNA, number=2, since=1), NOW)

        assert [len(each.messages) for each in again.runs] == [2]

    async def test_an_attempt_that_was_cancelled_meanwhile_is_gone(self, store: Store) -> None:
        run = new_run()
        await hire(store, ANNA, BERT)
        await store.commit(BERT, [birth(run, attempts=(call(2),))])
        await store.claim(request(ANNA, number=1, since=1), NOW)
        await store.commit(BERT, [turn(run, 2, cancelled=(2,))])

        again = await store.claim(request(ANNA, number=2, since=1), NOW)

        assert call_ids(again) == []
        assert (await store.read_waiting(run.run_id)).attempts == ()

    async def test_a_claim_that_comes_after_its_repetition_takes_nothing(self, store: Store) -> None:
        run = new_run()
        await hire(store, ANNA, BERT)
        await store.claim(request(ANNA, number=2, since=1), NOW)
        await store.create([run])

        late = await store.claim(request(ANNA, number=1, since=1), NOW)

        assert run_ids(late) == []
        assert run_ids(await claim(store, BERT)) == [run.run_id]

    async def test_a_lease_never_ends_sooner_than_it_was_told_last(self, store: Store) -> None:
        run = new_run()
        await store.register(ANNA, NOW + 10)
        await store.extend(ANNA, NOW + 100, ())
        await store.extend(ANNA, NOW + 20, ())
        await store.register(ANNA, NOW + 10)
        await hire(store, BERT)
        await store.create([run])
        await claim(store, ANNA)

        await claim(store, BERT, now_ms=NOW + 99)

        assert not (await store.extend(ANNA, NOW + 200, ())).lost
