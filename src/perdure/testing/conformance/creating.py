"""What `create` promises."""

from perdure.core.ids import RunId, WorkflowId
from perdure.core.store import Created, RunStatus, Store
from perdure.testing.conformance.runner import certifies
from perdure.testing.conformance.samples import (
    ANNA,
    NOW,
    claim,
    hire,
    inbox_of,
    new_run,
    record_of,
    run_ids,
    turn,
)


@certifies
class TestCreating:
    """A workflow id has at most one open run, a request creates at most one."""

    async def test_a_created_run_is_open_and_has_no_turns(self, store: Store) -> None:
        run = new_run(parent_run_id=RunId("parent"))

        created = await store.create([run])

        assert list(created) == [Created(run.run_id, fresh=True)]
        found = await record_of(store, run)
        assert (found.run_id, found.workflow_id, found.workflow_type) == (run.run_id, run.workflow_id, "order")
        assert (found.queue, found.status, found.created_at_ms) == ("main", RunStatus.RUNNING, NOW)
        assert (found.closed_at_ms, found.turns_count, found.parked, found.worker) == (None, 0, None, None)
        assert found.parent_run_id == "parent"

    async def test_its_start_waits_for_whoever_claims_it(self, store: Store) -> None:
        run = new_run(start=b"\x00begin\xff")
        await hire(store, ANNA)
        await store.create([run])

        claimed = await claim(store, ANNA)

        assert await inbox_of(store, run) == ["start"]
        assert [found.messages for found in claimed.runs] == [(b"\x00begin\xff",)]

    async def test_a_repeated_request_finds_the_run_that_it_created(self, store: Store) -> None:
        first = new_run(1)
        again = new_run(2, workflow_id=first.workflow_id, request_id=first.request_id)
        await store.create([first])

        created = await store.create([again])

        assert list(created) == [Created(first.run_id, fresh=False, same_request=True)]
        assert await store.read_runs([again.run_id]) == []

    async def test_a_repeated_request_finds_its_run_even_when_that_is_closed(self, store: Store) -> None:
        first = new_run(1)
        again = new_run(2, workflow_id=first.workflow_id, request_id=first.request_id)
        await store.create([first])
        await store.commit(None, [turn(first, 1, closes=RunStatus.COMPLETED)])

        created = await store.create([again])

        assert list(created) == [Created(first.run_id, fresh=False, same_request=True, status=RunStatus.COMPLETED)]

    async def test_a_repeated_request_finds_its_run_even_when_another_is_open(self, store: Store) -> None:
        first, second = new_run(1), new_run(2, workflow_id=WorkflowId("order-1"))
        await store.create([first])
        await store.commit(None, [turn(first, 1, closes=RunStatus.COMPLETED)])
        await store.create([second])

        created = await store.create([first])

        assert list(created) == [Created(first.run_id, fresh=False, same_request=True, status=RunStatus.COMPLETED)]

    async def test_a_workflow_id_with_an_open_run_gets_no_other(self, store: Store) -> None:
        first, second = new_run(1), new_run(2, workflow_id=WorkflowId("order-1"))
        await store.create([first])

        created = await store.create([second])

        assert list(created) == [Created(first.run_id, fresh=False)]
        assert await store.read_runs([second.run_id]) == []
        assert await inbox_of(store, first) == ["start"]

    async def test_a_workflow_id_whose_run_is_closed_gets_another(self, store: Store) -> None:
        first, second = new_run(1), new_run(2, workflow_id=WorkflowId("order-1"))
        await store.create([first])
        await store.commit(None, [turn(first, 1, closes=RunStatus.FAILED)])

        created = await store.create([second])

        assert list(created) == [Created(second.run_id, fresh=True)]

    async def test_equal_request_ids_of_two_workflow_ids_are_strangers(self, store: Store) -> None:
        first, second = new_run(1), new_run(2, request_id="request-1")

        created = await store.create([first, second])

        assert [one.fresh for one in created] == [True, True]

    async def test_answers_come_in_the_order_asked(self, store: Store) -> None:
        runs = [new_run(number) for number in (3, 1, 2)]
        rival = new_run(4, workflow_id=WorkflowId("order-2"))
        await store.create([runs[1]])

        created = await store.create([*runs, rival])

        assert [(one.run_id, one.fresh) for one in created] == [
            (runs[0].run_id, True),
            (runs[1].run_id, False),
            (runs[2].run_id, True),
            (runs[2].run_id, False),
        ]

    async def test_a_thousand_at_once_are_claimed_in_the_order_of_their_creation(self, store: Store) -> None:
        runs = [new_run(number, created_at_ms=NOW + number) for number in range(1_000)]
        await hire(store, ANNA)

        created = await store.create(runs)

        assert all(one.fresh for one in created)
        claimed = await claim(store, ANNA, now_ms=NOW + 1_000)
        assert run_ids(claimed) == [run.run_id for run in runs]

    async def test_nothing_to_create_is_nothing(self, store: Store) -> None:
        assert list(await store.create([])) == []

    async def test_ids_may_be_any_text(self, store: Store) -> None:
        strange = "Größe 你好 🎉 ' \" % _ \n\t\\ {x} -- ; null"
        run = new_run(workflow_id=WorkflowId(strange), workflow_type=strange, queue=strange, request_id=strange)

        await store.create([run])

        found = await store.find_run(WorkflowId(strange))
        assert found is not None
        assert (found.workflow_id, found.workflow_type, found.queue) == (strange, strange, strange)
        assert (await store.create([run]))[0].same_request
