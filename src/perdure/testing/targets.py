"""Targets: `module:name` to what it names, and back from an app to its name. Importing a module runs its code."""

import importlib
import sys
import traceback
from pathlib import Path
from types import ModuleType

from perdure.app import Perdure
from perdure.core.errors import InvalidTarget


def load_app(target: str) -> Perdure:
    """The app that `module:name` names. Raises `InvalidTarget`."""
    found = load(target)
    if isinstance(found, Perdure):
        return found
    raise InvalidTarget(target=target, reason=f"it is a {type(found).__name__}, not an app", example="shop:app")


def name_of(app: Perdure) -> str | None:
    """`module:name` of an app that is in a module's variable, where another process finds it; None if it is in none."""
    for module_name, module in list(sys.modules.items()):
        # Whatever a module put in its own place there need not have variables.
        for name, value in list(getattr(module, "__dict__", {}).items()):
            if value is app and module_name != "__main__":
                return f"{module_name}:{name}"
    return None


def load(target: str) -> object:
    """What `module:name` names. Raises `InvalidTarget`."""
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
