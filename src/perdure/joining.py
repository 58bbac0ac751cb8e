"""`app.run`: one workflow to its result, from a script that may be killed and run again."""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

from perdure.core.errors import AlreadyRunning, RunClosed, RunParked, WorkflowNotFound
from perdure.core.ids import WorkflowId, checked_id
from perdure.core.store import RunStatus
from perdure.description import summarize
from perdure.handle import Handle
from perdure.starting import defined

if TYPE_CHECKING:
    from perdure.app import Perdure

R = TypeVar("R")
PARKED_LOOK_S = 1.0
"""So often it is looked whether the run is parked."""


async def run_to_result(
    app: "Perdure", workflow: Callable[..., Coroutine[Any, Any, R]], args: tuple[Any, ...], id: str | None
) -> R:
    """Start the run, or join the one that is there, and wait for its result. See `Perdure.run`."""
    return await _result_unless_parked(app, await _started_or_joined(app, workflow, args, id))


async def _started_or_joined(
    app: "Perdure", workflow: Callable[..., Coroutine[Any, Any, R]], args: tuple[Any, ...], id: str | None
) -> Handle[R]:
    if id is None:
        return await app.start(workflow, *args)
    name = defined(app.registry, workflow).name
    try:
        return await _joined(app, workflow, name, id)
    except WorkflowNotFound:
        pass
    try:
        # Request ids belong to their workflow id; the name keeps two workflows apart that are run under one id.
        return await app.start(workflow, *args, id=id, request_id=f"app.run/{name:.900}")
    except AlreadyRunning:
        # Another process may have started it since the first look.
        return await _joined(app, workflow, name, id)


async def _joined(app: "Perdure", workflow: Callable[..., Coroutine[Any, Any, R]], name: str, id: str) -> Handle[R]:
    record = await app.call(lambda engine: engine.find(WorkflowId(checked_id("workflow id", id))))
    if record.workflow_type != name:
        if record.status is RunStatus.RUNNING:
            raise AlreadyRunning(workflow_id=id, run_id=record.run_id)
        raise WorkflowNotFound(workflow_id=id)
    handle = app.handle(id, workflow, run_id=record.run_id)
    run = summarize(record)
    if run.parked is not None and not run.paused:
        with suppress(RunClosed):
            await handle.resume()
    return handle


async def _result_unless_parked(app: "Perdure", handle: Handle[R]) -> R:
    waiting = asyncio.ensure_future(handle.result())
    try:
        while not (await asyncio.wait({waiting}, timeout=PARKED_LOOK_S))[0]:
            run = summarize(await app.call(lambda engine: engine.find(handle.workflow_id, handle.run_id)))
            # Nobody else may ever resume it: a script that waited on would hang without a word. Who paused it, will.
            if run.parked is not None and not run.paused:
                raise RunParked(workflow_id=run.workflow_id, reason=run.parked)
        return await waiting
    finally:
        waiting.cancel()
