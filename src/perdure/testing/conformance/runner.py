"""Runs async tests without any plugin: each opens the store, works and closes the store, in a loop of its own."""

import asyncio
import functools
import inspect
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from perdure.core.store import Store

Tests = TypeVar("Tests", bound=type)


def certifies(tests: Tests) -> Tests:
    """Make the async tests of a class, which take a `store`, ordinary ones that pytest runs as they are."""
    for name, test in tuple(vars(tests).items()):
        if name.startswith("test_") and inspect.iscoroutinefunction(test):
            setattr(tests, name, _plain(test))
    return tests


def _plain(test: Callable[..., Awaitable[None]]) -> Callable[..., None]:
    @functools.wraps(test)
    def run(self: object, store: Store, **fixtures: Any) -> None:
        asyncio.run(_opened(store, lambda: test(self, store, **fixtures)))

    return run


async def _opened(store: Store, test: Callable[[], Awaitable[None]]) -> None:
    await store.open()
    try:
        await test()
    finally:
        await store.close()
