"""The SQLite store answers every verb as the memory store does, and holds the same state after it."""

import asyncio
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from random import Random
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from msgspec.structs import replace

from perdure.core.attributes import Attribute, AttributeKind
from perdure.core.filter.build import runs_where
from perdure.core.filter.tree import EVERYTHING, Filter
from perdure.core.ids import RunId, WorkerId, WorkflowId
from perdure.core.queue_limit import QueueLimit
from perdure.core.rank import Rank
from perdure.core.store import (
    Beat,
    ChildRun,
    ClaimRequest,
    Commit,
    CopiedAttempt,
    Copies,
    Delivery,
    Finish,
    NewAttempt,
    NewRun,
    Park,
    Retry,
    RunStatus,
    Store,
)
from perdure.stores.memory import MemoryStore
from perdure.stores.sqlite import SqliteStore
from perdure.testing.filters import some_attributes

RUNS_MAX = 11
TYPES = ("order", "böok")
QUEUES = ("main", "side")
ACTIVITIES = ("charge", "sénd")
STATUSES = (RunStatus.COMPLETED, RunStatus.FAILED, RunStatus.TERMINATED)

run_numbers = st.integers(0, RUNS_MAX)
moments = st.integers(0, 50).map(lambda step: step * 10)
later = st.one_of(st.none(), moments)
workers = st.sampled_from([WorkerId("anna"), WorkerId("bert"), WorkerId("çem")])
blobs = st.sampled_from([b"", b"\x00\xff", b"some data"])
call_ids = st.integers(1, 6)
message_ids = st.sampled_from(["start", "a1", "t1", "sé", "x"])


def run_id(number: int) -> RunId:
    """Ids in the order of their numbers."""
    return RunId(f"run-{number:02}")


deliveries = st.builds(
    Delivery, run_numbers.map(run_id), message_ids, blobs, moments, unparks=st.booleans(), follows=st.booleans()
)
ranks = st.one_of(
    st.none(),
    st.builds(
        Rank,
        st.sampled_from([None, 1, 3, 5]),
        st.sampled_from([None, "a", "ü", "\U0001f600"]),
        st.sampled_from([None, 0.3, 7.0]),
    ),
)
limits = st.lists(
    st.sampled_from(
        [
            QueueLimit("main", per_second=20),
            QueueLimit("main", concurrent=2, per_key_per_second=70),
            QueueLimit("main", concurrent_per_key=1),
            QueueLimit("side", concurrent=1, per_second=1),
        ]
    ),
    max_size=2,
    unique_by=lambda limit: limit.queue,
).map(tuple)
retries = st.builds(Retry, st.integers(2, 4), moments, later, blobs, st.one_of(st.none(), blobs))


