"""What a commit changes beside the turns: inbox, attempts, children, other runs, and who holds the run."""

from perdure.core.ids import RunId, WorkflowId
from perdure.core.store import Delivery, NewAttempt, RunStatus, Store
from perdure.testing.conformance.runner import certifies
from perdure.testing.conformance.samples import (
    ANNA,
    BERT,
    NOW,
    attempts_of,
    birth,
    call,
    call_ids,
    child,
    claim,
    hire,
    inbox_of,
    message,
    new_run,
    record_of,
    run_ids,
    turn,
)


@certifies
class TestCommitEffects:
    """All of them, or none."""

    async def test_consumed_messages_leave_the_inbox(self, store: Store) -> None:
        run = new_run()
        await hire(store, ANNA)
        await store.create([run])
        await store.deliver([message(run, "a"), message(run, "later", visible_at_ms=NOW + 9), message(run, "b")])

        await store.commit(ANNA, [turn(run, 1, consumed=("start", "a", "later", "never there"))])

        assert await inbox_of(store, run) == ["b"]

    async def test_a_message_that_arrives_meanwhile_is_not_lost(self, store: Store) -> None:
        run = new_run()
        await hire(store, ANNA)
        await store.create([run])
        await claim(store, ANNA)
        await store.deliver([message(run, "meanwhile")])

        await store.commit(ANNA, [turn(run, 1, consumed=("start",))])

        claimed = await claim(store, ANNA)
        assert claimed.runs[0].messages == (b"meanwhile",)

    async def test_deliveries_reach_the_run_itself_and_others(self, store: Store) -> None:
        run, other = new_run(1), new_run(2)
        await hire(store, ANNA)
        await store.create([other])

        await store.commit(
            ANNA, [birth(run, deliveries=(message(run, "t1", visible_at_ms=NOW + 5), message(other, "s1")))]
        )

        assert await inbox_of(store, run) == ["t1"]
        assert await inbox_of(store, other) == ["start", "s1"]

    async def test_deliveries_to_closed_or_unknown_runs_are_dropped(self, store: Store) -> None:
        run, closed = new_run(1), new_run(2)
        await hire(store, ANNA)
        await store.commit(ANNA, [birth(closed, closes=RunStatus.COMPLETED)])
        lost = (message(closed, "s1"), Delivery(RunId("unknown"), "s1", b"", NOW))

        refused = await store.commit(ANNA, [birth(run, deliveries=lost)])

        assert refused == frozenset()
        assert await inbox_of(store, closed) == []

    async def test_a_delivery_whose_id_waits_already_is_dropped(self, store: Store) -> None:
        run = new_run()
        await hire(store, ANNA)
        await store.commit(ANNA, [birth(run, deliveries=(message(run, "t1", data=b"first"),))])

        await store.commit(ANNA, [turn(run, 2, deliveries=(message(run, "t1", data=b"second"),))])

        (found,) = (await store.read_waiting(run.run_id)).messages
        assert found.data == b"first"

    async def test_a_consumed_id_can_be_delivered_anew_by_the_same_commit(self, store: Store) -> None:
        run = new_run()
        await hire(store, ANNA)
        await store.commit(ANNA, [birth(run, deliveries=(message(run, "t1", data=b"first"),))])
        again = message(run, "t1", data=b"second")

        await store.commit(ANNA, [turn(run, 2, consumed=("t1",), deliveries=(again,))])

        (found,) = (await store.read_waiting(run.run_id)).messages
        assert found.data == b"second"

    async def test_attempts_wait_in_their_queues(self, store: Store) -> None:
        run = new_run()
        await hire(store, ANNA)
        new = NewAttempt(call_id=3, name="send", queue="mail", due_at_ms=NOW + 4, expires_at_ms=NOW + 9)

        await store.commit(ANNA, [birth(run, attempts=(call(1, kept=True), new))])

        kept, waiting = await attempts_of(store, run)
        assert (kept.call_id, kept.worker, kept.attempt, kept.turn_number) == (1, ANNA, 1, 1)
        assert (waiting.call_id, waiting.worker, waiting.name, waiting.queue) == (3, None, "send", "mail")
        assert (waiting.due_at_ms, waiting.deaths_count, waiting.cancelled) == (NOW + 4, 0, False)
        assert (waiting.failure, waiting.heartbeat) == (None, None)

    async def test_a_kept_attempt_is_claimed_by_nobody_else(self, store: Store) -> None:
        run = new_run()
        await hire(store, ANNA, BERT)
        await store.commit(ANNA, [birth(run, attempts=(call(1, kept=True), call(2)))])

        assert call_ids(await claim(store, BERT)) == [2]

    async def test_a_client_keeps_nothing(self, store: Store) -> None:
        run = new_run()
        await hire(store, BERT)

        await store.commit(None, [birth(run, attempts=(call(1, kept=True),))])

        assert (await record_of(store, run)).worker is None
        assert call_ids(await claim(store, BERT)) == [1]

    async def test_a_thousand_calls_of_one_turn(self, store: Store) -> None:
        run = new_run()
        await hire(store, ANNA)

        await store.commit(ANNA, [birth(run, attempts=tuple(call(number) for number in range(1, 1_001)))])

        claimed = await claim(store, ANNA)
        assert call_ids(claimed) == list(range(1, 1_001))
        assert {found.turn for found in claimed.attempts} == {b"turn 1"}

    async def test_finished_attempts_are_gone(self, store: Store) -> None:
        run = new_run()
        await hire(store, ANNA)
        await store.commit(ANNA, [birth(run, attempts=(call(1, kept=True), call(2), call(3)))])

        await store.commit(ANNA, [turn(run, 2, finished=(1, 2, 99), attempts=(call(4, kept=True),))])

        assert [(found.call_id, found.turn_number) for found in await attempts_of(store, run)] == [(3, 1), (4, 2)]

    async def test_a_cancelled_attempt_that_waits_is_gone(self, store: Store) -> None:
        run = new_run()
        await hire(store, ANNA)
        await store.commit(ANNA, [birth(run, attempts=(call(1),))])

        await store.commit(ANNA, [turn(run, 2, cancelled=(1, 99))])

        assert await attempts_of(store, run) == ()
        assert call_ids(await claim(store, ANNA)) == []

    async def test_a_cancelled_attempt_that_is_held_is_marked(self, store: Store) -> None:
        run = new_run()
        await hire(store, ANNA)
        await store.commit(ANNA, [birth(run, attempts=(call(1, kept=True),))])

        await store.commit(ANNA, [turn(run, 2, cancelled=(1,))])

        (found,) = await attempts_of(store, run)
        assert (found.cancelled, found.worker) == (True, ANNA)

    async def test_a_run_that_closes_leaves_nothing_waiting(self, store: Store) -> None:
        run, other = new_run(1), new_run(2)
        await hire(store, ANNA, BERT)
        commit = {"attempts": (call(1, kept=True), call(2)), "deliveries": (message(run, "t1"),)}
        await store.commit(ANNA, [birth(run, **commit), birth(other, attempts=(call(1),))])

        closing = turn(run, 2, at_ms=NOW + 3, closes=RunStatus.CANCELLED, deliveries=(message(other, "c1"),))
        await store.commit(ANNA, [closing])

        found = await record_of(store, run)
        assert (found.status, found.closed_at_ms, found.worker) == (RunStatus.CANCELLED, NOW + 3, None)
        assert (found.turns_count, found.parked) == (2, None)
        assert (await inbox_of(store, run), await attempts_of(store, run)) == ([], ())
        assert await inbox_of(store, other) == ["c1"]
        claimed = await claim(store, BERT)
        assert [found.run_id for found in claimed.attempts] == [other.run_id]

    async def test_children_start_with_their_parents_turn(self, store: Store) -> None:
        parent, kid = new_run(1), new_run(2, parent_run_id=new_run(1).run_id)
        await hire(store, ANNA, BERT)

        await store.commit(ANNA, [birth(parent, children=(child(parent, kid),))])

        assert await inbox_of(store, parent) == ["started"]
        found = await record_of(store, kid)
        assert (found.parent_run_id, found.turns_count, found.worker) == (parent.run_id, 0, None)
        assert run_ids(await claim(store, BERT)) == [kid.run_id]

    async def test_a_child_whose_workflow_id_is_taken_is_refused(self, store: Store) -> None:
        parent, kid, rival = new_run(1), new_run(2), new_run(3, workflow_id=WorkflowId("order-2"))
        await hire(store, ANNA)
        await store.create([rival])

        refused = await store.commit(ANNA, [birth(parent, children=(child(parent, kid),))])

        assert refused == frozenset()
        assert await inbox_of(store, parent) == ["refused"]
        assert await store.read_runs([kid.run_id]) == []

    async def test_each_child_of_a_batch_is_answered_for_itself(self, store: Store) -> None:
        one, other, taken = new_run(1), new_run(2), new_run(3)
        good, bad = new_run(4), new_run(5, workflow_id=taken.workflow_id)
        await hire(store, ANNA)
        await store.create([taken])

        await store.commit(
            ANNA, [birth(one, children=(child(one, bad),)), birth(other, children=(child(other, good),))]
        )

        assert (await inbox_of(store, one), await inbox_of(store, other)) == (["refused"], ["started"])

    async def test_a_kept_run_is_held_by_the_worker(self, store: Store) -> None:
        run = new_run()
        await hire(store, ANNA, BERT)
        await store.create([run])

        await store.commit(ANNA, [turn(run, 1)])

        assert (await record_of(store, run)).worker == ANNA
        assert run_ids(await claim(store, BERT)) == []

    async def test_a_run_that_is_not_kept_is_free_when_something_is_due(self, store: Store) -> None:
        run = new_run()
        await hire(store, ANNA, BERT)

        await store.commit(ANNA, [birth(run, keep=False, deliveries=(message(run, "t1", visible_at_ms=NOW + 5),))])

        assert (await record_of(store, run)).worker is None
        early = await claim(store, BERT)
        assert (run_ids(early), early.next_due_at_ms) == ([], NOW + 5)
        assert run_ids(await claim(store, BERT, now_ms=NOW + 5)) == [run.run_id]
