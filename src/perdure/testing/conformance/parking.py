"""What `park` promises where the run is told to go on meanwhile, and what `closed_before` finds."""

from perdure.core.store import Delivery, Park, RunStatus, Store
from perdure.testing.conformance.runner import certifies
from perdure.testing.conformance.samples import (
    ANNA,
    BERT,
    NOW,
    birth,
    claim,
    hire,
    message,
    new_run,
    record_of,
    run_ids,
    turn,
)


@certifies
class TestParkingAndRetention:
    """Runs that take no turn, and runs that will never take one."""

    async def test_a_park_that_a_resumption_overtook_is_dropped(self, store: Store) -> None:
        run = new_run()
        await hire(store, ANNA)
        await store.commit(ANNA, [birth(run)])
        await store.deliver([message(run, "r1", unparks=True)])
        assert run_ids(await claim(store, ANNA)) == [run.run_id]

        await store.park(ANNA, [Park(run.run_id, 1, b"broken", seen=("r0",))])

        found = await record_of(store, run)
        assert (found.parked, found.worker) == (None, ANNA)

    async def test_a_resumption_that_did_not_help_is_no_reason_to_try_again(self, store: Store) -> None:
        run = new_run()
        await hire(store, ANNA)
        await store.commit(ANNA, [birth(run)])
        await store.deliver([message(run, "r1", unparks=True), message(run, "s1")])
        await claim(store, ANNA)

        await store.park(ANNA, [Park(run.run_id, 1, b"broken", seen=("r1",))])

        found = await record_of(store, run)
        assert (found.parked, found.worker) == (b"broken", None)

    async def test_a_message_that_follows_unparks_the_successor_no_less(self, store: Store) -> None:
        run, later = new_run(1), new_run(2, workflow_id=new_run(1).workflow_id, first_run_id=new_run(1).run_id)
        await hire(store, ANNA, BERT)
        await store.commit(ANNA, [birth(run)])
        await store.deliver([message(run, "terminate", unparks=True, follows=True)])
        await store.commit(ANNA, [turn(run, 2, closes=RunStatus.CONTINUED_AS_NEW, next=later)])
        await claim(store, BERT)

        await store.park(BERT, [Park(later.run_id, 0, b"broken")])

        assert (await record_of(store, later)).parked is None

    async def test_a_client_takes_a_turn_of_a_parked_run_and_lets_it_go_on(self, store: Store) -> None:
        run = new_run()
        await hire(store, ANNA)
        await store.commit(ANNA, [birth(run)])
        await store.deliver([message(run, "s1", visible_at_ms=NOW - 5), message(run, "s2")])
        await claim(store, ANNA)
        await store.park(ANNA, [Park(run.run_id, 1, b"broken")])
        told = (
            Delivery(run.run_id, "s1", b"edited", NOW - 5, follows=True),
            Delivery(run.run_id, "r1", b"resumed", NOW, unparks=True),
        )

        refused = await store.commit(None, [turn(run, 2, consumed=("s1",), deliveries=told, keep=False)])

        assert refused == frozenset()
        (claimed,) = (await claim(store, ANNA)).runs
        assert claimed.messages == (b"edited", b"s2", b"resumed")

    async def test_the_runs_that_closed_first_come_first(self, store: Store) -> None:
        runs = [new_run(number) for number in range(1, 6)]
        await hire(store, ANNA)
        await store.commit(ANNA, [birth(run) for run in runs])
        for run, ago_ms in zip(runs[:4], (10, 30, 20, 0), strict=True):
            await store.commit(ANNA, [turn(run, 2, closes=RunStatus.COMPLETED, at_ms=NOW - ago_ms)])

        assert list(await store.closed_before(NOW, 10)) == [runs[1].run_id, runs[2].run_id, runs[0].run_id]
        assert list(await store.closed_before(NOW, 2)) == [runs[1].run_id, runs[2].run_id]
        assert list(await store.closed_before(NOW - 30, 10)) == []

    async def test_a_child_is_needed_as_long_as_another_run_goes_on_for_it(self, store: Store) -> None:
        child = new_run(1, parent_run_id=new_run(9).run_id)
        later = new_run(2, workflow_id=child.workflow_id, first_run_id=child.run_id)
        await hire(store, ANNA)
        await store.commit(ANNA, [birth(child)])
        await store.commit(ANNA, [turn(child, 2, closes=RunStatus.CONTINUED_AS_NEW, next=later)])
        assert list(await store.closed_before(NOW + 1, 10)) == []

        await store.commit(ANNA, [turn(later, 1, closes=RunStatus.COMPLETED)])

        assert sorted(await store.closed_before(NOW + 1, 10)) == [child.run_id, later.run_id]
