"""Targets: `module:name` to the app or the workflow that it names, and stores. Importing a module runs its code."""

import os
import sys
from typing import Any, cast

from perdure.app import Perdure
from perdure.core.errors import InvalidOption, InvalidTarget
from perdure.programs.code.definition import Workflow
from perdure.testing.targets import load, load_app

__all__ = ["STORE_VARIABLE", "load_app", "load_workflow", "required_store", "store_url"]

STORE_VARIABLE = "PERDURE_STORE"


def load_workflow(target: str) -> "tuple[Perdure, Workflow[..., Any]]":
    """The workflow that `module:name` names, and the app that it is registered on. Raises `InvalidTarget`."""
    found: Any = load(target)
    if isinstance(found, Perdure):
        known = ", ".join(sorted(found.registry.workflow_types)) or "none"
        raise InvalidTarget(target=target, reason=f"it is an app (its workflows: {known})", example="shop:checkout")
    if not isinstance(found, Workflow):
        reason = f"it is a {type(found).__name__}, not registered with @app.workflow"
        if isinstance(found, type):
            reason = f"it is a class; name its run method, such as {target}.run"
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
