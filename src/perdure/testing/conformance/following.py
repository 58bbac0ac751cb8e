"""Runs that go on for one another: what the successor gets, and what reaches it later."""

from perdure.core.store import Delivery, NewRun, RunStatus, Store
from perdure.testing.conformance.runner import certifies
from perdure.testing.conformance.samples import (
    ANNA,
    BERT,
    NOW,
    birth,
    call,
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

CONTINUED = RunStatus.CONTINUED_AS_NEW


def successor(run: NewRun, number: int = 2, **changes: object) -> NewRun:
    """The run that goes on for `run`."""
    return new_run(number, workflow_id=run.workflow_id, first_run_id=run.first_run_id or run.run_id, **changes)


@certifies
class TestFollowing:
    """A run closes and the next one opens in one step."""

    async def test_the_next_run_is_open_and_free_when_its_predecessor_is_closed(self, store: Store) -> None:
        run = new_run(1)
        later = successor(run)
        await hire(store, ANNA, BERT)
        await store.create([run])
        await claim(store, ANNA)

        refused = await store.commit(ANNA, [turn(run, 1, closes=CONTINUED, next=later)])

        assert not refused
        closed, opened = await record_of(store, run), await record_of(store, later)
        assert (closed.status, closed.successor, closed.first_run_id) == (CONTINUED, later.run_id, run.run_id)
        assert (opened.status, opened.successor, opened.first_run_id) == (RunStatus.RUNNING, None, run.run_id)
        assert opened.worker is None
        claimed = await claim(store, BERT)
        assert [(each.run.run_id, each.messages) for each in claimed.runs] == [(later.run_id, (b"start",))]

    async def test_a_run_may_go_on_in_its_very_first_turn(self, store: Store) -> None:
        run = new_run(1)
        later = successor(run)
        await hire(store, ANNA)

        refused = await store.commit(ANNA, [birth(run, closes=CONTINUED, next=later)])

        assert not refused
        found = await store.find_run(run.workflow_id)
        assert found is not None
        assert found.run_id == later.run_id

    async def test_a_refused_commit_opens_no_next_run(self, store: Store) -> None:
        run = new_run(1)
        later = successor(run)
        await store.create([run])

        refused = await store.commit(None, [turn(run, 2, closes=CONTINUED, next=later)])

        assert refused == {run.run_id}
        assert list(await store.read_runs([later.run_id])) == []
        assert (await record_of(store, run)).status is RunStatus.RUNNING

    async def test_what_follows_moves_to_the_next_run_and_the_rest_is_gone(self, store: Store) -> None:
        run = new_run(1)
        later = successor(run)
        await store.create([run])
        await store.deliver(
            [
                message(run, "s-taken", follows=True),
                message(run, "s-waiting", follows=True),
                message(run, "s-of-tomorrow", visible_at_ms=NOW + 9, follows=True),
                message(run, "t1"),
            ]
        )

        await store.commit(None, [turn(run, 1, closes=CONTINUED, consumed=("start", "s-taken"), next=later)])

        assert await inbox_of(store, run) == []
        assert sorted(await inbox_of(store, later)) == ["s-of-tomorrow", "s-waiting", "start"]

    async def test_what_the_next_run_is_told_comes_with_its_start(self, store: Store) -> None:
        run = new_run(1)
        told = Delivery(successor(run).run_id, "s1", b"carried", NOW, follows=True)
        later = successor(run, deliveries=(told,))
        await store.create([run])

        await store.commit(None, [turn(run, 1, closes=CONTINUED, next=later)])

        assert sorted(await inbox_of(store, later)) == ["s1", "start"]

    async def test_a_message_carried_and_waiting_is_there_once(self, store: Store) -> None:
        run = new_run(1)
        told = Delivery(successor(run).run_id, "s1", b"carried", NOW, follows=True)
        await store.create([run])
        await store.deliver([message(run, "s1", follows=True)])

        await store.commit(None, [turn(run, 1, closes=CONTINUED, next=successor(run, deliveries=(told,)))])

        assert sorted(await inbox_of(store, successor(run))) == ["s1", "start"]

    async def test_a_later_message_reaches_the_open_run_through_any_number_between(self, store: Store) -> None:
        run = new_run(1)
        second, third = successor(run, 2), successor(run, 3)
        await store.create([run])
        await store.commit(None, [turn(run, 1, closes=CONTINUED, next=second)])
        await store.commit(None, [turn(second, 1, closes=CONTINUED, next=third)])

        answers = await store.deliver(
            [message(run, "s1", follows=True), message(second, "s2", follows=True), message(run, "t1")]
        )

        assert list(answers) == [True, True, False]
        assert sorted(await inbox_of(store, third)) == ["s1", "s2", "start"]

    async def test_a_message_that_follows_stays_with_an_open_run(self, store: Store) -> None:
        run = new_run(1)
        await store.create([run])

        assert list(await store.deliver([message(run, "s1", follows=True)])) == [True]

        assert sorted(await inbox_of(store, run)) == ["s1", "start"]

    async def test_nothing_follows_to_another_chain_of_the_same_workflow_id(self, store: Store) -> None:
        run = new_run(1)
        second = successor(run, 2)
        stranger = new_run(3, workflow_id=run.workflow_id)
        await store.create([run])
        await store.commit(None, [turn(run, 1, closes=CONTINUED, next=second)])
        await store.commit(None, [turn(second, 1, closes=RunStatus.COMPLETED)])
        await store.create([stranger])

        answers = await store.deliver([message(run, "s1", follows=True), message(second, "s2", follows=True)])

        assert list(answers) == [False, False]
        assert await inbox_of(store, stranger) == ["start"]

    async def test_a_commit_of_another_run_reaches_the_successor(self, store: Store) -> None:
        run, other = new_run(1), new_run(9)
        later = successor(run)
        await store.create([run, other])
        await store.commit(None, [turn(run, 1, closes=CONTINUED, next=later)])

        await store.commit(None, [turn(other, 1, deliveries=(message(run, "c4", follows=True),))])

        assert sorted(await inbox_of(store, later)) == ["c4", "start"]

    async def test_attempts_of_the_closed_run_are_gone(self, store: Store) -> None:
        run = new_run(1)
        await hire(store, ANNA)
        await store.commit(ANNA, [birth(run, attempts=(call(1), call(2, kept=True)))])

        await store.commit(ANNA, [turn(run, 2, closes=CONTINUED, next=successor(run))])

        assert (await store.read_waiting(run.run_id)).attempts == ()

    async def test_a_start_that_is_put_off_waits_for_its_moment(self, store: Store) -> None:
        run = new_run(1)
        later = successor(run, starts_at_ms=NOW + 50)
        await hire(store, ANNA)
        await store.create([run, new_run(5, starts_at_ms=NOW + 50)])
        await store.commit(None, [turn(run, 1, closes=RunStatus.FAILED, next=later)])

        early = await store.claim(request(ANNA), NOW + 49)
        due = await store.claim(request(ANNA), NOW + 50)

        assert (early.runs, early.next_due_at_ms) == ((), NOW + 50)
        assert sorted(run_ids(due)) == [later.run_id, new_run(5).run_id]


@certifies
class TestStartingAgain:
    """Workflow ids that were used before."""

    async def test_a_closed_run_stands_in_the_way_where_its_status_is_refused(self, store: Store) -> None:
        first = new_run(1)
        refused_after = (RunStatus.COMPLETED, RunStatus.TERMINATED)
        again = new_run(2, workflow_id=first.workflow_id, refused_after=refused_after)
        await store.create([first])
        await store.commit(None, [turn(first, 1, closes=RunStatus.COMPLETED)])

        (created,) = await store.create([again])

        assert (created.run_id, created.fresh, created.same_request) == (first.run_id, False, False)
        assert created.status is RunStatus.COMPLETED
        assert await store.commit(None, [birth(again)]) == {again.run_id}

    async def test_a_closed_run_of_another_status_does_not(self, store: Store) -> None:
        first = new_run(1)
        again = new_run(2, workflow_id=first.workflow_id, refused_after=(RunStatus.COMPLETED,))
        await store.create([first])
        await store.commit(None, [turn(first, 1, closes=RunStatus.FAILED)])

        (created,) = await store.create([again])

        assert created.fresh

    async def test_only_the_last_run_counts(self, store: Store) -> None:
        first = new_run(1)
        second = new_run(2, workflow_id=first.workflow_id)
        third = new_run(3, workflow_id=first.workflow_id, refused_after=(RunStatus.COMPLETED,))
        await store.create([first])
        await store.commit(None, [turn(first, 1, closes=RunStatus.COMPLETED)])
        await store.create([second])
        await store.commit(None, [turn(second, 1, closes=RunStatus.FAILED)])

        (created,) = await store.create([third])

        assert created.fresh

    async def test_the_same_request_is_found_whatever_is_refused(self, store: Store) -> None:
        first = new_run(1, refused_after=(RunStatus.COMPLETED,))
        again = new_run(2, workflow_id=first.workflow_id, request_id=first.request_id)
        await store.create([first])
        await store.commit(None, [turn(first, 1, closes=RunStatus.COMPLETED)])

        (created,) = await store.create([again])

        assert (created.run_id, created.same_request, created.status) == (first.run_id, True, RunStatus.COMPLETED)

    async def test_messages_come_with_the_start_or_not_at_all(self, store: Store) -> None:
        first = new_run(1, deliveries=(message(new_run(1), "s1", follows=True),))
        again = new_run(2, workflow_id=first.workflow_id, deliveries=(message(new_run(2), "s2", follows=True),))

        await store.create([first])
        await store.create([again])

        assert sorted(await inbox_of(store, first)) == ["s1", "start"]

    async def test_a_route_decides_who_may_take_the_run(self, store: Store) -> None:
        plain, second = new_run(1), new_run(2, route="order@2")
        await hire(store, ANNA, BERT)
        await store.create([plain, second])

        newer = await store.claim(request(ANNA, routes=frozenset({"order@2"})), NOW)
        older = await store.claim(request(BERT, routes=frozenset({"order"})), NOW)

        assert run_ids(newer) == [second.run_id]
        assert run_ids(older) == [plain.run_id]
        assert (await record_of(store, second)).route == "order@2"

    async def test_a_commit_can_change_the_route_and_the_note(self, store: Store) -> None:
        run = new_run(1, note=b"at first")
        await hire(store, ANNA)
        await store.create([run])
        await store.deliver([message(run, "m")])

        await store.commit(None, [turn(run, 1, route="order@3", note=b"later", consumed=("start",), keep=False)])

        found = await record_of(store, run)
        assert (found.route, found.note) == ("order@3", b"later")
        assert run_ids(await store.claim(request(ANNA, routes=frozenset({"order"})), NOW)) == []
        assert run_ids(await store.claim(request(ANNA, routes=frozenset({"order@3"})), NOW)) == [run.run_id]
