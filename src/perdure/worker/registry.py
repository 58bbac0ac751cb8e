"""What this process can run, by name."""

from collections.abc import Callable
from typing import Any

from perdure.core.errors import DuplicateName, UnknownActivity, UnknownWorkflow, UnsupportedDefinition
from perdure.core.ids import checked_id
from perdure.core.program import Program
from perdure.programs.code.definition import Activity
from perdure.programs.code.system import PREFIX
from perdure.programs.schedule.program import ScheduleProgram
from perdure.worker.system import SYSTEM

SYSTEM_PROGRAMS: tuple[Program, ...] = (ScheduleProgram(),)
"""Programs that every worker knows."""


class Registry:
    """Activities and programs; filled before the worker starts, read afterwards."""

    def __init__(self) -> None:
        self._activities: dict[str, Activity[..., Any]] = {}
        self._runnable: dict[str, Activity[..., Any]] = dict(SYSTEM)
        self._makers: dict[str, Callable[[], Program]] = {}
        self._programs: dict[str, Program] = {each.name: each for each in SYSTEM_PROGRAMS}
        self._places: dict[tuple[str, str], str] = {}

    def add_activity(self, activity: "Activity[..., Any]") -> None:
        """Register an activity under its name. Raises `DuplicateName`, `UnsupportedDefinition`."""
        _refuse_reserved("activity", activity.name, activity.place)
        self._claim_name("activity", activity.name, activity.place)
        self._activities[activity.name] = self._runnable[activity.name] = activity

    def add_program(self, name: str, place: str, make: Callable[[], Program], *, own: bool = False) -> None:
        """Register a program, made when first needed: it may look at what its module defines below it.

        `own`: it is the engine's, and its name may be a reserved one.
        """
        if not own:
            _refuse_reserved("workflow", name, place)
        self._claim_name("workflow", name, place)
        self._makers[name] = make

    def make_programs(self) -> None:
        """Make all programs now; raises what is wrong with their definitions."""
        for name in self._makers:
            self.program(name)

    def _claim_name(self, kind: str, name: str, place: str) -> None:
        checked_id(f"{kind} name", name)
        first = self._places.setdefault((kind, name), place)
        if first is not place:
            raise DuplicateName(kind=kind, name=name, first=first)

    def activity(self, name: str) -> "Activity[..., Any] | None":
        """The activity of this name, if it is registered."""
        return self._activities.get(name)

    def program(self, name: str) -> Program | None:
        """The program of this name, if it is registered."""
        made = self._programs.get(name)
        if made is None and name in self._makers:
            made = self._programs[name] = self._makers[name]()
        return made

    def known_activity(self, name: str) -> "Activity[..., Any]":
        """The activity of this name; raises `UnknownActivity`."""
        found = self._runnable.get(name)
        if found is None:
            raise UnknownActivity(name=name, known=", ".join(sorted(self._activities)) or "none")
        return found

    def known_program(self, name: str) -> Program:
        """The program of this name; raises `UnknownWorkflow`."""
        found = self.program(name)
        if found is None:
            raise UnknownWorkflow(name=name, known=", ".join(sorted(self._makers)) or "none")
        return found

    @property
    def workflow_types(self) -> frozenset[str]:
        """Names of the programs that were registered here."""
        return frozenset(self._makers)

    @property
    def routes(self) -> frozenset[str]:
        """What runs this process can take: see `NewRun.route`."""
        return self.workflow_types | {each.name for each in SYSTEM_PROGRAMS}

    @property
    def activities(self) -> "dict[str, Activity[..., Any]]":
        """The user's activities by name."""
        return self._activities

    @property
    def runnable(self) -> "dict[str, Activity[..., Any]]":
        """All activities that a worker runs, by name: the user's and the engine's."""
        return self._runnable


def _refuse_reserved(kind: str, name: str, place: str) -> None:
    if name.startswith(PREFIX):
        fact, remedy = f"names that begin with {PREFIX!r} are reserved", "give it another one with name=..."
        raise UnsupportedDefinition(kind=kind, name=name, where=place, fact=fact, remedy=remedy)
