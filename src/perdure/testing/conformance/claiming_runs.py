"""What `claim` and `park` promise of runs."""

import asyncio

from perdure.core.store import Park, RunStatus, Store
from perdure.testing.conformance.runner import certifies
from perdure.testing.conformance.samples import (
    ANNA,
    BERT,
    NOW,
    birth,
    claim,
    hire,
    inbox_of,
    message,
    new_run,
    record_of,
    request,
    run_ids,
    turn,
)


@certifies
class TestClaimingRuns:
    """Who may have a run, and what comes with it."""

    async def test_a_claimed_run_is_held_by_the_claimer(self, store: Store) -> None:
        run = new_run()
        await hire(store, ANNA)
        await store.create([run])

        claimed = await claim(store, ANNA)

        assert claimed.runs[0].run == await record_of(store, run)
        assert claimed.runs[0].run.worker == ANNA
        assert await inbox_of(store, run) == ["start"]

    async def test_two_claimers_never_get_the_same_run(self, store: Store) -> None:
        runs = [new_run(number) for number in range(50)]
        await hire(store, ANNA, BERT)
        await store.create(runs)

        claims = await asyncio.gather(
            *(store.claim(request(worker, runs_max=7), NOW) for worker in (ANNA, BERT) for _ in range(5))
        )

        claimed = [run_id for one in claims for run_id in run_ids(one)]
        assert sorted(claimed) == [run.run_id for run in runs]

    async def test_a_worker_without_a_lease_gets_nothing(self, store: Store) -> None:
        await store.create([new_run()])

        claimed = await claim(store, ANNA)

        assert (claimed.runs, claimed.attempts, claimed.next_due_at_ms) == ((), (), None)

    async def test_only_queues_and_types_of_the_request_are_claimed(self, store: Store) -> None:
        other_queue, other_type, fitting = new_run(1, queue="side"), new_run(2, workflow_type="refund"), new_run(3)
        await hire(store, ANNA)
        await store.create([other_queue, other_type, fitting])

        assert run_ids(await claim(store, ANNA)) == [fitting.run_id]
        side = request(ANNA, queues=("main", "side"), routes=frozenset({"refund", "order"}))
        assert run_ids(await store.claim(side, NOW)) == [other_queue.run_id, other_type.run_id]

    async def test_a_request_for_no_type_claims_no_run(self, store: Store) -> None:
        await hire(store, ANNA)
        await store.create([new_run()])

        claimed = await store.claim(request(ANNA, routes=frozenset()), NOW)

        assert (claimed.runs, claimed.next_due_at_ms) == ((), None)

    async def test_the_oldest_due_come_first(self, store: Store) -> None:
        runs = [new_run(number, created_at_ms=NOW - due) for number, due in ((1, 5), (2, 9), (3, 7), (4, 9))]
        await hire(store, ANNA)
        await store.create(runs)

        first = await store.claim(request(ANNA, runs_max=3), NOW)

        assert run_ids(first) == [runs[1].run_id, runs[3].run_id, runs[2].run_id]
        assert run_ids(await claim(store, ANNA)) == [runs[0].run_id]

    async def test_the_oldest_due_of_several_types_come_first(self, store: Store) -> None:
        kinds = [("main", "order"), ("side", "refund"), ("main", "refund"), ("side", "order")]
        runs = [
            new_run(number, queue=queue, workflow_type=kind, created_at_ms=NOW - number)
            for number, (queue, kind) in enumerate(kinds * 3)
        ]
        await hire(store, ANNA)
        await store.create(runs)
        both = request(ANNA, queues=("main", "side"), routes=frozenset({"order", "refund"}), runs_max=5)

        claimed = await store.claim(both, NOW)

        assert run_ids(claimed) == [run.run_id for run in reversed(runs[-5:])]

    async def test_at_most_so_many_as_asked_are_claimed(self, store: Store) -> None:
        await hire(store, ANNA)
        await store.create([new_run(number) for number in range(5)])

        assert run_ids(await store.claim(request(ANNA, runs_max=0), NOW)) == []
        assert len(run_ids(await store.claim(request(ANNA, runs_max=2), NOW))) == 2

    async def test_a_held_run_comes_back_when_something_new_came(self, store: Store) -> None:
        run = new_run()
        await hire(store, ANNA)
        await store.create([run])
        await claim(store, ANNA)
        assert run_ids(await claim(store, ANNA)) == []

        await store.deliver([message(run, "s1")])

        claimed = await claim(store, ANNA)
        assert claimed.runs[0].messages == (b"start", b"s1")
        assert run_ids(await claim(store, ANNA)) == []

    async def test_a_held_run_comes_back_when_its_timer_is_due(self, store: Store) -> None:
        run = new_run()
        await hire(store, ANNA)
        await store.commit(ANNA, [birth(run, deliveries=(message(run, "t1", visible_at_ms=NOW + 10),))])

        early = await claim(store, ANNA, now_ms=NOW + 9)
        due = await claim(store, ANNA, now_ms=NOW + 10)

        assert (run_ids(early), early.next_due_at_ms) == ([], NOW + 10)
        assert due.runs[0].messages == (b"t1",)

    async def test_held_runs_come_back_to_a_worker_that_can_take_no_more(self, store: Store) -> None:
        held, free = new_run(1, queue="elsewhere"), new_run(2)
        await hire(store, ANNA)
        await store.commit(ANNA, [birth(held, deliveries=(message(held, "s1"),))])
        await store.create([free])

        full = request(ANNA, runs_max=0, routes=frozenset())
        claimed = await store.claim(full, NOW)

        assert run_ids(claimed) == [held.run_id]

    async def test_messages_are_handed_out_again_after_the_run_was_given_back(self, store: Store) -> None:
        run = new_run()
        await hire(store, ANNA, BERT)
        await store.create([run])
        await claim(store, ANNA)

        await store.release(ANNA, died=False, now_ms=NOW)

        assert (await claim(store, BERT)).runs[0].messages == (b"start",)

    async def test_a_free_run_with_an_unconsumed_message_can_be_claimed_again(self, store: Store) -> None:
        run = new_run()
        await hire(store, ANNA, BERT)
        await store.create([run])
        await claim(store, ANNA)

        await store.commit(ANNA, [turn(run, 1, keep=False)])

        assert (await claim(store, BERT)).runs[0].messages == (b"start",)

    async def test_a_free_run_without_messages_is_not_claimed(self, store: Store) -> None:
        run = new_run()
        await hire(store, ANNA)

        await store.commit(ANNA, [birth(run, keep=False)])

        assert run_ids(await claim(store, ANNA)) == []

    async def test_the_next_due_moment_counts_only_what_fits(self, store: Store) -> None:
        await hire(store, ANNA)
        await store.create(
            [
                new_run(1, queue="side", created_at_ms=NOW + 1),
                new_run(2, workflow_type="refund", created_at_ms=NOW + 2),
                new_run(3, created_at_ms=NOW + 3),
                new_run(4, created_at_ms=NOW + 4),
            ]
        )

        assert (await claim(store, ANNA)).next_due_at_ms == NOW + 3
        assert (await store.claim(request(ANNA, runs_max=0), NOW)).next_due_at_ms is None

    async def test_what_is_due_already_is_not_the_next_due_moment(self, store: Store) -> None:
        await hire(store, ANNA)
        await store.create([new_run(1), new_run(2), new_run(3, created_at_ms=NOW + 3)])

        claimed = await store.claim(request(ANNA, runs_max=1), NOW)

        assert claimed.next_due_at_ms == NOW + 3

    async def test_a_parked_run_is_left_alone(self, store: Store) -> None:
        run = new_run()
        await hire(store, ANNA, BERT)
        await store.create([run])
        await claim(store, ANNA)

        await store.park(ANNA, [Park(run.run_id, 0, b"why")])
        await store.deliver([message(run, "s1")])

        claimed = await claim(store, BERT)
        assert (claimed.runs, claimed.next_due_at_ms) == ((), None)
        found = await record_of(store, run)
        assert (found.parked, found.worker, found.status) == (b"why", None, RunStatus.RUNNING)

    async def test_a_park_is_dropped_when_the_run_went_on(self, store: Store) -> None:
        run = new_run()
        await hire(store, ANNA)
        await store.commit(ANNA, [birth(run)])

        await store.park(ANNA, [Park(run.run_id, 0, b"why"), Park(run.run_id, 2, b"why")])

        assert (await record_of(store, run)).parked is None

    async def test_a_park_by_a_worker_that_no_longer_holds_the_run_is_dropped(self, store: Store) -> None:
        run = new_run()
        await hire(store, ANNA, BERT)
        await store.create([run])
        await claim(store, ANNA)
        await store.release(ANNA, died=True, now_ms=NOW)
        await claim(store, BERT)

        await store.park(ANNA, [Park(run.run_id, 0, b"why")])

        found = await record_of(store, run)
        assert (found.parked, found.worker) == (None, BERT)

    async def test_a_parked_run_can_be_closed(self, store: Store) -> None:
        run = new_run()
        await hire(store, ANNA)
        await store.create([run])
        await claim(store, ANNA)
        await store.park(ANNA, [Park(run.run_id, 0, b"why")])

        refused = await store.commit(None, [turn(run, 1, closes=RunStatus.TERMINATED)])

        assert refused == frozenset()
        found = await record_of(store, run)
        assert (found.status, found.parked) == (RunStatus.TERMINATED, None)
