"""Calls at the wrong moment and options out of bounds: a coded error that names the remedy, and nothing is lost."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from perdure import (
    AlreadyRunning,
    Handle,
    ParentClosePolicy,
    Perdure,
    RunClosed,
    RunStatus,
    WorkflowCancelled,
    WorkflowTerminated,
    workflow,
)
from perdure.core.errors import (
    BlockingCallInLoop,
    EngineStopped,
    ForbiddenInWorkflow,
    InvalidOption,
    NotInActivity,
    NotInWorkflow,
    RunParked,
)
from tests.e2e.bad_input import EACH_STORE, assert_sound, result_of, until_parked, url_of

STOPPED = r"PDR1016: the app is not running; use `async with app:`"


def waiting_app(url: str) -> tuple[Perdure, Any]:
    """An app with a workflow that waits for the signal `go` and answers the query `state`."""
    app = Perdure(url)

    @app.workflow(name="wait")
    async def wait() -> str:
        @workflow.query
        def state() -> str:
            return "waiting"

        return await workflow.channel("go", str).receive()

    return app, wait


@EACH_STORE
async def test_a_stopped_app_refuses_every_verb_and_goes_on_when_it_is_entered_again(kind: str, tmp_path: Path) -> None:
    app, wait = waiting_app(url_of(kind, tmp_path))
    with pytest.raises(EngineStopped, match=STOPPED):
        await app.start(wait)
    async with app:
        handle = await app.start(wait, id="a")

    for refused in (
        lambda: app.start(wait),
        lambda: app.start_by_name("wait"),
        app.list,
        handle.result,
        handle.describe,
        handle.history,
        handle.cancel,
        handle.terminate,
        handle.resume,
        lambda: handle.signal("go", "x"),
        lambda: handle.query("state"),
    ):
        with pytest.raises(EngineStopped, match=STOPPED):
            await refused()
    async with app:
        await handle.signal("go", "on")
        assert await result_of(handle) == "on"
        await assert_sound(app)


@EACH_STORE
async def test_a_call_that_waits_while_the_app_stops_is_told_so(kind: str, tmp_path: Path) -> None:
    app, wait = waiting_app(url_of(kind, tmp_path))

    async with app:
        handle = await app.start(wait)
        waiting = asyncio.ensure_future(handle.result())
        await handle.describe()

    with pytest.raises(EngineStopped, match=STOPPED):
        async with asyncio.timeout(5):
            await waiting


@EACH_STORE
async def test_an_app_is_entered_once(kind: str, tmp_path: Path) -> None:
    app, wait = waiting_app(url_of(kind, tmp_path))

    async with app:
        handle = await app.start(wait)
        with pytest.raises(InvalidOption, match=r"PDR1002: option app=.* is running already; enter it once"):
            async with app:
                pass
        with pytest.raises(InvalidOption, match=r"PDR1002: .* is running already"):
            async with app.client():
                pass
        with pytest.raises(InvalidOption, match=r"PDR1002: option url=memory:// comes while the app is running"):
            app.use_store("memory://")

        await handle.signal("go", "still there")
        assert await result_of(handle) == "still there"


@EACH_STORE
async def test_blocking_calls_are_refused_on_a_running_loop(kind: str, tmp_path: Path) -> None:
    app, wait = waiting_app(url_of(kind, tmp_path))

    with pytest.raises(BlockingCallInLoop, match=r"PDR1015: app.run blocks .*; use `await \(await app.start"):
        app.run(wait)
    with pytest.raises(BlockingCallInLoop, match=r"PDR1015: app.serve blocks .*; use `async with app:`"):
        app.serve()
    with pytest.raises(BlockingCallInLoop, match=r"PDR1015: app.blocking blocks .*; use `async with app:`"):
        app.blocking()


def test_the_blocking_client_refuses_what_comes_after_its_end(tmp_path: Path) -> None:
    app, wait = waiting_app(url_of("sqlite", tmp_path))

    with app.blocking() as client:
        handle = client.start(wait, id="a")
        with pytest.raises(TimeoutError):
            handle.result(timeout=0.05)
    with pytest.raises(EngineStopped, match=STOPPED):
        handle.result()
    with pytest.raises(EngineStopped, match=STOPPED):
        client.start(wait)

    with app.blocking() as client:
        again = client.handle("a", wait)
        again.signal("go", "x")
        assert again.result(timeout=5) == "x"


@EACH_STORE
async def test_a_closed_run_stays_closed(kind: str, tmp_path: Path) -> None:
    app, wait = waiting_app(url_of(kind, tmp_path))

    async with app:
        done, cancelled, terminated = [await app.start(wait, id=id) for id in ("done", "cancelled", "terminated")]
        await done.signal("go", "x")
        await cancelled.cancel("no more")
        await terminated.terminate("at once")
        assert await result_of(done) == "x"
        with pytest.raises(WorkflowCancelled, match=r"PDR2007: .*: no more"):
            await result_of(cancelled)
        with pytest.raises(WorkflowTerminated, match=r"PDR2008: .*: at once"):
            await result_of(terminated)

        for handle in (done, cancelled, terminated):
            before = (await handle.describe(), await handle.history())
            for refused in (
                handle.cancel,
                handle.terminate,
                handle.resume,
                lambda handle=handle: handle.signal("go", "late"),
            ):
                with pytest.raises(RunClosed, match=r"PDR2003: .* is closed \(\w+\); start a new run to go on"):
                    await refused()
            assert (await handle.describe(), await handle.history()) == before
            assert await handle.query("state") == "waiting"
        await assert_sound(app)


@EACH_STORE
async def test_an_open_run_keeps_its_id_to_itself(kind: str, tmp_path: Path) -> None:
    app, wait = waiting_app(url_of(kind, tmp_path))

    async with app:
        first = await app.start(wait, id="a")
        with pytest.raises(
            AlreadyRunning, match=rf"PDR2002: .*'a' is already running as run {first.run_id}; use another"
        ):
            await app.start(wait, id="a")
        with pytest.raises(AlreadyRunning, match=r"PDR2002"):
            await app.start_by_name("wait", id="a", request_id="other")
        await first.signal("go", "x")
        assert await result_of(first) == "x"

        second = await app.start(wait, id="a")
        assert (await app.handle("a").describe()).run.run_id == second.run_id
        await second.terminate()
        await assert_sound(app)


def parked_app(url: str) -> tuple[Perdure, Any, list[bool]]:
    """An app whose workflow parks on its signal until the flag is set."""
    app, mended = Perdure(url), [False]

    @app.workflow(name="parks")
    async def parks() -> int:
        kind: Any = int if mended[0] else bool
        try:
            return await workflow.channel("go", kind).receive()
        finally:
            await asyncio.sleep(0)

    return app, parks, mended


@EACH_STORE
async def test_a_parked_run_takes_every_verb(kind: str, tmp_path: Path) -> None:
    app, parks, mended = parked_app(url_of(kind, tmp_path))

    async with app:
        handles: list[Handle[int]] = [await app.start(parks, id=id) for id in "abc"]
        for handle in handles:
            await handle.signal("go", 1)
            assert (await until_parked(handle)).startswith("PDR3002")
        ended, cancelled, resumed = handles

        await ended.terminate("given up")
        with pytest.raises(WorkflowTerminated, match=r"given up"):
            await result_of(ended)
        await cancelled.cancel("please")
        assert (await cancelled.describe()).run.parked is not None
        await resumed.signal("go", 2)
        assert (await resumed.describe()).run.status is RunStatus.RUNNING
        mended[0] = True
        await resumed.resume()
        assert await result_of(resumed) == 1
        await cancelled.resume()
        with pytest.raises(WorkflowCancelled, match=r"please"):
            await result_of(cancelled)
        await assert_sound(app)


def test_run_says_that_its_run_is_parked_and_goes_on_when_it_is_mended(tmp_path: Path) -> None:
    app, mended = Perdure(url_of("sqlite", tmp_path)), [False]

    @app.workflow
    async def calls() -> str:
        name = "twice" if mended[0] else "missing"
        return await workflow.execute_activity(name, "x", result_type=str)

    @app.activity
    async def twice(text: str) -> str:
        return text * 2

    with pytest.raises(
        RunParked, match=r"PDR2009: workflow 'a' is parked: PDR3003: .*; mend the cause, then run it again"
    ):
        app.run(calls, id="a")
    mended[0] = True

    assert app.run(calls, id="a") == "xx"
    assert app.run(calls, id="a") == "xx"


def test_run_joins_a_run_that_others_started_and_never_starts_a_second_one(tmp_path: Path) -> None:
    app, wait = waiting_app(url_of("sqlite", tmp_path))

    async def prepare() -> None:
        async with app.client():
            await (await app.start(wait, id="a")).signal("go", "told before")

    asyncio.run(prepare())

    assert (app.run(wait, id="a"), app.run(wait, id="a")) == ("told before", "told before")
    with app.blocking() as client:
        assert len(client.list()) == 1


def test_run_keeps_two_workflows_apart_that_share_an_id(tmp_path: Path) -> None:
    app = Perdure(url_of("sqlite", tmp_path))

    @app.workflow
    async def one() -> int:
        return 1

    @app.workflow
    async def two() -> int:
        return 2

    longest = "x" * 1_000

    assert (app.run(one, id=longest), app.run(two, id=longest), app.run(one, id=longest)) == (1, 2, 1)


def test_calls_that_belong_elsewhere_say_where() -> None:
    from perdure import activity

    with pytest.raises(NotInWorkflow, match=r"PDR1012: workflow\.now\(\) works only inside a workflow; call it from"):
        workflow.now()
    with pytest.raises(NotInWorkflow, match=r"PDR1012: workflow\.channel\(\)"):
        workflow.channel("x")
    with pytest.raises(NotInActivity, match=r"PDR1013: activity\.heartbeat\(\) works only inside an activity; call"):
        activity.heartbeat()


@EACH_STORE
async def test_a_child_with_bad_options_fails_the_call_only(kind: str, tmp_path: Path) -> None:
    app, wait = waiting_app(url_of(kind, tmp_path))

    @app.workflow
    async def parent() -> list[str]:
        bad: list[dict[str, Any]] = [{"id": ""}, {"id": "a\0"}, {"queue": "x" * 1_001}, {"parent_close_policy": 9}]
        errors: list[str] = []
        for options in bad:
            try:
                await workflow.start_child(wait, **options)
            except Exception as error:  # the test names what it expects
                errors.append(str(error)[:7])
        handle = await workflow.start_child(wait, id="taken", parent_close_policy=ParentClosePolicy.ABANDON)
        try:
            await workflow.start_child(wait, id="taken")
        except Exception as error:  # as above
            errors.append(type(error).__name__)
        return [*errors, handle.id]

    async with app:
        errors = await result_of(await app.start(parent))
        assert errors == ["PDR1001", "PDR1001", "PDR1001", "PDR1002", "ChildWorkflowError", "taken"]
        await app.handle("taken").terminate()
        await assert_sound(app)


@EACH_STORE
async def test_effects_in_workflow_code_are_refused_with_the_remedy(kind: str, tmp_path: Path) -> None:
    app = Perdure(url_of(kind, tmp_path))

    @app.workflow
    async def effects() -> str:
        try:
            (tmp_path / "made").write_text("x")
        except ForbiddenInWorkflow as error:
            return str(error)
        return "nothing happened"

    async with app:
        handle = await app.start(effects)
        try:
            text: str = await asyncio.wait_for(result_of(handle), 2)
        except TimeoutError:
            text = await until_parked(handle)
            await handle.terminate()

        assert "PDR1014" in text
        assert "activity" in text
        assert not (tmp_path / "made").exists()
