"""Versions of workflows and builds of workers, as apps use them: several deployments over one store."""

import asyncio
import json
import logging
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from perdure import Handle, Perdure, RunClosed, workflow
from perdure.cli import main
from perdure.cli.exits import Exit
from perdure.core.errors import DuplicateName, InvalidId, InvalidOption
from perdure.description import describe
from perdure.programs.code.program import CodeProgram
from perdure.testing.histories import record, replay


class Deployment:
    """An app with some versions of one workflow, each of which waits for a signal and tells its version."""

    def __init__(self, url: str, *versions: int, pinned: bool | None = None, **options: Any) -> None:
        self.app = Perdure(url, **options)
        self.order: Any = None
        for version in versions:
            self.order = self._registered(version, pinned=pinned)

    def _registered(self, version: int, *, pinned: bool | None) -> Any:
        @self.app.workflow(name="order", version=version, pinned=pinned)
        async def order() -> int:
            await workflow.channel("go").receive()
            return version

        return order


@pytest.fixture
def url(tmp_path: Path) -> str:
    """A store of its own."""
    return f"sqlite:///{tmp_path / 'shop.db'}"


async def begun(handle: Handle[Any]) -> None:
    """Return when a worker has taken the first turn."""
    while (await handle.describe()).run.turns_count == 0:
        await asyncio.sleep(0.01)


async def left(deployment: Deployment, id: str) -> None:
    """Start a run, and leave when it has begun."""
    async with deployment.app as app:
        await begun(await app.start(deployment.order, id=id))


async def finished(app: Perdure, id: str) -> Any:
    """The result of a run that is told to go."""
    handle = app.handle(id)
    await handle.signal("go")
    return await handle.result()


async def test_old_runs_stay_on_their_version_and_new_ones_take_the_newest(url: str) -> None:
    await left(Deployment(url, 1), "old")
    both = Deployment(url, 1, 2)

    async with both.app as app:
        new = await app.start_by_name("order", id="new")
        await begun(new)

        assert await finished(app, "old") == 1
        assert await finished(app, "new") == 2
        assert [(run.workflow_id, run.version) for run in await app.list()] == [("new", 2), ("old", 1)]


async def test_a_start_by_its_function_begins_that_version(url: str) -> None:
    both = Deployment(url, 1, 2)
    first = both.app.registry.program("order", 1)
    assert isinstance(first, CodeProgram)

    async with both.app as app:
        await begun(await app.start(first.definition, id="w"))

        assert await finished(app, "w") == 1


async def test_a_child_by_its_function_begins_that_version_and_one_by_its_name_the_newest(url: str) -> None:
    both = Deployment(url, 1, 2)
    first = both.app.registry.program("order", 1)
    assert isinstance(first, CodeProgram)
    old: Any = first.definition

    @both.app.workflow
    async def parent() -> list[Any]:
        started = [await workflow.start_child(old, id="started"), await workflow.start_child("order", id="named")]
        return [*await asyncio.gather(*[each.result() for each in started], old(), both.order())]

    async with both.app as app:
        handle = await app.start(parent, id="p")
        children = ("started", "named", f"{handle.run_id}/3", f"{handle.run_id}/4")
        while len(await app.list("WorkflowType = 'order'")) < len(children):
            await asyncio.sleep(0.01)
        for id in children:
            await app.handle(id).signal("go")

        assert await handle.result() == [1, 2, 1, 2]
        history = await record(app, "p")
    assert replay(both.app, [history])[0].clean


async def test_a_query_and_a_replay_use_the_version_of_the_run(url: str) -> None:
    await left(Deployment(url, 1), "old")
    both = Deployment(url, 1, 2)

    async with both.app.client():
        handle = both.app.handle("old")
        history = await record(both.app, "old")

        assert history.version == 1
        assert "order" in await handle.query("__stack_trace")
    assert replay(both.app, [history])[0].clean
    (gone,) = replay(Deployment(url, 2).app, [history])
    assert gone.mismatch is not None
    assert gone.mismatch.code == "PDR1005"


