"""What this process can run, by name, and by version where a workflow has several."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from msgspec.structs import replace

from perdure.core.errors import DuplicateName, InvalidOption, UnknownActivity, UnknownWorkflow, UnsupportedDefinition
from perdure.core.ids import checked_id
from perdure.core.payload import DataConverter
from perdure.core.program import Program
from perdure.core.route import parsed, route_of, version_of
from perdure.core.store import NewRun, RunRecord
from perdure.programs.bulk.program import BulkProgram
from perdure.programs.code.around import Around
from perdure.programs.code.classes import workflow_of
from perdure.programs.code.definition import Activity
from perdure.programs.code.program import CodeProgram
from perdure.programs.code.system import PREFIX
from perdure.programs.schedule.program import ScheduleProgram
from perdure.worker.bulk import BULK_ACTIVITIES
from perdure.worker.system import SYSTEM

SYSTEM_PROGRAMS: tuple[Program, ...] = (ScheduleProgram(), BulkProgram())
"""Programs that every worker knows."""
VERSION_MAX = 1_000_000
"""Highest version of a workflow."""


class _Registered(NamedTuple):
    """One version of a program; it is made when first needed."""

    make: Callable[[], Program]
    pinned: bool | None
    """Whether its runs stay on the build that they began on; None: as all others here."""


class Registry:
    """Activities and programs; filled before the worker starts, read afterwards."""

    around: Around = Around((), ())
    """What is around all that is registered here."""

    def __init__(self, build: str | None = None, *, pinned: bool = False) -> None:
        """`build` names the code of this process; `pinned`: runs that begin here stay on it."""
        if pinned and build is None:
            raise InvalidOption(name="pinned", value="True", fact="needs a build", remedy='give build="..." too')
        self.build = None if build is None else checked_id("build", build)
        self._pinned = pinned
        self._activities: dict[str, Activity[..., Any]] = {}
        self._runnable: dict[str, Activity[..., Any]] = {**SYSTEM, **BULK_ACTIVITIES}
        self._versions: dict[str, dict[int, _Registered]] = {}
        self._programs: dict[tuple[str, int], Program] = {(each.name, 1): each for each in SYSTEM_PROGRAMS}
        self._places: dict[tuple[str, str], str] = {}
        self._decides = build is not None
        """Some run that begins here may need another route than the name of its workflow."""
        self._routes: frozenset[str] | None = None

    # Registering

    def add_activity(self, activity: "Activity[..., Any]") -> None:
        """Register an activity under its name. Raises `DuplicateName`, `UnsupportedDefinition`."""
        _refuse_reserved("activity", activity.name, activity.place)
        self._claim_name("activity", activity.name, activity.place)
        self._activities[activity.name] = self._runnable[activity.name] = activity

    def add_program(
        self,
        name: str,
        place: str,
        make: Callable[[], Program],
        *,
        own: bool = False,
        version: int = 1,
        pinned: bool | None = None,
    ) -> None:
        """Register a version of a program, made when first needed: it may look at what its module defines below it.

        `own`: it is the engine's, and its name may be a reserved one. Raises `DuplicateName`, `InvalidOption`.
        """
        if not own:
            _refuse_reserved("workflow", name, place)
        checked_id("workflow name", name)
        if not isinstance(version, int) or isinstance(version, bool) or not 1 <= version <= VERSION_MAX:  # pyright: ignore[reportUnnecessaryIsInstance]
            remedy = f"give a whole number from 1 to {VERSION_MAX}"
            raise InvalidOption(name="version", value=repr(version), fact="is no version", remedy=remedy)
        if pinned and self.build is None:
            remedy = 'give the app a build: Perdure(url, build="...")'
            raise InvalidOption(name="pinned", value="True", fact="needs a build", remedy=remedy)
        # By route: a workflow called `a@2` would be taken for the second version of `a`.
        self._claim_name("workflow", name if version == 1 else route_of(name, version), place)
        self._versions.setdefault(name, {})[version] = _Registered(make, pinned)
        self._decides = self._decides or version != 1
        self._routes = None

    def make_programs(self) -> None:
        """Make all programs now; raises what is wrong with their definitions."""
        for name, versions in self._versions.items():
            for version in versions:
                self.program(name, version)

    def _claim_name(self, kind: str, name: str, place: str) -> None:
        checked_id(f"{kind} name", name)
        first = self._places.setdefault((kind, name), place)
        if first is not place:
            raise DuplicateName(kind=kind, name=name, first=first)

    def stand_in(self, name: str, program: Program) -> None:
        """Let a program take the place of all versions of a name."""
        self._versions[name] = {1: _Registered(lambda: program, None)}
        self._programs[name, 1] = program
        self._routes = None

    # Looking up

    def activity(self, name: str) -> "Activity[..., Any] | None":
        """The activity of this name, if it is registered."""
        return self._activities.get(name)

    def program(self, name: str, version: int | None = None) -> Program | None:
        """The program of this name, if it is registered: of that version, else the newest one."""
        versions = self._versions.get(name)
        if version is None:
            version = 1 if versions is None or (len(versions) == 1 and 1 in versions) else max(versions)
        made = self._programs.get((name, version))
        if made is None and versions is not None and version in versions:
            made = self._programs[name, version] = versions[version].make()
        return made

    def known_activity(self, name: str) -> "Activity[..., Any]":
        """The activity of this name; raises `UnknownActivity`."""
        found = self._runnable.get(name)
        if found is None:
            raise UnknownActivity(name=name, known=", ".join(sorted(self._activities)) or "none")
        return found

    def known_program(self, name: str) -> Program:
        """The newest program of this name; raises `UnknownWorkflow`."""
        found = self.program(name)
        if found is None:
            raise self._unknown(name)
        return found

    def program_for(self, run: RunRecord) -> Program | None:
        """The program of the version that the run follows, if it is registered."""
        version = version_of(run.route, run.workflow_type, begun=run.turns_count > 0)
        return self.program(run.workflow_type, version)

    def known_program_for(self, run: RunRecord) -> Program:
        """The program of the version that the run follows; raises `UnknownWorkflow`."""
        found = self.program_for(run)
        if found is None:
            raise self._unknown(run.route or run.workflow_type)
        return found

    def _unknown(self, name: str) -> UnknownWorkflow:
        known = ", ".join(sorted(self._routes_of_versions())) or "none"
        return UnknownWorkflow(name=name, known=known)

    # Routes

    def first_route(self, workflow_type: str, route: str | None = None) -> str | None:
        """The route of a run that begins here; None if it is the one that it has.

        It begins on the newest version, unless its route names one, and on this build, if it is pinned.
        """
        versions = self._versions.get(workflow_type)
        if not self._decides or versions is None:
            return None
        before = route or workflow_type
        version, build = parsed(before, workflow_type)
        followed = max(versions) if version is None else version
        registered = versions.get(followed)
        if build is None and registered is not None:
            pinned = self._pinned if registered.pinned is None else registered.pinned
            build = self.build if pinned else None
        said = None if version is None and followed == 1 else followed
        after = route_of(workflow_type, said, build)
        return None if after == before else after

    def start_route(self, workflow_type: str, version: int) -> str | None:
        """The route of a run that is to begin on one version; None where the workflow has no other."""
        versions = self._versions.get(workflow_type)
        return None if versions is None or max(versions) == 1 else route_of(workflow_type, version)

    def begun(self, run: NewRun) -> NewRun:
        """The run as it is stored with its first turn, taken here."""
        route = self.first_route(run.workflow_type, run.route)
        return run if route is None else replace(run, route=route)

    def program_begun(self, run: NewRun) -> Program | None:
        """The program that a new run follows, if it is registered: the newest, or the version that its route says."""
        version = None if run.route is None else version_of(run.route, run.workflow_type, begun=True)
        return self.program(run.workflow_type, version)

    @property
    def workflow_types(self) -> frozenset[str]:
        """Names of the programs that were registered here."""
        return frozenset(self._versions)

    @property
    def routes(self) -> frozenset[str]:
        """What runs this process can take: see `core.route`."""
        if self._routes is None:
            found = self._routes_of_versions() | {each.name for each in SYSTEM_PROGRAMS}
            # Runs that have not begun, of workflows that are no longer registered in their first version.
            found |= set(self._versions)
            if self.build is not None:
                found |= {route_of(each, None, self.build) for each in self._routes_of_versions()}
            self._routes = frozenset(found)
        return self._routes

    def _routes_of_versions(self) -> set[str]:
        found: set[str] = set()
        for name, versions in self._versions.items():
            found |= {route_of(name, version) for version in versions if len(versions) > 1 or version > 1}
            if 1 in versions:
                found.add(name)
        return found

    @property
    def activities(self) -> "dict[str, Activity[..., Any]]":
        """The user's activities by name."""
        return self._activities

    @property
    def runnable(self) -> "dict[str, Activity[..., Any]]":
        """All activities that a worker runs, by name: the user's and the engine's."""
        return self._runnable


def add_workflow(
    registry: Registry, fn: Any, *, name: str | None, converter: DataConverter, version: int, pinned: bool | None
) -> Any:
    """Register a function or a class; its definition, or the class itself. See `Perdure.workflow`."""
    made = workflow_of(fn, name=name, converter=converter)
    made.version, made.route_of = version, registry.start_route
    made.propagation, made.interceptors = registry.around.propagation, registry.around.interceptors
    make = partial(CodeProgram, made, registry.activity, registry.activities.keys)
    registry.add_program(made.name, made.place, make, version=version, pinned=pinned)
    return fn if isinstance(fn, type) else made


def _refuse_reserved(kind: str, name: str, place: str) -> None:
    if name.startswith(PREFIX):
        fact, remedy = f"names that begin with {PREFIX!r} are reserved", "give it another one with name=..."
        raise UnsupportedDefinition(kind=kind, name=name, where=place, fact=fact, remedy=remedy)
