"""What a test is told when nothing can end its wait: each open run, and where it stands."""

from collections.abc import Collection

from perdure.core import codec
from perdure.core.errors import PerdureError
from perdure.core.filter.build import runs_where
from perdure.core.message import Query
from perdure.core.payload import from_payload
from perdure.core.store import RunRecord, RunStatus, Store
from perdure.engine.live import LiveRun
from perdure.programs.code.queries import STACK_QUERY
from perdure.worker.registry import Registry

RUNS_MAX = 20
"""So many open runs are told of."""
TURNS_MAX = 1_000_000


async def open_runs(store: Store, registry: Registry, queues: Collection[str]) -> str:
    """Where each open run stands, as lines of text; `queues` are those that somebody serves."""
    records = await store.list_runs(runs_where(status=RunStatus.RUNNING), RUNS_MAX + 1)
    lines = [line for record in records[:RUNS_MAX] for line in await _run_lines(store, registry, queues, record)]
    if len(records) > RUNS_MAX:
        lines.append("and more")
    return "\n".join(lines) or "no run is open"


async def _run_lines(store: Store, registry: Registry, queues: Collection[str], record: RunRecord) -> list[str]:
    lines = [f"workflow {record.workflow_id!r} ({record.workflow_type}):"]
    if record.parked is not None:
        return [*lines, f"  is parked: {codec.failures.decode(record.parked).message}"]
    if record.queue not in queues:
        return [*lines, f"  waits in queue {record.queue!r}, which no worker here serves"]
    waiting = await store.read_waiting(record.run_id)
    for attempt in waiting.attempts:
        if attempt.queue not in queues:
            lines.append(f"  activity {attempt.name!r} waits in queue {attempt.queue!r}, which no worker here serves")
        elif attempt.worker is not None:
            lines.append(f"  activity {attempt.name!r} runs, in attempt {attempt.attempt}")
        else:
            lines.append(f"  activity {attempt.name!r} waits for a worker that knows it")
    stack = await _stack(store, registry, record)
    return [*lines, *(f"  {line}" for line in stack.splitlines())]


async def _stack(store: Store, registry: Registry, record: RunRecord) -> str:
    program = registry.program_for(record)
    if program is None:
        return "is not registered here"
    live = LiveRun(record.run_id, record.workflow_id, program.open(record.opened_as))
    try:
        for data in (await store.read_turns([(record.run_id, 0)], TURNS_MAX))[0]:
            live.recall([codec.turns.decode(data)])
        return str(from_payload(live.query(Query(STACK_QUERY, ()))))
    except PerdureError as error:
        return str(error)
    finally:
        live.close()