def new_run(number: int) -> NewRun:
    """A run id always comes with the same facts; several share a workflow id, and a few the request id, too."""
    return NewRun(
        run_id=run_id(number),
        workflow_id=WorkflowId(f"wörk-{number % 3}"),
        workflow_type=TYPES[number % 2],
        queue=QUEUES[number // 2 % 2],
        created_at_ms=number * 10,
        request_id=f"request-{number % 9}",
        start=b"start",
        parent_run_id=run_id(0) if number == 3 else None,
        refused_after=(RunStatus.COMPLETED,) if number == 5 else (),
        starts_at_ms=70 if number == 6 else None,
        deliveries=(Delivery(run_id(7), "s", b"with the start", 30, follows=True),) if number == 7 else (),
        attributes=some_attributes(Random(number)) if number % 4 == 2 else (),
    )


new_runs = run_numbers.map(new_run)
taken_away = Attribute("A", AttributeKind.INT, None)
attribute_changes = st.one_of(
    st.just(()), st.integers(0, 9).map(lambda seed: (*some_attributes(Random(seed)), *(taken_away,) * (seed % 3 == 0)))
)


class Stores(RuleBasedStateMachine):
    """One random life of both stores."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.folder = tempfile.TemporaryDirectory()
        self.memory = MemoryStore()
        self.sqlite = SqliteStore(Path(self.folder.name) / "lockstep.db")
        self.calls_count = 10
        self.tries_count = 0
        self.loop.run_until_complete(self.sqlite.open())

    def teardown(self) -> None:
        """Let go of the file."""
        self.loop.run_until_complete(self.sqlite.close())
        self.loop.run_until_complete(self.loop.shutdown_default_executor())
        self.loop.close()
        self.folder.cleanup()

    def both(self, verb: Callable[[Store], Awaitable[Any]]) -> Any:
        """Ask both; they must agree."""

        async def ask() -> tuple[Any, Any]:
            return await verb(self.memory), await verb(self.sqlite)

        expected, found = self.loop.run_until_complete(ask())
        assert found == expected
        return expected

    @rule(runs=st.lists(new_runs, max_size=4, unique_by=lambda new: new.run_id))
    def create(self, runs: list[NewRun]) -> None:
        """Some of them meet runs that are there."""
        self.both(lambda store: store.create(runs))

    @rule(number=run_numbers, count=st.integers(0, 3), kept=st.booleans(), succeeds=st.booleans(), data=st.data())
    def copy(self, number: int, count: int, data: st.DataObject, *, kept: bool, succeeds: bool) -> None:
        """A run that begins with turns of another one, in its chain or in one of its own."""
        found = self.loop.run_until_complete(self.memory.read_runs([run_id(number)]))
        if not found:
            return
        self.calls_count += 1
        count = min(count, found[0].turns_count)
        new = replace(
            new_run(self.calls_count + 100),
            request_id=f"copy-{self.calls_count}",
            origin_run_id=run_id(number) if count else None,
        )
        if kept:
            new = replace(new, workflow_id=found[0].workflow_id, first_run_id=found[0].first_run_id)
        name, rank = data.draw(st.sampled_from(ACTIVITIES)), data.draw(ranks)
        call = NewAttempt(self.calls_count + 5, name, "main", data.draw(moments), rank=rank)
        attempts = (CopiedAttempt(count, call, data.draw(moments)),) if count else ()
        new = replace(new, copies=Copies(run_id(number), count, attempts, succeeds))
        self.both(lambda store: store.create([new]))

    @rule(chosen=st.lists(deliveries, max_size=4))
    def deliver(self, chosen: list[Delivery]) -> None:
        """Some are repetitions, some go nowhere."""
        self.both(lambda store: store.deliver(chosen))

    @rule(worker=st.one_of(st.none(), workers), data=st.data())
    def commit(self, worker: WorkerId | None, data: st.DataObject) -> None:
        """Good and bad commits in one batch."""
        numbers = data.draw(st.lists(run_numbers, max_size=4, unique=True))
        commits = [self.draw_commit(number, data) for number in numbers]
        self.both(lambda store: store.commit(worker, commits))

    def draw_commit(self, number: int, data: st.DataObject) -> Commit:
        """Mostly the next turn of a run that exists."""
        found = self.loop.run_until_complete(self.memory.read_runs([run_id(number)]))
        wrong = data.draw(st.integers(0, 9)) == 0
        turns_count = found[0].turns_count if found else 0
        creates = not found if not wrong else data.draw(st.booleans())
        self.calls_count += 2
        attempts = [
            NewAttempt(
                call_id=call_id if data.draw(st.booleans()) and turns_count == 0 else self.calls_count + call_id,
                name=data.draw(st.sampled_from(ACTIVITIES)),
                queue=data.draw(st.sampled_from(QUEUES)),
                due_at_ms=data.draw(moments),
                expires_at_ms=data.draw(later),
                kept=data.draw(st.booleans()),
                rank=data.draw(ranks),
            )
            for call_id in range(1, data.draw(st.integers(0, 2)) + 1)
        ]
        children = [self.draw_child(number, data) for _ in range(data.draw(st.integers(0, 3)) // 2)]
        create = new_run(number) if creates else None
        closes = data.draw(st.sampled_from((*(None,) * 6, *STATUSES)))
        return Commit(
            run_id=run_id(number),
            number=turns_count + 1 + (data.draw(st.integers(-1, 1)) if wrong else 0),
            turn=data.draw(blobs),
            at_ms=data.draw(moments),
            create=create,
            consumed=() if creates else tuple(data.draw(st.lists(message_ids, max_size=3))),
            deliveries=tuple(data.draw(st.lists(deliveries, max_size=2))),
            children=tuple(children),
            next=self.draw_next(number, data) if closes is not None and data.draw(st.booleans()) else None,
            route=data.draw(st.sampled_from((*(None,) * 6, *TYPES))),
            note=data.draw(st.one_of(st.none(), blobs)),
            attributes=data.draw(attribute_changes),
            attempts=tuple(attempts),
            finished=() if creates else tuple(data.draw(st.lists(self.known_calls(number), max_size=2))),
            cancelled=() if creates else tuple(data.draw(st.lists(self.known_calls(number), max_size=2))),
            closes=closes,
            keep=data.draw(st.booleans()),
        )

    def draw_child(self, number: int, data: st.DataObject) -> ChildRun:
        """Under a run id of its own, but perhaps under a workflow id that is taken."""
        self.calls_count += 1
        new = new_run(self.calls_count + 100)
        at_ms = data.draw(moments)
        return ChildRun(
            new, Delivery(run_id(number), "b", b"started", at_ms), Delivery(run_id(number), "b", b"no", at_ms)
        )

    def draw_next(self, number: int, data: st.DataObject) -> NewRun:
        """The run that goes on for another one of its chain."""
        self.calls_count += 1
        found = self.loop.run_until_complete(self.memory.read_runs([run_id(number)]))
        first = found[0].first_run_id if found else run_id(number)
        new = replace(
            new_run(self.calls_count + 100),
            workflow_id=new_run(number).workflow_id,
            request_id=f"next-{self.calls_count}",
            first_run_id=first,
            starts_at_ms=data.draw(later),
            note=data.draw(st.one_of(st.none(), blobs)),
        )
        told = Delivery(new.run_id, data.draw(message_ids), b"carried", data.draw(moments), follows=True)
        return replace(new, deliveries=(told,) if data.draw(st.booleans()) else ())

    def known_calls(self, number: int) -> st.SearchStrategy[int]:
        """Call ids that may have attempts."""
        waiting = self.loop.run_until_complete(self.memory.read_waiting(run_id(number)))
        return st.sampled_from([1, *(attempt.call_id for attempt in waiting.attempts)])

    @rule(worker=workers, number=run_numbers, turns_count=st.integers(0, 2), seen=st.lists(message_ids, max_size=5))
    def park(self, worker: WorkerId, number: int, turns_count: int, seen: list[str]) -> None:
        """At the right count of turns, or not."""
        self.both(lambda store: store.park(worker, [Park(run_id(number), turns_count, b"broken", tuple(seen))]))

    @rule(before_ms=moments, limit=st.integers(0, 4))
    def closed_before(self, before_ms: int, limit: int) -> None:
        """What retention would delete."""
        self.both(lambda store: store.closed_before(before_ms, limit))

    @rule(worker=st.one_of(st.none(), workers), data=st.data())
    def finish(self, worker: WorkerId | None, data: st.DataObject) -> None:
        """Held attempts, or others."""
        finishes: list[Finish] = []
        for number in data.draw(st.lists(run_numbers, max_size=3)):
            then = data.draw(st.one_of(deliveries, retries))
            call_id = data.draw(self.known_calls(number))
            finishes.append(Finish(run_id(number), call_id, data.draw(st.sampled_from([1, 1, 1, 2, 3])), then))
        self.both(lambda store: store.finish(worker, finishes))

    @rule(numbers=st.lists(run_numbers, max_size=2))
    def delete(self, numbers: list[int]) -> None:
        """Only closed ones go."""
        self.both(lambda store: store.delete([run_id(number) for number in numbers]))

    @rule(worker=workers, until_ms=moments)
    def register(self, worker: WorkerId, until_ms: int) -> None:
        """A lease, perhaps over soon."""
        self.both(lambda store: store.register(worker, until_ms))

    @rule(worker=workers, until_ms=moments, data=st.data())
    def extend(self, worker: WorkerId, until_ms: int, data: st.DataObject) -> None:
        """With heartbeats of its own and others' attempts."""
        numbers = data.draw(st.lists(run_numbers, max_size=3))
        beats = [
            Beat(run_id(number), data.draw(self.known_calls(number)), data.draw(st.one_of(st.none(), blobs)))
            for number in numbers
        ]
        self.both(lambda store: store.extend(worker, until_ms, beats))

    @rule(
        request=st.builds(
            ClaimRequest,
            worker=workers,
            queues=st.sampled_from([QUEUES, QUEUES, ("main",), (), ("main", "main")]),
            routes=st.sets(st.sampled_from(TYPES)).map(frozenset),
            activities=st.sets(st.sampled_from(ACTIVITIES)).map(frozenset),
            runs_max=st.integers(0, 4),
            attempts_max=st.integers(0, 4),
            suspects_max=st.integers(0, 2),
            number=st.integers(2, 3),
            since=st.integers(1, 2),
            full=st.sets(st.sampled_from(ACTIVITIES)).map(frozenset),
            limits=limits,
        ),
        now_ms=moments,
        late=st.sampled_from([0, 0, 0, 1, 2]),
        missed=st.sampled_from([0, 0, 0, 1, 2, 3]),
    )
    def claim(self, request: ClaimRequest, now_ms: int, late: int, missed: int) -> None:
        """The clock may go back; some tries are late, some missed answers."""
        self.tries_count += 1
        number = max(1, self.tries_count - late)
        full = request.full - request.activities
        tried = replace(request, number=number, since=max(1, number - missed), full=full)
        self.both(lambda store: store.claim(tried, now_ms))

    @rule(worker=workers, died=st.booleans(), now_ms=moments)
    def release(self, worker: WorkerId, now_ms: int, *, died: bool) -> None:
        """Whether it has a lease or not."""
        self.both(lambda store: store.release(worker, died=died, now_ms=now_ms))

    @invariant()
    def same_state(self) -> None:
        """All that can be read is the same."""

        async def state(store: Store) -> Any:
            records = await store.list_runs(EVERYTHING, 1_000)
            ids = [record.run_id for record in records]
            waiting = [await store.read_waiting(one) for one in ids]
            found = [await store.find_run(WorkflowId(f"wörk-{number}")) for number in range(4)]
            turns = await store.read_turns([(one, 0) for one in ids], 100)
            return records, waiting, found, turns, sorted(await store.leaseholders()), await store.count_open()

        self.both(state)

    @rule(
        where=st.builds(
            runs_where,
            status=st.sampled_from([None, *RunStatus]),
            workflow_type=st.sampled_from([None, *TYPES]),
            workflow_id=st.sampled_from([None, WorkflowId("wörk-1")]),
            workflow_id_prefix=st.sampled_from([None, "wö", "wörk-2", "x"]),
            parked=st.sampled_from([None, True, False]),
        ),
        limit=st.integers(0, 3),
        before=st.one_of(st.none(), run_numbers.map(run_id)),
    )
    def list_and_count(self, where: Filter, limit: int, before: RunId | None) -> None:
        """Every filter, alone and with others."""
        self.both(lambda store: store.list_runs(where, limit, before))
        self.both(lambda store: store.count_runs(where))


TestStores = Stores.TestCase
TestStores.settings = settings(
    max_examples=60,
    stateful_step_count=40,
    deadline=None,
    # Every step is written to the disk and synchronised.
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
)
