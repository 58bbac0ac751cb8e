"""Class workflows: their definition, their objects, and what is refused when they are registered."""

import asyncio
from typing import Any

import pytest

from perdure import workflow
from perdure.core.command import FailRun, RunActivity, StartChild
from perdure.core.errors import ForbiddenInWorkflow, InvalidArguments, UnsupportedDefinition
from perdure.programs.code.classes import ClassWorkflow, workflow_of
from perdure.programs.code.definition import Activity, Workflow
from perdure.programs.code.methods import RunMethod, handler_mark
from tests.unit.code_driver import Driver, done, names, result_of


async def _echo(value: Any) -> Any:
    return value


echo: Activity[[Any], Any] = Activity(_echo, name="echo")


class Order:
    def __init__(self) -> None:
        self.items: list[str] = []
        self.closed = False

    @workflow.run
    async def run(self, customer: str, limit: int = 3) -> list[str]:
        self.items.append(customer)
        await workflow.wait_condition(lambda: self.closed or len(self.items) > limit)
        return [*self.items, await echo("paid")]

    @workflow.signal
    def add(self, item: str) -> None:
        self.items.append(item)

    @workflow.signal(name="close")
    async def shut(self) -> None:
        self.closed = True

    @workflow.query
    def count(self, factor: int = 1) -> int:
        return len(self.items) * factor


class Premium(Order):
    def add(self, item: str) -> None:
        super().add(f"premium {item}")

    @workflow.query
    def extra(self) -> str:
        return "yes"


def test_a_class_runs_with_one_object_a_run() -> None:
    driver = Driver(Order, echo, args=("Ann",))
    assert driver.start() == []
    assert driver.query("count", 2) == 2

    assert driver.step(driver.signal("add", "tea")) == []
    asked = driver.step(driver.signal("close"))

    assert names(asked) == ["echo"]
    assert driver.recalled().inner.asked() is not None
    assert driver.query("count") == 2
    call = asked[0]
    assert isinstance(call, RunActivity)
    assert result_of(driver.step(done(call.call_id, "paid"))) == ["Ann", "tea", "paid"]


def test_what_is_inherited_handles_and_what_overrides_it_handles_too() -> None:
    driver = Driver(Premium, echo, args=("Ann", 1))
    driver.start()

    asked = driver.step(driver.signal("add", "tea"))

    assert names(asked) == ["echo"]
    assert driver.query("extra") == "yes"
    assert handler_mark("signal", Premium.add).name == "add"


def test_a_class_can_be_called_as_the_plain_code_that_it_is() -> None:
    class Plain:
        @workflow.run
        async def run(self, number: int) -> int:
            return number + 1

        @workflow.update
        def put(self, number: int) -> int:
            return number * 2

    assert asyncio.run(Plain().run(1)) == 2
    plain: Any = Plain.run
    assert asyncio.run(plain(Plain(), 1)) == 2
    definition = workflow_of(Plain)

    assert asyncio.run(Plain.run(1)) == 2
    assert Plain.run is definition
    assert Plain().put(2) == 4
    assert Plain.put(Plain(), 3) == 6


def test_init_takes_the_arguments_of_the_run_so_that_handlers_find_them() -> None:
    class Counter:
        @workflow.init
        def __init__(self, first: int) -> None:
            self.value = first

        @workflow.run
        async def run(self, first: int) -> int:
            await workflow.wait_condition(lambda: self.value > first)
            return self.value

        @workflow.signal
        def add(self, number: int) -> None:
            self.value += number

    driver = Driver(Counter, args=(10,))

    assert result_of(driver.start(driver.signal("add", 5))) == 15


def test_what_init_raises_fails_the_run() -> None:
    class Broken:
        def __init__(self) -> None:
            raise LookupError("no state")

        @workflow.run
        async def run(self) -> None: ...

    (failed,) = Driver(Broken).start()

    assert isinstance(failed, FailRun)
    assert (failed.failure.type, failed.failure.message) == ("LookupError", "no state")


def test_a_class_is_a_child_workflow_by_its_run_method() -> None:
    class Child:
        @workflow.run
        async def run(self, number: int) -> int:
            return number

    workflow_of(Child, name="child")

    async def parent() -> int:
        return await Child.run(1)

    asked = Driver(parent).start()

    assert names(asked) == ["StartChild"]
    assert isinstance(asked[0], StartChild)
    assert asked[0].workflow_type == "child"


def test_a_name_is_the_class_or_the_one_that_is_given() -> None:
    assert workflow_of(Order).name == "Order"
    assert workflow_of(Order, name="order").name == "order"
    assert isinstance(workflow_of(Order), Workflow)
    assert isinstance(vars(Order)["run"], RunMethod)
    with pytest.raises(InvalidArguments):
        workflow_of(Order).bind_checked((), {})


