"""Gives an open run another route: other workers take its next turns. In a turn of its own, which no code sees."""

from perdure.core import codec
from perdure.core.errors import InvalidOption, RunClosed
from perdure.core.ids import RunId, WorkerId, WorkflowId
from perdure.core.message import Moved
from perdure.core.route import parsed, route_of
from perdure.core.store import Commit, RunRecord, RunStatus, Store
from perdure.core.turn import Turn
from perdure.engine.clock import Clock
from perdure.engine.engine import Engine
from perdure.engine.pipeline import surely


async def move(engine: Engine, clock: Clock, workflow_id: WorkflowId, run_id: RunId | None, build: str | None) -> bool:
    """Let a run go on with a build, or with any (None); False if it is there already.

    Whoever holds the run loses it. Raises `WorkflowNotFound`, `RunClosed`, and `InvalidOption` for a run that has not
    begun: it takes the build of the worker that begins it.
    """
    while True:
        run = await engine.find(workflow_id, run_id)
        if run.status is not RunStatus.RUNNING:
            raise RunClosed(workflow_id=workflow_id, status=run.status.value)
        version, _ = parsed(run.route, run.workflow_type)
        route = route_of(run.workflow_type, version, build)
        if route == run.route:
            return False
        if not run.turns_count:
            fact = "cannot be chosen for a run that has not begun"
            raise InvalidOption(name="build", value=repr(build), fact=fact, remedy="wait until a worker has taken it")
        if not await engine.store.commit(None, [await _moving(engine.store, clock, run, route)]):
            if engine.local is not None:
                engine.local.forget(run.run_id)
                engine.local.look()
            return True
        # Somebody took a turn in between: look again.


async def hand_on(store: Store, clock: Clock, worker: WorkerId, run: RunRecord) -> None:
    """Give back a run of version 1 to the workers that have it: by its plain route it could have been a new one."""
    commit = await _moving(store, clock, run, route_of(run.workflow_type, 1))
    # Refused, somebody else has it already.
    await surely(lambda: store.commit(worker, [commit]), "commit")


async def _moving(store: Store, clock: Clock, run: RunRecord, route: str) -> Commit:
    (turns,), _ = await surely(lambda: store.read_turns([(run.run_id, run.turns_count - 1)], 1), "read")
    at_ms = max([clock.now_ms(), *(codec.turns.decode(turn).at_ms for turn in turns)])
    turn = Turn(run.turns_count + 1, at_ms, (Moved(route, clock.new_id()),), ())
    return Commit(run.run_id, turn.number, codec.turns.encode(turn), at_ms, route=route)
