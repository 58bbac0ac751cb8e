"""Worker ids: a process that is certainly gone is told from one that lives and from one of another place."""

import os
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from perdure.core.ids import WorkerId
from perdure.worker import identity
from perdure.worker.identity import is_gone, new_worker_id

SOURCE = Path(identity.__file__).parents[2]


@contextmanager
def child() -> Generator[tuple[subprocess.Popen[str], WorkerId]]:
    """A process that tells its worker id and waits."""
    code = "import sys; from perdure.worker.identity import new_worker_id; "
    code += "print(new_worker_id('u'), flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(SOURCE)},
    ) as process:
        assert process.stdout is not None
        try:
            yield process, WorkerId(process.stdout.readline().strip())
        finally:
            process.kill()


def test_this_process_is_not_gone() -> None:
    assert not is_gone(new_worker_id("u"))


def test_ids_of_one_process_differ_by_what_is_unique() -> None:
    assert new_worker_id("a") != new_worker_id("b")
    assert new_worker_id("a").endswith("|a")


def test_a_process_is_gone_when_it_has_ended() -> None:
    with child() as (process, worker):
        assert worker.split("|")[1] == str(process.pid)
        assert not is_gone(worker)

        process.kill()
        process.wait()

        assert is_gone(worker)


def test_a_process_that_took_the_number_of_another_is_not_that_one() -> None:
    place, pid, start, unique = new_worker_id("u").split("|")

    assert start, "this machine tells when a process started"
    assert is_gone(WorkerId("|".join([place, pid, str(int(start) - 1), unique])))


@pytest.mark.parametrize(
    "elsewhere",
    ["0a8f1c3e-0000-4000-8000-000000000000/pid:[4026531836]", "host-2/", ""],
    ids=["another boot", "another machine", "nowhere"],
)
def test_a_process_of_another_place_is_never_judged(elsewhere: str) -> None:
    with child() as (process, worker):
        process.kill()
        process.wait()
        _, pid, start, unique = worker.split("|")

        assert not is_gone(WorkerId("|".join([elsewhere, pid, start, unique])))


def test_a_process_of_another_namespace_is_never_judged() -> None:
    place, _, _, _ = new_worker_id("u").split("|")
    boot = place.partition("/")[0]

    assert not is_gone(WorkerId(f"{boot}/pid:[1]|999999999|1|u"))


@pytest.mark.parametrize("worker", ["", "w", "a|b", "a|b|c|d|e"])
def test_an_id_of_another_making_is_never_judged(worker: str) -> None:
    assert not is_gone(WorkerId(worker))


@pytest.mark.parametrize("pid", ["", "-1", "x", "1.5"])
def test_a_number_that_is_none_is_never_judged(pid: str) -> None:
    place = new_worker_id("u").split("|")[0]

    assert not is_gone(WorkerId(f"{place}|{pid}|1|u"))


def test_a_process_of_somebody_else_is_not_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(pid: int, number: int) -> None:
        raise PermissionError(pid, number)

    monkeypatch.setattr(os, "kill", refuse)

    assert not is_gone(new_worker_id("u"))


def test_where_the_kernel_tells_nothing_the_host_is_the_place(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise FileNotFoundError

    monkeypatch.setattr(identity.Path, "read_text", refuse)

    worker = new_worker_id("u")

    assert worker == f"{identity.socket.gethostname()}/|{os.getpid()}||u"
    assert not is_gone(worker)
