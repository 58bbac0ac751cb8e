"""The app that every workload registers on: Perdure as users run it, with its store's writes counted."""

from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Any

from bench.figures import Figures, Meter, common_figures
from bench.loops import closed_loop
from bench.settings import Settings
from perdure import Perdure
from perdure.core.store import Claimed

WRITES = ("create", "deliver", "commit", "park", "finish", "delete", "register", "extend", "claim", "release")
RunOne = Callable[[int], Awaitable[object]]


class CountingPerdure(Perdure):
    """Counts the calls that write to the store: each is a transaction, or shares one with others."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.commits_count = 0
        for name in WRITES:
            setattr(self._store, name, self._counted(getattr(self._store, name)))

    def _counted(self, verb: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        @wraps(verb)
        async def count(*args: Any, **kwargs: Any) -> Any:
            answer = await verb(*args, **kwargs)
            # A claim that finds nothing only reads.
            if not isinstance(answer, Claimed) or answer.runs or answer.attempts:
                self.commits_count += 1
            return answer

        return count


async def measured(app: CountingPerdure, settings: Settings, run_one: RunOne) -> Figures:
    """Run `run_one` in a closed loop on the open app: first to warm up, then measured."""
    await closed_loop(min(settings.runs, max(20, settings.concurrency)), settings.concurrency, run_one)
    before_count = app.commits_count
    with Meter() as meter:
        latencies_s = await closed_loop(settings.runs, settings.concurrency, run_one)
    figures = common_figures(meter, runs=settings.runs, steps=settings.steps, latencies_s=latencies_s)
    return figures | {"store_commits": app.commits_count - before_count}
