"""Definitions and options: what may be an activity or a workflow, and how arguments, results and durations are read."""

import asyncio
import functools
import math
import pickle
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any, NoReturn, cast

import msgspec
import pytest

from perdure.core.errors import (
    InvalidArguments,
    InvalidOption,
    UndecodablePayload,
    UnserializableValue,
    UnsupportedDefinition,
)
from perdure.core.payload import Payload, to_payload
from perdure.programs.code.definition import Activity, Signal, Workflow
from perdure.programs.code.options import DURATION_MS_MAX, RetryPolicy, duration_ms


def datas(payloads: tuple[Payload, ...]) -> list[bytes]:
    """The bytes of payloads."""
    return [each.data for each in payloads]


def work(a: int, b: str = "x", c: float = 1.5) -> list[int]:
    return [a]


def spread(a: int, *rest: str) -> None: ...


async def flow(n: int) -> int:
    return n


picklable: Activity[..., list[int]] = Activity(work)
# Under the module's own name, as a decorator does it.
globals()["work"] = picklable


@pytest.mark.parametrize(
    ("args", "kwargs", "expected"),
    [
        ((1,), {}, [b"1"]),
        ((1, "y"), {}, [b"1", b'"y"']),
        ((1,), {"c": 2.5}, [b"1", b'"x"', b"2.5"]),
        ((), {"a": 1}, [b"1"]),
        ((), {"b": "y", "a": 1}, [b"1", b'"y"']),
        ((1, "y", 2.0), {}, [b"1", b'"y"', b"2.0"]),
    ],
)
def test_arguments_travel_by_position(args: tuple[Any, ...], kwargs: dict[str, Any], expected: list[bytes]) -> None:
    assert datas(picklable.bind(args, kwargs)) == expected


@pytest.mark.parametrize(("args", "kwargs"), [((), {}), ((1, "x", 2.0, 3), {}), ((1,), {"z": 1}), ((1,), {"a": 1})])
def test_arguments_that_do_not_fit_are_refused(args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    with pytest.raises(InvalidArguments, match=r"work\(a: int"):
        picklable.bind(args, kwargs)


def test_an_argument_that_cannot_be_serialised_is_refused_by_name() -> None:
    with pytest.raises(UnserializableValue, match="argument of activity 'work'"):
        picklable.bind((object(),), {})


def test_any_number_of_arguments_may_follow() -> None:
    activity: Activity[..., None] = Activity(spread)

    assert datas(activity.bind((1, "a", "b"), {})) == [b"1", b'"a"', b'"b"']
    assert activity.decode_args(activity.bind((1, "a", "b"), {})) == [1, "a", "b"]


def test_arguments_are_decoded_by_annotation() -> None:
    assert picklable.decode_args(picklable.bind((1, "y"), {})) == [1, "y"]
    with pytest.raises(UndecodablePayload, match="parameter 'a' of activity 'work'"):
        picklable.decode_args((to_payload("no number"),))
    with pytest.raises(UndecodablePayload, match="0 were sent"):
        picklable.decode_args(())
    with pytest.raises(UndecodablePayload, match="4 were sent"):
        picklable.decode_args((to_payload(1),) * 4)


def test_a_result_is_decoded_by_annotation() -> None:
    assert picklable.decode_result(picklable.encode_result([1, 2])) == [1, 2]
    with pytest.raises(UndecodablePayload, match="result of activity 'work'"):
        picklable.decode_result(to_payload("x"))


def test_annotations_as_text_are_resolved_also_to_local_classes() -> None:
    @dataclass
    class Order:
        id: int

    def ship(order: "Order", tags: "list[str] | None" = None) -> "Annotated[Order, msgspec.Meta(title='x')]":
        return order

    activity: Activity[..., Any] = Activity(ship)

    assert activity.decode_args((to_payload({"id": 1}),)) == [Order(1)]
    assert activity.decode_result(to_payload({"id": 1})) == Order(1)


def test_an_annotation_that_cannot_be_resolved_is_refused_with_the_remedy() -> None:
    def ship(order: Any) -> None: ...

    ship.__annotations__["order"] = "Missing"
    with pytest.raises(UnsupportedDefinition, match="annotation 'Missing' cannot be resolved; import it at run time"):
        Activity(ship)


def test_functions_without_annotations_or_results_work() -> None:
    def loose(a: Any, b: Any = 2) -> Any:
        return a, b

    loose.__annotations__.clear()

    def never(a: int) -> NoReturn:
        raise ValueError

    assert Activity(loose).decode_args((to_payload({"x": 1}),)) == [{"x": 1}]
    assert Activity(never).decode_result(to_payload(1)) == 1


class Shop:
    def sell(self, n: int) -> int:
        return n

    @staticmethod
    def price(n: int) -> int:
        return n

    def __call__(self, n: int) -> int:
        return n


def keyword_only(*, a: int) -> None: ...


def keyword_rest(**rest: int) -> None: ...


def generator() -> Any:
    yield 1


async def async_generator() -> Any:
    yield 1


@pytest.mark.parametrize(
    ("fn", "fact"),
    [
        (keyword_only, "parameter 'a' can only be given by keyword"),
        (keyword_rest, "parameter 'rest' can only be given by keyword"),
        (generator, "it is a generator"),
        (async_generator, "it is a generator"),
        (lambda: 1, "it has no name"),
        (functools.partial(keyword_only, a=1), "it has no name"),
        (Shop.sell, "it is a method without its object"),
        (Shop, "it is a class"),
        (42, "it cannot be called"),
    ],
)
def test_what_cannot_be_an_activity_is_refused(fn: Any, fact: str) -> None:
    with pytest.raises(UnsupportedDefinition, match=fact):
        Activity(fn)


def test_methods_callables_and_lambdas_with_a_name_may_be_activities() -> None:
    shop = Shop()

    assert Activity(shop.sell).decode_args((to_payload(1),)) == [1]
    assert Activity(Shop.price).name == "price"
    assert Activity(shop, name="shop").decode_args((to_payload(1),)) == [1]
    assert Activity(lambda: 1, name="one").name == "one"


def test_a_definition_knows_its_name_kind_and_place() -> None:
    workflow: Workflow[[int], int] = Workflow(flow)

    assert (workflow.name, picklable.name) == ("flow", "work")
    assert (workflow.is_async, picklable.is_async) == (True, False)
    assert workflow.place == f"test_code_definition.py:{flow.__code__.co_firstlineno}"
    assert workflow.__doc__ == flow.__doc__
    assert asyncio.run(workflow.fn(3)) == 3
    assert "workflow 'flow' from test_code_definition.py" in repr(workflow)


def test_a_workflow_that_is_not_async_is_refused_with_the_remedy() -> None:
    with pytest.raises(UnsupportedDefinition, match="write `async def`"):
        Workflow(Shop.price)


def test_an_async_function_cannot_run_in_a_process() -> None:
    with pytest.raises(UnsupportedDefinition, match="process pool"):
        Activity(flow, process=True)


def test_a_definition_is_pickled_by_name() -> None:
    assert pickle.loads(pickle.dumps(picklable)) is picklable


def test_options_make_a_copy() -> None:
    changed = picklable.options(retries=5, timeout="30s", heartbeat=2, queue="gpu")

    assert (changed.defaults.retry.attempts_max, changed.defaults.start_to_close_ms) == (6, 30_000)
    assert (changed.defaults.heartbeat_ms, changed.queue) == (2_000, "gpu")
    assert (picklable.defaults.start_to_close_ms, picklable.queue) == (None, None)
    again = changed.options(timeout=None, queue=None, schedule_to_close=timedelta(hours=1))
    assert (again.defaults.start_to_close_ms, again.queue) == (None, None)
    assert (again.defaults.retry.attempts_max, again.defaults.schedule_to_close_ms) == (6, 3_600_000)
    assert changed.name == picklable.name
    assert changed.fn is picklable.fn


def test_a_retry_policy_is_compiled() -> None:
    policy = RetryPolicy(
        initial_interval="500ms",
        coefficient=3,
        maximum_interval="1m",
        maximum_attempts=4,
        non_retryable=(KeyError, "X"),
    )

    compiled = picklable.options(retry=policy).defaults.retry

    assert (compiled.initial_ms, compiled.coefficient, compiled.interval_ms_max) == (500, 3.0, 60_000)
    assert (compiled.attempts_max, compiled.non_retryable) == (4, ("KeyError", "X"))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("30s", 30_000),
        ("5m", 300_000),
        ("1h30m", 5_400_000),
        ("1h 30m", 5_400_000),
        ("250ms", 250),
        ("2d", 172_800_000),
        ("1w", 604_800_000),
        ("1.5s", 1_500),
        (timedelta(seconds=1, microseconds=1), 1_001),
        (2, 2_000),
        (0.25, 250),
        (0.0001, 1),
        (0.1 + 0.2, 301),
    ],
)
def test_durations_are_read(value: Any, expected: int) -> None:
    assert abs(duration_ms("timeout", value) - expected) <= (1 if isinstance(value, float) else 0)


