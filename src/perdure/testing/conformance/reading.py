"""What the reading verbs and `delete` promise."""

from msgspec.structs import replace

from perdure.core.filter.build import runs_where
from perdure.core.filter.tree import EVERYTHING, Filter
from perdure.core.ids import RunId, WorkflowId
from perdure.core.store import OpenRuns, Park, RunStatus, Store, Waiting
from perdure.testing.conformance.runner import certifies
from perdure.testing.conformance.samples import (
    ANNA,
    NOW,
    birth,
    call,
    claim,
    count_of,
    hire,
    message,
    new_run,
    record_of,
    request,
    turn,
    turns_of,
)


@certifies
class TestReading:
    """Readers see what was committed."""

    async def test_records_of_those_that_exist(self, store: Store) -> None:
        runs = [new_run(number) for number in range(3)]
        await store.create(runs)

        found = await store.read_runs([runs[2].run_id, RunId("unknown"), runs[0].run_id, runs[0].run_id])

        assert sorted(one.run_id for one in found) == [runs[0].run_id, runs[2].run_id]
        assert list(await store.read_runs([])) == []

    async def test_the_open_run_of_a_workflow_id_is_found(self, store: Store) -> None:
        old, new = new_run(9), new_run(1, workflow_id=WorkflowId("order-9"))
        await hire(store, ANNA)
        for commit in (birth(old, closes=RunStatus.COMPLETED), birth(new)):
            await store.commit(ANNA, [commit])

        found = await store.find_run(WorkflowId("order-9"))

        assert found is not None
        assert found.run_id == new.run_id
        assert await store.find_run(WorkflowId("order")) is None

    async def test_the_run_created_last_is_found_when_none_is_open(self, store: Store) -> None:
        old, new = new_run(9), new_run(1, workflow_id=WorkflowId("order-9"))
        await hire(store, ANNA)
        for run in (old, new):
            await store.commit(ANNA, [birth(run, closes=RunStatus.COMPLETED)])

        found = await store.find_run(WorkflowId("order-9"))

        assert found is not None
        assert found.run_id == new.run_id

    async def test_turns_are_read_in_pages(self, store: Store) -> None:
        one, other = new_run(1), new_run(2)
        await hire(store, ANNA)
        await store.commit(ANNA, [birth(one), birth(other)])
        for number in (2, 3, 4):
            await store.commit(ANNA, [turn(one, number)])

        wants = [(one.run_id, 1), (other.run_id, 0), (RunId("unknown"), 0), (one.run_id, 3), (one.run_id, 4)]
        found = await store.read_turns(wants, 2)

        assert [list(turns) for turns in found] == [[b"turn 2", b"turn 3"], [b"turn 1"], [], [b"turn 4"], []]

    async def test_a_long_history_is_read_whole(self, store: Store) -> None:
        run = new_run()
        await hire(store, ANNA)
        await store.commit(ANNA, [birth(run)])
        for number in range(2, 301):
            await store.commit(ANNA, [turn(run, number)])

        assert list(await turns_of(store, run)) == [b"turn %d" % number for number in range(1, 301)]

    async def test_nothing_waits_for_an_unknown_run(self, store: Store) -> None:
        assert await store.read_waiting(RunId("unknown")) == Waiting((), ())

    async def test_what_waits_is_read_in_order(self, store: Store) -> None:
        run = new_run()
        await hire(store, ANNA)
        await store.create([run])
        await store.deliver([message(run, "b"), message(run, "early", visible_at_ms=NOW - 1), message(run, "a")])
        await store.commit(ANNA, [turn(run, 1, attempts=(call(2), call(1)))])

        waiting = await store.read_waiting(run.run_id)

        assert [one.message_id for one in waiting.messages] == ["early", "start", "b", "a"]
        assert [one.call_id for one in waiting.attempts] == [1, 2]

    async def test_runs_are_listed_newest_first_in_pages(self, store: Store) -> None:
        runs = [new_run(number) for number in range(5)]
        await store.create([runs[index] for index in (3, 0, 4, 1, 2)])

        first = await store.list_runs(EVERYTHING, 2)
        second = await store.list_runs(EVERYTHING, 2, first[-1].run_id)
        third = await store.list_runs(EVERYTHING, 2, second[-1].run_id)

        pages = [[found.run_id for found in page] for page in (first, second, third)]
        assert pages == [[runs[4].run_id, runs[3].run_id], [runs[2].run_id, runs[1].run_id], [runs[0].run_id]]

    async def test_filters_choose_and_can_be_joined(self, store: Store) -> None:
        await hire(store, ANNA)
        done, failed, parked, other = new_run(1), new_run(2), new_run(3), new_run(4, workflow_type="refund")
        await store.create([parked, other])
        await store.commit(ANNA, [birth(done, closes=RunStatus.COMPLETED), birth(failed, closes=RunStatus.FAILED)])
        await claim(store, ANNA)
        await store.park(ANNA, [Park(parked.run_id, 0, b"why")])

        async def chosen(where: Filter) -> list[RunId]:
            found = [one.run_id for one in await store.list_runs(where, 10)]
            assert await count_of(store, where) == len(found)
            return found

        everything = [run.run_id for run in (other, parked, failed, done)]
        assert await chosen(EVERYTHING) == everything
        assert await chosen(runs_where(status=RunStatus.FAILED)) == [failed.run_id]
        assert await chosen(runs_where(status=RunStatus.RUNNING)) == [other.run_id, parked.run_id]
        assert await chosen(runs_where(workflow_type="refund")) == [other.run_id]
        assert await chosen(runs_where(workflow_id=WorkflowId("order-2"))) == [failed.run_id]
        assert await chosen(runs_where(workflow_id_prefix="order-")) == everything
        assert await chosen(runs_where(parked=True)) == [parked.run_id]
        assert await chosen(runs_where(parked=False)) == [other.run_id, failed.run_id, done.run_id]
        assert await chosen(runs_where(parked=False, workflow_type="order", status=RunStatus.RUNNING)) == []

    async def test_a_prefix_is_taken_literally(self, store: Store) -> None:
        names = ("50%_off", "50 off", "Ünder", "under", "50%_", "50%")
        await store.create([new_run(number, workflow_id=WorkflowId(name)) for number, name in enumerate(names)])

        async def begins(prefix: str) -> set[str]:
            return {one.workflow_id for one in await store.list_runs(runs_where(workflow_id_prefix=prefix), 10)}

        assert await begins("50%_") == {"50%_off", "50%_"}
        assert await begins("Ü") == {"Ünder"}
        assert await begins("") == set(names)
        assert await begins("U") == set()

    async def test_closed_runs_are_deleted_with_their_history(self, store: Store) -> None:
        closed, running = new_run(1), new_run(2)
        await hire(store, ANNA)
        await store.commit(ANNA, [birth(closed, closes=RunStatus.COMPLETED), birth(running)])
        ids = [closed.run_id, running.run_id, closed.run_id, RunId("unknown")]

        assert await store.delete(ids) == 1

        assert [found.run_id for found in await store.read_runs(ids)] == [running.run_id]
        assert list(await turns_of(store, closed)) == []
        assert list(await turns_of(store, running)) == [b"turn 1"]
        assert await store.find_run(closed.workflow_id) is None
        assert await store.delete(ids) == 0

    async def test_a_deleted_run_takes_no_turn_and_no_message(self, store: Store) -> None:
        run = new_run()
        await hire(store, ANNA)
        await store.commit(ANNA, [birth(run, closes=RunStatus.COMPLETED)])
        await store.delete([run.run_id])
        await store.commit(ANNA, [birth(new_run(2))])

        assert await store.commit(ANNA, [turn(run, 2)]) == {run.run_id}
        assert list(await store.deliver([message(run)])) == [False]

    async def test_a_deleted_runs_request_may_be_served_again(self, store: Store) -> None:
        run = new_run()
        await store.create([run])
        await store.commit(None, [turn(run, 1, closes=RunStatus.COMPLETED)])
        await store.delete([run.run_id])

        assert (await store.create([new_run(2, workflow_id=run.workflow_id, request_id=run.request_id)]))[0].fresh

    async def test_open_runs_are_counted_by_route(self, store: Store) -> None:
        await hire(store, ANNA)
        held, parked, waiting, late, closed, other = (new_run(number, route="order@2") for number in range(6))
        await store.create([parked])
        await claim(store, ANNA)
        for run, changes in ((held, {}), (closed, {"closes": RunStatus.COMPLETED})):
            await store.commit(ANNA, [birth(run, **changes)])
        await store.claim(request(ANNA, routes=frozenset({"order@2"})), NOW)
        await store.park(ANNA, [Park(parked.run_id, 0, b"why")])
        await store.create([replace(waiting, starts_at_ms=NOW + 7), replace(late, starts_at_ms=NOW + 9)])
        await store.create([replace(other, route=None, workflow_type="refund", queue="side")])

        counts = await store.count_open()

        assert list(counts) == [
            OpenRuns("order", "order@2", "main", 4, held_count=1, parked_count=1, due_at_ms=NOW + 7),
            OpenRuns("refund", "refund", "side", 1, held_count=0, parked_count=0, due_at_ms=NOW),
        ]

    async def test_a_commit_changes_the_route_of_a_run(self, store: Store) -> None:
        await hire(store, ANNA)
        run = new_run(1)
        await store.create([run])
        await claim(store, ANNA)

        await store.commit(ANNA, [turn(run, 1, route="order@2#abc", keep=False)])
        await store.deliver([message(run)])

        assert (await record_of(store, run)).route == "order@2#abc"
        assert (await claim(store, ANNA)).runs == ()
        (claimed,) = (await store.claim(request(ANNA, routes=frozenset({"order@2#abc"})), NOW)).runs
        assert claimed.run.run_id == run.run_id
        assert [(each.route, each.held_count) for each in await store.count_open()] == [("order@2#abc", 1)]
