"""Runs and messages enter the database. Every function works inside the writer's transaction."""

from collections.abc import Mapping, Sequence
from typing import Any

from perdure.core.ids import RunId
from perdure.core.store import Copies, Created, Delivery, NewRun, RunStatus
from perdure.stores.sqlite import attributes
from perdure.stores.sqlite.database import Database
from perdure.stores.sqlite.queues import rank_columns
from perdure.stores.sqlite.statements import TEXTS


def create(db: Database, runs: Sequence[NewRun]) -> list[Created]:
    """See `Store.create`."""
    inserted = insert_started(db, runs)
    return [Created(new.run_id, fresh=True) if new.run_id in inserted else _obstacle(db, new) for new in runs]


def _obstacle(db: Database, new: NewRun) -> Created:
    """What kept `new` out: the run of its request, the last one of its workflow id, or the one of its run id."""
    same_request = db.value("find_same_request", new.workflow_id, new.request_id)
    found = same_request or db.value("find_open", new.workflow_id) or _refusing(db, new) or new.run_id
    status = RunStatus(db.value("find_status", found))
    same = found == same_request or db.value("find_request_of", found) == new.request_id
    return Created(found, fresh=False, same_request=same, status=status)


def _refusing(db: Database, new: NewRun) -> RunId | None:
    """The last run of the workflow id, if `new` is refused after one that closed like it."""
    last = db.execute(TEXTS["find_last"], (new.workflow_id,)).fetchone() if new.refused_after else None
    return None if last is None or last[1] not in new.refused_after else last[0]


def insert_started(db: Database, runs: Sequence[NewRun]) -> dict[RunId, int]:
    """Insert free runs with their start messages; return the internal ids of those that were not left out."""
    inserted = insert_runs(db, [(new, None) for new in runs])
    if inserted:
        told: list[Delivery] = []
        for new in runs:
            if new.run_id in inserted:
                at_ms = new.created_at_ms if new.starts_at_ms is None else new.starts_at_ms
                if new.copies is not None:
                    _copy(db, new, new.copies, inserted[new.run_id])
                if new.copies is None or not new.copies.turns_count:
                    told.append(Delivery(new.run_id, "start", new.start, at_ms))
                told += new.deliveries
        deliver(db, told, inserted)
    return inserted


def _copy(db: Database, new: NewRun, copies: Copies, key: int) -> None:
    source = db.keys_of([copies.source_run_id]).get(copies.source_run_id, 0)
    facts = {"run_key": key, "source": source, "run_id": new.run_id}
    db.run_named("copy_turns", {**facts, "turns_count": copies.turns_count})
    db.run("set_origin", new.origin_run_id, key)
    flat: list[Any] = []
    for each in copies.attempts:
        one = each.attempt
        ready_at_ms = one.due_at_ms if one.expires_at_ms is None else min(one.due_at_ms, one.expires_at_ms)
        flat += (key, one.call_id, each.turn_number, one.name, one.queue, one.due_at_ms, one.expires_at_ms)
        flat += (ready_at_ms, each.scheduled_at_ms, *rank_columns(one))
    db.run_rows("insert_copied_attempts", flat)
    if copies.succeeds:
        db.run_named("succeed", facts)


def insert_runs(db: Database, rows: Sequence[tuple[NewRun, int | None]]) -> dict[RunId, int]:
    """Insert open runs, each with its lease; return the internal ids of those that were not left out."""
    rows = [row for row in rows if not row[0].refused_after or _refusing(db, row[0]) is None]
    if not rows:
        return {}
    last: int = db.value("last_run_id")
    flat: list[Any] = []
    for key, (new, lease_id) in enumerate(rows, last + 1):
        flat += (key, new.run_id, new.workflow_id, new.workflow_type, new.queue, new.request_id, new.parent_run_id)
        flat += (new.created_at_ms, lease_id, new.route or new.workflow_type, new.first_run_id or new.run_id, new.note)
    inserted_count = db.run_rows("insert_runs", flat)
    keys = {row[0].run_id: key for key, row in enumerate(rows, last + 1)}
    if inserted_count < len(rows):
        inserted = set(db.values("runs_since", last))
        keys = {row[0].run_id: key for key, row in enumerate(rows, last + 1) if key in inserted}
    db.remember_keys(keys)
    attributed = [(keys[new.run_id], new.attributes) for new, _ in rows if new.attributes and new.run_id in keys]
    if attributed:
        attributes.insert(db, attributed)
    return keys


def deliver(db: Database, deliveries: Sequence[Delivery], known: Mapping[RunId, int] | None = None) -> list[bool]:
    """See `Store.deliver`; `known` are internal ids of open runs."""
    keys = dict(known or {})
    asked = {delivery.run_id for delivery in deliveries if delivery.run_id not in keys}
    if asked:
        keys.update(db.values_of("open_runs", list(asked)))
    places = [keys.get(delivery.run_id) for delivery in deliveries]
    if None in places:
        followed = {each.run_id for each, key in zip(deliveries, places, strict=True) if key is None and each.follows}
        followers: dict[RunId, int] = dict(db.values_of("followers", list(followed)))
        pairs = zip(deliveries, places, strict=True)
        places = [followers.get(each.run_id) if key is None and each.follows else key for each, key in pairs]
    accepted = [(key, each) for key, each in zip(places, deliveries, strict=True) if key is not None]
    if accepted:
        _insert_messages(db, accepted)
    return [key is not None for key in places]


def _insert_messages(db: Database, deliveries: Sequence[tuple[int, Delivery]]) -> None:
    last: int = db.value("last_message_id")
    flat: list[Any] = []
    for message, (key, delivery) in enumerate(deliveries, last + 1):
        flat += (message, key, delivery.message_id, delivery.visible_at_ms, delivery.data, delivery.follows)
        flat.append(delivery.unparks)
    if db.run_rows("insert_messages", flat) < len(deliveries):
        inserted = set(db.values("messages_since", last))
        deliveries = [delivery for message, delivery in enumerate(deliveries, last + 1) if message in inserted]
    arrived: dict[int, tuple[int, bool]] = {}
    for key, delivery in deliveries:
        at_ms, unparks = arrived.get(key, (delivery.visible_at_ms, False))
        arrived[key] = (min(at_ms, delivery.visible_at_ms), unparks or delivery.unparks)
    if arrived:
        db.run_rows("notify_runs", [value for key, what in arrived.items() for value in (key, *what)])
        db.changed = True


def delete(db: Database, runs: Sequence[RunId]) -> int:
    """See `Store.delete`."""
    keys = db.values_of("closed_keys", list(set(runs)))
    db.run_rows("delete_turns", keys)
    db.run_rows("delete_attributes", keys)
    return db.run_rows("delete_runs", keys)
