"""Task queues: priorities, fair shares, and who gives way to whom, through the whole API."""

import asyncio

import pytest

from perdure import Perdure, workflow
from perdure.core.errors import InvalidId, InvalidOption
from perdure.core.ids import RunId


async def waiting_lines(app: Perdure) -> list[str | None]:
    """The lines of all attempts, those of older runs first."""
    ids = sorted(RunId(run.run_id) for run in await app.list())
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


async def test_a_run_under_way_gives_way_to_what_is_more_urgent(url: str) -> None:
    shop = Shop(url)
    async with shop.app as app:
        low = await app.start(shop.visit, "low", 3, priority=5)
        await shop.busy.wait()
        plain = await app.start(shop.visit, "plain", 1)
        high = await app.start(shop.visit, "high", 1, priority=1)
        await shop.queued(3)
        shop.opened.set()
        for handle in (low, plain, high):
            await handle.result()

    assert shop.order == ["low", "high", "plain", "low", "low"]


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

    assert lines == ["4tenant", "2tenant", "4own", "1tenant"]


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
