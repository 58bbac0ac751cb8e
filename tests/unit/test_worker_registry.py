"""What a process can run, by name: no name twice, and whoever asks for an unknown one learns the known ones."""

import pytest

from perdure.core.errors import DuplicateName, ForbiddenInWorkflow, InvalidId, UnknownActivity, UnknownWorkflow
from perdure.programs.code.definition import Activity
from perdure.worker.registry import Registry
from tests.unit.engine_world import ScriptedProgram, asking


async def charge(cents: int) -> int:
    """An activity."""
    return cents


async def refund(cents: int) -> int:
    """Another one."""
    return cents


def program(name: str = "checkout") -> ScriptedProgram:
    """A program."""
    return ScriptedProgram(asking(), name)


def test_what_is_registered_is_found() -> None:
    registry = Registry()
    activity: Activity[[int], int] = Activity(charge)
    made = program()

    registry.add_activity(activity)
    registry.add_program("checkout", "shop.py:1", lambda: made)

    assert registry.activity("charge") is registry.known_activity("charge") is activity
    assert registry.program("checkout") is registry.known_program("checkout") is made
    assert registry.activities == {"charge": activity}
    assert registry.workflow_types == {"checkout"}


def test_what_is_not_registered_is_not_found() -> None:
    registry = Registry()

    assert registry.activity("charge") is None
    assert registry.program("checkout") is None
    with pytest.raises(UnknownActivity, match=r"PDR1006: activity 'charge' is not registered here \(known: none\)"):
        registry.known_activity("charge")
    with pytest.raises(UnknownWorkflow, match=r"PDR1005: workflow 'checkout' is not registered here \(known: none\)"):
        registry.known_program("checkout")


def test_the_error_names_what_is_known_in_order() -> None:
    registry = Registry()
    for each in (refund, charge):
        registry.add_activity(Activity(each))
    for name in ("b", "a"):
        registry.add_program(name, f"{name}.py:1", program)

    with pytest.raises(UnknownActivity, match=r"known: charge, refund\)"):
        registry.known_activity("chrage")
    with pytest.raises(UnknownWorkflow, match=r"known: a, b\)"):
        registry.known_program("c")


def test_a_name_is_taken_once_and_the_error_names_the_first() -> None:
    registry = Registry()
    registry.add_activity(Activity(charge))
    registry.add_program("checkout", "shop.py:1", program)

    with pytest.raises(
        DuplicateName, match=r"PDR1004: activity 'charge' is already registered in test_worker_registry"
    ):
        registry.add_activity(Activity(refund, name="charge"))
    with pytest.raises(DuplicateName, match=r"PDR1004: workflow 'checkout' is already registered in shop.py:1; give"):
        registry.add_program("checkout", "other.py:9", program)


def test_a_definition_that_is_registered_twice_is_a_duplicate_too() -> None:
    registry = Registry()
    registry.add_activity(Activity(charge))

    with pytest.raises(DuplicateName):
        registry.add_activity(Activity(charge))


def test_an_activity_and_a_workflow_may_share_a_name() -> None:
    registry = Registry()

    registry.add_activity(Activity(charge))
    registry.add_program("charge", "shop.py:1", program)

    assert registry.activity("charge") is not None
    assert registry.program("charge") is not None


def test_a_name_that_cannot_be_one_is_refused() -> None:
    with pytest.raises(InvalidId, match="PDR1001: workflow name '' is empty"):
        Registry().add_program("", "shop.py:1", program)


def test_programs_are_made_when_they_are_needed_and_once() -> None:
    registry = Registry()
    made: list[ScriptedProgram] = []

    def make() -> ScriptedProgram:
        made.append(program())
        return made[-1]

    registry.add_program("checkout", "shop.py:1", make)
    assert made == []
    first = registry.program("checkout")
    registry.make_programs()

    assert registry.program("checkout") is first
    assert len(made) == 1


def test_making_all_programs_tells_what_is_wrong_with_one() -> None:
    def make() -> ScriptedProgram:
        raise ForbiddenInWorkflow(what="datetime.now()", where=" at shop.py:3", remedy="use workflow.now()")

    registry = Registry()
    registry.add_program("checkout", "shop.py:1", make)

    with pytest.raises(ForbiddenInWorkflow):
        registry.make_programs()
