"""Payloads and turns at their limits and beyond: refused with both numbers, parked, or taken in parts; none is lost."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from perdure import Perdure, WorkflowFailed, workflow
from perdure.core.errors import PayloadTooLarge
from perdure.core.payload import PAYLOAD_BYTES_MAX
from tests.e2e.bad_input import EACH_STORE, assert_sound, result_of, until_parked, url_of


@EACH_STORE
async def test_payloads_are_carried_up_to_the_limit_and_refused_beyond(kind: str, tmp_path: Path) -> None:
    app = Perdure(url_of(kind, tmp_path))

    @app.workflow(name="relay")
    async def relay(value: Any) -> Any:
        return value

    @app.activity
    async def grow(count: int) -> str:
        return "x" * count

    @app.workflow
    async def growing(count: int) -> int:
        return len(await grow(count))

    @app.workflow
    async def result(count: int) -> str:
        return "x" * count

    fits = PAYLOAD_BYTES_MAX - 2

    async with app:
        for count in (fits - 1, fits):
            assert len(await result_of(await app.start(relay, "x" * count))) == count
            assert await result_of(await app.start(growing, count)) == count
            assert len(await result_of(await app.start(result, count))) == count
        too_large = (
            rf"{PAYLOAD_BYTES_MAX + 1} bytes, more than the {PAYLOAD_BYTES_MAX} allowed; store it elsewhere and pass"
        )
        with pytest.raises(PayloadTooLarge, match=rf"PDR1010: argument of workflow 'relay' has {too_large}"):
            await app.start(relay, "x" * (fits + 1))
        with pytest.raises(WorkflowFailed, match=rf"PDR1010: result of activity 'grow' has {too_large}"):
            await result_of(await app.start(growing, fits + 1))
        with pytest.raises(WorkflowFailed, match=rf"PDR1010: result of workflow 'result' has {too_large}"):
            await result_of(await app.start(result, fits + 1))
        await assert_sound(app)


@EACH_STORE
async def test_a_turn_that_asks_for_too_much_is_parked_and_can_be_mended(kind: str, tmp_path: Path) -> None:
    app = Perdure(url_of(kind, tmp_path))
    counts = [20]

    @app.activity
    async def length(value: str) -> int:
        return len(value)

    @app.workflow
    async def fan_out() -> int:
        large = "x" * (PAYLOAD_BYTES_MAX - 2)
        return sum(await asyncio.gather(*[length(large) for _ in range(counts[0])]))

    @app.workflow
    async def small() -> int:
        return await length("abc")

    async with app:
        handle = await app.start(fan_out)
        reason = await until_parked(handle)

        assert reason.startswith("PDR1011: one turn of run ")
        assert reason.endswith("allowed; start fewer or smaller activities at once")
        assert await result_of(await app.start(small)) == 3
        counts[0] = 2
        await handle.resume()
        assert await result_of(handle) == 2 * (PAYLOAD_BYTES_MAX - 2)
        await assert_sound(app)


@EACH_STORE
async def test_many_large_results_at_once_do_not_stop_a_run(kind: str, tmp_path: Path) -> None:
    app = Perdure(url_of(kind, tmp_path))
    gate = asyncio.Event()

    @app.activity
    async def grow() -> str:
        await gate.wait()
        return "x" * (PAYLOAD_BYTES_MAX - 2)

    @app.workflow
    async def fan_in() -> int:
        return sum(len(each) for each in await asyncio.gather(*[grow() for _ in range(20)]))

    async with app:
        handle = await app.start(fan_in)
        assert (await handle.describe()).run.turns_count == 1
        gate.set()

        assert await result_of(handle) == 20 * (PAYLOAD_BYTES_MAX - 2)
        await assert_sound(app)


@EACH_STORE
async def test_many_large_signals_from_before_the_first_turn_do_not_stop_a_run(kind: str, tmp_path: Path) -> None:
    app = Perdure(url_of(kind, tmp_path))

    @app.workflow
    async def gather() -> int:
        values = workflow.channel("value", str)
        return sum([len(await values.receive()) for _ in range(20)])

    async with app.client():
        handle = await app.start(gather, id="a")
        for _ in range(20):
            await handle.signal("value", "x" * (PAYLOAD_BYTES_MAX - 2))
    async with app:
        assert await result_of(app.handle("a")) == 20 * (PAYLOAD_BYTES_MAX - 2)
        await assert_sound(app)
