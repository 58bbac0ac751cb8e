"""Values that do not fit, cannot be written or are too large: a coded error where they appear, the rest goes on."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from perdure import ActivityError, Perdure, WorkflowFailed, workflow
from perdure.core.errors import InvalidArguments, InvalidOption, QueryFailed, UndecodablePayload, UnserializableValue
from tests.e2e.bad_input import EACH_STORE, assert_sound, result_of, until_parked, url_of


class Opaque:
    """Nothing that JSON knows."""


def _recursive() -> list[Any]:
    inner: list[Any] = []
    inner.append(inner)
    return inner


def _deep() -> list[Any]:
    value: list[Any] = []
    for _ in range(100_000):
        value = [value]
    return value


UNSERIALISABLE: dict[str, Any] = {
    "object": Opaque(),
    "class": Opaque,
    "function": url_of,
    "recursive": _recursive(),
    "deep": _deep(),
    "surrogate": "a\ud800b",
    "complex": 1j,
    "keys": {(1, 2): 3},
    "exception": ValueError("x"),
    "generator": (each for each in range(3)),
    "nan": float("nan"),
    "infinity": [float("-inf")],
    "nan in an object": {"a": None, "b": (float("nan"),)},
    "huge int": 10**5_000,
}
REFUSED = "PDR1009: .* cannot be serialized: .*; use JSON types, dataclasses"


@dataclass
class Order:
    """A typed argument."""

    id: str
    cents: int


def shop(url: str) -> tuple[Perdure, Any, Any]:
    """An app whose workflow `buy` charges, and `relay`, which passes a value on."""
    app = Perdure(url)

    @app.activity(name="charge")
    async def charge(order: Order, times: int = 1) -> int:
        return order.cents * times

    @app.workflow(name="buy")
    async def buy(order: Order, times: int = 1) -> int:
        return await charge(order, times)

    @app.workflow(name="relay")
    async def relay(value: Any = None) -> Any:
        return value

    return app, buy, relay


@EACH_STORE
async def test_arguments_that_do_not_fit_are_refused_at_the_start(kind: str, tmp_path: Path) -> None:
    app, buy, _ = shop(url_of(kind, tmp_path))
    misfits: list[tuple[tuple[Any, ...], str]] = [
        ((), "missing a required argument: 'order'"),
        ((Order("a", 1), 2, 3), "too many positional arguments"),
        (("text",), "Expected `object`, got `str`"),
        (({"id": "a"},), "missing required field `cents`"),
        (({"id": "a", "cents": "1"},), "Expected `int`, got `str`"),
        ((Order("a", 1), 1.5), "Expected `int`, got `float`"),
        ((Order("a", 1), None), "Expected `int`, got `null`"),
    ]

    async with app:
        for args, reason in misfits:
            with pytest.raises(
                InvalidArguments, match=r"PDR1008: arguments of 'buy' do not fit buy\(order: .*"
            ) as caught:
                await app.start(buy, *args)
            assert reason in str(caught.value)
            with pytest.raises(InvalidArguments, match=r"PDR1008"):
                await app.start_by_name("buy", *args)
        keyword: Any = app.start
        with pytest.raises(InvalidOption, match=r"PDR1002: option order=.* is unknown; .* given by position"):
            await keyword(buy, order=Order("a", 1))

        assert await app.list() == []
        assert await result_of(await app.start(buy, Order("a", 2), 3)) == 6


@EACH_STORE
async def test_arguments_of_calls_that_do_not_fit_fail_the_call_in_the_workflow(kind: str, tmp_path: Path) -> None:
    app, buy, _ = shop(url_of(kind, tmp_path))

    @app.activity
    async def count(number: int) -> int:
        return number

    @app.workflow
    async def calls() -> list[str]:
        function: Any = count
        child: Any = buy
        wrong: list[Any] = [
            lambda: function(),
            lambda: function(1, 2),
            lambda: function(1, numbr=2),
            lambda: workflow.execute_activity("count"),
            lambda: child(),
            lambda: workflow.start_child(child),
            lambda: function(Opaque()),
            lambda: function("x"),
            lambda: child({"id": 1}),
            lambda: workflow.start_child(child, "text"),
        ]
        return [await _raised(each) for each in wrong]

    async with app:
        errors = await result_of(await app.start(calls))

        assert [error.split(":")[0] for error in errors] == [
            *["InvalidArguments"] * 6,
            "UnserializableValue",
            "ActivityError",
            "InvalidArguments",
            "InvalidArguments",
        ]
        assert "UndecodablePayload: PDR3002: parameter 'number' of activity 'count'" in errors[7]
        assert len(await app.list()) == 1, "no child was started"
        await assert_sound(app)


async def _raised(call: Any) -> str:
    try:
        await call()
    except Exception as error:  # whatever it is, the test names what it expects
        return f"{type(error).__name__}: {error}"
    return "nothing"


@EACH_STORE
@pytest.mark.parametrize("name", UNSERIALISABLE)
async def test_what_json_cannot_carry_is_refused_where_it_appears(kind: str, tmp_path: Path, name: str) -> None:
    value = UNSERIALISABLE[name]
    app, _, relay = shop(url_of(kind, tmp_path))

    @app.activity(retries=3)
    async def made() -> Any:
        return value

    @app.workflow
    async def from_activity() -> Any:
        return await made()

    @app.workflow
    async def from_workflow() -> Any:
        return value

    @app.workflow
    async def asked() -> None:
        @workflow.query
        def state() -> Any:
            return value

        await workflow.channel("stop").receive()

    async with app:
        with pytest.raises(UnserializableValue, match=rf"PDR1009: argument of workflow 'relay' .*{REFUSED[8:]}"):
            await app.start(relay, value)
        with pytest.raises(WorkflowFailed) as failed:
            await result_of(await app.start(from_activity))
        assert "UnserializableValue" in str(failed.value)
        assert "result of activity 'made'" in str(failed.value)
        with pytest.raises(WorkflowFailed, match=r"PDR1009: result of workflow 'from_workflow'"):
            await result_of(await app.start(from_workflow))

        handle = await app.start(asked)
        with pytest.raises(QueryFailed, match=r"PDR2005: query 'state' .*PDR1009: answer of query 'state'"):
            await handle.query("state")
        with pytest.raises(UnserializableValue, match=r"PDR1009: signal 'stop'"):
            await handle.signal("stop", value)
        with pytest.raises(UnserializableValue, match=r"PDR1009: argument of query 'state'"):
            await handle.query("state", value)
        await handle.signal("stop")
        await result_of(handle)
        assert await result_of(await app.start(relay, 7)) == 7
        await assert_sound(app)


@EACH_STORE
async def test_a_set_is_carried_as_its_annotation_says(kind: str, tmp_path: Path) -> None:
    app = Perdure(url_of(kind, tmp_path))

    @app.workflow
    async def same(value: set[int]) -> set[int]:
        return value

    async with app:
        assert await result_of(await app.start(same, {3, 1, 2})) == {1, 2, 3}


@EACH_STORE
async def test_the_largest_values_are_carried(kind: str, tmp_path: Path) -> None:
    app, _, relay = shop(url_of(kind, tmp_path))
    values: list[Any] = [
        2**64,
        -(2**63) - 1,
        10**4_000,
        1e308,
        5e-324,
        "\x00",
        "\x7f\u2028",
        "",
        [],
        {},
        {"": None},
        [[[]]] * 50,
    ]

    async with app:
        for value in values:
            assert await result_of(await app.start(relay, value)) == value


@EACH_STORE
async def test_details_of_an_error_that_cannot_be_written_do_not_hide_the_error(kind: str, tmp_path: Path) -> None:
    from perdure import ApplicationError

    app = Perdure(url_of(kind, tmp_path))

    @app.activity(retries=0)
    async def fails() -> None:
        raise ApplicationError("no money \ud800", Opaque(), type="NoMoney", retryable=False)

    @app.workflow
    async def failing() -> None:
        await fails()

    @app.workflow
    async def failing_itself() -> None:
        raise ApplicationError("no money", Opaque(), type="NoMoney")

    async with app:
        with pytest.raises(WorkflowFailed, match=r"no money") as failed:
            await result_of(await app.start(failing))
        assert isinstance(failed.value.facts["failure"].type, str)
        with pytest.raises(WorkflowFailed, match=r"PDR1009|no money"):
            await result_of(await app.start(failing_itself))
        await assert_sound(app)


@EACH_STORE
async def test_a_signal_that_does_not_decode_parks_the_run_until_the_code_is_mended(kind: str, tmp_path: Path) -> None:
    url = url_of(kind, tmp_path)

    def made(app: Perdure, accepted: Any) -> Any:
        @app.workflow(name="approval")
        async def approval() -> Any:
            return str(await workflow.channel("approve", accepted).receive())

        return approval

    app = Perdure(url)
    strict = made(app, int)

    async with app:
        handle = await app.start(strict, id="a")
        other = await app.start(strict, id="b")
        await handle.signal("approve", "yes")
        reason = await until_parked(handle)

        assert reason.startswith("PDR3002: signal 'approve' cannot be decoded as <class 'int'>")
        assert reason.endswith("mend the annotation or send a fitting value")
        await other.signal("approve", 1)
        assert await result_of(other) == "1"
        await handle.resume()
        assert (await until_parked(handle)).startswith("PDR3002")
        await assert_sound(app)
        if kind == "memory":
            return
    later = Perdure(url)
    made(later, int | str)
    async with later:
        await later.handle("a").resume()
        assert await result_of(later.handle("a")) == "yes"
        await assert_sound(later)


@EACH_STORE
async def test_a_result_of_another_type_is_told_to_its_reader_only(kind: str, tmp_path: Path) -> None:
    app = Perdure(url_of(kind, tmp_path))

    @app.workflow
    async def lying() -> int:
        value: Any = "text"
        return value

    async with app:
        handle = await app.start(lying, id="a")

        with pytest.raises(UndecodablePayload, match=r"PDR3002: result of workflow 'lying' cannot be decoded as .*int"):
            await result_of(handle)
        assert await result_of(app.handle("a")) == "text"


@EACH_STORE
async def test_an_activity_that_returns_another_type_fails_or_parks_but_is_not_lost(kind: str, tmp_path: Path) -> None:
    app = Perdure(url_of(kind, tmp_path))

    @app.activity
    async def lying() -> int:
        value: Any = "text"
        return value

    @app.workflow
    async def caught() -> str:
        try:
            return str(await lying())
        except ActivityError as error:
            return error.type

    async with app:
        handle = await app.start(caught)
        reason = await until_parked(handle)

        assert reason.startswith("PDR3002: result of activity 'lying' cannot be decoded")
        await handle.terminate()
        await assert_sound(app)
