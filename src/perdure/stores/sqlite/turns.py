"""Turns enter the database: the hot path. Every function works inside the writer's transaction."""

from collections.abc import Sequence
from typing import Any

import msgspec

from perdure.core.attributes import Attribute
from perdure.core.ids import RunId, WorkerId
from perdure.core.store import ChildRun, Commit, Delivery, Park
from perdure.stores.sqlite import attributes
from perdure.stores.sqlite.database import Database
from perdure.stores.sqlite.messages import deliver, insert_runs, insert_started


class _Rows(msgspec.Struct, gc=False):
    """The rows of one batch, each list flat: the parameters of one repeated statement."""

    turns: list[Any] = []
    finished: list[int] = []
    cancelled: list[int] = []
    attempts: list[Any] = []
    ranked: list[Any] = []
    consumed: list[Any] = []
    kept: list[int] = []
    dropped: list[int] = []
    changed: list[Any] = []
    attributes: list[tuple[int, tuple[Attribute, ...]]] = []


def commit(db: Database, worker: WorkerId | None, commits: Sequence[Commit]) -> frozenset[RunId]:
    """See `Store.commit`."""
    asked = frozenset([commit.run_id for commit in commits])
    assert len(asked) == len(commits), "one batch holds at most one commit a run"
    lease_id: int | None = None if worker is None else db.value("find_lease", worker)
    if worker is not None and lease_id is None:
        return asked
    first = [commit for commit in commits if commit.create is not None]
    later = [commit for commit in commits if commit.create is None] if first else commits
    keys, steady = _admitted(db, lease_id, later)
    # Runs close before others are created: a workflow id is free as soon as its run closes.
    _close(db, later, keys)
    if first:
        keys.update(_create(db, lease_id, first))
        _close(db, first, keys)
    if len(keys) < len(commits):
        commits = [commit for commit in commits if commit.run_id in keys]
    _write(db, _rows(commits, keys, lease_id, steady=steady), lease_id)
    _deliver(db, commits, keys)
    return asked.difference(keys)


def _admitted(db: Database, lease_id: int | None, commits: Sequence[Commit]) -> tuple[dict[RunId, int], bool]:
    """Internal ids of the runs whose next turn this is, and whether the worker holds all of them already."""
    keys = db.keys_of([commit.run_id for commit in commits])
    if lease_id is not None and len(keys) == len(commits):
        flat: list[int] = []
        for commit in commits:
            flat += (keys[commit.run_id], commit.number)
        if sum(db.numbers_of("count_steady", flat, after=(lease_id,))) == len(commits):
            return keys, True
    numbers = dict(db.values_of("next_numbers", list(keys.values())))
    fit = [commit for commit in commits if numbers.get(keys.get(commit.run_id, 0)) == commit.number]
    return {commit.run_id: keys[commit.run_id] for commit in fit}, False


def _close(db: Database, commits: Sequence[Commit], keys: dict[RunId, int]) -> None:
    closing = [commit for commit in commits if commit.closes is not None and commit.run_id in keys]
    if not closing:
        return
    closed = [keys[commit.run_id] for commit in closing]
    flat: list[Any] = []
    for commit in closing:
        flat += (keys[commit.run_id], str(commit.closes), commit.at_ms)
    db.run_rows("close_runs", flat)
    followed = [commit for commit in closing if commit.next is not None]
    if followed:
        _go_on(db, followed, keys)
    db.run_rows("empty_inboxes", closed)
    db.run_rows("delete_attempts_of_runs", closed)
    db.changed = True


def _go_on(db: Database, commits: Sequence[Commit], keys: dict[RunId, int]) -> None:
    """Create the successors of runs that close, with the messages that follow."""
    taken: list[Any] = []
    for commit in commits:
        for message_id in commit.consumed:
            taken += (keys[commit.run_id], message_id)
    db.run_rows("consume", taken)
    created = insert_started(db, [commit.next for commit in commits if commit.next is not None])
    successors: list[Any] = []
    moves: list[int] = []
    for commit in commits:
        if commit.next is not None and commit.next.run_id in created:
            successors += (keys[commit.run_id], commit.next.run_id)
            moves += (keys[commit.run_id], created[commit.next.run_id])
    db.run_rows("set_successors", successors)
    db.run_rows("move_messages", moves)
    db.run_rows("free_runs", moves[1::2])


