"""Activities from a workflow's side: retries, timeouts, heartbeats, threads and processes, poison."""

import asyncio
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from perdure import ActivityError, ActivityTimeout, ApplicationError, Perdure, RetryPolicy, activity, workflow
from tests.e2e.worlds import sqlite_url, until

SOON = RetryPolicy(initial_interval="10ms", maximum_attempts=4)


async def test_a_failing_activity_is_tried_again_until_it_succeeds(url: str) -> None:
    app = Perdure(url)
    attempts: list[int] = []

    @app.activity(retry=SOON)
    async def flaky() -> str:
        attempts.append(activity.info().attempt)
        if len(attempts) < 3:
            raise ConnectionError("down")
        return "up"

    @app.workflow
    async def tries() -> str:
        return await flaky()

    async with app:
        assert await (await app.start(tries)).result() == "up"
    assert attempts == [1, 2, 3]


async def test_an_error_that_says_so_is_not_tried_again(url: str) -> None:
    app = Perdure(url)
    attempts: list[int] = []

    @app.activity(retry=SOON)
    async def refuses() -> None:
        attempts.append(1)
        raise ApplicationError("no such card", {"card": "x"}, type="CardDeclined", retryable=False)

    @app.workflow
    async def pays() -> list[object]:
        try:
            await refuses()
        except ActivityError as error:
            assert isinstance(error.__cause__, ApplicationError)
            return [error.type, error.__cause__.message, error.__cause__.details[0]]
        return []

    async with app:
        assert await (await app.start(pays)).result() == ["CardDeclined", "no such card", {"card": "x"}]
    assert attempts == [1]


async def test_each_timeout_is_told_by_its_kind(url: str) -> None:
    app = Perdure(url)

    @app.activity(retries=0)
    async def hangs() -> None:
        await asyncio.Event().wait()

    @app.activity(retry=RetryPolicy(initial_interval="10ms"), schedule_to_close="100ms")
    async def fails() -> None:
        raise ConnectionError("always")

    @app.workflow
    async def waits() -> list[str]:
        found: list[str] = []
        for call in (hangs.options(timeout="50ms")(), hangs.options(heartbeat="50ms")(), fails()):
            try:
                await call
            except ActivityTimeout as error:
                found.append(error.kind.value)
            except ActivityError as error:
                found.append(error.type)
        return found

    async with app:
        assert await (await app.start(waits)).result() == ["start_to_close", "heartbeat", "ConnectionError"]


async def test_an_attempt_in_a_queue_that_nobody_serves_ends_in_time(url: str) -> None:
    app = Perdure(url)

    @app.activity(queue="elsewhere", schedule_to_start="50ms")
    async def rare() -> None: ...

    @app.workflow
    async def asks() -> str:
        try:
            await rare()
        except ActivityTimeout as error:
            return error.kind.value
        return "ran"

    async with app:
        assert await (await app.start(asks)).result() == "schedule_to_start"


async def test_an_attempt_whose_activity_nobody_knows_ends_in_time(url: str) -> None:
    app = Perdure(url)

    @app.workflow
    async def asks() -> str:
        try:
            await workflow.execute_activity("rare", queue="elsewhere", schedule_to_close="50ms")
        except ActivityTimeout as error:
            return error.kind.value
        return "ran"

    async with app:
        assert await (await app.start(asks)).result() == "schedule_to_close"


async def until_pending(handle: object, name: str) -> None:
    """Return when the run waits for this activity."""
    from perdure import Handle

    assert isinstance(handle, Handle)
    while name not in [each.name for each in (await handle.describe()).activities]:
        await asyncio.sleep(0.005)


async def test_the_next_attempt_reads_the_last_heartbeat(url: str) -> None:
    app = Perdure(url)

    @app.activity(retry=SOON, heartbeat="10s")
    async def uploads() -> list[int]:
        start = activity.heartbeat_details(int) or 0
        activity.heartbeat(start + 10)
        if start < 20:
            raise ConnectionError("cut")
        return [start, activity.info().attempt]

    @app.workflow
    async def transfer() -> list[int]:
        return await uploads()

    async with app:
        assert await (await app.start(transfer)).result() == [20, 3]


async def test_a_sync_activity_runs_in_a_thread_and_a_cpu_bound_one_in_a_process(url: str) -> None:
    from tests.e2e.process_work import process_id

    app = Perdure(url)

    @app.activity
    def thread_name() -> str:
        return threading.current_thread().name

    in_process = app.activity(process=True)(process_id)

    @app.workflow
    async def where() -> tuple[str, int]:
        return await thread_name(), await in_process()

    async with app:
        name, process = await (await app.start(where)).result()
    assert name.startswith("perdure-activity")
    assert process != os.getpid()


async def test_a_sync_activity_learns_of_its_cancellation_at_a_heartbeat(url: str) -> None:
    app = Perdure(url)
    begun, stopped = threading.Event(), threading.Event()

    @app.activity(heartbeat="10s")
    def spins() -> None:
        begun.set()
        try:
            while True:
                activity.heartbeat()
                time.sleep(0.002)
        finally:
            stopped.set()

    @app.workflow
    async def impatient() -> str:
        task = asyncio.create_task(spins())
        await asyncio.sleep(0.05)
        task.cancel()
        return "left"

    async with app:
        assert await (await app.start(impatient)).result() == "left"
        await until(stopped.is_set)
    assert begun.is_set()


def test_an_activity_that_kills_its_process_is_quarantined(tmp_path: Path) -> None:
    command = [sys.executable, str(Path(__file__).with_name("poison.py")), sqlite_url(tmp_path)]

    runs = [subprocess.run(command, capture_output=True, text=True, timeout=60, check=False) for _ in range(4)]

    assert [each.returncode for each in runs] == [9, 9, 9, 0], runs[-1].stderr
    assert "quarantined: 3 workers died" in runs[-1].stdout
    assert "innocent 1" in runs[-1].stdout


@pytest.mark.parametrize("count", [1_000])
async def test_a_thousand_activities_run_in_parallel_and_all_answer(url: str, count: int) -> None:
    app = Perdure(url, activities_max=100)

    @app.activity
    async def square(number: int) -> int:
        return number * number

    @app.workflow
    async def fans_out(count: int) -> int:
        return sum(await asyncio.gather(*(square(number) for number in range(count))))

    async with app:
        assert await (await app.start(fans_out, count)).result() == sum(n * n for n in range(count))
