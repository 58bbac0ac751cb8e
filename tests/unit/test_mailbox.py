"""Mailboxes: callbacks for a loop, from any thread, in order."""

import asyncio
import threading
from collections.abc import Callable
from contextvars import ContextVar
from functools import partial

import pytest

from perdure.worker.mailbox import Mailbox


class CountingLoop(asyncio.SelectorEventLoop):
    """Counts how often it is woken."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        super().__init__()

    def call_soon(self, callback: Callable[..., object], *args: object, context: object = None) -> asyncio.Handle:
        if getattr(callback, "__name__", "") == "_deliver":
            self.calls.append("soon")
        return super().call_soon(callback, *args, context=context)  # type: ignore[arg-type]

    def call_soon_threadsafe(
        self, callback: Callable[..., object], *args: object, context: object = None
    ) -> asyncio.Handle:
        if getattr(callback, "__name__", "") == "_deliver":
            self.calls.append("threadsafe")
        return super().call_soon_threadsafe(callback, *args, context=context)  # type: ignore[arg-type]


async def settle() -> None:
    """Let what is ready run."""
    for _ in range(5):
        await asyncio.sleep(0)


async def test_callbacks_come_in_the_order_they_were_posted() -> None:
    mailbox = Mailbox(asyncio.get_running_loop())
    mailbox.bind()
    seen: list[int] = []

    for number in range(10):
        mailbox.post(partial(seen.append, number))
    assert seen == []
    await settle()

    assert seen == list(range(10))


def test_many_posts_wake_the_loop_once() -> None:
    async def post_many(loop: CountingLoop, *, bound: bool) -> None:
        mailbox = Mailbox(loop)
        if bound:
            mailbox.bind()
        for _ in range(100):
            mailbox.post(lambda: None)
        await settle()

    for bound, call in ((True, "soon"), (False, "threadsafe")):
        loop = CountingLoop()
        loop.run_until_complete(post_many(loop, bound=bound))
        loop.close()

        assert loop.calls == [call]


async def test_posts_of_several_threads_all_arrive_each_threads_in_order() -> None:
    mailbox = Mailbox(asyncio.get_running_loop())
    mailbox.bind()
    seen: dict[int, list[int]] = {thread: [] for thread in range(4)}
    done = asyncio.Event()

    def note(thread: int, number: int) -> None:
        seen[thread].append(number)
        if all(len(numbers) == 2_000 for numbers in seen.values()):
            done.set()

    def post_all(thread: int) -> None:
        for number in range(2_000):
            mailbox.post(partial(note, thread, number))

    threads = [threading.Thread(target=post_all, args=(thread,)) for thread in seen]
    for thread in threads:
        thread.start()
    await done.wait()
    for thread in threads:
        thread.join()

    assert all(numbers == list(range(2_000)) for numbers in seen.values())


async def test_a_callback_that_posts_again_lets_the_loop_do_other_work() -> None:
    mailbox = Mailbox(asyncio.get_running_loop())
    mailbox.bind()
    stopped = False

    def again() -> None:
        if not stopped:
            mailbox.post(again)

    mailbox.post(again)
    await settle()
    stopped = True
    await settle()


async def test_a_callback_that_raises_does_not_hold_up_the_others() -> None:
    loop = asyncio.get_running_loop()
    reported: list[BaseException] = []
    loop.set_exception_handler(lambda _, context: reported.append(context["exception"]))
    mailbox = Mailbox(loop)
    mailbox.bind()
    seen: list[int] = []

    def fail() -> None:
        raise ValueError("a bug")

    for callback in (partial(seen.append, 1), fail, partial(seen.append, 2), fail, partial(seen.append, 3)):
        mailbox.post(callback)
    await settle()

    assert seen == [1, 2, 3]
    assert [str(error) for error in reported] == ["a bug", "a bug"]


async def test_callbacks_do_not_see_the_context_of_whoever_posts() -> None:
    variable: ContextVar[str] = ContextVar("variable", default="untouched")
    mailbox = Mailbox(asyncio.get_running_loop())
    seen: list[str] = []

    def look() -> None:
        seen.append(variable.get())
        variable.set("set by a callback")

    variable.set("set by the poster")
    mailbox.post(look)
    await settle()
    mailbox.post(look)
    await settle()

    assert seen == ["untouched", "untouched"]


def test_every_post_to_a_closed_loop_is_refused() -> None:
    loop = asyncio.new_event_loop()
    mailbox = Mailbox(loop)
    loop.close()

    for _ in range(2):
        with pytest.raises(RuntimeError):
            mailbox.post(lambda: None)
