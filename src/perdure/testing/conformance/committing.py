"""What `commit` promises of its fence: which commits are refused, and that a refused one leaves no trace."""

from perdure.core.ids import RunId, WorkerId, WorkflowId
from perdure.core.store import Commit, RunStatus, Store
from perdure.testing.conformance.runner import certifies
from perdure.testing.conformance.samples import (
    ANNA,
    BERT,
    FAR,
    NOW,
    attempts_of,
    birth,
    call,
    child,
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
class TestCommitting:
    """The number of the turn decides, whole or not at all."""

    async def test_turns_are_kept_in_order(self, store: Store) -> None:
        run = new_run()
        await hire(store, ANNA)
        await store.create([run])

        for number in (1, 2, 3):
            assert await store.commit(ANNA, [turn(run, number)]) == frozenset()

        assert list(await turns_of(store, run)) == [b"turn 1", b"turn 2", b"turn 3"]
        assert (await record_of(store, run)).turns_count == 3

    async def test_a_late_worker_cannot_overwrite_a_turn(self, store: Store) -> None:
        run = new_run()
        await hire(store, ANNA, BERT)
        await store.create([run])
        await store.commit(ANNA, [turn(run, 1)])

        refused = await store.commit(BERT, [turn(run, 1, turn=b"late")])

        assert refused == {run.run_id}
        assert list(await turns_of(store, run)) == [b"turn 1"]

    async def test_a_repeated_commit_is_refused_and_changes_nothing(self, store: Store) -> None:
        run = new_run()
        await hire(store, ANNA)
        commit = birth(run, attempts=(call(1, kept=True),), deliveries=(message(run, "t1"),))
        await store.commit(ANNA, [commit])

        refused = await store.commit(ANNA, [commit])

        assert refused == {run.run_id}
        assert len(await attempts_of(store, run)) == 1
        assert await inbox_of(store, run) == ["t1"]

    async def test_a_gap_is_refused(self, store: Store) -> None:
        run, other = new_run(1), new_run(2)
        await hire(store, ANNA)
        await store.create([run, other])
        await store.commit(ANNA, [turn(run, 1)])

        refused = await store.commit(ANNA, [turn(run, 3), turn(other, 2)])

        assert refused == {run.run_id, other.run_id}
        assert list(await turns_of(store, run)) == [b"turn 1"]
        assert list(await turns_of(store, other)) == []

    async def test_a_closed_run_takes_no_turn(self, store: Store) -> None:
        run = new_run()
        await hire(store, ANNA)
        await store.commit(ANNA, [birth(run, closes=RunStatus.COMPLETED)])

        refused = await store.commit(ANNA, [turn(run, 2, attempts=(call(1),))])

        assert refused == {run.run_id}
        assert list(await turns_of(store, run)) == [b"turn 1"]
        assert await attempts_of(store, run) == ()

    async def test_an_unknown_run_takes_no_turn(self, store: Store) -> None:
        await hire(store, ANNA)

        refused = await store.commit(ANNA, [Commit(RunId("unknown"), 1, b"", NOW)])

        assert refused == {"unknown"}

    async def test_a_worker_without_a_lease_commits_nothing(self, store: Store) -> None:
        run, other = new_run(1), new_run(2)
        await store.create([run])

        refused = await store.commit(ANNA, [turn(run, 1), birth(other)])

        assert refused == {run.run_id, other.run_id}
        assert list(await turns_of(store, run)) == []
        assert await store.read_runs([other.run_id]) == []

    async def test_a_worker_whose_lease_was_taken_commits_nothing(self, store: Store) -> None:
        run = new_run()
        await store.register(ANNA, NOW + 10)
        await hire(store, BERT)
        await store.commit(ANNA, [birth(run)])
        await claim(store, BERT, now_ms=NOW + 20)

        refused = await store.commit(ANNA, [turn(run, 2)])

        assert refused == {run.run_id}
        assert (await record_of(store, run)).turns_count == 1

    async def test_a_worker_whose_lease_is_over_but_not_taken_may_commit(self, store: Store) -> None:
        run = new_run()
        await store.register(ANNA, NOW - 10)

        refused = await store.commit(ANNA, [birth(run)])

        assert refused == frozenset()

    async def test_good_commits_of_a_batch_stand_beside_refused_ones(self, store: Store) -> None:
        runs = [new_run(number) for number in range(7)]
        gap, late, closed, good, born, rival, unknown = runs
        await hire(store, ANNA)
        await store.commit(ANNA, [birth(gap), birth(late), birth(closed, closes=RunStatus.FAILED), birth(good)])
        await store.commit(ANNA, [turn(late, 2)])
        side_effects = {"attempts": (call(9),), "deliveries": (message(good, "from a refused one"),)}

        refused = await store.commit(
            ANNA,
            [
                turn(gap, 3, **side_effects),
                turn(late, 2, **side_effects),
                turn(closed, 2, **side_effects),
                turn(good, 2, attempts=(call(2),)),
                birth(born),
                birth(new_run(5, workflow_id=good.workflow_id), **side_effects),
                turn(unknown, 1, **side_effects),
            ],
        )

        assert refused == {gap.run_id, late.run_id, closed.run_id, rival.run_id, unknown.run_id}
        assert [len(await turns_of(store, run)) for run in runs] == [1, 2, 1, 2, 1, 0, 0]
        assert [len(await attempts_of(store, run)) for run in runs] == [0, 0, 0, 1, 0, 0, 0]
        assert await inbox_of(store, good) == []

    async def test_a_large_batch_mixes_good_and_bad(self, store: Store) -> None:
        runs = [new_run(number) for number in range(700)]
        await hire(store, ANNA)
        await store.commit(ANNA, [birth(run) for run in runs])

        refused = await store.commit(
            ANNA, [turn(run, 2 if index % 3 else 1, attempts=(call(2),)) for index, run in enumerate(runs)]
        )

        assert refused == {run.run_id for run in runs[::3]}
        records = await store.read_runs([run.run_id for run in runs])
        assert sorted(found.turns_count for found in records) == [1] * len(refused) + [2] * (700 - len(refused))

    async def test_a_commit_that_creates_is_refused_beside_an_open_run(self, store: Store) -> None:
        first, second = new_run(1), new_run(2, workflow_id=WorkflowId("order-1"))
        await hire(store, ANNA)
        await store.create([first])

        refused = await store.commit(ANNA, [birth(second, attempts=(call(1),))])

        assert refused == {second.run_id}
        assert await store.read_runs([second.run_id]) == []
        assert await attempts_of(store, second) == ()

    async def test_a_commit_that_creates_is_refused_where_its_request_was_served(self, store: Store) -> None:
        first = new_run(1)
        again = new_run(2, workflow_id=first.workflow_id, request_id=first.request_id)
        await hire(store, ANNA)
        await store.commit(ANNA, [birth(first, closes=RunStatus.COMPLETED)])

        refused = await store.commit(ANNA, [birth(again)])

        assert refused == {again.run_id}
        assert await store.read_runs([again.run_id]) == []

    async def test_two_of_a_batch_that_create_one_workflow_id_are_one(self, store: Store) -> None:
        first, second = new_run(1), new_run(2, workflow_id=WorkflowId("order-1"))
        await hire(store, ANNA)

        refused = await store.commit(ANNA, [birth(first), birth(second)])

        assert refused == {second.run_id}

    async def test_a_commit_that_creates_and_closes_is_refused_beside_an_open_run(self, store: Store) -> None:
        first, second = new_run(1), new_run(2, workflow_id=WorkflowId("order-1"))
        await hire(store, ANNA)
        await store.create([first])

        refused = await store.commit(ANNA, [birth(second, closes=RunStatus.COMPLETED)])

        assert refused == {second.run_id}

    async def test_a_created_run_begins_without_its_start(self, store: Store) -> None:
        run = new_run()
        await hire(store, ANNA)

        await store.commit(ANNA, [birth(run)])

        assert await inbox_of(store, run) == []
        found = await record_of(store, run)
        assert (found.turns_count, found.worker, found.status) == (1, ANNA, RunStatus.RUNNING)

    async def test_a_run_can_be_created_and_closed_in_one_commit(self, store: Store) -> None:
        run = new_run()
        await hire(store, ANNA)

        await store.commit(ANNA, [birth(run, closes=RunStatus.COMPLETED, at_ms=NOW + 7)])

        found = await record_of(store, run)
        assert (found.status, found.closed_at_ms, found.worker) == (RunStatus.COMPLETED, NOW + 7, None)

    async def test_a_workflow_id_is_free_for_the_batch_that_closes_its_run(self, store: Store) -> None:
        old, new = new_run(1), new_run(2, workflow_id=WorkflowId("order-1"))
        await hire(store, ANNA)
        await store.commit(ANNA, [birth(old)])

        refused = await store.commit(ANNA, [birth(new), turn(old, 2, closes=RunStatus.COMPLETED)])

        assert refused == frozenset()
        found = await store.find_run(WorkflowId("order-1"))
        assert found is not None
        assert found.run_id == new.run_id

    async def test_a_client_takes_the_run_from_its_holder(self, store: Store) -> None:
        run = new_run()
        await hire(store, ANNA, BERT)
        await store.commit(ANNA, [birth(run)])

        refused = await store.commit(None, [turn(run, 2, deliveries=(message(run, "m"),))])

        assert refused == frozenset()
        assert (await record_of(store, run)).worker is None
        assert run_ids(await claim(store, BERT)) == [run.run_id]

    async def test_a_refused_commit_starts_no_children(self, store: Store) -> None:
        parent, kid = new_run(1), new_run(2)
        await hire(store, ANNA)
        await store.commit(ANNA, [birth(parent)])

        await store.commit(ANNA, [turn(parent, 1, children=(child(parent, kid),))])

        assert await store.read_runs([kid.run_id]) == []
        assert await inbox_of(store, parent) == []

    async def test_an_empty_batch_is_nothing(self, store: Store) -> None:
        await store.register(ANNA, FAR)

        assert await store.commit(ANNA, []) == frozenset()
        assert await store.commit(WorkerId("nobody"), []) == frozenset()

    async def test_a_large_turn_comes_back_whole(self, store: Store) -> None:
        run, data = new_run(), bytes(range(256)) * 40_000
        await hire(store, ANNA)

        await store.commit(ANNA, [birth(run, turn=data)])
        for number in range(2, 6):
            await store.commit(ANNA, [turn(run, number, turn=data)])

        assert list(await turns_of(store, run)) == [data] * 5
