"""Sync activities: they run in threads of the runner's own."""

import asyncio
import os
import subprocess
import sys
import threading
from contextvars import ContextVar
from textwrap import dedent

import pytest

from perdure import activity
from perdure.activity import ActivityCancelled
from perdure.core.failure import cancelled
from perdure.core.message import Cancelled
from tests.unit.runner_world import defined, in_virtual_time, world

EXIT_S_MAX = 60


@defined
def thread_name() -> str:
    return threading.current_thread().name


@in_virtual_time
async def test_no_thread_is_started_before_one_is_needed() -> None:
    @defined
    async def run() -> None: ...

    before_count = threading.active_count()
    async with world() as its:
        await its.outcome(its.start(run))

        assert threading.active_count() == before_count


@in_virtual_time
async def test_a_thread_is_used_again() -> None:
    async with world() as its:
        names = {await its.result(its.start(thread_name)) for _ in range(10)}

    assert names == {"perdure-activity-0"}


@in_virtual_time
async def test_sync_activities_run_side_by_side_up_to_their_limit() -> None:
    barrier = threading.Barrier(4)

    @defined
    def meet() -> int:
        return barrier.wait()

    async with world({"threads_max": 4}) as its:
        jobs = [its.start(meet) for _ in range(8)]

        assert sorted([await its.result(job) for job in jobs]) == [0, 0, 1, 1, 2, 2, 3, 3]


@pytest.mark.parametrize("kind", [ValueError, KeyboardInterrupt, SystemExit, GeneratorExit, asyncio.CancelledError])
@in_virtual_time
async def test_whatever_is_raised_fails_the_attempt_only(kind: type[BaseException]) -> None:
    @defined
    def fail() -> None:
        raise kind("enough")

    async with world({"threads_max": 1}) as its:
        failure = await its.failure(its.start(fail))

        assert (failure.type, failure.message, failure.retryable) == (kind.__name__, "enough", True)
        assert failure.traceback.count("File ") == 1
        assert await its.result(its.start(thread_name)) == "perdure-activity-0"


@in_virtual_time
async def test_arguments_and_results_that_do_not_fit_are_not_tried_again() -> None:
    @defined
    def take(number: int) -> object:
        return object() if number else None

    async with world() as its:
        failures = [await its.failure(its.start(take, value)) for value in ("no number", 1)]

    assert [failure.message[:7] for failure in failures] == ["PDR3002", "PDR1009"]
    assert [failure.retryable for failure in failures] == [False, False]


@in_virtual_time
async def test_a_cancelled_thread_learns_it_by_its_heartbeat() -> None:
    began, go_on = threading.Event(), threading.Event()
    seen: list[bool] = []

    @defined
    def obey() -> None:
        seen.append(activity.cancelled())
        activity.heartbeat()
        began.set()
        go_on.wait()
        seen.append(activity.cancelled())
        try:
            activity.heartbeat()
        except Exception:  # As users write it: a cancellation must pass through.
            seen.append(False)

    async with world() as its:
        job = its.start(obey)
        began.wait()
        its.runner.cancel(job.key, "not wanted")
        go_on.set()

        assert await its.outcome(job) == Cancelled(cancelled("not wanted"))
        assert seen == [False, True]


@in_virtual_time
async def test_a_cancelled_thread_that_never_asks_ends_with_its_result() -> None:
    began, go_on = threading.Event(), threading.Event()

    @defined
    def insist() -> str:
        began.set()
        go_on.wait()
        return "done"

    async with world() as its:
        job = its.start(insist)
        began.wait()
        its.runner.cancel(job.key, "not wanted")
        go_on.set()

        assert await its.result(job) == "done"


@in_virtual_time
async def test_a_cancellation_is_a_cancelled_error() -> None:
    async with world() as its:

        @defined
        def wait_for_it() -> None:
            while True:
                activity.heartbeat()

        job = its.start(wait_for_it)
        its.runner.cancel(job.key, "not wanted")

        assert isinstance(await its.outcome(job), Cancelled)
        assert issubclass(ActivityCancelled, asyncio.CancelledError)


@in_virtual_time
async def test_each_attempt_in_a_thread_has_a_context_of_its_own() -> None:
    variable: ContextVar[str] = ContextVar("variable", default="untouched")

    @defined
    def look() -> str:
        found = variable.get()
        variable.set("set")
        return found

    variable.set("set by the test")
    async with world({"threads_max": 1}) as its:
        assert [await its.result(its.start(look)) for _ in range(2)] == ["untouched", "untouched"]


@in_virtual_time
async def test_stop_does_not_wait_for_ever_for_a_thread() -> None:
    began, go_on = threading.Event(), threading.Event()

    @defined
    def hang() -> None:
        began.set()
        go_on.wait()

    async with world({"stop_ms_max": 3_000}) as its:
        its.start(hang)
        began.wait()
        began_at_ms = its.clock.now_ms()
        await its.runner.stop()

        assert its.clock.now_ms() - began_at_ms == 3_000
        go_on.set()


@in_virtual_time
async def test_idle_threads_end_with_the_runner() -> None:
    ended = threading.Event()

    @defined
    def remember() -> None:
        threads.append(threading.current_thread())

    threads: list[threading.Thread] = []
    async with world() as its:
        await its.outcome(its.start(remember))
        ended.set()

    threads[0].join()


@in_virtual_time
async def test_an_attempt_for_which_no_thread_can_start_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    async with world() as its:
        monkeypatch.setattr(threading.Thread, "start", refuse)
        failure = await its.failure(its.start(thread_name))

        assert (failure.message, failure.retryable) == ("can't start new thread", True)
        monkeypatch.undo()
        assert await its.result(its.start(thread_name)) == "perdure-activity-0"


def test_a_thread_that_hangs_does_not_keep_the_interpreter() -> None:
    program = """
        import threading
        from tests.unit.runner_world import defined, in_virtual_time, world

        began = threading.Event()

        @defined
        def hang() -> None:
            began.set()
            threading.Event().wait()

        @in_virtual_time
        async def main() -> None:
            async with world({"stop_ms_max": 1}) as its:
                its.start(hang)
                began.wait()

        main()
    """
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    done = subprocess.run(
        [sys.executable, "-c", dedent(program)], timeout=EXIT_S_MAX, capture_output=True, text=True, env=environment
    )

    assert done.returncode == 0, done.stderr
    assert "1 activities did not end" in done.stderr
