"""Guards: refused inside a workflow step and only there; clocks and random numbers are answered from the run."""

import asyncio
import datetime as dates
import logging
import os
import pickle
import random
import secrets
import socket
import subprocess
import sys
import tempfile
import threading
import time
import uuid
import warnings
from collections.abc import Callable
from datetime import date, datetime
from importlib import import_module
from pathlib import Path
from random import randint as bound_randint
from time import time as bound_time
from types import SimpleNamespace
from typing import Any
from uuid import uuid4 as bound_uuid4

import pytest

from perdure import workflow
from perdure.core.errors import ForbiddenInWorkflow
from perdure.programs.code.definition import Activity
from tests.unit.code_driver import START_MS, Driver, program_of, result_of


async def _run(code: Callable[[], Any]) -> Any:
    return code()


def in_step(code: Callable[[], Any]) -> Any:
    """What `code` returns when a workflow calls it."""

    async def flow() -> Any:
        box.append(code())

    box: list[Any] = []
    driver = Driver(flow)
    command = driver.run.step(START_MS, [driver.started])[-1]
    assert box, command
    return box[0]


def refusal(code: Callable[[], Any]) -> str:
    """The message with which a workflow is refused what `code` does."""

    def tried() -> str:
        with pytest.raises(ForbiddenInWorkflow) as caught:
            code()
        return str(caught.value)

    message: str = in_step(tried)
    return message


@pytest.mark.parametrize(
    ("code", "named"),
    [
        (lambda: Path("/etc/hosts").read_text(), "open("),
        (lambda: open("/tmp/x", "w"), "open('/tmp/x')"),  # noqa: PTH123, SIM115
        (lambda: os.listdir("."), "os.listdir"),  # noqa: PTH208
        (lambda: os.mkdir("/tmp/y"), "os.mkdir"),  # noqa: PTH102
        (lambda: os.putenv("A", "b"), "os.putenv"),
        (lambda: tempfile.mkstemp(), "tempfile.mkstemp"),
        (lambda: socket.socket(), "socket"),
        (lambda: socket.getaddrinfo("localhost", 80), "socket.getaddrinfo"),
        (lambda: socket.gethostname(), "socket.gethostname"),
        (lambda: subprocess.run(["true"], check=True), "subprocess.Popen"),
        (lambda: os.kill(os.getpid(), 0), "os.kill"),
        (lambda: threading.Thread(target=print).start(), "thread"),
        (lambda: time.sleep(0), "time.sleep()"),
        (lambda: input(), "input"),
        (lambda: os.urandom(4), "os.urandom()"),
        (lambda: secrets.token_hex(), "secret"),
        (lambda: random.SystemRandom().random(), "secret"),
        (lambda: uuid.uuid1(), "uuid.uuid1()"),
        (lambda: random.seed(), "random.seed()"),
    ],
)
def test_what_reaches_outside_is_refused_with_its_line(code: Callable[[], Any], named: str) -> None:
    message = refusal(code)

    assert named in message
    assert " at test_guards.py:" in message
    assert "activity" in message or "workflow." in message or "await" in message or "seed" in message


def test_outside_a_step_nothing_changes(tmp_path: Path) -> None:
    Driver(_run)
    (tmp_path / "x").write_text("y")
    time.sleep(0)
    thread = threading.Thread(target=list)
    thread.start()
    thread.join()

    assert abs(time.time() - datetime.now(dates.UTC).timestamp()) < 5
    assert time.monotonic() <= time.monotonic()
    assert len(os.urandom(4)) == 4
    assert secrets.token_hex(4)
    assert isinstance(uuid.uuid4(), uuid.UUID)
    assert uuid.uuid4() != uuid.uuid4()
    assert 1 <= random.randint(1, 6) <= 6


def test_a_replaced_function_is_still_a_plain_callable() -> None:
    Driver(_run)

    class Clock:
        now = time.time
        draw = random.random

    clock: Any = Clock()
    assert abs(clock.now() - bound_time()) < 5
    assert 0 <= clock.draw() < 1
    for function in (time.time, time.monotonic, random.random, random.choice, uuid.uuid4, os.urandom):
        assert pickle.loads(pickle.dumps(function)) is function
        assert callable(function)
        assert function.__name__
    state = random.getstate()
    random.setstate(state)
    copy = pickle.loads(pickle.dumps(random.Random(3)))
    assert copy.random() == random.Random(3).random()


