"""What readers ask. Every function works on any connection."""

from collections.abc import Sequence
from typing import Any

from perdure.core.attributes import Attribute
from perdure.core.filter.tree import Filter
from perdure.core.ids import RunId, WorkflowId
from perdure.core.store import OpenRuns, RunRecord, RunStatus, Waiting, WaitingAttempt, WaitingMessage
from perdure.stores.sqlite import attributes, filters
from perdure.stores.sqlite.database import Database
from perdure.stores.sqlite.statements import TEXTS

_STATUSES = {str(status): status for status in RunStatus}


def records(db: Database, keys: Sequence[int]) -> dict[int, RunRecord]:
    """The records of runs by their internal ids."""
    rows = db.values_of("run_records", keys)
    attributed = [row[0] for row in rows if row[-1]]
    found = attributes.read(db, attributed) if attributed else {}
    return {row[0]: _record(row[1:-1], found.get(row[0], ())) for row in rows}


def _record(row: Sequence[Any], attributes: tuple[Attribute, ...]) -> RunRecord:
    (
        (run_id, workflow_id, workflow_type, queue, status, created, closed, turns_count, parent, parked, worker),
        (route, first_run_id, successor, note, origin_run_id),
    ) = row[:11], row[11:]
    return RunRecord(
        run_id=run_id,
        workflow_id=workflow_id,
        workflow_type=workflow_type,
        queue=queue,
        status=_STATUSES[status],
        created_at_ms=created,
        closed_at_ms=closed,
        turns_count=turns_count,
        parent_run_id=parent,
        parked=_blob(parked),
        worker=worker,
        route=route,
        first_run_id=first_run_id,
        successor=successor,
        note=_blob(note),
        attributes=attributes,
        origin_run_id=origin_run_id,
    )


def _blob(text: str | None) -> bytes | None:
    return None if text is None else bytes.fromhex(text)


def read_runs(db: Database, runs: Sequence[RunId]) -> list[RunRecord]:
    """See `Store.read_runs`."""
    return list(records(db, list(db.keys_of(runs).values())).values())


def find_run(db: Database, workflow_id: WorkflowId) -> RunRecord | None:
    """See `Store.find_run`."""
    key = db.value("find_run", workflow_id)
    return None if key is None else records(db, [key])[key]


def read_turns(db: Database, wants: Sequence[tuple[RunId, int]], limit: int) -> list[list[bytes]]:
    """See `Store.read_turns`."""
    keys = db.keys_of([run_id for run_id, _ in wants])
    asked = {(keys.get(run_id, 0), after): (after + 1, after + limit) for run_id, after in wants}
    by_run: dict[int, list[tuple[int, bytes]]] = {}
    for (key, number), data in turns(db, [(key, *numbers) for (key, _), numbers in asked.items()]).items():
        by_run.setdefault(key, []).append((number, data))
    return [
        [data for number, data in sorted(by_run.get(key, ())) if after < number <= after + limit]
        for key, after in [(keys.get(run_id, 0), after) for run_id, after in wants]
    ]


def turns(db: Database, spans: Sequence[tuple[int, int, int]]) -> dict[tuple[int, int], bytes]:
    """Turns by internal run id and number, of spans of these: run, first number, last number."""
    rows = db.blobs_of("turns", [value for span in spans for value in span])
    return {(key, number): data for key, number, data in rows}


def read_waiting(db: Database, run_id: RunId) -> Waiting:
    """See `Store.read_waiting`."""
    key = db.keys_of([run_id]).get(run_id, 0)
    messages = [
        WaitingMessage(message_id, visible_at_ms, data)
        for message_id, visible_at_ms, data in db.execute(TEXTS["read_inbox"], (key,))
    ]
    attempts = [_waiting_attempt(row) for row in db.values("read_attempts", key)]
    return Waiting(tuple(messages), tuple(sorted(attempts, key=lambda attempt: attempt.call_id)))


def _waiting_attempt(row: Sequence[Any]) -> WaitingAttempt:
    call_id, turn_number, name, queue, attempt, due_at_ms, deaths_count, cancelled, worker, failure, heartbeat, line = (
        row
    )
    return WaitingAttempt(
        call_id=call_id,
        turn_number=turn_number,
        name=name,
        queue=queue,
        attempt=attempt,
        due_at_ms=due_at_ms,
        deaths_count=deaths_count,
        cancelled=bool(cancelled),
        worker=worker,
        failure=_blob(failure),
        heartbeat=_blob(heartbeat),
        line=line,
    )


def closed_before(db: Database, before_ms: int, limit: int) -> list[RunId]:
    """See `Store.closed_before`."""
    return db.values("closed_before", before_ms, limit)


def list_runs(db: Database, where: Filter, limit: int, before: RunId | None) -> list[RunRecord]:
    """See `Store.list_runs`."""
    keys = filters.list_keys(db, where, limit, before)
    found = records(db, keys)
    return [found[key] for key in keys]


def count_runs(db: Database, where: Filter) -> dict[RunStatus, int]:
    """See `Store.count_runs`."""
    return {RunStatus(status): count for status, count in filters.count_by_status(db, where)}


def count_open(db: Database) -> list[OpenRuns]:
    """See `Store.count_open`."""
    return [OpenRuns(*row) for row in db.execute(TEXTS["count_open"])]
