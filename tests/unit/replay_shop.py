"""Workflows whose source tests edit: each edit must be found when a history of this source is replayed."""

import asyncio

from perdure import ActivityError, Perdure, workflow

app = Perdure("memory://")


@app.activity
async def reserve(item: str) -> str:
    return f"r-{item}"


@app.activity
async def charge(cents: int) -> str:
    return f"c-{cents}"


@app.activity
async def ship(item: str) -> str:
    return f"s-{item}"


@app.activity(retries=0)
async def flaky() -> None:
    raise ValueError("no")


@app.workflow
async def leaf(number: int) -> int:
    await asyncio.sleep(1)
    return number


async def notify(text: str) -> str:
    return await ship(text)


@app.workflow
async def order(item: str, cents: int) -> list[str]:
    found = [await reserve(item)]
    if cents > 100:
        found.append(await charge(cents))
    await asyncio.sleep(60)
    mark = workflow.side_effect(lambda: 7, result_type=int)
    try:
        await flaky()
    except ActivityError:
        found.append(await notify("failed"))
    child = await workflow.start_child(leaf, mark, id="order-leaf")
    found.append(str(await child))
    for name in ("a", "b", "c"):
        sent = await ship(name)
        found.append(sent)
    return found


@app.workflow
async def crowd(items: list[str]) -> list[str]:
    first, second, third = await asyncio.gather(reserve("x"), charge(5), ship("y"))
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(reserve(item)) for item in items]
    done = [task.result() for task in tasks]
    waiting = asyncio.create_task(asyncio.sleep(3_600))
    await asyncio.sleep(0)
    await charge(1)
    waiting.cancel()
    await charge(2)
    try:
        async with asyncio.timeout(5):
            await asyncio.sleep(10)
    except TimeoutError:
        done.append(await ship("late"))
    return [first, second, third, *done]


@app.workflow
async def approval(title: str) -> str:
    votes = workflow.channel("vote", bool)
    await ship(title)
    yes = await votes.receive()
    await charge(1 if yes else 2)
    try:
        again = await asyncio.wait_for(votes.receive(), 30)
    except TimeoutError:
        again = False
    if not again:
        await reserve("nothing")
    return title


@app.workflow
async def stubborn() -> str:
    try:
        await asyncio.sleep(3_600)
    finally:
        await ship("cleaned")
        await charge(9)
    return "never"
