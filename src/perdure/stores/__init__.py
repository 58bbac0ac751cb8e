"""Where runs live: one store a module, chosen by URL."""

from pathlib import Path
from typing import cast

from perdure.core.errors import InvalidUrl
from perdure.core.store import Store
from perdure.stores.memory import MemoryStore
from perdure.stores.sqlite import SqliteStore

__all__ = ["sqlite_path", "store_for"]

_SQLITE = "sqlite:///"


def store_for(url: str) -> Store:
    """The store that `url` names, not yet opened: `memory://`, `sqlite:///relative.db` or `sqlite:////absolute.db`."""
    if url == "memory://":
        return MemoryStore()
    if not isinstance(cast(object, url), str) or not url.startswith(_SQLITE):
        raise InvalidUrl(url=url, fact="names no store of this installation")
    return SqliteStore(_checked_path(url, url.removeprefix(_SQLITE)))


def sqlite_path(url: str) -> Path | None:
    """The file that `url` names; None if its store is no file."""
    return _checked_path(url, url.removeprefix(_SQLITE)) if url.startswith(_SQLITE) else None


def _checked_path(url: str, path: str) -> Path:
    if not path:
        raise InvalidUrl(url=url, fact="has no path")
    if "\0" in path:
        raise InvalidUrl(url=url, fact="has a NUL character in its path")
    if "?" in path or "#" in path:
        raise InvalidUrl(url=url, fact="has options, of which this store knows none")
    if path == ":memory:":
        raise InvalidUrl(url=url, fact="would lose everything with its connection")
    try:
        path.encode()
    except UnicodeEncodeError as error:
        raise InvalidUrl(url=url, fact="has a lone surrogate in its path") from error
    if path.endswith("/") or Path(path).is_dir():
        raise InvalidUrl(url=url, fact="names a directory")
    return Path(path)
