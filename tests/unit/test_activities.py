"""Async activities: their outcomes, contexts, loops and reports."""

import asyncio
import gc
import logging
import threading
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from perdure.core.failure import ApplicationError, cancelled
from perdure.core.message import Cancelled, Completed, Failed
from perdure.core.payload import NULL, PAYLOAD_BYTES_MAX
from perdure.worker.context import RunningAttempt
from perdure.worker.mailbox import Mailbox
from perdure.worker.outcomes import LATER_TYPE
from tests.unit.runner_world import defined, details_of, in_virtual_time, world


@dataclass
class Order:
    """An argument that is not plain JSON."""

    card: str
    cents: int


@defined
async def pay(order: Order, tip: int = 0) -> str:
    await asyncio.sleep(1)
    return f"{order.card}:{order.cents + tip}"


@defined
async def wait_for_ever() -> None:
    await asyncio.Event().wait()


@in_virtual_time
async def test_an_activity_completes_with_its_result() -> None:
    async with world() as its:
        job = its.start(pay, Order("tok", 4_000), 200)

        assert await its.result(job) == "tok:4200"
        assert job.started_at_ms == job.scheduled_at_ms
        assert not its.runner.holds(job.key)


@in_virtual_time
async def test_activities_wait_side_by_side() -> None:
    async with world() as its:
        began_at_ms = its.clock.now_ms()
        for job in [its.start(pay, Order("tok", number)) for number in range(50)]:
            await its.result(job)

        assert its.clock.now_ms() - began_at_ms == 1_000


@in_virtual_time
async def test_a_raised_exception_is_described_from_the_users_own_frame_on() -> None:
    @defined
    async def fail() -> None:
        try:
            raise KeyError("inner")
        except KeyError as error:
            raise ValueError("outer") from error

    async with world() as its:
        failure = await its.failure(its.start(fail))

    assert (failure.type, failure.message, failure.retryable) == ("ValueError", "outer", True)
    assert failure.traceback.count("File ") == 1
    assert "in fail" in failure.traceback
    assert failure.cause is not None
    assert failure.cause.type == "KeyError"


@in_virtual_time
async def test_an_application_error_keeps_what_it_says() -> None:
    @defined
    async def fail() -> None:
        raise ApplicationError(
            "no", 1, {"a": 2}, type="Refused", retryable=False, next_retry_delay=timedelta(seconds=3)
        )

    async with world() as its:
        failure = await its.failure(its.start(fail))

    assert (failure.type, failure.message, failure.retryable, failure.next_retry_ms) == ("Refused", "no", False, 3_000)
    assert details_of(failure.details) == [1, {"a": 2}]


@in_virtual_time
async def test_no_failure_of_a_user_stands_for_an_outcome_that_comes_later() -> None:
    @defined
    async def fail() -> None:
        raise ApplicationError("no", type=LATER_TYPE)

    async with world() as its:
        failure = await its.failure(its.start(fail))

    assert failure.message == "no"
    assert failure.type != LATER_TYPE


@in_virtual_time
async def test_an_error_that_cannot_be_recorded_whole_still_fails_the_attempt() -> None:
    @defined
    async def fail() -> None:
        raise ApplicationError("no", object(), type="Refused", retryable=False)

    async with world() as its:
        failure = await its.failure(its.start(fail))

    assert (failure.type, failure.retryable) == ("Refused", False)
    assert failure.message.startswith("no (")
    assert "PDR1009" in failure.message


@in_virtual_time
async def test_an_error_class_that_forgot_its_base_still_fails_the_attempt() -> None:
    class Forgetful(ApplicationError):
        def __init__(self) -> None:
            self.forgot = True

    @defined
    async def fail() -> None:
        raise Forgetful

    async with world() as its:
        failure = await its.failure(its.start(fail))

    assert (failure.type, failure.retryable) == ("Forgetful", True)


@in_virtual_time
async def test_arguments_that_do_not_fit_are_not_tried_again() -> None:
    async with world() as its:
        failure = await its.failure(its.start(pay, "no order"))

    assert (failure.type, failure.retryable) == ("UndecodablePayload", False)
    assert failure.message.startswith("PDR3002: ")


async def give_object() -> Any:
    """A result that is no JSON."""
    return object()


async def give_too_much() -> str:
    """A result over the limit."""
    return "x" * PAYLOAD_BYTES_MAX


@pytest.mark.parametrize(("fn", "code"), [(give_object, "PDR1009"), (give_too_much, "PDR1010")])
@in_virtual_time
async def test_a_result_that_cannot_be_recorded_is_not_tried_again(fn: Callable[[], Any], code: str) -> None:
    async with world() as its:
        failure = await its.failure(its.start(defined(fn)))

    assert failure.message.startswith(code)
    assert not failure.retryable


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit, GeneratorExit, BaseException])
@in_virtual_time
async def test_what_would_end_the_process_ends_the_attempt_only(kind: type[BaseException]) -> None:
    @defined
    async def leave() -> None:
        await asyncio.sleep(0)
        raise kind("enough")

    async with world() as its:
        failure = await its.failure(its.start(leave))

        assert (failure.type, failure.message, failure.retryable) == (kind.__name__, "enough", True)
        assert await its.result(its.start(pay, Order("tok", 1))) == "tok:1"


