"""What workers hold: leases, claims, ends of attempts. All but `peek` work inside the writer's transaction."""

from collections.abc import Iterator, Sequence
from itertools import product
from typing import Any, NamedTuple

from perdure.core.dispatch import Choice
from perdure.core.ids import WorkerId
from perdure.core.policy import death_delay_ms
from perdure.core.store import (
    OVERDUE_MAX,
    AttemptKey,
    Beat,
    Claimed,
    ClaimedAttempt,
    ClaimedRun,
    ClaimRequest,
    Delivery,
    Extended,
    Finish,
    Retry,
)
from perdure.stores.sqlite.database import Database
from perdure.stores.sqlite.messages import deliver
from perdure.stores.sqlite.queues import Ranked, write_choice
from perdure.stores.sqlite.reads import records, turns
from perdure.stores.sqlite.statements import TEXTS

_NOTHING = Claimed((), (), None)


def register(db: Database, worker: WorkerId, until_ms: int) -> None:
    """See `Store.register`."""
    db.run_named("register", {"worker": worker, "until_ms": until_ms})


def leaseholders(db: Database) -> list[WorkerId]:
    """See `Store.leaseholders`."""
    return db.values("leaseholders")


def extend(db: Database, worker: WorkerId, until_ms: int, beats: Sequence[Beat]) -> Extended:
    """See `Store.extend`."""
    lease_id = db.value("find_lease", worker)
    if lease_id is None:
        return Extended(lost=True)
    db.run("extend", until_ms, lease_id)
    if not beats:
        return Extended(lost=False)
    keys = db.keys_of([beat.run_id for beat in beats])
    asked = [(keys.get(beat.run_id, 0), beat.call_id) for beat in beats]
    held = _held(db, lease_id, asked)
    heard: dict[tuple[int, int], bytes] = {}
    cancelled: list[AttemptKey] = []
    for beat, key in zip(beats, asked, strict=True):
        if key not in held or held[key][1]:
            cancelled.append(AttemptKey(beat.run_id, beat.call_id))
        elif beat.details is not None:
            heard[key] = beat.details
    db.run_rows("beat", [value for key, details in heard.items() for value in (*key, details)])
    return Extended(lost=False, cancelled=tuple(cancelled))


def release(db: Database, worker: WorkerId, *, died: bool, now_ms: int) -> None:
    """See `Store.release`."""
    lease_id = db.value("find_lease", worker)
    if lease_id is not None:
        _give_back(db, lease_id, died=died, now_ms=now_ms)


def _give_back(db: Database, lease_id: int, *, died: bool, now_ms: int) -> None:
    if died:
        _count_deaths_of_runs(db, lease_id, now_ms)
    db.run("give_back_runs", lease_id)
    db.run("drop_cancelled", lease_id)
    if died:
        for count in db.values("deaths_counts", lease_id):
            due_at_ms = now_ms + death_delay_ms(count + 1)
            db.run_named("count_deaths", {"lease_id": lease_id, "deaths_count": count, "due_at_ms": due_at_ms})
    else:
        db.run("give_back_attempts", lease_id)
    db.run("delete_lease", lease_id)
    db.changed = True


def _count_deaths_of_runs(db: Database, lease_id: int, now_ms: int) -> None:
    flat: list[int] = []
    for key, deaths_count, deaths_turn, turns_count in db.values("interrupted_runs", lease_id):
        count = deaths_count + 1 if deaths_turn == turns_count else 1
        flat += (key, count, turns_count, now_ms + death_delay_ms(count))
    db.run_rows("count_deaths_of_runs", flat)


def finish(db: Database, worker: WorkerId | None, finishes: Sequence[Finish]) -> list[bool]:
    """See `Store.finish`."""
    lease_id: int | None = None if worker is None else db.value("find_lease", worker)
    if worker is not None and lease_id is None:
        return [False] * len(finishes)
    keys = db.keys_of([finish.run_id for finish in finishes])
    asked = [(keys.get(finish.run_id, 0), finish.call_id) for finish in finishes]
    held = _held(db, lease_id, asked)
    answers: list[bool] = []
    over: list[int] = []
    retries: list[Any] = []
    deliveries: list[Delivery] = []
    for one, key in zip(finishes, asked, strict=True):
        attempt, cancelled = held.get(key, (0, False))
        answers.append(attempt == one.attempt)
        if attempt != one.attempt:
            continue
        # The first of two that name one attempt ends it.
        del held[key]
        match one.then:
            case Retry() as retry if not cancelled:
                retries += (*key, retry.attempt, retry.due_at_ms, retry.expires_at_ms, _ready_at_ms(retry))
                retries += (retry.failure, retry.heartbeat)
            case Delivery() as delivery if not cancelled:
                over += key
                deliveries.append(delivery)
            case _:
                over += key
    db.run_rows("delete_attempts", over)
    db.changed = db.changed or (db.slots_awaited and bool(over))
    deliver(db, deliveries)
    if retries:
        db.run_rows("retry_attempts", retries)
        db.changed = True
    return answers


