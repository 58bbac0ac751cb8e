"""Targets: `module:name` to the app or the workflow that it names. Importing a module runs its code."""

import importlib
import os
import sys
import traceback
from pathlib import Path
from types import ModuleType
from typing import Any, cast

from perdure.app import Perdure
from perdure.core.errors import InvalidOption, InvalidTarget
from perdure.programs.code.definition import Workflow

STORE_VARIABLE = "PERDURE_STORE"


def load_app(target: str) -> Perdure:
    """The app that `module:name` names. Raises `InvalidTarget`."""
    found = _load(target)
    if isinstance(found, Perdure):
        return found
    raise InvalidTarget(target=target, reason=f"it is a {type(found).__name__}, not an app", example="shop:app")


def load_workflow(target: str) -> "tuple[Perdure, Workflow[..., Any]]":
    """The workflow that `module:name` names, and the app that it is registered on. Raises `InvalidTarget`."""
    found: Any = _load(target)
    if isinstance(found, Perdure):
        known = ", ".join(sorted(found.registry.workflow_types)) or "none"
        raise InvalidTarget(target=target, reason=f"it is an app (its workflows: {known})", example="shop:checkout")
    if not isinstance(found, Workflow):
        reason = f"it is a {type(found).__name__}, not registered with @app.workflow"
        raise InvalidTarget(target=target, reason=reason, example="shop:checkout")
    workflow = cast("Workflow[..., Any]", found)
    for module in list(sys.modules.values()):
        # Whatever a module put in its own place there need not have variables.
        for value in list(getattr(module, "__dict__", {}).values()):
            if isinstance(value, Perdure) and value.knows(workflow):
                return value, workflow
    raise InvalidTarget(target=target, reason="its app is in no module's variable", example="shop:checkout")


def store_url(given: str | None) -> str | None:
    """What `--store` says, else the environment; None if both are silent."""
    return given or os.environ.get(STORE_VARIABLE) or None


def required_store(given: str | None, app: Perdure | None = None) -> str:
    """The URL of a store that other processes see too. Raises `InvalidOption`."""
    url = store_url(given) or (None if app is None else app.url)
    remedy = f"give --store sqlite:///shop.db, --app shop:app or the environment variable {STORE_VARIABLE}"
    if url is None:
        raise InvalidOption(name="--store", value="''", fact="is missing", remedy=remedy)
    if url == "memory://":
        fact = "lives only inside the process that opened it"
        raise InvalidOption(name="--store", value=url, fact=fact, remedy=remedy)
    return url


def _load(target: str) -> object:
    name, colon, path = target.partition(":")
    if not (name and colon and path):
        raise InvalidTarget(target=target, reason="it is not of the form module:name", example="shop:app")
    if name.endswith(".py") or "/" in name:
        raise InvalidTarget(target=target, reason="it names a file", example=f"{Path(name).stem}:{path}")
    found: object = _imported(target, name)
    for step in path.split("."):
        if not hasattr(found, step):
            raise InvalidTarget(target=target, reason=f"there is no {step!r} in it", example="shop:app")
        found = getattr(found, step)
    return found


def _imported(target: str, name: str) -> ModuleType:
    # The entry point of an installed script does not put the working directory there, as `python -m` does.
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and (name == error.name or name.startswith(f"{error.name}.")):
            reason = f"there is no module {error.name!r} in {Path.cwd()} or on Python's path"
            raise InvalidTarget(target=target, reason=reason, example="shop:app") from error
        raise _broken(target, error) from error
    except SystemExit as error:
        reason = "importing it ended the process; put what it runs under `if __name__ == '__main__':`"
        raise InvalidTarget(target=target, reason=reason, example="shop:app") from error
    except Exception as error:  # the module is user code
        raise _broken(target, error) from error


def _broken(target: str, error: Exception) -> InvalidTarget:
    place = traceback.extract_tb(error.__traceback__)[-1]
    where = f"{Path(place.filename).name}:{place.lineno}"
    reason = f"importing it raised {type(error).__name__} at {where}: {error}"
    return InvalidTarget(target=target, reason=reason, example="shop:app")
