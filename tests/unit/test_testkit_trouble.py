"""Trouble on order: store calls that fail, workers that die, and what a test may demand of both."""

import subprocess
import sys
from pathlib import Path

import pytest

from perdure import WorkflowFailed
from perdure.core.errors import InvalidOption, StoreUnavailable
from perdure.testing import FaultKind, Standstill, TestEnvironment, for_each_store_call
from tests.unit.kit_shop import APPROVE, app, approval, counts, month, three_charges


@pytest.mark.parametrize("how", ["refused", "unknown", "late", "crash before", "crash after"])
async def test_a_run_survives_each_fault_of_each_commit(how: FaultKind) -> None:
    for number in (1, 2, 3):
        async with TestEnvironment(app) as env:
            handle = await app.start(three_charges)
            fault = env.fail_store_call(number, how=how, verbs=("commit",))

            assert await handle.result() == ["a/100", "b/100", "c/100"]
            assert fault.struck == "commit"


async def test_a_scenario_is_run_once_for_each_call_and_way() -> None:
    results: list[str] = []

    async def scenario(env: TestEnvironment) -> None:
        handle = await app.start(month, "tok")
        results.append(await handle.result())

    runs_count = await for_each_store_call(app, scenario, how=("unknown", "crash before"), verbs=("finish", "claim"))

    assert len(results) == runs_count > 4
    assert set(results) == {"tok/100, packed tok"}


async def test_the_note_tells_which_call_failed_the_scenario() -> None:
    counts.clear()

    async def scenario(env: TestEnvironment) -> None:
        counts.clear()
        handle = await app.start(three_charges)
        await handle.result()
        assert counts["charge"] == 3

    with pytest.raises(AssertionError) as caught:
        await for_each_store_call(app, scenario, how=("crash before",), verbs=("commit",))

    assert caught.value.__notes__[-1] == "with the worker's store call 1 (commit): crash before"


async def test_a_verb_of_the_test_is_not_failed() -> None:
    async with TestEnvironment(app) as env:
        env.fail_store_call(None, verbs=("deliver", "find_run", "read_runs"))
        handle = await app.start(approval)
        await handle.signal(APPROVE, "Ada")

        assert (await handle.describe()).run.workflow_type == "approval"
        assert "deliver" not in env.store_calls


async def test_a_verb_of_the_test_is_failed_where_that_is_asked_for() -> None:
    async with TestEnvironment(app) as env:
        env.fail_store_call(1, verbs=("commit",), clients=True)

        with pytest.raises(StoreUnavailable):
            await app.start(month, "tok")


async def test_after_a_crash_another_worker_goes_on() -> None:
    counts.clear()
    async with TestEnvironment(app) as env:
        handle = await app.start(month, "tok")
        env.at("1d", env.crash)
        env.at("2d", env.crash)

        assert await handle.result() == "tok/100, packed tok"
        assert counts["charge"] == 1


async def test_without_a_worker_nothing_goes_on_and_the_test_is_told() -> None:
    async with TestEnvironment(app) as env:
        handle = await app.start(month, "tok")
        await env.crash(restart=False)

        with pytest.raises(Standstill, match="no worker runs since the crash"):
            await handle.result()
        await env.start_worker()
        assert await handle.result() == "tok/100, packed tok"


async def test_a_verb_that_waits_through_a_crash_gets_its_answer() -> None:
    async with TestEnvironment(app) as env:
        handle = await app.start(approval)
        env.at("1h", env.crash)
        env.at("2h", lambda: handle.signal(APPROVE, "Ada"))
        env.at("3h", lambda: handle.cancel("enough"))

        with pytest.raises(WorkflowFailed, match="enough"):
            await handle.result()


async def test_an_unknown_fault_is_refused() -> None:
    async with TestEnvironment(app) as env:
        with pytest.raises(InvalidOption, match="refused, unknown, late"):
            env.fail_store_call(1, how="sideways")  # pyright: ignore[reportArgumentType]
        with pytest.raises(InvalidOption, match="counts from 1"):
            env.fail_store_call(0)
    with pytest.raises(InvalidOption, match="known are store"):
        TestEnvironment(app, wrong=1)  # pyright: ignore[reportCallIssue]


async def test_faults_work_over_a_file_as_well(tmp_path: Path) -> None:
    async with TestEnvironment(app, store=f"sqlite:///{tmp_path}/shop.db") as env:
        handle = await app.start(three_charges)
        env.fail_store_call(1, how="unknown", verbs=("commit",))
        env.fail_store_call(2, how="crash before", verbs=("commit",))

        assert await handle.result() == ["a/100", "b/100", "c/100"]


def test_the_kit_imports_neither_the_simulator_nor_pytest() -> None:
    code = (
        "import sys, perdure.testing; "
        "print([name for name in sys.modules if name in ('pytest', 'perdure.testing.simulator', "
        "'perdure.testing.world', 'perdure.testing.conformance')])"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"
