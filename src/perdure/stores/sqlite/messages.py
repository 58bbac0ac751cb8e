"""Runs and messages enter the database. Every function works inside the writer's transaction."""

from collections.abc import Mapping, Sequence
from typing import Any

from perdure.core.ids import RunId
from perdure.core.store import Created, Delivery, NewRun
from perdure.stores.sqlite.database import Database


def create(db: Database, runs: Sequence[NewRun]) -> list[Created]:
    """See `Store.create`."""
    inserted = insert_started(db, runs)
    return [Created(new.run_id, fresh=True) if new.run_id in inserted else _obstacle(db, new) for new in runs]


def _obstacle(db: Database, new: NewRun) -> Created:
    """What kept `new` out: the run of its request, the open one of its workflow id, or the one of its run id."""
    same_request = db.value("find_same_request", new.workflow_id, new.request_id)
    if same_request is not None:
        return Created(same_request, fresh=False, same_request=True)
    open_run = db.value("find_open", new.workflow_id)
    if open_run is not None:
        return Created(open_run, fresh=False)
    return Created(new.run_id, fresh=False, same_request=db.value("find_request_of", new.run_id) == new.request_id)


def insert_started(db: Database, runs: Sequence[NewRun]) -> dict[RunId, int]:
    """Insert free runs with their start messages; return the internal ids of those that were not left out."""
    inserted = insert_runs(db, [(new, None) for new in runs])
    if inserted:
        starts = [Delivery(new.run_id, "start", new.start, new.created_at_ms) for new in runs]
        deliver(db, [start for start in starts if start.run_id in inserted], inserted)
    return inserted


def insert_runs(db: Database, rows: Sequence[tuple[NewRun, int | None]]) -> dict[RunId, int]:
    """Insert open runs, each with its lease; return the internal ids of those that were not left out."""
    if not rows:
        return {}
    last: int = db.value("last_run_id")
    flat: list[Any] = []
    for key, (new, lease_id) in enumerate(rows, last + 1):
        flat += (key, new.run_id, new.workflow_id, new.workflow_type, new.queue, new.request_id, new.parent_run_id)
        flat += (new.created_at_ms, lease_id)
    inserted_count = db.run_rows("insert_runs", flat)
    keys = {row[0].run_id: key for key, row in enumerate(rows, last + 1)}
    if inserted_count < len(rows):
        inserted = set(db.values("runs_since", last))
        keys = {row[0].run_id: key for key, row in enumerate(rows, last + 1) if key in inserted}
    db.remember_keys(keys)
    return keys


def deliver(db: Database, deliveries: Sequence[Delivery], known: Mapping[RunId, int] | None = None) -> list[bool]:
    """See `Store.deliver`; `known` are internal ids of open runs."""
    open_keys = dict(known or {})
    asked = {delivery.run_id for delivery in deliveries if delivery.run_id not in open_keys}
    if asked:
        open_keys.update(db.values_of("open_runs", list(asked)))
    accepted = [delivery for delivery in deliveries if delivery.run_id in open_keys]
    if accepted:
        _insert_messages(db, accepted, open_keys)
    return [delivery.run_id in open_keys for delivery in deliveries]


def _insert_messages(db: Database, deliveries: Sequence[Delivery], keys: Mapping[RunId, int]) -> None:
    last: int = db.value("last_message_id")
    flat: list[Any] = []
    for message, delivery in enumerate(deliveries, last + 1):
        flat += (message, keys[delivery.run_id], delivery.message_id, delivery.visible_at_ms, delivery.data)
    if db.run_rows("insert_messages", flat) < len(deliveries):
        inserted = set(db.values("messages_since", last))
        deliveries = [delivery for message, delivery in enumerate(deliveries, last + 1) if message in inserted]
    arrived: dict[int, tuple[int, bool]] = {}
    for delivery in deliveries:
        key = keys[delivery.run_id]
        at_ms, unparks = arrived.get(key, (delivery.visible_at_ms, False))
        arrived[key] = (min(at_ms, delivery.visible_at_ms), unparks or delivery.unparks)
    if arrived:
        db.run_rows("notify_runs", [value for key, what in arrived.items() for value in (key, *what)])
        db.changed = True


def delete(db: Database, runs: Sequence[RunId]) -> int:
    """See `Store.delete`."""
    keys = db.values_of("closed_keys", list(set(runs)))
    db.run_rows("delete_turns", keys)
    return db.run_rows("delete_runs", keys)
