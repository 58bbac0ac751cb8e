"""Task queues: priorities, fair shares, and who gives way to whom, through the whole API."""

import asyncio
import contextlib
import itertools
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from perdure import Perdure, QueueLimit, workflow
from perdure.cli import main
from perdure.core import codec
from perdure.core.errors import InvalidId, InvalidOption
from perdure.core.ids import RunId
from perdure.core.message import Started
from perdure.core.rank import Rank
from perdure.testing import TestEnvironment
from tests.e2e.worlds import sqlite_url


async def waiting_lines(app: Perdure) -> list[str | None]:
    """The lines of all attempts."""
    ids = [RunId(run.run_id) for run in await app.list()]
    waiting = [await app.call(lambda engine, id=id: engine.store.read_waiting(id)) for id in ids]
    return [attempt.line for each in waiting for attempt in each.attempts]


class Shop:
    """An app with room for one activity, which notes the order of its work; nothing ends before `opened`."""

    def __init__(self, url: str) -> None:
        self.app = Perdure(url, activities_max=1)
        self.opened = asyncio.Event()
        self.busy = asyncio.Event()
        self.order: list[str] = []

        @self.app.activity
        async def serve(name: str) -> None:
            self.order.append(name)
            self.busy.set()
            await self.opened.wait()

        @self.app.workflow
        async def visit(name: str, steps_count: int) -> None:
            for _ in range(steps_count):
                await serve(name)

        self.serve, self.visit = serve, visit

    async def queued(self, attempts_count: int) -> None:
        """Return when so many attempts wait or run."""
        while len(await waiting_lines(self.app)) < attempts_count:
            await asyncio.sleep(0.01)


async def test_lower_priorities_are_served_first(url: str) -> None:
    shop = Shop(url)
    async with shop.app as app:
        first = await app.start(shop.visit, "first", 1)
        await shop.busy.wait()
        handles = [
            await app.start(shop.visit, f"{priority}", 1, priority=priority) for priority in (5, 3, 1, 4, None, 2)
        ]
        await shop.queued(7)
        shop.opened.set()
        for handle in (first, *handles):
            await handle.result()

    assert shop.order == ["first", "1", "2", "3", "None", "4", "5"]


async def test_keys_share_a_queue_fairly(url: str) -> None:
    shop = Shop(url)
    async with shop.app as app:
        first = await app.start(shop.visit, "first", 1)
        await shop.busy.wait()
        many = [await app.start(shop.visit, "many", 1, fairness_key="many") for _ in range(8)]
        few = [await app.start(shop.visit, "few", 1, fairness_key="few", fairness_weight=2) for _ in range(4)]
        await shop.queued(13)
        shop.opened.set()
        for handle in (first, *many, *few):
            await handle.result()

    assert shop.order[1:7].count("few") == 4
    assert shop.order[7:] == ["many"] * 6


async def test_activities_and_children_inherit_what_they_are_not_given(url: str) -> None:
    app = Perdure(url)

    @app.activity(queue="elsewhere", priority=2)
    async def early() -> None: ...

    @app.activity(queue="elsewhere")
    async def work() -> None: ...

    @app.workflow
    async def child() -> None:
        await work()

    @app.workflow
    async def parent() -> None:
        own = work.options(fairness_key="own", fairness_weight=0.5)
        await asyncio.gather(work(), early(), own(), workflow.start_child(child, id="c", priority=1))

    async with app:
        await app.start(parent, priority=4, fairness_key="tenant")
        lines: list[str | None] = []
        while len(lines) < 4:
            lines = await waiting_lines(app)

        description = await app.handle("c").describe()

    assert sorted(map(str, lines)) == ["1tenant", "2tenant", "4own", "4tenant"]
    (pending,) = description.activities
    assert (pending.queue, pending.priority, pending.fairness_key) == ("elsewhere", 1, "tenant")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"priority": 9}, "PDR1002.*priority=9 is no priority; give 1"),
        ({"priority": 0}, "priority=0 "),
        ({"priority": True}, "priority=True "),
        ({"priority": "1"}, "priority='1' "),
        ({"fairness_weight": 0}, "fairness_weight=0 .*from 0.001 to 1000"),
        ({"fairness_weight": 1_001}, "fairness_weight=1001"),
        ({"fairness_weight": float("nan")}, "fairness_weight=nan"),
        ({"fairness_weight": "1"}, "fairness_weight='1'"),
        ({"fairness_key": "x" * 65}, "has 65 bytes, more than 64"),
        ({"fairness_key": "\u00fc" * 33}, "has 66 bytes"),
        ({"fairness_key": ""}, "is empty"),
        ({"fairness_key": 7}, "is a int, not text"),
        ({"fairness_key": "a\0b"}, "NUL"),
    ],
    ids=lambda value: None if isinstance(value, dict) else value.split(".*")[-1],
)
async def test_what_is_no_rank_is_refused(options: dict[str, object], message: str) -> None:
    app = Perdure("memory://")

    @app.activity
    async def work() -> None: ...

    @app.workflow
    async def job() -> None: ...

    async with app:
        with pytest.raises((InvalidOption, InvalidId), match=message):
            await app.start(job, **options)  # pyright: ignore[reportArgumentType]
        assert not await app.list()
    with pytest.raises((InvalidOption, InvalidId), match=message):
        work.options(**options)  # pyright: ignore[reportArgumentType]


