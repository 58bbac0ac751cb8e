"""The blocking facade: the same verbs, for code without a loop, from any thread."""

import threading

import pytest

from perdure import AlreadyRunning, Perdure, Signal, WorkflowTerminated, workflow
from perdure.core.errors import BlockingCallInLoop, EngineStopped, UnknownWorkflow

GO = Signal("go", str)


def shop(url: str) -> Perdure:
    """An app with a workflow that waits for a word and answers a query."""
    app = Perdure(url)

    @app.workflow
    async def patient(name: str) -> str:
        word = ""

        @workflow.query
        def so_far(suffix: str = "") -> str:
            return word + suffix

        word = await workflow.channel(GO).receive()
        return f"{name} heard {word}"

    return app


def test_all_verbs_block_until_they_are_done(url: str) -> None:
    with shop(url).blocking() as client:
        handle = client.start_by_name("patient", "ada", id="run-1")
        with pytest.raises(TimeoutError):
            handle.result(timeout=0.01)
        with pytest.raises(AlreadyRunning):
            client.start_by_name("patient", "ada", id="run-1")

        handle.signal(GO, "hello")

        assert handle.result(timeout=30) == "ada heard hello"
        assert client.handle("run-1").query("so_far", "!", result_type=str) == "hello!"
        assert handle.describe().run.run_id == handle.run_id
        assert [run.workflow_id for run in client.list(status="completed", limit=5)] == ["run-1"]
        assert handle.history()[0].type == "WorkflowExecutionStarted"


def test_it_is_used_from_many_threads(url: str) -> None:
    results: list[str] = []

    with shop(url).blocking() as client:

        def one(name: str) -> None:
            handle = client.start_by_name("patient", name)
            handle.signal("go", "hello")
            results.append(handle.result(timeout=30))

        threads = [threading.Thread(target=one, args=[str(number)]) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert sorted(results) == [f"{number} heard hello" for number in range(8)]


def test_bulk_operations_block_too(url: str) -> None:
    with shop(url).blocking() as client:
        runs = [client.start_by_name("patient", str(number), id=f"run-{number}") for number in range(3)]

        assert client.bulk.count("signal", "WorkflowType = 'patient'") == 3
        told = client.bulk.signal("WorkflowId != 'run-2'", GO, "hello", id="tell")
        assert told.result(timeout=30).done == 2
        assert client.bulk.handle("tell").progress().done == 2
        assert [run.result(timeout=30) for run in runs[:2]] == ["0 heard hello", "1 heard hello"]
        assert client.bulk.count("reset", "WorkflowId = 'run-0'") == 1
        client.bulk.reset("WorkflowId = 'run-0'", turn=-1).result(timeout=30)
        assert client.handle("run-0").result(timeout=30) == "0 heard hello"
        again = client.handle("run-1").reset(turn=0, request_id="r")
        assert client.handle("run-1").reset(turn=0, request_id="r").run_id == again.run_id
        forked = again.fork(id="run-3", turn=0, request_id="f")
        assert again.fork(id="run-3", turn=0, request_id="f").run_id == forked.run_id
        for handle in (again, forked):
            assert handle.result(timeout=30) == "1 heard hello"
        assert client.bulk.count("cancel", "WorkflowId = 'run-2'") == 1
        assert client.bulk.terminate("WorkflowId = 'run-2'").result(timeout=30).done == 1
        assert client.bulk.delete("WorkflowId starts_with 'run-'").result(timeout=30).done == 6
        assert client.list("WorkflowType = 'patient'") == []


def test_a_client_does_no_work(url: str) -> None:
    app = shop(url)
    with app.blocking(work=False) as client:
        handle = client.start_by_name("patient", "ada", id="run-1")
        handle.signal(GO, "hello")
        with pytest.raises(TimeoutError):
            handle.result(timeout=0.2)
        assert handle.describe().run.turns_count == 0
        assert handle.describe().messages_waiting_count == 2

    with app.blocking() as client:
        assert client.handle("run-1").result(timeout=30) == "ada heard hello"


def test_a_run_is_terminated(url: str) -> None:
    with shop(url).blocking() as client:
        handle = client.start_by_name("patient", "ada")
        handle.terminate("no longer wanted")
        with pytest.raises(WorkflowTerminated, match="no longer wanted"):
            handle.result(timeout=30)


def test_what_is_called_before_or_after_is_refused(url: str) -> None:
    client = shop(url).blocking()
    with pytest.raises(EngineStopped):
        client.list()
    with client:
        assert client.list() == []
    with pytest.raises(EngineStopped):
        client.list()


async def test_it_refuses_to_stop_a_running_loop(url: str) -> None:
    with pytest.raises(BlockingCallInLoop):
        shop(url).blocking()


async def test_a_workflow_of_another_app_is_refused_and_not_left_waiting_for_ever(url: str) -> None:
    other = Perdure("memory://")

    @other.workflow
    async def elsewhere() -> None: ...

    async with shop(url) as app:
        with pytest.raises(UnknownWorkflow, match="'elsewhere' is not registered here"):
            await app.start(elsewhere)

        handle = await app.start(elsewhere, queue="others")

        assert (await handle.describe()).run.queue == "others"