def _create(db: Database, lease_id: int | None, commits: Sequence[Commit]) -> dict[RunId, int]:
    rows = [
        (commit.create, lease_id if commit.keep else None)
        for commit in commits
        if commit.create is not None and commit.number == 1
    ]
    return insert_runs(db, rows)


def _rows(commits: Sequence[Commit], keys: dict[RunId, int], lease_id: int | None, *, steady: bool) -> _Rows:
    rows = _Rows()
    turns, finished, attempts = rows.turns, rows.finished, rows.attempts
    for commit in commits:
        key = keys[commit.run_id]
        turns += (key, commit.number, commit.turn)
        if commit.note is not None or commit.route is not None:
            rows.changed += (key, commit.route, commit.note)
        if commit.attributes:
            rows.attributes.append((key, commit.attributes))
        if commit.closes is not None:
            continue
        for call_id in commit.finished:
            finished += (key, call_id)
        for new in commit.attempts:
            due, expires = new.due_at_ms, new.expires_at_ms
            into = attempts if new.rank is None else rows.ranked
            into += (key, new.call_id, commit.number, new.name, new.queue, due, expires)
            into += (due if expires is None or expires > due else expires, lease_id if new.kept else None)
            if new.rank is not None:
                into += (new.rank.line, new.rank.weight_milli)
        if commit.create is not None:
            continue
        for message_id in commit.consumed:
            rows.consumed += (key, message_id)
        for call_id in commit.cancelled:
            rows.cancelled += (key, call_id)
        if lease_id is None or not commit.keep:
            rows.dropped.append(key)
        elif commit.consumed or not steady:
            rows.kept.append(key)
    return rows


def _write(db: Database, rows: _Rows, lease_id: int | None) -> None:
    db.run_rows("insert_turns", rows.turns)
    if rows.consumed:
        db.run_rows("consume", rows.consumed)
    if rows.finished:
        db.run_rows("delete_attempts", rows.finished)
        db.changed = db.changed or db.slots_awaited
    if rows.cancelled:
        db.run_rows("mark_cancelled", rows.cancelled)
        db.run_rows("delete_waiting_attempts", rows.cancelled)
    if rows.attempts:
        db.run_rows("insert_attempts", rows.attempts)
        db.changed = db.changed or None in rows.attempts[8::9]
    if rows.ranked:
        db.run_rows("insert_ranked_attempts", rows.ranked)
        db.changed = db.changed or None in rows.ranked[8::11]
    if rows.changed:
        db.run_rows("change_runs", rows.changed)
    if rows.attributes:
        attributes.change(db, rows.attributes)
    if rows.kept:
        db.run_rows("hold_runs", rows.kept, before=(lease_id, lease_id, lease_id))
    if rows.dropped:
        db.run_rows("free_runs", rows.dropped)
        db.changed = True


def _deliver(db: Database, commits: Sequence[Commit], keys: dict[RunId, int]) -> None:
    commits = [commit for commit in commits if commit.deliveries or commit.children]
    children = [child for commit in commits for child in commit.children]
    created = insert_started(db, [child.run for child in children]) if children else {}
    deliveries: list[Delivery] = []
    for commit in commits:
        deliveries += [_answer(child, created) for child in commit.children]
        deliveries += commit.deliveries
    if deliveries:
        deliver(db, deliveries, {commit.run_id: keys[commit.run_id] for commit in commits if commit.closes is None})


def _answer(child: ChildRun, created: dict[RunId, int]) -> Delivery:
    return child.started if child.run.run_id in created else child.refused


def park(db: Database, worker: WorkerId, parks: Sequence[Park]) -> None:
    """See `Store.park`."""
    lease_id = db.value("find_lease", worker)
    for one in parks:
        facts = {"run_id": one.run_id, "turns_count": one.turns_count, "failure": one.failure, "lease_id": lease_id}
        facts["seen"] = msgspec.json.encode(one.seen).decode()
        db.run_named("park_run", facts)