def test_clocks_in_a_step_give_the_turns_moment() -> None:
    assert in_step(time.time) == START_MS / 1_000
    assert in_step(lambda: time.monotonic() == time.perf_counter() == START_MS / 1_000)
    assert in_step(lambda: time.time_ns()) == START_MS * 1_000_000
    assert in_step(lambda: time.gmtime()[:6]) == time.gmtime(START_MS / 1_000)[:6]
    assert in_step(lambda: time.gmtime(0)[:1]) == (1970,)


def test_random_numbers_in_a_step_are_the_runs_own() -> None:
    def draw() -> list[Any]:
        values = [1, 2, 3, 4, 5]
        random.shuffle(values)
        return [random.random(), random.randint(1, 10**9), random.choice("abc"), str(uuid.uuid4()), values]

    assert in_step(draw) == in_step(draw)


def test_random_numbers_in_a_step_leave_the_processes_alone() -> None:
    random.seed(7)
    before = random.getstate()

    in_step(lambda: [random.random(), random.seed(5), random.random()])

    assert random.getstate() == before


def test_other_threads_are_not_guarded(tmp_path: Path) -> None:
    go, went = threading.Event(), threading.Event()
    seen: list[str] = []

    def work() -> None:
        go.wait(5)
        (tmp_path / "x").write_text("fine")
        seen.append((tmp_path / "x").read_text())
        went.set()

    thread = threading.Thread(target=work)
    thread.start()
    in_step(lambda: [go.set(), went.wait(5)])
    thread.join()

    assert seen == ["fine"]


def test_importing_inside_a_step_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = (
        "import random, time\nvalue = random.random()\nmoment = time.time()\nwith open(__file__) as here: here.read()\n"
    )
    (tmp_path / "lately_imported.py").write_text(source)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])

    def load() -> list[Any]:
        return [import_module("lately_imported").value, random.random()]

    first = in_step(load)

    assert in_step(load)[1] == first[1]
    assert "lately_imported" in sys.modules
    del sys.modules["lately_imported"]


def test_logging_and_warnings_work_inside_a_step(tmp_path: Path) -> None:
    handler = logging.FileHandler(tmp_path / "log.txt", delay=True)
    log = logging.getLogger("test.guards")
    log.addHandler(handler)

    def speak() -> str:
        try:
            raise ValueError("x")
        except ValueError:
            log.exception("from a step")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.warn("fine", stacklevel=1)
        return "done"

    try:
        assert in_step(speak) == "done"
    finally:
        log.removeHandler(handler)
        handler.close()
    assert "ValueError" in (tmp_path / "log.txt").read_text()


def test_a_breakpoint_works_in_workflow_code(tmp_path: Path) -> None:
    script = tmp_path / "debugged.py"
    script.write_text(
        "from perdure.programs.code.definition import Workflow\n"
        "from perdure.programs.code.program import CodeProgram\n"
        "from perdure.core.message import Started\n"
        "async def flow() -> int:\n"
        "    secret = 41\n"
        "    breakpoint()\n"
        "    return secret + 1\n"
        "program = CodeProgram(Workflow(flow), {}.get)\n"
        "print(program.open('r').step(1_700_000_000_000, [Started('flow', 'w', 'q', ())]))\n"
    )
    done = subprocess.run(
        [sys.executable, str(script)],
        input="p secret\nlist\nwhere\ncontinue\n",
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )

    assert "(Pdb) 41" in done.stdout, done.stdout + done.stderr
    assert "CompleteRun" in done.stdout, done.stdout + done.stderr


def test_guards_hold_in_a_query_and_while_closing(tmp_path: Path) -> None:
    path = tmp_path / "never"

    async def flow() -> None:
        @workflow.query
        def write() -> None:
            path.write_text("query")

        try:
            await asyncio.sleep(60)
        finally:
            path.write_text("closing")

    driver = Driver(flow)
    driver.start()

    with pytest.raises(Exception, match="PDR1014"):
        driver.query("write")
    driver.run.close()

    assert not path.exists()


# What is found at registration

datetime_class = datetime
shared = SimpleNamespace()