async def test_a_run_of_a_version_that_nobody_serves_waits_and_says_why(url: str) -> None:
    await left(Deployment(url, 1, 2), "late")
    one = Deployment(url, 1)

    async with one.app as app:
        handle = app.handle("late")
        await handle.signal("go")
        now, later = datetime.now(UTC), datetime.now(UTC) + timedelta(minutes=1)
        found = await app.call(lambda engine: engine.describe(handle.workflow_id, None))

        assert describe(found, now).unserved is None
        assert "no worker of queue 'default' that serves 'order@2' has taken the run" in str(
            describe(found, later).unserved
        )
        (line,) = await app.drain()
        assert (line.version, line.runs_count, line.served_here, line.unserved) == (2, 1, False, False)


async def test_pinned_runs_stay_on_their_build_until_they_are_moved(url: str) -> None:
    await left(Deployment(url, 1, build="a", pinned=True), "w")
    b = Deployment(url, 1, build="b")

    async with b.app as app:
        handle = app.handle("w")
        (before,) = await app.drain()
        moved = await handle.move("b")
        (after,) = await app.drain()

        assert (before.build, before.served_here, after.build, after.served_here) == ("a", False, "b", True)
        assert (moved, await handle.move("b")) == (True, False)
        assert (await handle.describe()).run.build == "b"
        assert await finished(app, "w") == 1
        assert "WorkflowExecutionMoved" in [event.type for event in await handle.history()]
        assert await app.drain() == []
        with pytest.raises(RunClosed):
            await handle.move(None)
        with pytest.raises(InvalidId):
            await handle.move("")


@pytest.mark.parametrize(("pinned", "build"), [(True, "a"), (False, None), (None, None)])
async def test_a_workflow_says_for_itself_whether_it_is_pinned(url: str, pinned: Any, build: str | None) -> None:
    async with Deployment(url, 1, build="a", pinned=pinned).app as app:
        handle = await app.start_by_name("order", id="w")
        await begun(handle)

        assert (await handle.describe()).run.build == build


def test_versions_are_checked_when_they_are_registered(url: str) -> None:
    app = Perdure(url)

    @app.workflow(name="order")
    async def order() -> None: ...

    with pytest.raises(DuplicateName):
        app.workflow(name="order")(order.fn)
    with pytest.raises(InvalidOption, match="version"):
        app.workflow(name="order", version=0)(order.fn)
    with pytest.raises(InvalidOption, match="needs a build"):
        app.workflow(name="order", version=2, pinned=True)(order.fn)
    with pytest.raises(InvalidOption, match="needs a build"):
        Perdure(url, pinned=True)


async def test_the_commands_show_and_move_what_is_left(
    url: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging, "lastResort", logging.lastResort)
    await left(Deployment(url, 1, 2, build="a", pinned=True), "one")
    await left(Deployment(url, 1, build="a", pinned=True), "two")

    def said(*words: str) -> tuple[int, str]:
        with ThreadPoolExecutor(1) as threads:
            code = threads.submit(main, [*words, "--store", url]).result()
        return code, capsys.readouterr().out

    code, table = said("drain")
    of_build, document = said("drain", "--build", "a", "-o", "json")
    moved, _ = said("workflow", "move", "--from", "a", "--to", "b")
    single, _ = said("workflow", "move", "one")
    drained, nothing = said("drain", "--build", "a", "-o", "json")
    wrong, _ = said("workflow", "move")

    assert (code, of_build, moved, single, drained, wrong) == (
        Exit.OK,
        Exit.FAILED,
        Exit.OK,
        Exit.OK,
        Exit.OK,
        Exit.USAGE,
    )
    assert [line.split()[:4] for line in table.splitlines()[1:]] == [
        ["order", "1", "a", "default"],
        ["order", "2", "a", "default"],
    ]
    assert [(each["version"], each["build"], each["runs_count"]) for each in json.loads(document)] == [
        (1, "a", 1),
        (2, "a", 1),
    ]
    assert json.loads(nothing) == []
