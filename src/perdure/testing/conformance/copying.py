"""What is promised of a run that begins with turns of another one."""

from typing import Any

from perdure.core.store import CopiedAttempt, Copies, NewRun, RunStatus, Store
from perdure.testing.conformance.runner import certifies
from perdure.testing.conformance.samples import (
    ANNA,
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
    turn,
    turns_of,
)


def copy_of(run: NewRun, number: int, turns_count: int, *calls: int, **changes: Any) -> NewRun:
    """A run with so many turns of `run`, whose calls of turn 2 are asked for again."""
    attempts = tuple(CopiedAttempt(2, call(call_id), NOW - 7) for call_id in calls)
    copies = Copies(run.run_id, turns_count, attempts, succeeds=changes.pop("succeeds", False))
    return new_run(number, copies=copies, origin_run_id=run.run_id, **changes)


async def three_turns(store: Store) -> NewRun:
    """A run of three turns, the second of which asked for calls 4 and 5."""
    run = new_run()
    await hire(store, ANNA)
    await store.commit(ANNA, [birth(run)])
    await store.commit(ANNA, [turn(run, 2, attempts=(call(4), call(5)))])
    await store.commit(ANNA, [turn(run, 3, finished=(4, 5))])
    return run


@certifies
class TestCopying:
    """Turns, attempts and the successor."""

    async def test_a_run_begins_with_turns_of_another_one_and_has_no_start(self, store: Store) -> None:
        run = await three_turns(store)
        copy = copy_of(run, 2, 2)

        (created,) = await store.create([copy])

        assert created.fresh
        assert list(await turns_of(store, copy)) == [b"turn 1", b"turn 2"]
        assert len(await turns_of(store, run)) == 3
        assert await inbox_of(store, copy) == []
        found = await record_of(store, copy)
        assert (found.turns_count, found.origin_run_id) == (2, run.run_id)
        assert (await record_of(store, run)).successor is None
        assert await store.commit(None, [turn(copy, 3, keep=False)]) == frozenset()

    async def test_calls_of_copied_turns_are_tried_again(self, store: Store) -> None:
        run = await three_turns(store)
        copy = copy_of(run, 2, 2, 5)

        await store.create([copy])

        assert [each.call_id for each in await attempts_of(store, copy)] == [5]
        (claimed,) = (await claim(store, ANNA)).attempts
        assert (claimed.run_id, claimed.call_id, claimed.attempt) == (copy.run_id, 5, 1)
        assert (claimed.turn, claimed.scheduled_at_ms) == (b"turn 2", NOW - 7)

    async def test_without_any_turn_it_is_started(self, store: Store) -> None:
        run = await three_turns(store)
        copy = copy_of(run, 2, 0)

        await store.create([copy])

        assert await inbox_of(store, copy) == ["start"]

    async def test_an_open_run_is_replaced_in_one_write(self, store: Store) -> None:
        run = await three_turns(store)
        later = copy_of(run, 2, 2, 4, workflow_id=run.workflow_id, first_run_id=run.run_id)
        later = copy_of(run, 2, 2, 4, workflow_id=run.workflow_id, deliveries=(message(later, "fork"),))
        told = [message(run, "s1", follows=True), message(run, "s2", follows=True), message(run, "t1")]
        await store.deliver(told)

        closing = turn(run, 4, closes=RunStatus.TERMINATED, next=later, consumed=("s1",), keep=False)
        refused = await store.commit(None, [closing])

        assert refused == frozenset()
        assert sorted(await inbox_of(store, later)) == ["fork", "s2"]
        before, after = await record_of(store, run), await record_of(store, later)
        assert (before.status, before.successor) == (RunStatus.TERMINATED, later.run_id)
        assert (after.status, after.turns_count) == (RunStatus.RUNNING, 2)

    async def test_a_refused_replacement_leaves_everything_alone(self, store: Store) -> None:
        run = await three_turns(store)
        later = copy_of(run, 2, 2, 4, workflow_id=run.workflow_id)

        refused = await store.commit(None, [turn(run, 3, closes=RunStatus.TERMINATED, next=later, keep=False)])

        assert refused == {run.run_id}
        assert await store.read_runs([later.run_id]) in ([], ())
        assert (await record_of(store, run)).status is RunStatus.RUNNING

    async def test_a_closed_run_gets_a_successor_once(self, store: Store) -> None:
        run = await three_turns(store)
        await store.commit(ANNA, [turn(run, 4, closes=RunStatus.COMPLETED)])
        first = copy_of(run, 2, 2, workflow_id=run.workflow_id, first_run_id=run.run_id, succeeds=True)
        second = copy_of(run, 3, 1, workflow_id=run.workflow_id, first_run_id=run.run_id, succeeds=True)

        created = await store.create([first, second])

        assert [each.fresh for each in created] == [True, False]
        assert (await record_of(store, run)).successor == first.run_id
        assert await store.deliver([message(run, "late", follows=True)]) == [True]
        assert await inbox_of(store, first) == ["late"]
        await store.commit(None, [turn(first, 3, closes=RunStatus.COMPLETED, keep=False)])
        await store.create([second])
        assert (await record_of(store, run)).successor == first.run_id