async def test_a_rate_spreads_what_was_asked_for_at_once(url: str) -> None:
    app = Perdure(url, limits=[QueueLimit("default", per_second=2)])
    env = TestEnvironment(app, store=url)
    began: list[float] = []

    @app.activity
    async def send(number: int) -> None:
        del number
        began.append(env.now.timestamp())

    @app.workflow
    async def all_at_once() -> None:
        await asyncio.gather(*[send(number) for number in range(6)])
        await send(6)

    async with env:
        await (await app.start(all_at_once)).result()

    gaps = [after - before for before, after in itertools.pairwise(began)]
    assert [round(gap, 3) for gap in gaps] == [0.5] * 6


async def test_each_tenant_has_a_rate_of_its_own(url: str) -> None:
    app = Perdure(url, limits=[QueueLimit("default", per_key_per_second=1 / 60)])
    env = TestEnvironment(app, store=url)
    began: list[tuple[str, float]] = []

    @app.activity
    async def send(tenant: str) -> None:
        began.append((tenant, env.now.timestamp()))

    @app.workflow
    async def job(tenant: str) -> None:
        for _ in range(2):
            await send(tenant)

    async with env:
        start_s = env.now.timestamp()
        handles = [await app.start(job, tenant, fairness_key=tenant) for tenant in ("a", "b")]
        for handle in handles:
            await handle.result()

    minutes = sorted((tenant, round((at_s - start_s) / 60)) for tenant, at_s in began)
    assert minutes == [("a", 0), ("a", 1), ("b", 0), ("b", 1)]


@pytest.mark.parametrize("apps_count", [1, 2])
async def test_so_many_run_at_once_in_all_workers_together(tmp_path: Path, apps_count: int) -> None:
    running: Counter[str] = Counter()
    most: Counter[str] = Counter()
    done: list[str] = []

    def made() -> Perdure:
        limit = QueueLimit("default", concurrent=3, concurrent_per_key=2)
        app = Perdure(sqlite_url(tmp_path), limits=[limit])

        @app.activity
        async def work(tenant: str) -> None:
            for each in (tenant, "all"):
                running[each] += 1
                most[each] = max(most[each], running[each])
            await asyncio.sleep(0.002)
            for each in (tenant, "all"):
                running[each] -= 1
            done.append(tenant)

        @app.workflow
        async def job(tenant: str) -> None:
            for _ in range(3):
                await work(tenant)

        return app

    apps = [made() for _ in range(apps_count)]
    async with contextlib.AsyncExitStack() as stack:
        for app in apps:
            await stack.enter_async_context(app)
        handles = [
            await apps[0].start_by_name("job", tenant, fairness_key=tenant) for tenant in ("a", "b") for _ in range(5)
        ]
        for handle in handles:
            await handle.result()

    assert len(done) == 30
    assert most["all"] <= 3
    assert max(most["a"], most["b"]) <= 2


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: QueueLimit("q"), "limits nothing.*give one of per_second, concurrent"),
        (lambda: QueueLimit("", concurrent=1), "is empty"),
        (lambda: QueueLimit("q", concurrent=0), "concurrent=0 is no count"),
        (lambda: QueueLimit("q", concurrent=True), "concurrent=True"),
        (lambda: QueueLimit("q", concurrent_per_key=-1), "concurrent_per_key=-1"),
        (lambda: QueueLimit("q", per_second=0), "per_second=0 is no rate"),
        (lambda: QueueLimit("q", per_second=-2), "per_second=-2"),
        (lambda: QueueLimit("q", per_second=float("nan")), "per_second=nan"),
        (lambda: QueueLimit("q", per_key_per_second=float("inf")), "per_key_per_second=inf"),
        (lambda: QueueLimit("q", per_second="5"), "per_second='5'"),  # pyright: ignore[reportArgumentType]
        (lambda: Perdure("memory://", limits=[QueueLimit("q", concurrent=1)] * 2), "limits queue 'q' a second time"),
        (lambda: Perdure("memory://", limits=["q"]), "'q' is no QueueLimit"),  # pyright: ignore[reportArgumentType]
        (lambda: Perdure("memory://", limits=5), "limits=5 is no list"),  # pyright: ignore[reportArgumentType]
    ],
    ids=lambda value: value.split(".*")[0] if isinstance(value, str) else "",
)
def test_what_is_no_limit_is_refused(make: Callable[[], object], message: str) -> None:
    with pytest.raises((InvalidOption, InvalidId), match=message):
        make()


def test_the_command_line_starts_runs_with_a_rank(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PERDURE_STORE", sqlite_url(tmp_path))
    start = ("workflow", "start", "job", "--id", "a", "--queue", "elsewhere")

    refused = main([*start, "--priority", "9"])
    said = capsys.readouterr().err
    done = main([*start, "--priority", "2", "--fairness-key", "tenant", "--fairness-weight", "0.5"])

    async def asked_for() -> Rank | None:
        async with Perdure(sqlite_url(tmp_path)).client() as app:
            (run,) = await app.list()
            waiting = await app.call(lambda engine: engine.store.read_waiting(RunId(run.run_id)))
            started = codec.messages.decode(waiting.messages[0].data)
            assert isinstance(started, Started)
            return None if started.options is None else started.options.rank

    assert (refused, done) == (2, 0)
    assert "PDR1002: option priority=9" in said
    assert asyncio.run(asked_for()) == Rank(2, "tenant", 0.5)
