"""A client for one command: opens the store that the options name, asks, and closes it."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from perdure.app import Perdure
from perdure.cli.targets import load_app, required_store
from perdure.core.errors import InvalidUrl
from perdure.handle import Handle
from perdure.stores import sqlite_path

T = TypeVar("T")


def existing_store(url: str) -> str:
    """The URL, if there is something to look at: a look at a mistyped one must not make a file. Raises `InvalidUrl`."""
    path = sqlite_path(url)
    if path is not None and not path.exists():
        raise InvalidUrl(url=url, fact="names a file that does not exist")
    return url


def ask(options: Any, question: Callable[[Perdure], Awaitable[T]], *, creates: bool = False) -> T:
    """The answer of a client to a question; `creates`: where there is no store yet, one is made."""
    app = load_app(options.app) if getattr(options, "app", None) else None
    url = required_store(options.store, app)
    if not creates:
        existing_store(url)
    if app is None:
        app = Perdure(url)
    else:
        app.use_store(url)
    chosen = app

    async def main() -> T:
        async with chosen.client() as client:
            return await question(client)

    return asyncio.run(main())


def handle_of(app: Perdure, options: Any) -> Handle[Any]:
    """The handle that the options `id` and `--run` name."""
    return app.handle(options.id, run_id=options.run)
