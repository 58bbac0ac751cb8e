"""The program that the tests of the command line run, and a check that it is one."""

import ast
import os
from pathlib import Path

import perdure

SHOP = """
import asyncio
from dataclasses import dataclass

from perdure import Perdure, workflow

app = Perdure("sqlite:///own.db")


@dataclass
class Greeting:
    to: str
    at: int | None = None


@app.activity
async def charge(card: str, cents: int) -> str:
    return f"{card} {cents}"


@app.activity(retries=0)
def refuse(reason: str) -> None:
    raise ValueError(reason)


@app.activity(retries=9)
def again(reason: str) -> None:
    raise ValueError(reason)


@app.workflow
async def checkout(card: str, cents: int) -> str:
    return await charge(card, cents)


@app.workflow
async def greet(name: str) -> Greeting:
    return Greeting(name)


@app.workflow
async def total(numbers: list[int]) -> int:
    return sum(numbers)


@app.workflow
async def nothing() -> None: ...


@app.workflow
async def fails(reason: str) -> None:
    await refuse(reason)


@app.workflow
async def retries(reason: str) -> None:
    await again(reason)


@app.workflow
async def parks() -> str:
    return await workflow.execute_activity("missing", "tok", 1)


@app.workflow
async def waits(seconds: float = 0) -> str:
    @workflow.query
    def state(prefix: str = "") -> str:
        return f"{prefix}waiting"

    await asyncio.sleep(seconds)
    return f"got {await workflow.channel('go').receive()}"


@app.workflow
async def family() -> str:
    child = await workflow.start_child(waits, id="child")
    return await asyncio.wait_for(child.result(), 3_600)


def plain() -> None: ...
"""


def environment(**variables: str) -> dict[str, str]:
    """The environment variables of a child process that runs the package under test."""
    return {**os.environ, "PYTHONPATH": str(Path(perdure.__file__).parents[1]), **variables}


def test_the_shop_is_a_program() -> None:
    assert ast.parse(SHOP)
