"""CPU-bound activities: they run in processes of their own."""

import functools
import os
import subprocess
import sys
import types
from pathlib import Path
from typing import Any

import pytest

from perdure.core.errors import UnsupportedDefinition
from perdure.core.failure import cancelled
from perdure.core.message import Cancelled
from perdure.core.payload import to_payloads
from perdure.core.policy import ActivityOptions, TimeoutKind
from perdure.programs.code.definition import Activity
from perdure.worker.processes import check_importable, in_child
from tests.unit import process_activities as sample
from tests.unit.runner_world import details_of, in_virtual_time, world

EXIT_S_MAX = 60


@in_virtual_time
async def test_a_process_runs_one_attempt_after_the_other() -> None:
    async with world({"processes_max": 1}) as its:
        assert await its.result(its.start(sample.area, {"x": 1, "y": 1}, {"x": 4, "y": 3})) == 6
        first, second = [await its.result(its.start(sample.process_id)) for _ in range(2)]

    assert first == second != os.getpid()
    assert not in_child()


@in_virtual_time
async def test_an_activity_knows_itself_in_its_process() -> None:
    async with world() as its:
        job = its.start(sample.facts, attempt=3, heartbeat=to_payloads([41]))

        assert await its.result(job) == ["order-1", "run-1", 1, "facts", 3, 41]


@in_virtual_time
async def test_failures_cross_the_border_and_the_process_lives_on() -> None:
    async with world({"processes_max": 1}) as its:
        before = await its.result(its.start(sample.process_id))
        raised = await its.failure(its.start(sample.fail))
        left = await its.failure(its.start(sample.leave))
        misfit = await its.failure(its.start(sample.area, "no point", "no point"))

        assert (raised.type, raised.message, raised.retryable) == ("ValueError", "no such card", True)
        assert "in fail" in raised.traceback
        assert (left.type, left.message) == ("SystemExit", "3")
        assert misfit.message.startswith("PDR3002")
        assert not misfit.retryable
        assert await its.result(its.start(sample.process_id)) == before


@pytest.mark.parametrize(("how", "end"), [("signal", "SIGKILL"), ("exit", "exit code 7")])
@in_virtual_time
async def test_a_process_that_dies_fails_its_own_attempt_only(how: str, end: str) -> None:
    async with world({"processes_max": 2}) as its:
        its.loop.frozen = True
        other = its.start(sample.tell_and_hang, options=ActivityOptions(heartbeat_ms=60_000))
        await its.until(lambda: its.beats_due_count > 0)
        failure = await its.failure(its.start(sample.die, how))

        assert (failure.type, failure.retryable) == ("WorkerDied", True)
        assert failure.message == f"the process of activity 'die' died: {end}"
        assert its.runner.holds(other.key)
        assert await its.result(its.start(sample.plain_activity, 21)) == 42


@in_virtual_time
async def test_a_process_that_died_while_it_was_idle_is_replaced_without_a_failure() -> None:
    async with world({"processes_max": 1}) as its:
        first = await its.result(its.start(sample.process_id))
        os.kill(first, 9)
        second = await its.result(its.start(sample.process_id))

    assert second != first


@in_virtual_time
async def test_a_deadline_kills_the_process() -> None:
    async with world({"processes_max": 1}) as its:
        its.loop.frozen = True
        options = ActivityOptions(start_to_close_ms=5_000, heartbeat_ms=60_000)
        job = its.start(sample.tell_and_hang, options=options)
        await its.until(lambda: its.beats_due_count > 0)
        (process_id,) = details_of(job.heartbeat)
        its.loop.frozen = False
        failure = await its.failure(job)
        its.loop.frozen = True
        await its.result(its.start(sample.process_id))

        assert failure.timeout == TimeoutKind.START_TO_CLOSE
        assert details_of(failure.details) == [process_id]
        with pytest.raises(ProcessLookupError):
            os.kill(process_id, 0)