def _ready_at_ms(retry: Retry) -> int:
    return retry.due_at_ms if retry.expires_at_ms is None else min(retry.due_at_ms, retry.expires_at_ms)


def _held(
    db: Database, lease_id: int | None, keys: Sequence[tuple[int, int]]
) -> dict[tuple[int, int], tuple[int, bool]]:
    """Of these attempts, those that the lease holds (None: any): the number of the try, whether it was cancelled."""
    flat = [value for key in keys for value in key]
    if lease_id is None:
        found = db.values_of("any_attempts", flat)
    else:
        found = db.values_of("held_attempts", flat, before=(lease_id,))
    return {(key, call_id): (attempt, bool(cancelled)) for key, call_id, attempt, cancelled in found}


# Claims


def peek(db: Database, request: ClaimRequest, now_ms: int) -> Claimed | None:
    """The answer to a claim that finds nothing; None if there is something to be taken or given back."""
    if db.values("expired_leases", now_ms, request.worker):
        return None
    claimer = _find_claimer(db, request, now_ms)
    if claimer is None:
        return _NOTHING
    if request.since < request.number:
        # It must be noted, whether it finds something or not.
        return None
    if _runs_due(db, request, claimer.lease_id, now_ms) or claimer.overdue:
        return None
    choice = claimer.choose(db, request, now_ms)
    if choice.keys:
        return None
    return Claimed((), (), _next_due_at_ms(db, request, claimer, now_ms, choice), choice.best_left)


def claim(db: Database, request: ClaimRequest, now_ms: int) -> Claimed:
    """See `Store.claim`."""
    for expired in db.values("expired_leases", now_ms, request.worker):
        _give_back(db, expired, died=True, now_ms=now_ms)
    claimer = _find_claimer(db, request, now_ms)
    if claimer is None or request.number < db.value("repeated_claim", claimer.lease_id):
        return _NOTHING
    missed = _missed_attempts(db, request, claimer.lease_id) if request.since < request.number else []
    by = claimer.lease_id, request.number
    runs = _claim_runs(db, _runs_due(db, request, claimer.lease_id, now_ms), by, now_ms)
    choice = claimer.choose(db, request, now_ms)
    write_choice(db, choice)
    db.slots_awaited = db.slots_awaited or bool(request.limits)
    # Those that are overdue may be among the chosen ones.
    taken = dict.fromkeys([*missed, *choice.keys, *claimer.overdue])
    attempts = _claim_attempts(db, list(taken), by, now_ms)
    next_due_at_ms = _next_due_at_ms(db, request, claimer, now_ms, choice)
    return Claimed(runs, attempts, next_due_at_ms, choice.best_left)


class _Claimer(NamedTuple):
    """A worker that claims."""

    lease_id: int
    ranked: Ranked | None
    """Who chooses among attempts where some have a rank."""
    expiring: bool
    """Some attempt may wait only until a certain moment."""
    overdue: list[tuple[int, int]]
    """The attempts that have expired, in whatever queue, of runs that it could take."""

    def choose(self, db: Database, request: ClaimRequest, now_ms: int) -> Choice:
        """Among the attempts of its queues and activities."""
        return _attempts_due(db, request, now_ms) if self.ranked is None else self.ranked.choose()


def _find_claimer(db: Database, request: ClaimRequest, now_ms: int) -> _Claimer | None:
    row = db.execute(TEXTS["find_claimer"], (request.worker,)).fetchone()
    if row is None:
        return None
    lease_id, is_ranked, expiring = row
    ranked = Ranked(db, request, now_ms) if is_ranked or request.limits else None
    return _Claimer(lease_id, ranked, bool(expiring), _overdue_attempts(db, request, now_ms) if expiring else [])


def _overdue_attempts(db: Database, request: ClaimRequest, now_ms: int) -> list[tuple[int, int]]:
    flat = [value for pair in _run_kinds(request) for value in pair]
    return [(key, call_id) for key, call_id in db.values_of("overdue_attempts", flat, before=(now_ms,))]


def _missed_attempts(db: Database, request: ClaimRequest, lease_id: int) -> list[tuple[int, int]]:
    """What claims took whose answers the worker may have missed; notes that it says so."""
    db.run("note_repeated_claim", request.number, lease_id)
    db.run("drop_missed_cancelled", lease_id, request.since)
    return sorted((key, call_id) for key, call_id in db.values("missed_attempts", lease_id, request.since))


def _runs_due(db: Database, request: ClaimRequest, lease_id: int, now_ms: int) -> list[int]:
    free: list[list[int]] = []
    if request.runs_max > 0:
        flat = [value for pair in _run_kinds(request) for value in (*pair, now_ms, request.runs_max)]
        free = sorted(db.values_of("due_runs", flat))[: request.runs_max]
    held: list[list[int]] = db.values("due_held_runs", lease_id, now_ms)
    if request.since < request.number:
        missed: list[list[int]] = db.values("missed_runs", lease_id, request.since, now_ms)
        keys = {key for _, key in missed}
        held = [*missed, *[each for each in held if each[1] not in keys]]
    return [key for _, key in sorted(free + held)]