@pytest.mark.parametrize(
    "value",
    [
        "", " ", "s", "30", "30 parsecs", "-5s", "1h-3m", "5m!", "٣s", -1, 0, 0.0, math.nan, math.inf, -math.inf,
        timedelta(0), timedelta(days=-1), True, b"30s", [1], 101 * 366 * 86_400, "40000d", 10**30, "9" * 400 + "d",
    ],
)  # fmt: skip
def test_what_is_no_duration_is_refused(value: Any) -> None:
    with pytest.raises(InvalidOption, match="option timeout="):
        duration_ms("timeout", value)


def test_a_hundred_years_are_the_limit() -> None:
    assert duration_ms("timeout", DURATION_MS_MAX / 1_000) == DURATION_MS_MAX


@pytest.mark.parametrize(
    "keywords",
    [
        {"retries": -1},
        {"retries": True},
        {"retries": 1.5},
        {"retries": None},
        {"retries": 10**12},
        {"retry": 5},
        {"retries": 1, "retry": RetryPolicy()},
        {"retry": RetryPolicy(coefficient=0.5)},
        {"retry": RetryPolicy(coefficient=math.nan)},
        {"retry": RetryPolicy(coefficient=math.inf)},
        {"retry": RetryPolicy(maximum_attempts=-1)},
        {"retry": RetryPolicy(initial_interval="0s")},
        {"retry": RetryPolicy(non_retryable=cast(Any, (42,)))},
        {"retry": RetryPolicy(non_retryable=cast(Any, (int,)))},
        {"timeout": "soon"},
        {"colour": "red"},
    ],
)
def test_options_out_of_bounds_are_refused(keywords: Any) -> None:
    with pytest.raises(InvalidOption):
        picklable.options(**keywords)


def test_a_signal_needs_a_name() -> None:
    with pytest.raises(Exception, match="PDR1001"):
        Signal("", int)
