"""What holds for every verb: what was answered stays, callers do not harm each other, and a repetition does no harm."""

import asyncio

from perdure.core.store import Finish, Retry, RunStatus, Store
from perdure.testing.conformance.runner import certifies
from perdure.testing.conformance.samples import (
    ANNA,
    FAR,
    NOW,
    attempts_of,
    birth,
    call,
    claim,
    hire,
    inbox_of,
    message,
    new_run,
    record_of,
    run_ids,
    turn,
    turns_of,
)


@certifies
class TestLasting:
    """A store is closed and opened again, and used by many at once."""

    async def test_everything_is_there_after_a_new_start(self, store: Store) -> None:
        run, done = new_run(1), new_run(2)
        await hire(store, ANNA)
        await store.create([run])
        await store.commit(ANNA, [birth(done, closes=RunStatus.COMPLETED)])
        await claim(store, ANNA)
        await store.commit(ANNA, [turn(run, 1, consumed=("start",), attempts=(call(1, kept=True), call(2)))])
        await store.deliver([message(run, "s1", data=b"\x00")])

        await store.close()
        await store.open()

        assert (await record_of(store, run)).worker == ANNA
        assert (await record_of(store, done)).status == RunStatus.COMPLETED
        assert list(await turns_of(store, run)) == [b"turn 1"]
        assert await inbox_of(store, run) == ["s1"]
        assert [found.worker for found in await attempts_of(store, run)] == [ANNA, None]
        assert await store.commit(ANNA, [turn(run, 2)]) == frozenset()

    async def test_closing_finishes_what_is_under_way(self, store: Store) -> None:
        verbs = [asyncio.create_task(store.create([new_run(number)])) for number in range(20)]
        await asyncio.sleep(0)

        await store.close()
        await store.open()

        created = await asyncio.gather(*verbs)
        assert all(one.fresh for (one,) in created)
        assert len(await store.read_runs([new_run(number).run_id for number in range(20)])) == 20

    async def test_verbs_of_many_callers_do_not_harm_each_other(self, store: Store) -> None:
        await hire(store, ANNA)

        async def live(number: int) -> None:
            run = new_run(number)
            (created,) = await store.create([run])
            assert created.fresh
            assert await store.deliver([message(run, "s1")]) == [True]
            assert await store.commit(ANNA, [turn(run, 1, consumed=("start", "s1"))]) == frozenset()
            assert await store.commit(ANNA, [turn(run, 1)]) == {run.run_id}
            assert await store.commit(ANNA, [turn(run, 2, closes=RunStatus.COMPLETED)]) == frozenset()
            assert await store.deliver([message(run, "s2")]) == [False]

        await asyncio.gather(*(live(number) for number in range(40)))

    async def test_a_verb_that_fails_harms_no_other(self, store: Store) -> None:
        good, bad = new_run(1), new_run(2, created_at_ms="soon")
        results = await asyncio.gather(
            store.create([good]),
            store.deliver([message(bad, data="text \ud800"), message(bad, visible_at_ms=2**70)]),
            store.create([new_run(3)]),
            return_exceptions=True,
        )

        assert not isinstance(results[0], BaseException)
        assert not isinstance(results[2], BaseException)
        assert len(await store.read_runs([good.run_id, new_run(3).run_id])) == 2

    async def test_a_caller_that_gave_up_leaves_the_store_whole(self, store: Store) -> None:
        runs = [new_run(number) for number in range(20)]
        verbs = [asyncio.create_task(store.create([run])) for run in runs]
        await asyncio.sleep(0)
        for verb in verbs[::2]:
            verb.cancel()
        await asyncio.gather(*verbs, return_exceptions=True)

        again = [(await store.create([run]))[0] for run in runs]

        assert [one.run_id for one in again] == [run.run_id for run in runs]
        assert all(one.same_request for one in again[1::2])

    async def test_every_verb_may_be_repeated(self, store: Store) -> None:
        run, other = new_run(1), new_run(2)
        retried = Finish(run.run_id, 2, 1, Retry(2, NOW, None, b"why"))
        answered = Finish(run.run_id, 1, 1, message(run, "a1"))
        for _ in range(2):
            await store.register(ANNA, FAR)
            await store.create([run])
            await store.deliver([message(run, "s1")])
            await store.commit(ANNA, [turn(run, 1, attempts=(call(1, kept=True), call(2, kept=True)))])
            await store.finish(ANNA, [answered, retried])
            await store.commit(ANNA, [birth(other, closes=RunStatus.COMPLETED)])

        assert await inbox_of(store, run) == ["start", "s1", "a1"]
        assert [(found.call_id, found.attempt) for found in await attempts_of(store, run)] == [(2, 2)]
        assert list(await turns_of(store, run)) == [b"turn 1"]
        assert run_ids(await claim(store, ANNA)) == [run.run_id]
        for _ in range(2):
            await store.delete([other.run_id])
            await store.release(ANNA, died=False, now_ms=NOW)
        assert [found.attempt for found in await attempts_of(store, run)] == [2]