def registered(fn: Callable[..., Any]) -> None:
    """Register a workflow."""
    program_of(fn)


def clock_helper() -> datetime:
    return datetime.utcnow()  # noqa: DTZ003 # pyright: ignore[reportDeprecated] # what is looked for


def innocent_helper(moment: datetime) -> bool:
    return moment.replace(tzinfo=None) < datetime.max  # noqa: DTZ901


async def reads_now() -> Any:
    return datetime.now(dates.UTC)


async def reads_now_through_the_module() -> Any:
    return dates.datetime.now(dates.UTC)


async def reads_today() -> Any:
    return date.today()  # noqa: DTZ011 # what is looked for


async def reads_through_an_alias() -> Any:
    return datetime_class.now(dates.UTC)


async def reads_in_a_helper() -> Any:
    return clock_helper()


async def reads_in_a_nested_function() -> Any:
    def inner() -> Any:
        return [datetime.now(dates.UTC) for _ in range(3)]

    return inner()


async def reads_by_a_local_import() -> Any:
    from datetime import datetime as local

    return local.now(dates.UTC)


async def hands_the_clock_on() -> Any:
    return list(map(datetime.fromtimestamp, [1])), datetime.now


async def bound_clock() -> Any:
    return bound_time()


async def bound_random() -> Any:
    return bound_randint(1, 2)


async def bound_uuid() -> Any:
    return bound_uuid4()


@pytest.mark.parametrize(
    "fn",
    [
        reads_now,
        reads_now_through_the_module,
        reads_today,
        reads_through_an_alias,
        reads_in_a_helper,
        reads_in_a_nested_function,
        reads_by_a_local_import,
        hands_the_clock_on,
        bound_clock,
        bound_random,
        bound_uuid,
    ],
)
def test_a_clock_that_cannot_be_intercepted_is_found_at_registration(fn: Callable[..., Any]) -> None:
    with pytest.raises(ForbiddenInWorkflow) as caught:
        registered(fn)

    assert " at test_guards.py:" in str(caught.value)
    assert "workflow.now()" in str(caught.value) or "`import " in str(caught.value)


def test_the_line_of_a_clock_is_named() -> None:
    with pytest.raises(ForbiddenInWorkflow) as caught:
        registered(reads_in_a_helper)

    line = clock_helper.__code__.co_firstlineno + 1
    assert f"datetime.utcnow() is not allowed in workflow code at test_guards.py:{line}" in str(caught.value)


def test_a_clock_in_a_closure_is_found() -> None:
    kind = datetime

    async def flow() -> Any:
        return kind.now(dates.UTC)

    with pytest.raises(ForbiddenInWorkflow):
        registered(flow)


async def stamp_activity() -> str:
    return str(datetime.now(dates.UTC)) + str(bound_uuid4())


stamp: Activity[[], str] = Activity(stamp_activity, name="stamp")


class Frozen(datetime):
    @classmethod
    def now(cls, tz: Any = None) -> Any:
        return datetime(2020, 1, 1, tzinfo=tz)


async def calls_an_activity() -> Any:
    return await stamp()


async def computes_with_dates() -> Any:
    now = workflow.now()
    return datetime.fromisoformat("2020-01-01") < now.replace(tzinfo=None), innocent_helper(now), date.max


async def records_a_clock() -> Any:
    def drawn() -> str:
        return str(datetime.now(dates.UTC))

    return [
        workflow.side_effect(lambda: datetime.now(dates.UTC).isoformat()),
        workflow.side_effect(drawn),
        workflow.side_effect(stamp_now),
    ]


def stamp_now() -> str:
    return datetime.now(dates.UTC).isoformat()


async def has_an_own_now() -> Any:
    return Frozen.now(dates.UTC), shared.now


async def reads_modules() -> Any:
    return time.time(), random.random(), uuid.uuid4()


@pytest.mark.parametrize("fn", [calls_an_activity, computes_with_dates, records_a_clock, has_an_own_now, reads_modules])
def test_harmless_code_raises_no_alarm(fn: Callable[..., Any]) -> None:
    registered(fn)


def test_a_recorded_clock_is_the_real_one() -> None:
    result = result_of(Driver(records_a_clock).start())

    assert all(each[:4] >= "2020" for each in result)
