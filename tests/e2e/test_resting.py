"""Work under which workers die waits longer and longer."""

import asyncio

from perdure import ActivityError, Perdure, Signal, workflow
from perdure.testing import TestEnvironment

GO = Signal("go", int)


async def test_an_activity_that_kills_workers_is_tried_later_and_later(url: str) -> None:
    app = Perdure(url)
    env = TestEnvironment(app, store=url)
    began: list[float] = []
    crashes: list[asyncio.Task[None]] = []

    @app.activity
    async def bomb() -> None:
        began.append(env.now.timestamp())
        crashes.append(asyncio.create_task(env.crash()))
        await asyncio.Event().wait()

    @app.workflow
    async def victim() -> str:
        try:
            await bomb()
        except ActivityError as error:
            return error.type
        return "alive"

    async with env:
        handle = await app.start(victim)

        assert await handle.result() == "WorkerDied"
        ended_s = env.now.timestamp()

    after = [round(moment - began[0], 2) for moment in (*began, ended_s)]
    assert after == [0, 0, 1, 3]


async def test_a_run_that_kills_workers_takes_its_turn_later_and_later(url: str) -> None:
    app = Perdure(url)

    @app.workflow
    async def poisoned() -> int:
        return await workflow.channel(GO).receive()

    async with TestEnvironment(app, store=url) as env:
        handle = await app.start(poisoned)
        await env.sleep("1s")
        began = env.now
        for number in (1, 2, 3, 4):
            env.fail_store_call(number, how="crash before", verbs=("commit",))

        await handle.signal(GO, 7)

        assert await handle.result() == 7
        assert round((env.now - began).total_seconds(), 1) == 1 + 2 + 4
