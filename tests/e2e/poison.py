"""A program whose activity kills its own process; run again and again by a test."""

import asyncio
import os
import sys

from perdure import ActivityError, Perdure

app = Perdure(sys.argv[1])


@app.activity
async def poison() -> None:
    """Dies like a crash in native code."""
    os._exit(9)


@app.activity
async def innocent(number: int) -> int:
    """Runs beside the poison each time."""
    await asyncio.sleep(0.05)
    return number


@app.workflow
async def bystander() -> int:
    """Is in flight whenever the process dies."""
    for _ in range(2):
        await innocent(1)
    return await innocent(1)


@app.workflow
async def victim() -> str:
    """Calls the poison."""
    helper = asyncio.create_task(bystander())
    try:
        await poison()
    except ActivityError as error:
        return f"{error}, innocent {await helper}"
    return "survived"


if __name__ == "__main__":
    print(app.run(victim, id="victim"))
