"""What the environment looks for by itself: activities that are not idempotent, code that does not replay, sockets."""

import asyncio
import socket
import urllib.request

import pytest

from perdure import Perdure, WorkflowFailed
from perdure.core.errors import InvalidOption, NonDeterminism
from perdure.testing import NetworkRefused, NotIdempotent, NotReplayable, TestEnvironment
from tests.unit.kit_shop import app, charge, counts, month, three_charges

shop = Perdure("memory://")
tries: list[str] = []
drawn = iter(range(1_000_000))


@shop.activity
async def counted(item: str) -> int:
    """Another number each time."""
    tries.append(item)
    return len(tries)


@shop.activity(retries=0)
def once(item: str) -> str:
    """Refuses to be run again."""
    if item in tries:
        raise ValueError(f"{item} is there")
    tries.append(item)
    return item


@shop.workflow
async def counting() -> int:
    """One that is not idempotent."""
    return await counted("a")


@shop.workflow
async def careful() -> str:
    """One that is not idempotent, in a thread."""
    return await once("a")


@shop.workflow
async def fickle() -> None:
    """Decides by what no replay repeats."""
    if next(drawn) % 2:
        await asyncio.sleep(60)
    else:
        await counted("b")


@shop.workflow
async def unsorted() -> None:
    """Takes the elements of a set as they come."""
    for word in {"ant", "bee", "cow", "dog", "elk", "fox", "gnu", "hen"}:
        if word < "c":
            await counted(word)
        else:
            await asyncio.sleep(1)


@shop.activity(retries=0)
def fetch(url: str) -> str:
    """Reaches for the network."""
    with urllib.request.urlopen(url, timeout=5) as answer:
        return str(answer.status)


@shop.workflow
async def fetching(url: str) -> str:
    """Reaches for the network by an activity."""
    return await fetch(url)


async def test_each_activity_is_run_twice_and_the_second_outcome_counts() -> None:
    counts.clear()
    async with TestEnvironment(app, twice=True) as env:
        assert await (await app.start(three_charges)).result() == ["a/100", "b/100", "c/100"]

        assert counts["charge"] == 6
        assert len(env.calls(charge)) == 3


async def test_outcomes_that_differ_are_reported() -> None:
    tries.clear()
    with pytest.raises(NotIdempotent, match="'counted' was run twice and ended differently: first 1, then 2"):
        async with TestEnvironment(shop, twice=True):
            await (await shop.start(counting)).result()


async def test_an_error_of_the_second_run_is_reported_too() -> None:
    tries.clear()

    async def result() -> str:
        # The activity may end in its thread before the start has returned: either of the two hears of it.
        return await (await shop.start(careful, id="c")).result()

    async with TestEnvironment(shop, twice=True):
        with pytest.raises(NotIdempotent, match='first "a", then ValueError: a is there'):
            await result()
        with pytest.raises(WorkflowFailed, match="a is there"):
            await shop.handle("c").result()


async def test_what_nobody_waited_for_is_raised_at_the_end_at_the_latest() -> None:
    tries.clear()

    async def inattentive() -> None:
        async with TestEnvironment(shop, twice=True):
            await shop.start(counting)
            await asyncio.sleep(0.05)

    with pytest.raises(NotIdempotent):
        await inattentive()


async def test_every_turn_is_replayed_and_code_that_decides_otherwise_is_found() -> None:
    async with TestEnvironment(shop, replay=True):
        with pytest.raises(NonDeterminism, match="the code asked for") as caught:
            await (await shop.start(fickle)).result()
        assert "found by replaying workflow" in caught.value.__notes__[0]


@pytest.mark.slow
async def test_code_that_depends_on_the_order_of_a_set_is_found_in_another_process() -> None:
    async with TestEnvironment(app, replay="processes"):
        assert await (await app.start(month, "tok")).result() == "tok/100, packed tok"

    async def in_any_order() -> None:
        async with TestEnvironment(shop, replay="processes"):
            await (await shop.start(unsorted)).result()

    with pytest.raises(NotReplayable, match="hash seed"):
        await in_any_order()


async def test_an_app_in_no_module_is_replayed_in_no_other_process() -> None:
    hidden = Perdure("memory://")

    @hidden.workflow
    async def nothing() -> None: ...

    async def unreachable() -> None:
        async with TestEnvironment(hidden, replay="processes"):
            await (await hidden.start(nothing)).result()

    with pytest.raises(InvalidOption, match="needs an app in a module's variable"):
        await unreachable()


async def test_sound_code_replays_without_a_word() -> None:
    async with TestEnvironment(app, replay=True) as env:
        env.mock(charge).returns("r")
        assert await (await app.start(month, "tok")).result() == "r, packed tok"


async def test_the_network_is_refused_to_activities() -> None:
    async with TestEnvironment(shop, network=()):
        with pytest.raises(WorkflowFailed, match="NetworkRefused: PDR6005: getaddrinfo to shop"):
            await (await shop.start(fetching, "http://shop.test/")).result()


async def test_the_network_is_refused_to_the_test_itself_and_free_again_afterwards() -> None:
    async with TestEnvironment(shop, network=("db.test", "192.0.2.7:5432")):
        with socket.socket() as line:
            with pytest.raises(NetworkRefused, match=r"connect to 192\.0\.2\.1:80"):
                line.connect(("192.0.2.1", 80))
            with pytest.raises(NetworkRefused, match=r"connect to 192\.0\.2\.7:80"):
                line.connect(("192.0.2.7", 80))
    with socket.socket() as line:
        line.setblocking(False)
        assert line.connect_ex(("192.0.2.1", 80))


async def test_this_machine_is_always_allowed() -> None:
    async with TestEnvironment(shop, network=()):
        with socket.socket() as server:
            server.bind(("127.0.0.1", 0))
            server.listen()
            with socket.create_connection(server.getsockname()) as line:
                assert line.getpeername() == server.getsockname()
            socket.getaddrinfo("localhost", 80)


def test_bad_options_are_refused() -> None:
    with pytest.raises(InvalidOption, match="give 'run' or 'refuse'"):
        TestEnvironment(app, unmocked="maybe")  # pyright: ignore[reportArgumentType]
