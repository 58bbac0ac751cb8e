"""What `register`, `extend`, `release`, `leaseholders` promise, and what `claim` does to those whose lease is over."""

from perdure.core.ids import RunId
from perdure.core.store import AttemptKey, Beat, Extended, Store
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
    new_run,
    record_of,
    run_ids,
    turn,
)


@certifies
class TestLeasing:
    """What a worker holds, it holds by its lease."""

    async def test_leaseholders_are_all_who_registered(self, store: Store) -> None:
        await store.register(ANNA, NOW - 10)
        await store.register(BERT, FAR)
        await store.register(BERT, FAR + 1)

        assert sorted(await store.leaseholders()) == [ANNA, BERT]

        await store.release(ANNA, died=False, now_ms=NOW)
        assert list(await store.leaseholders()) == [BERT]

    async def test_what_an_expired_worker_held_is_taken_by_the_next_claim(self, store: Store) -> None:
        run = new_run()
        await store.register(ANNA, NOW + 10)
        await hire(store, BERT)
        await store.create([run])
        await claim(store, ANNA)

        before = await claim(store, BERT, now_ms=NOW + 9)
        after = await claim(store, BERT, now_ms=NOW + 10)

        assert (run_ids(before), run_ids(after)) == ([], [run.run_id])
        assert after.runs[0].messages == (b"start",)
        assert list(await store.leaseholders()) == [BERT]
        assert await store.extend(ANNA, FAR, []) == Extended(lost=True)

    async def test_a_dead_workers_attempt_is_the_next_one_and_counts_the_death(self, store: Store) -> None:
        run = new_run()
        await store.register(ANNA, NOW + 10)
        await hire(store, BERT)
        await store.commit(ANNA, [birth(run, attempts=(call(1, kept=True, due_at_ms=NOW - 1), call(2)))])
        await store.extend(ANNA, NOW + 10, [Beat(run.run_id, 1, b"half")])

        claimed = await claim(store, BERT, now_ms=NOW + 10)

        found = {one.call_id: one for one in claimed.attempts}
        assert (found[1].attempt, found[1].deaths_count, found[1].heartbeat) == (2, 1, b"half")
        assert found[1].queued_at_ms == NOW + 10
        assert (found[2].attempt, found[2].deaths_count, found[2].heartbeat) == (1, 0, None)

    async def test_each_death_counts(self, store: Store) -> None:
        run = new_run()
        await hire(store, BERT)
        await store.commit(None, [birth(run, attempts=(call(1),))])
        for number in range(3):
            now_ms = NOW + number * 60_000
            await store.register(ANNA, FAR)
            await claim(store, ANNA, now_ms=now_ms)
            await store.release(ANNA, died=True, now_ms=now_ms)

        (found,) = (await claim(store, BERT, now_ms=NOW + 180_000)).attempts

        assert (found.attempt, found.deaths_count) == (4, 3)

    async def test_a_dead_workers_cancelled_attempt_is_gone(self, store: Store) -> None:
        run = new_run()
        await store.register(ANNA, NOW + 10)
        await hire(store, BERT)
        await store.commit(ANNA, [birth(run, attempts=(call(1, kept=True),))])
        await store.commit(ANNA, [turn(run, 2, cancelled=(1,))])

        assert call_ids(await claim(store, BERT, now_ms=NOW + 10)) == []
        assert await attempts_of(store, run) == ()

    async def test_a_late_worker_cannot_finish_what_was_taken(self, store: Store) -> None:
        run = new_run()
        await store.register(ANNA, NOW + 10)
        await hire(store, BERT)
        await store.commit(ANNA, [birth(run, attempts=(call(1, kept=True),))])
        await claim(store, BERT, now_ms=NOW + 10)

        assert list(await store.finish(ANNA, [finish(run, 1), finish(run, 1, attempt=2)])) == [False, False]
        assert list(await store.finish(BERT, [finish(run, 1, attempt=2)])) == [True]

    async def test_an_extended_lease_is_not_over(self, store: Store) -> None:
        run = new_run()
        await store.register(ANNA, NOW + 10)
        await hire(store, BERT)
        await store.commit(ANNA, [birth(run, attempts=(call(1, kept=True),))])

        extended = await store.extend(ANNA, NOW + 30, [])

        assert extended == Extended(lost=False)
        assert call_ids(await claim(store, BERT, now_ms=NOW + 20)) == []

    async def test_a_lease_that_is_over_but_not_taken_can_be_extended(self, store: Store) -> None:
        run = new_run()
        await store.register(ANNA, NOW - 10)
        await store.commit(ANNA, [birth(run, attempts=(call(1, kept=True),))])

        assert await store.extend(ANNA, FAR, [Beat(run.run_id, 1, None)]) == Extended(lost=False)

    async def test_a_claim_does_not_take_from_the_claimer_itself(self, store: Store) -> None:
        run = new_run()
        await store.register(ANNA, NOW - 10)
        await store.commit(ANNA, [birth(run, attempts=(call(1, kept=True),))])

        claimed = await claim(store, ANNA)

        assert call_ids(claimed) == []
        assert await store.extend(ANNA, FAR, []) == Extended(lost=False)

    async def test_a_heartbeat_learns_of_cancelled_attempts(self, store: Store) -> None:
        run, gone = new_run(1), new_run(2)
        await hire(store, ANNA)
        calls = (*(call(number, kept=True) for number in (1, 2, 3)), call(4))
        await store.commit(ANNA, [birth(run, attempts=calls)])
        await store.commit(ANNA, [turn(run, 2, cancelled=(2,), finished=(3,))])

        beats = [Beat(run.run_id, number, None) for number in (1, 2, 3, 4)] + [Beat(gone.run_id, 1, b"x")]
        extended = await store.extend(ANNA, FAR, beats)

        assert not extended.lost
        assert set(extended.cancelled) == {
            AttemptKey(run.run_id, 2),
            AttemptKey(run.run_id, 3),
            AttemptKey(run.run_id, 4),
            AttemptKey(gone.run_id, 1),
        }

    async def test_a_heartbeat_without_details_keeps_the_last_ones(self, store: Store) -> None:
        run = new_run()
        await hire(store, ANNA)
        await store.commit(ANNA, [birth(run, attempts=(call(1, kept=True),))])

        await store.extend(ANNA, FAR, [Beat(run.run_id, 1, b"\x00half")])
        await store.extend(ANNA, FAR, [Beat(run.run_id, 1, None)])

        assert (await attempts_of(store, run))[0].heartbeat == b"\x00half"

    async def test_a_worker_that_never_registered_has_lost(self, store: Store) -> None:
        extended = await store.extend(ANNA, FAR, [Beat(RunId("unknown"), 1, None)])

        assert extended.lost
        assert list(await store.leaseholders()) == []

    async def test_a_released_worker_gives_all_back_as_it_was(self, store: Store) -> None:
        run = new_run()
        await hire(store, ANNA, BERT)
        await store.commit(ANNA, [birth(run, attempts=(call(1, kept=True),))])

        await store.release(ANNA, died=False, now_ms=NOW)

        assert (await record_of(store, run)).worker is None
        (found,) = (await claim(store, BERT)).attempts
        assert (found.attempt, found.deaths_count) == (1, 0)
        assert (await store.extend(ANNA, FAR, [])).lost

    async def test_a_worker_released_as_dead_counts_as_dead(self, store: Store) -> None:
        run = new_run()
        await hire(store, ANNA, BERT)
        await store.commit(ANNA, [birth(run, attempts=(call(1, kept=True),))])

        await store.release(ANNA, died=True, now_ms=NOW)

        (found,) = (await claim(store, BERT)).attempts
        assert (found.attempt, found.deaths_count) == (2, 1)

    async def test_releasing_twice_or_a_stranger_is_harmless(self, store: Store) -> None:
        await hire(store, ANNA)

        await store.release(ANNA, died=True, now_ms=NOW)
        await store.release(ANNA, died=True, now_ms=NOW)
        await store.release(BERT, died=False, now_ms=NOW)

        assert list(await store.leaseholders()) == []

    async def test_a_release_leaves_others_alone(self, store: Store) -> None:
        one, other = new_run(1), new_run(2)
        await hire(store, ANNA, BERT)
        await store.commit(ANNA, [birth(one, attempts=(call(1, kept=True),))])
        await store.commit(BERT, [birth(other, attempts=(call(1, kept=True),))])

        await store.release(ANNA, died=True, now_ms=NOW)

        assert (await record_of(store, other)).worker == BERT
        assert (await attempts_of(store, other))[0].worker == BERT

    async def test_a_leases_end_never_moves_back(self, store: Store) -> None:
        run = new_run()
        await hire(store, BERT)
        await store.register(ANNA, NOW + 20)
        await store.register(ANNA, NOW + 10)
        await store.extend(ANNA, NOW + 10, [])
        await store.commit(ANNA, [birth(run, attempts=(call(1, kept=True),))])

        assert call_ids(await claim(store, BERT, now_ms=NOW + 19)) == []
        assert call_ids(await claim(store, BERT, now_ms=NOW + 20)) == [1]
