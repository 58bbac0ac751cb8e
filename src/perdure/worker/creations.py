"""Starts of this process that are not durable yet, and whoever waits to hear of them."""

import asyncio

from perdure.core.errors import StoreError
from perdure.core.ids import RunId


class Creations:
    """Futures that tell whether a run could be created; a store in trouble is told at once, not waited for."""

    def __init__(self) -> None:
        self._waiting: dict[RunId, asyncio.Future[bool]] = {}

    def begin(self, run_id: RunId) -> "asyncio.Future[bool]":
        """A future for a run that is on its way to the store."""
        created = self._waiting[run_id] = asyncio.get_running_loop().create_future()
        return created

    def settle(self, run_id: RunId, *, fresh: bool) -> None:
        """The store has answered: it created the run, or something stands in its way."""
        created = self._waiting.pop(run_id, None)
        if created is not None and not created.done():
            created.set_result(fresh)

    def fail(self, error: StoreError) -> None:
        """The store did not answer. The runs may yet be created: whoever started one may start it again with its id."""
        for created in self._waiting.values():
            if not created.done():
                created.set_exception(error)
        self._waiting.clear()
