"""The files to check: from modules, files and folders. Only read and parsed, never imported."""

import importlib.machinery
import sys
import tokenize
from collections.abc import Iterable, Iterator
from pathlib import Path

from perdure.core.errors import InvalidOption
from perdure.lint.scopes import Source

_SKIPPED = frozenset(("__pycache__", "node_modules", "site-packages"))
_REMEDY = "name a module such as shop.orders, a file or a folder"


def sources_of(targets: Iterable[str]) -> list[Source]:
    """The parsed files that the targets name, each once. Raises `InvalidOption`."""
    found: dict[Path, Source] = {}
    for target in targets:
        files = list(_files(target))
        if not files:
            raise InvalidOption(name="target", value=repr(target), fact="holds no Python file", remedy=_REMEDY)
        for path, module in files:
            if path not in found:
                found[path] = _parsed(path, module)
    return list(found.values())


def _files(target: str) -> Iterator[tuple[Path, str]]:
    path = Path(target)
    if path.is_file():
        yield path, _module_of(path, path.parent)
    elif path.is_dir():
        yield from _files_in(path, path)
    else:
        yield from _files_of_module(target)


def _files_in(folder: Path, top: Path) -> Iterator[tuple[Path, str]]:
    for each in sorted(folder.iterdir()):
        if each.is_dir():
            hidden = each.name.startswith(".") or each.name in _SKIPPED or (each / "pyvenv.cfg").exists()
            if not hidden and not each.is_symlink():
                yield from _files_in(each, top)
        elif each.suffix == ".py":
            yield each, _module_of(each, top)


def _module_of(path: Path, top: Path) -> str:
    """The dotted name under which others import the file: from the folder above its packages, else from `top`."""
    root = path.parent.resolve()
    packaged = (root / "__init__.py").exists()
    while (root / "__init__.py").exists():
        root = root.parent
    parts = list(path.resolve().relative_to(root if packaged else top.resolve()).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _files_of_module(target: str) -> Iterator[tuple[Path, str]]:
    # Found part by part: to ask for `a.b` at once would import `a`.
    search: list[str] | None = [str(Path.cwd()), *sys.path]
    spec = None
    for part in target.split("."):
        spec = importlib.machinery.PathFinder.find_spec(part, search) if part.isidentifier() else None
        if spec is None:
            fact = "is neither a file nor a folder nor a module"
            raise InvalidOption(name="target", value=repr(target), fact=fact, remedy=_REMEDY)
        search = None if spec.submodule_search_locations is None else list(spec.submodule_search_locations)
    if search is not None:
        for folder in search:
            yield from _files_in(Path(folder), Path(folder))
    elif spec is not None and spec.origin is not None and spec.origin.endswith(".py"):
        yield Path(spec.origin), target


def _parsed(path: Path, module: str) -> Source:
    try:
        with tokenize.open(path) as file:
            return Source(path, module, file.read())
    except OSError as error:
        fact = f"cannot be read: {error.strerror}"
        raise InvalidOption(name="file", value=str(path), fact=fact, remedy=_REMEDY) from error
    except (SyntaxError, ValueError, RecursionError) as error:
        line = getattr(error, "lineno", None)
        where = "" if line is None else f" (line {line})"
        fact = f"is no Python {sys.version_info.major}.{sys.version_info.minor}{where}: {error}"
        raise InvalidOption(name="file", value=str(path), fact=fact, remedy="mend it, or leave it out") from error
