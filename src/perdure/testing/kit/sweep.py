"""`for_each_store_call`: a scenario again and again, each time with another call to the store failing."""

from collections.abc import Awaitable, Callable, Iterable
from typing import Unpack

from perdure.app import Perdure
from perdure.core.errors import InvalidOption
from perdure.testing.kit.environment import TestEnvironment
from perdure.testing.kit.faults import FAULT_KINDS, FaultKind
from perdure.testing.kit.options import EnvironmentOptions

CALLS_MAX = 10_000
"""A scenario with more calls than this is none for a sweep."""


async def for_each_store_call(
    app: Perdure,
    scenario: Callable[[TestEnvironment], Awaitable[object]],
    *,
    how: Iterable[FaultKind] = FAULT_KINDS,
    verbs: Iterable[str] | None = None,
    **options: Unpack[EnvironmentOptions],
) -> int:
    """Run a scenario in a fresh environment for each call that its worker makes to the store, and let that call fail.

    It ends when each call has failed in each way; returns how many runs of the scenario that took. What a scenario
    raises is raised with a note of the call that failed. The options are those of `TestEnvironment`.
    """
    if options.get("store", "memory://") != "memory://":
        raise InvalidOption(
            name="store", value=options.get("store"), fact="would keep each run for the next", remedy="leave it out"
        )
    only = None if verbs is None else tuple(verbs)
    runs_count = 0
    for kind in how:
        for number in range(1, CALLS_MAX):
            async with TestEnvironment(app, **options) as env:
                fault = env.fail_store_call(number, how=kind, verbs=only)
                try:
                    await scenario(env)
                except BaseException as error:  # whatever the scenario raises is raised, with a note
                    if fault.struck is not None:
                        error.add_note(f"with the worker's store call {number} ({fault.struck}): {kind}")
                    raise
            runs_count += 1
            if fault.struck is None:
                break
    return runs_count
