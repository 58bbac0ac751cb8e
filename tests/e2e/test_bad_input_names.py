"""Names and ids that are unknown, impossible or hostile: refused with a code, or carried to the letter."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from perdure import Handle, Perdure, RunStatus, WorkflowNotFound, workflow
from perdure.core.errors import DuplicateName, InvalidId, UnknownQuery, UnknownWorkflow
from tests.e2e.bad_input import EACH_STORE, assert_sound, result_of, until_parked, url_of

IMPOSSIBLE = {
    "empty": ("", "is empty"),
    "nul": ("a\0b", "contains a NUL"),
    "overlong": ("x" * 1_001, "has 1001 characters"),
    "surrogate": ("a\ud800b", "contains a lone surrogate"),
    "no text": (7, "is a int, not text"),
}
HOSTILE = {
    "emoji": "order-\U0001f680\U0001f468\u200d\U0001f469\u200d\U0001f467",
    "right to left": "\u202eabc \u0645\u0631\u062d\u0628\u0627",
    "newlines": "a\nb\r\nc\td",
    "quotes": "a'b\"c`d\\e",
    "path": "../../etc/passwd",
    "percent": "%2f%00%s%(x)s{0}",
    "sql": "x'; drop table runs; --",
    "like": "100%_[a-z]*?",
    "blank": " ",
    "composed": "caf\u00e9",
    "decomposed": "cafe\u0301",
    "ends": "\ufeffx\u2028",
    "longest": "y" * 1_000,
    "longest in bytes": "\U0001f680" * 1_000,
}


def echo_app(url: str) -> Perdure:
    """An app with one workflow that answers with its argument."""
    app = Perdure(url)

    @app.workflow(name="echo")
    async def _(value: str = "") -> str:
        return value

    return app


@EACH_STORE
async def test_a_workflow_that_nobody_knows_is_refused_before_anything_is_stored(kind: str, tmp_path: Path) -> None:
    app = echo_app(url_of(kind, tmp_path))

    async with app:
        with pytest.raises(UnknownWorkflow, match=r"PDR1005: workflow 'ecko' .*known: echo.*register it") as caught:
            await app.start_by_name("ecko", id="a")
        with pytest.raises(UnknownWorkflow, match=r"PDR1005: workflow '_nothing' is not registered here"):
            await app.start(_nothing)

        assert caught.value.facts["known"] == "echo"
        assert await app.list() == []


@EACH_STORE
async def test_a_start_for_another_queue_waits_for_a_worker_that_knows_the_name(kind: str, tmp_path: Path) -> None:
    app = echo_app(url_of(kind, tmp_path))

    async with app:
        handle = await app.start_by_name("made elsewhere", 1, id="a", queue="elsewhere")

        description = await handle.describe()
        assert (description.run.status, description.run.parked) == (RunStatus.RUNNING, None)
        assert await result_of(await app.start_by_name("echo", "b")) == "b"
        await handle.terminate()
        await assert_sound(app)


def caller(url: str) -> Perdure:
    """An app whose workflow calls an activity that is not registered."""
    app = Perdure(url)

    @app.workflow(name="caller")
    async def _() -> str:
        first: str = await workflow.execute_activity("known", "1")
        return first + await workflow.execute_activity("late", "2", result_type=str)

    @app.activity(name="known")
    async def _(value: str) -> str:
        return f"<{value}>"

    return app


@EACH_STORE
async def test_a_run_that_calls_an_unknown_activity_waits_until_it_is_registered(kind: str, tmp_path: Path) -> None:
    app = caller(url_of(kind, tmp_path))
    async with app:
        handle = await app.start_by_name("caller", id="a")

        reason = await until_parked(handle)

        assert reason.startswith("PDR3003: the workflow called activity 'late'")
        assert "(known: known); register it and resume the run" in reason
        assert [run.workflow_id for run in await app.list(parked=True)] == ["a"]
        await assert_sound(app)
    later = app if kind == "memory" else caller(app.url)

    @later.activity(name="late")
    async def _(value: str) -> str:
        return f"[{value}]"

    async with later:
        handle = later.handle("a")
        assert (await handle.describe()).run.parked is not None
        await handle.resume()
        assert await result_of(handle) == "<1>[2]"
        await assert_sound(later)


@EACH_STORE
async def test_a_parked_run_leaves_the_others_alone(kind: str, tmp_path: Path) -> None:
    app = caller(url_of(kind, tmp_path))

    @app.workflow
    async def fine() -> str:
        return await workflow.execute_activity("known", "ok")

    async with app:
        parked = [await app.start_by_name("caller") for _ in range(20)]
        others = [await app.start(fine) for _ in range(20)]

        assert [await result_of(each) for each in others] == ["<ok>"] * 20
        for handle in parked:
            await until_parked(handle)
            await handle.terminate("never mind")
        await assert_sound(app)


@EACH_STORE
@pytest.mark.parametrize(("value", "fact"), IMPOSSIBLE.values(), ids=IMPOSSIBLE)
async def test_an_impossible_id_is_refused_at_every_entry(kind: str, tmp_path: Path, value: Any, fact: str) -> None:
    app = echo_app(url_of(kind, tmp_path))
    expected = rf"PDR1001: .*{fact}.*; give text of 1 to 1000 characters without NUL"

    async with app:
        good = await app.start_by_name("echo", "x", id="good")
        for refused in (
            lambda: app.start_by_name("echo", id=value),
            lambda: app.start_by_name("echo", id="b", request_id=value),
            lambda: app.start_by_name("echo", id="b", queue=value),
            lambda: app.start_by_name(value, id="b", queue="elsewhere"),
            lambda: app.handle("good", run_id=value).describe(),
            lambda: app.handle(value).describe(),
            lambda: good.signal(value, 1),
            lambda: good.signal("go", 1, request_id=value),
            lambda: good.query(value),
        ):
            with pytest.raises(InvalidId, match=expected):
                await refused()

        assert [run.workflow_id for run in await app.list()] == ["good"]
        assert await result_of(good) == "x"


@pytest.mark.parametrize(("value", "fact"), IMPOSSIBLE.values(), ids=IMPOSSIBLE)
def test_an_impossible_name_cannot_be_registered(value: Any, fact: str) -> None:
    app = Perdure("memory://")

    async def made() -> None: ...

    with pytest.raises(InvalidId, match=rf"PDR1001: activity name .*{fact}"):
        app.activity(name=value)(made)
    with pytest.raises(InvalidId, match=rf"PDR1001: workflow name .*{fact}"):
        app.workflow(name=value)(made)
    with pytest.raises(InvalidId, match=rf"PDR1001: queue .*{fact}"):
        app.activity(queue=value)(made)
    with pytest.raises(InvalidId, match=rf"PDR1001: queue .*{fact}"):
        Perdure("memory://", queue=value)
    with pytest.raises(InvalidId, match=rf"PDR1001: signal name .*{fact}"):
        workflow.Signal(value, str)


def test_a_name_is_registered_once() -> None:
    app = echo_app("memory://")

    with pytest.raises(DuplicateName, match=r"PDR1004: workflow 'echo' .* in test_bad_input_names\.py:\d+; .* name="):
        app.workflow(name="echo")(_nothing)


async def _nothing() -> None: ...


@EACH_STORE
@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
async def test_a_hostile_id_is_carried_to_the_letter(kind: str, tmp_path: Path, text: str) -> None:
    app = Perdure(url_of(kind, tmp_path), queue=text)

    @app.activity(name=text)
    async def act(value: str) -> str:
        return value

    @app.workflow(name=text)
    async def wait(value: str) -> list[str]:
        @workflow.query(name=text)
        def _() -> str:
            return value

        got = await workflow.channel(text, str).receive()
        return [await act(value), got, workflow.info().workflow_id, workflow.info().queue]

    async with app:
        handle = await app.start(wait, text, id=text, request_id=text)
        again = await app.start(wait, text, id=text, request_id=text)
        assert await handle.query(text) == text
        await handle.signal(text, text, request_id=text)

        assert await result_of(handle) == [text, text, text, text]
        assert again.run_id == handle.run_id
        (run,) = await app.list(workflow=text, id_prefix=text)
        assert (run.workflow_id, run.workflow_type, run.queue) == (text, text, text)
        assert await app.list(id_prefix=text[:-1] + "\u4e00") == []
        assert (await handle.history())[0].attributes["input"] == [text]
        await assert_sound(app)


@EACH_STORE
async def test_ids_that_look_alike_are_different(kind: str, tmp_path: Path) -> None:
    app = echo_app(url_of(kind, tmp_path))
    alike = ["caf\u00e9", "cafe\u0301", "CAF\u00c9", "caf\u00e9 ", " caf\u00e9", "%", "_", "a%b", "a_b", "axb"]

    async with app:
        for each in alike:
            await result_of(await app.start_by_name("echo", each, id=each))

        for each in alike:
            assert await result_of(app.handle(each)) == each
        assert {run.workflow_id for run in await app.list(id_prefix="a%")} == {"a%b"}
        assert {run.workflow_id for run in await app.list(id_prefix="a_")} == {"a_b"}
        assert {run.workflow_id for run in await app.list(id_prefix="%")} == {"%"}


@EACH_STORE
async def test_an_unknown_run_is_not_found_by_any_verb(kind: str, tmp_path: Path) -> None:
    app = echo_app(url_of(kind, tmp_path))

    async with app:
        known = await app.start_by_name("echo", "x", id="known")
        other = await app.start_by_name("echo", "x", id="other")
        unknown: list[Handle[Any]] = [
            app.handle("nobody"),
            app.handle("known", run_id="no-run-id"),
            app.handle("known", run_id=other.run_id),
        ]
        for handle in unknown:
            for refused in (
                handle.result,
                handle.describe,
                handle.history,
                handle.cancel,
                handle.terminate,
                handle.resume,
                lambda handle=handle: handle.signal("go", 1),
                lambda handle=handle: handle.query("state"),
            ):
                with pytest.raises(WorkflowNotFound, match=r"PDR2001: .*`perdure workflow list` shows"):
                    async with asyncio.timeout(5):
                        await refused()
        assert await result_of(known) == "x"


@EACH_STORE
async def test_an_unknown_query_names_those_that_are_known(kind: str, tmp_path: Path) -> None:
    app = Perdure(url_of(kind, tmp_path))

    @app.workflow
    async def counting() -> None:
        @workflow.query
        def count() -> int:
            return 7

        await workflow.channel("stop").receive()

    async with app:
        handle = await app.start(counting)
        with pytest.raises(UnknownQuery, match=r"PDR2004: .* answers no query 'cuont' \(known: __stack_trace, count\)"):
            await handle.query("cuont")

        assert await handle.query("count", result_type=int) == 7
        await handle.signal("stop")
        await result_of(handle)
        assert await handle.query("count") == 7