@in_virtual_time
async def test_a_cancelled_process_learns_it_by_its_heartbeat() -> None:
    async with world({"processes_max": 1}) as its:
        its.loop.frozen = True
        job = its.start(sample.beat_until_cancelled, options=ActivityOptions(heartbeat_ms=60_000))
        await its.until(lambda: its.beats_due_count > 0)
        its.runner.cancel(job.key, "not wanted")

        assert await its.outcome(job) == Cancelled(cancelled("not wanted"))
        assert isinstance(await its.result(its.start(sample.process_id)), int)


@in_virtual_time
async def test_an_attempt_that_is_cancelled_while_its_process_starts_ends_as_cancelled() -> None:
    async with world({"processes_max": 1}) as its:
        its.loop.frozen = True
        job = its.start(sample.beat_until_cancelled)
        its.runner.cancel(job.key, "not wanted")

        assert await its.outcome(job) == Cancelled(cancelled("not wanted"))


@in_virtual_time
async def test_a_function_that_the_process_cannot_find_fails_the_attempt_for_good() -> None:
    async with world() as its:
        failure = await its.failure(its.start(Activity(sample.local(), name="inner", process=True)))

    assert (failure.type, failure.retryable) == ("AttributeError", False)
    assert "cannot be imported in the process" in failure.message


@pytest.mark.parametrize(
    ("fn", "fact"),
    [
        (sample.local(), "defined inside a function"),
        (sample.Tools().use, "no plain function"),
        (functools.partial(sample.plain_function, 1), "no plain function"),
    ],
)
def test_what_another_process_cannot_import_is_refused(fn: Any, fact: str) -> None:
    with pytest.raises(UnsupportedDefinition, match=fact):
        check_importable(Activity(fn, name="refused", process=True))


def test_what_another_process_can_import_is_accepted() -> None:
    check_importable(sample.area)
    check_importable(sample.plain_activity)


def test_a_function_that_was_typed_in_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def typed() -> None: ...

    typed.__qualname__, typed.__module__ = "typed", "__main__"
    monkeypatch.setitem(sys.modules, "__main__", types.ModuleType("__main__"))

    with pytest.raises(UnsupportedDefinition, match="typed in"):
        check_importable(Activity(typed, process=True))


def run_program(text: str, folder: Path) -> "subprocess.CompletedProcess[str]":
    """Run a program in a file to its good end."""
    program = folder / "program.py"
    program.write_text(text)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    done = subprocess.run(
        [sys.executable, str(program)], timeout=EXIT_S_MAX, capture_output=True, text=True, env=environment
    )
    assert done.returncode == 0, done.stderr
    return done


PROGRAM = """
import asyncio
import os

from perdure.programs.code.definition import Activity
from perdure.worker.processes import in_child
from tests.unit.runner_world import VirtualLoop, world


def where() -> list[bool]:
    return [in_child(), __name__ == "__main__"]


where_activity = Activity(where, process=True)


async def main() -> None:
    made = world()
    its = await made.__aenter__()
    its.loop.frozen = True
    print(await its.result(its.start(where_activity)))
    print(os.getpid())


if __name__ == "__main__":
    asyncio.Runner(loop_factory=VirtualLoop).run(main())
"""


UNGUARDED = """
import sys

from perdure.worker.processes import in_child

if in_child():
    sys.exit(5)

from tests.unit import process_activities as sample
from tests.unit.runner_world import in_virtual_time, world


@in_virtual_time
async def main() -> None:
    async with world() as its:
        its.loop.frozen = True
        print((await its.failure(its.start(sample.process_id))).message)


main()
"""


def test_a_process_that_cannot_start_fails_its_attempt_with_the_likely_remedy(tmp_path: Path) -> None:
    done = run_program(UNGUARDED, tmp_path)

    assert done.stdout.startswith("the process of activity 'process_id' died while it started: exit code 5;")
    assert 'put what the main module does under `if __name__ == "__main__":`' in done.stdout


def test_a_program_that_never_stops_its_runner_exits_with_its_processes(tmp_path: Path) -> None:
    done = run_program(PROGRAM, tmp_path)

    assert done.stdout.splitlines()[0] == "[True, False]"
