"""What a store promises of work under which workers die: it rests longer and longer, and what goes on is not kept."""

from perdure.core.ids import WorkerId
from perdure.core.policy import death_delay_ms
from perdure.core.rank import Rank
from perdure.core.store import Claimed, NewRun, Store
from perdure.testing.conformance.runner import certifies
from perdure.testing.conformance.samples import (
    ANNA,
    BERT,
    FAR,
    NOW,
    birth,
    call,
    call_ids,
    claim,
    hire,
    message,
    new_run,
    run_ids,
    turn,
)


async def die(store: Store, worker: WorkerId, now_ms: int) -> Claimed:
    """A worker that takes all there is, and dies of it."""
    await store.register(worker, FAR)
    claimed = await claim(store, worker, now_ms=now_ms)
    await store.release(worker, died=True, now_ms=now_ms)
    return claimed


async def dead_of(store: Store, run: NewRun, times: int) -> int:
    """Let so many workers die of a run, one after the other; returns when the last one did."""
    await store.create([run])
    now_ms = NOW
    for number in range(1, times + 1):
        now_ms += death_delay_ms(number - 1)
        assert run_ids(await die(store, ANNA, now_ms)) == [run.run_id]
    return now_ms


@certifies
class TestResting:
    """The first death costs nothing; each further one doubles the wait."""

    async def test_an_attempt_rests_longer_after_each_death_but_the_first(self, store: Store) -> None:
        run, now_ms = new_run(), NOW
        await store.create([run])
        await store.commit(None, [turn(run, 1, consumed=("start",), attempts=(call(1), call(2, rank=Rank(1))))])
        for delay_ms in (0, 1_000, 2_000, 4_000):
            died = await die(store, ANNA, now_ms)
            await hire(store, BERT)
            early = await claim(store, BERT, now_ms=now_ms + delay_ms - 1) if delay_ms else None

            assert sorted(call_ids(died)) == [1, 2]
            assert early is None or (call_ids(early), early.next_due_at_ms) == ([], now_ms + delay_ms)
            now_ms += delay_ms

    async def test_an_expired_lease_counts_as_a_death(self, store: Store) -> None:
        run = new_run()
        await hire(store, BERT)
        await store.commit(None, [birth(run, attempts=(call(1),))])
        await die(store, ANNA, NOW)
        await store.register(ANNA, NOW + 10)
        await claim(store, ANNA)

        early = await claim(store, BERT, now_ms=NOW + 10)

        assert (call_ids(early), early.next_due_at_ms) == ([], NOW + 1_010)
        assert [each.queued_at_ms for each in (await claim(store, BERT, now_ms=NOW + 1_010)).attempts] == [NOW + 1_010]

    async def test_an_attempt_that_rests_can_expire(self, store: Store) -> None:
        run = new_run()
        await hire(store, BERT)
        await store.commit(None, [birth(run, attempts=(call(1, expires_at_ms=NOW + 500),))])
        await die(store, ANNA, NOW)
        await die(store, ANNA, NOW)

        assert [each.expired for each in (await claim(store, BERT, now_ms=NOW + 500)).attempts] == [True]

    async def test_a_run_rests_longer_after_each_death_but_the_first(self, store: Store) -> None:
        run = new_run()
        now_ms = await dead_of(store, run, 4)
        await hire(store, BERT)

        early = await claim(store, BERT, now_ms=now_ms + 3_999)

        assert (now_ms, run_ids(early), early.next_due_at_ms) == (NOW + 3_000, [], now_ms + 4_000)
        assert (await claim(store, BERT, now_ms=now_ms + 4_000)).runs[0].messages == (b"start",)

    async def test_a_run_that_is_told_more_rests_on(self, store: Store) -> None:
        run = new_run()
        now_ms = await dead_of(store, run, 2)
        await hire(store, BERT)

        await store.deliver([message(run, visible_at_ms=now_ms), message(run, "later", visible_at_ms=now_ms + 9_000)])

        early = await claim(store, BERT, now_ms=now_ms + 999)
        assert (run_ids(early), early.next_due_at_ms) == ([], now_ms + 1_000)
        assert (await claim(store, BERT, now_ms=now_ms + 1_000)).runs[0].messages == (b"start", b"m")

    async def test_a_message_that_unparks_ends_the_rest(self, store: Store) -> None:
        run = new_run()
        now_ms = await dead_of(store, run, 3)
        await hire(store, BERT)

        await store.deliver([message(run, visible_at_ms=now_ms, unparks=True)])

        assert run_ids(await claim(store, BERT, now_ms=now_ms)) == [run.run_id]

    async def test_a_turn_between_makes_the_next_death_a_first_one(self, store: Store) -> None:
        run = new_run()
        now_ms = await dead_of(store, run, 2) + 1_000
        await hire(store, BERT)
        await claim(store, BERT, now_ms=now_ms)
        await store.commit(BERT, [turn(run, 1, consumed=("start",), keep=False)])
        await store.release(BERT, died=False, now_ms=now_ms)

        await store.deliver([message(run, visible_at_ms=now_ms)])
        await die(store, ANNA, now_ms)
        await hire(store, BERT)

        assert run_ids(await claim(store, BERT, now_ms=now_ms)) == [run.run_id]

    async def test_runs_that_were_handed_nothing_do_not_rest(self, store: Store) -> None:
        run = new_run()
        for _ in range(3):
            await store.register(ANNA, FAR)
            if not await store.read_runs([run.run_id]):
                await store.commit(ANNA, [birth(run)])
            await store.release(ANNA, died=True, now_ms=NOW)
        await hire(store, BERT)

        await store.deliver([message(run)])

        assert run_ids(await claim(store, BERT)) == [run.run_id]

    async def test_what_a_worker_gives_back_does_not_rest(self, store: Store) -> None:
        run = new_run()
        await dead_of(store, run, 1)
        await hire(store, ANNA, BERT)
        await claim(store, ANNA)

        await store.release(ANNA, died=False, now_ms=NOW)

        assert run_ids(await claim(store, BERT)) == [run.run_id]