def test_clocks_are_found_in_every_method() -> None:
    from datetime import datetime

    class Late:
        @workflow.run
        async def run(self) -> None: ...

        @workflow.signal
        def note(self) -> None:
            datetime.now()  # noqa: DTZ005 # that is what is looked for

    with pytest.raises(ForbiddenInWorkflow, match=r"datetime\.now"):
        Driver(Late)


def _no_run() -> type:
    class Nothing:
        @workflow.signal
        def note(self) -> None: ...

    return Nothing


def _two_runs() -> type:
    class Two:
        @workflow.run
        async def first(self) -> None: ...
        @workflow.run
        async def second(self) -> None: ...

    return Two


def _sync_run() -> type:
    class Sync:
        @workflow.run  # pyright: ignore[reportArgumentType]
        def run(self) -> None: ...

    return Sync


def _async_query() -> type:
    class Asking:
        @workflow.run
        async def run(self) -> None: ...
        @workflow.query
        async def state(self) -> int:
            return 1

    return Asking


def _generator() -> type:
    class Giving:
        @workflow.run
        async def run(self) -> None: ...
        @workflow.signal
        def notes(self) -> Any:
            yield 1

    return Giving


def _reserved() -> type:
    class Taken:
        @workflow.run
        async def run(self) -> None: ...
        @workflow.signal(name="__stack_trace")
        def note(self) -> None: ...

    return Taken


def _twice() -> type:
    class Twice:
        @workflow.run
        async def run(self) -> None: ...
        @workflow.update(name="put")
        def first(self) -> None: ...
        @workflow.update(name="put")
        def second(self) -> None: ...

    return Twice


def _static() -> type:
    class Static:
        @workflow.run
        async def run(self) -> None: ...
        @workflow.query
        @staticmethod
        def state() -> int:
            return 1

    return Static


def _two_values() -> type:
    class Wide:
        @workflow.run
        async def run(self) -> None: ...
        @workflow.signal
        def note(self, one: int, two: int) -> None: ...

    return Wide


def _other_validator() -> type:
    class Checked:
        @workflow.run
        async def run(self) -> None: ...
        @workflow.update
        def put(self, number: int) -> None: ...
        @put.validator  # pyright: ignore[reportArgumentType]
        def check_put(self) -> None: ...

    return Checked


def _async_validator() -> type:
    class Slow:
        @workflow.run
        async def run(self) -> None: ...
        @workflow.update
        def put(self, number: int) -> None: ...
        @put.validator  # pyright: ignore[reportArgumentType]
        async def check_put(self, number: int) -> None: ...

    return Slow


def _needy() -> type:
    class Needy:
        def __init__(self, state: int) -> None: ...
        @workflow.run
        async def run(self, state: int) -> None: ...

    return Needy


def _other_init() -> type:
    class Other:
        @workflow.init
        def __init__(self, state: int) -> None: ...
        @workflow.run
        async def run(self) -> None: ...

    return Other


def _narrow_dynamic() -> type:
    class Narrow:
        @workflow.run
        async def run(self) -> None: ...
        @workflow.update(dynamic=True)
        def anything(self, name: str) -> None: ...

    return Narrow


def _keyword() -> type:
    class Keyword:
        @workflow.run
        async def run(self) -> None: ...
        @workflow.update
        def put(self, *, number: int) -> None: ...

    return Keyword


@pytest.mark.parametrize(
    ("make", "fact"),
    [
        (_no_run, "has no run method"),
        (_two_runs, "several run methods: first, second"),
        (_sync_run, "is not async"),
        (_async_query, "not a plain function"),
        (_generator, "is a generator"),
        (_reserved, "the name is taken"),
        (_twice, "another such handler in test_code_classes.py"),
        (_static, "not a method"),
        (_two_values, "one value at most"),
        (_other_validator, "takes other arguments"),
        (_async_validator, "not a plain function"),
        (_needy, "needs arguments"),
        (_other_init, "takes other arguments"),
        (_narrow_dynamic, "cannot take a name and any arguments"),
        (_keyword, "only be given by keyword"),
    ],
)
def test_what_cannot_be_a_class_workflow_is_refused_with_its_place(make: Any, fact: str) -> None:
    with pytest.raises(UnsupportedDefinition, match=fact) as caught:
        ClassWorkflow(make())

    assert caught.value.code == "PDR1007"
    assert "; " in str(caught.value)


def test_a_handler_of_another_kind_is_refused_where_it_is_named() -> None:
    with pytest.raises(UnsupportedDefinition, match="no signal handler"):
        handler_mark("signal", Order.count)
    with pytest.raises(UnsupportedDefinition, match="no update handler"):
        handler_mark("update", test_a_name_is_the_class_or_the_one_that_is_given)
