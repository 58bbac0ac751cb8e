"""Routes: what a worker must serve to take a run's turns: `Order`, `Order@2` (version 2), `Order@2#abc` (one build).

The plain name stands for a run that has not begun, of whatever version, and for one of version 1 that has. A run that
begins is given its route by the worker that takes its first turn.
"""

from typing import NamedTuple


class Route(NamedTuple):
    """A route taken apart."""

    version: int | None
    """None: it does not say."""
    build: str | None
    """None: any worker that has the version."""


def parsed(route: str, workflow_type: str) -> Route:
    """The parts of a run's route. The names of workflows and builds may hold any character."""
    rest = route.removeprefix(workflow_type)
    version, mark, build = rest.partition("#")
    return Route(int(version[1:]) if version[1:].isdigit() else None, build if mark else None)


def route_of(workflow_type: str, version: int | None, build: str | None = None) -> str:
    """The route that says this."""
    return "".join((workflow_type, "" if version is None else f"@{version}", "" if build is None else f"#{build}"))


def version_of(route: str, workflow_type: str, *, begun: bool) -> int | None:
    """The version that the run follows; None if it has not begun and may take any."""
    if route == workflow_type:
        return 1 if begun else None
    version, build = parsed(route, workflow_type)
    return 1 if version is None and (begun or build is not None) else version
