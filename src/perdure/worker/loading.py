"""Brings live runs up to what the store has, many in one round trip."""

import asyncio
from collections.abc import AsyncIterator, Sequence

from perdure.core import codec
from perdure.core.store import ClaimedRun, Store
from perdure.engine.live import LiveRun
from perdure.engine.pipeline import surely
from perdure.worker.registry import Registry
from perdure.worker.watchdog import Watched

TURNS_MAX_A_READ = 2_000
"""Bounds how much of a long history is in memory at once."""
RUNS_BETWEEN_YIELDS = 20
"""Recalling many runs lets the loop do other work in between."""


def opened(registry: Registry, claimed: ClaimedRun) -> LiveRun:
    """The run as it is before its first turn. Raises `UnknownWorkflow`."""
    run = claimed.run
    # A termination must end even a run whose code cannot be recalled any more.
    program = None if ends(claimed) else registry.known_program_for(run).open(run.opened_as)
    live = LiveRun(run.run_id, run.workflow_id, program)
    live.route = None if run.turns_count else registry.first_route(run.workflow_type, run.route)
    return live


def ends(claimed: ClaimedRun) -> bool:
    """Whether a message of the run ends it from outside."""
    return any(codec.is_termination(data) for data in claimed.messages)


async def load_lives(
    store: Store, wants: Sequence[tuple[LiveRun, int]], watched: Watched
) -> AsyncIterator[tuple[int, Exception | None]]:
    """Recall each live run up to the wanted number of turns; yields its index and what went wrong, if anything did."""
    open_indexes: list[int] = []
    for index, (live, turns_count) in enumerate(wants):
        if live.turns_count >= turns_count:
            yield index, None
        else:
            open_indexes.append(index)
    done_count = 0
    while open_indexes:
        lacking = [(wants[i][0].run_id, wants[i][0].turns_count) for i in open_indexes]
        histories, _ = await surely(lambda lacking=lacking: store.read_turns(lacking, TURNS_MAX_A_READ), "read")
        unfinished: list[int] = []
        for index, history in zip(open_indexes, histories, strict=True):
            live, turns_count = wants[index]
            error = _recall(live, history, watched)
            if error is None and history and live.turns_count < turns_count:
                unfinished.append(index)
                continue
            yield index, error
            done_count += 1
            if done_count % RUNS_BETWEEN_YIELDS == 0:
                await asyncio.sleep(0)
        open_indexes = unfinished


def _recall(live: LiveRun, history: Sequence[bytes], watched: Watched) -> Exception | None:
    watched.enter(live.run_id)
    try:
        live.recall([codec.turns.decode(data) for data in history])
    except Exception as error:  # ParkedError, or a bug of an interpreter: the run is parked with it
        return error
    finally:
        watched.leave()
    return None
