"""One long run: what its first and its last steps cost; then its process is killed, and another one takes over."""

from bench.children import Child
from bench.figures import Figures
from bench.settings import Settings


async def history(settings: Settings) -> Figures:
    """One process runs the steps and is killed; the next is timed from opening the app to the run's next step."""
    async with Child("history", settings.url(), settings.steps) as first:
        figures = await first.line()
        first.kill()
    if settings.store == "memory":
        return figures | {"recovery_ms": None}
    async with Child("recover", settings.url(), settings.steps) as second:
        return figures | await second.line()
