"""What runs that are asleep cost in memory: one process is idle, one started them, one opens their file."""

from bench.children import Child
from bench.figures import Figures
from bench.settings import Settings


async def sleepers(settings: Settings) -> Figures:
    """Resident memory of a process that started many runs which sleep for years, above that of an idle one."""
    async with Child("idle", settings.url("idle"), 0) as idle:
        idle_rss_mb = (await idle.line())["rss_mb"]
    async with Child("sleepers", settings.url(), settings.runs, settings.concurrency) as busy:
        figures = await busy.line()
    figures |= {"idle_rss_mb": idle_rss_mb, "above_idle_mb": round(figures["rss_mb"] - idle_rss_mb, 1)}
    if settings.store == "memory":
        return figures | {"reopened_above_idle_mb": None}
    async with Child("idle", settings.url(), 0) as reopened:
        rss_mb = (await reopened.line())["rss_mb"]
    return figures | {"reopened_above_idle_mb": round(rss_mb - idle_rss_mb, 1)}