def _claim_runs(db: Database, keys: Sequence[int], by: tuple[int, int], now_ms: int) -> tuple[ClaimedRun, ...]:
    """Hand out runs, by a lease and a claim number."""
    if not keys:
        return ()
    last = db.value("last_message_id")
    db.run_rows("claim_runs", keys, before=(*by, last, now_ms, now_ms))
    messages: dict[int, list[bytes]] = {key: [] for key in keys}
    for key, data in db.blobs_of("visible_messages", keys, after=(now_ms,)):
        messages[key].append(data)
    found = records(db, keys)
    db.remember_keys({found[key].run_id: key for key in keys})
    return tuple(ClaimedRun(found[key], tuple(messages[key])) for key in keys)


def _attempts_due(db: Database, request: ClaimRequest, now_ms: int) -> Choice:
    """The oldest attempts, where none has a rank."""
    if request.attempts_max <= 0:
        return Choice([])
    kinds = list(_attempt_kinds(request))
    flat = [value for kind in kinds for value in (*kind, now_ms, request.attempts_max)]
    due: list[list[int]] = db.values_of("fresh_attempts", flat)
    suspects_max = min(request.suspects_max, request.attempts_max)
    if suspects_max > 0:
        flat = [value for kind in kinds for value in (*kind, now_ms, suspects_max)]
        due += sorted(db.values_of("suspect_attempts", flat))[:suspects_max]
    return Choice([(key, call_id) for _, key, call_id in sorted(due)[: request.attempts_max]])


def _claim_attempts(
    db: Database, keys: Sequence[tuple[int, int]], by: tuple[int, int], now_ms: int
) -> tuple[ClaimedAttempt, ...]:
    """Hand out attempts, by a lease and a claim number."""
    if not keys:
        return ()
    flat = [value for key in keys for value in key]
    db.run_rows("hold_attempts", flat, before=by)
    rows = {(row[0], row[1]): row for row in db.values_of("claimed_attempts", flat)}
    # Calls of one turn share its bytes.
    spans = {(row[0], row[5]): (row[0], row[5], row[5]) for row in rows.values()}
    found = turns(db, list(spans.values()))
    return tuple(_claimed_attempt(rows[key], found, now_ms) for key in keys)


def _claimed_attempt(row: Sequence[Any], found: dict[tuple[int, int], bytes], now_ms: int) -> ClaimedAttempt:
    (
        key,
        call_id,
        run_id,
        workflow_id,
        attempt,
        turn_number,
        due_at_ms,
        deaths_count,
        expires_at_ms,
        heartbeat,
        failure,
        scheduled_at_ms,
    ) = row
    return ClaimedAttempt(
        run_id=run_id,
        workflow_id=workflow_id,
        call_id=call_id,
        attempt=attempt,
        turn=found[key, turn_number],
        queued_at_ms=due_at_ms,
        deaths_count=deaths_count,
        expired=expires_at_ms is not None and expires_at_ms <= now_ms,
        heartbeat=None if heartbeat is None else bytes.fromhex(heartbeat),
        failure=None if failure is None else bytes.fromhex(failure),
        scheduled_at_ms=scheduled_at_ms,
    )


def _next_due_at_ms(db: Database, request: ClaimRequest, claimer: _Claimer, now_ms: int, choice: Choice) -> int | None:
    moments: list[int] = [] if claimer.ranked is None else claimer.ranked.next_ms()
    if choice.next_at_ms is not None:
        moments.append(choice.next_at_ms)
    held: int | None = db.value("next_held_run_ms", claimer.lease_id, now_ms)
    if held is not None:
        moments.append(held)
    if request.runs_max > 0:
        moments += db.numbers_of("next_run_ms", [value for pair in _run_kinds(request) for value in (*pair, now_ms)])
    if request.attempts_max > 0:
        flat = [value for kind in _attempt_kinds(request) for value in (*kind, now_ms)]
        moments += db.numbers_of("next_attempt_ms", flat)
        moments += db.numbers_of("next_suspect_ms", flat) if request.suspects_max > 0 else []
    if claimer.expiring:
        later_ms: int | None = (
            now_ms + 1 if len(claimer.overdue) == OVERDUE_MAX else db.value("next_overdue_ms", now_ms)
        )
        moments += [] if later_ms is None else [later_ms]
    return min(moments, default=None)


def _run_kinds(request: ClaimRequest) -> Iterator[tuple[str, str]]:
    return product(dict.fromkeys(request.queues), sorted(request.routes))


def _attempt_kinds(request: ClaimRequest) -> Iterator[tuple[str, str]]:
    return product(dict.fromkeys(request.queues), sorted(request.activities))