@in_virtual_time
async def test_outcomes_that_are_there_together_are_reported_together() -> None:
    @defined
    async def answer(number: int) -> int:
        return number

    async with world() as its:
        jobs = [its.job(answer, number) for number in range(100)]
        its.runner.start(jobs)
        await its.until(lambda: len(its.outcomes) == 100)

    assert [len(batch) for batch in its.batches] == [100]
    assert [job for job, _ in its.batches[0]] == jobs


@in_virtual_time
async def test_each_attempt_has_a_context_of_its_own() -> None:
    variable: ContextVar[str] = ContextVar("variable", default="untouched")
    seen: list[str] = []

    @defined
    async def look(number: int) -> str:
        seen.append(variable.get())
        variable.set(f"set by {number}")
        await asyncio.sleep(1)
        return variable.get()

    variable.set("set by the test")
    async with world() as its:
        assert [await its.result(its.start(look, number)) for number in (1, 2)] == ["set by 1", "set by 2"]

    assert seen == ["untouched", "untouched"]
    assert variable.get() == "set by the test"


@in_virtual_time
async def test_activities_run_on_the_users_loop_in_its_own_thread() -> None:
    loop = asyncio.new_event_loop()
    mailbox = Mailbox(loop)

    def serve() -> None:
        mailbox.bind()
        loop.run_forever()

    thread = threading.Thread(target=serve)
    thread.start()

    @defined
    async def where() -> bool:
        await asyncio.sleep(0)
        return asyncio.get_running_loop() is loop and threading.current_thread() is thread

    async with world(user_mailbox=mailbox) as its:
        jobs = [its.job(where) for _ in range(500)]
        its.runner.start(jobs)
        held = its.start(wait_for_ever)
        for job in jobs:
            assert await its.result(job) is True
        its.runner.cancel(held.key, "enough")
        assert await its.outcome(held) == Cancelled(cancelled("enough"))

    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


@in_virtual_time
async def test_a_closed_user_loop_does_not_harm_the_engine() -> None:
    loop = asyncio.new_event_loop()
    mailbox = Mailbox(loop)
    loop.close()

    async with world({"stop_ms_max": 100}, user_mailbox=mailbox) as its:
        job = its.start(wait_for_ever)
        its.runner.cancel(job.key, "too late")

        assert its.runner.holds(job.key)


@in_virtual_time
async def test_a_loop_with_its_own_task_factory_keeps_it() -> None:
    made: list[asyncio.Task[Any]] = []

    def factory(loop: asyncio.AbstractEventLoop, coroutine: Any, **options: Any) -> "asyncio.Task[Any]":
        task: asyncio.Task[Any] = asyncio.Task(coroutine, loop=loop, **options)
        made.append(task)
        return task

    async with world() as its:
        its.loop.set_task_factory(factory)

        assert await its.result(its.start(pay, Order("tok", 1))) == "tok:1"
        assert [task.get_name() for task in made] == ["pay"]


@in_virtual_time
async def test_a_report_may_start_the_next_attempt() -> None:
    @defined
    async def answer(number: int) -> int:
        return number

    async with world() as its:

        def follow() -> None:
            if len(its.outcomes) < 10:
                its.start(answer, len(its.outcomes) + 1)

        its.on_report = follow
        its.start(answer, 1)
        await its.until(lambda: len(its.outcomes) == 10)


@in_virtual_time
async def test_a_failure_is_logged_with_its_attempt(caplog: pytest.LogCaptureFixture) -> None:
    @defined
    async def fail() -> None:
        raise ValueError("no such card")

    async with world() as its:
        await its.failure(its.start(fail, attempt=3))
        await its.result(its.start(pay, Order("tok", 1)))

    assert caplog.record_tuples == [
        (
            "perdure.activity",
            logging.WARNING,
            "activity fail failed in attempt 3 for workflow order-1: ValueError: no such card",
        )
    ]


@in_virtual_time
async def test_a_failure_that_nobody_waits_for_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    @defined
    async def stumble() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            raise RuntimeError("while cleaning up")

    async with world() as its:
        job = its.start(stumble)
        await its.pass_ms(1)
        its.runner.drop(job.key)

    assert caplog.records == []


@in_virtual_time
async def test_nothing_is_a_result_too() -> None:
    @defined
    async def nothing() -> None:
        return None

    async with world() as its:
        outcome = await its.outcome(its.start(nothing))

    assert outcome == Completed(NULL)
    assert not isinstance(outcome, Failed)


def _attempts() -> list[RunningAttempt]:
    return [each for each in gc.get_objects() if isinstance(each, RunningAttempt)]


@in_virtual_time
async def test_ended_attempts_leave_nothing_to_the_garbage_collector() -> None:
    gc.collect()
    # Threads that other tests left hanging hold theirs.
    before = _attempts()
    gc.disable()
    try:
        async with world() as its:
            its.runner.start([its.job(pay, Order("tok", number)) for number in range(100)])
            await its.runner.drain()
            await its.pass_ms(1)

            assert [each for each in _attempts() if each not in before] == []
    finally:
        gc.enable()
