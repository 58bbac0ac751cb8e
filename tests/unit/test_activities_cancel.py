"""Cancelling and dropping attempts."""

import asyncio

from perdure import activity
from perdure.core.failure import cancelled
from perdure.core.message import Cancelled
from perdure.core.store import AttemptKey
from tests.unit.runner_world import defined, in_virtual_time, world


@defined
async def pay(card: str) -> str:
    await asyncio.sleep(1)
    return f"paid {card}"


@defined
async def wait_for_ever() -> None:
    await asyncio.Event().wait()


@in_virtual_time
async def test_an_activity_that_obeys_is_reported_as_cancelled() -> None:
    cleaned: list[bool] = []

    @defined
    async def obey() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(5)
            cleaned.append(activity.cancelled())

    async with world() as its:
        job = its.start(obey)
        await its.pass_ms(1)
        its.runner.cancel(job.key, "not wanted")
        its.runner.cancel(job.key, "not wanted, again")

        assert await its.outcome(job) == Cancelled(cancelled("not wanted"))
        assert cleaned == [True]


@in_virtual_time
async def test_an_activity_may_finish_although_it_was_cancelled() -> None:
    @defined
    async def insist() -> str:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return "done nevertheless"
        return "never"

    async with world() as its:
        job = its.start(insist)
        await its.pass_ms(1)
        its.runner.cancel(job.key, "not wanted")

        assert await its.result(job) == "done nevertheless"


@in_virtual_time
async def test_an_activity_that_is_cancelled_before_its_first_step_never_runs() -> None:
    ran: list[bool] = []

    @defined
    async def run() -> None:
        ran.append(True)

    async with world() as its:
        job = its.start(run)
        its.runner.cancel(job.key, "not wanted")

        assert await its.outcome(job) == Cancelled(cancelled("not wanted"))
        assert ran == []


@in_virtual_time
async def test_a_cancellation_that_nobody_asked_for_is_a_failure() -> None:
    @defined
    async def cancel_itself() -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel("a library's own")
        await asyncio.sleep(1)

    async with world() as its:
        failure = await its.failure(its.start(cancel_itself))

    assert (failure.type, failure.retryable) == ("CancelledError", True)


@in_virtual_time
async def test_a_failure_after_a_cancellation_is_reported_as_the_failure() -> None:
    @defined
    async def stumble() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            raise RuntimeError("while cleaning up")

    async with world() as its:
        job = its.start(stumble)
        await its.pass_ms(1)
        its.runner.cancel(job.key, "not wanted")

        assert (await its.failure(job)).type == "RuntimeError"


@in_virtual_time
async def test_cancelling_what_is_not_held_does_nothing() -> None:
    async with world() as its:
        job = its.start(pay, "1")
        await its.outcome(job)

        its.runner.cancel(job.key, "too late")
        its.runner.cancel(AttemptKey(job.key.run_id, 99), "never there")
        its.runner.drop(job.key)


@in_virtual_time
async def test_a_dropped_attempt_is_cancelled_and_never_reported() -> None:
    ended: list[bool] = []

    @defined
    async def run() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(True)

    async with world() as its:
        job = its.start(run)
        await its.pass_ms(1)
        its.runner.drop(job.key)

        assert not its.runner.holds(job.key)
        await its.runner.drain()
        await its.pass_ms(1)
        assert ended == [True]
        assert its.outcomes == {}


@in_virtual_time
async def test_the_next_attempt_of_a_call_may_start_while_the_dropped_one_still_ends() -> None:
    @defined
    async def run(number: int) -> int:
        if number == 1:
            try:
                await asyncio.Event().wait()
            finally:
                await asyncio.sleep(10)
        return number

    async with world() as its:
        first = its.start(run, 1)
        await its.pass_ms(1)
        its.runner.drop(first.key)
        second = its.job(run, 2)
        second.key = first.key
        its.runner.start([second])

        assert await its.result(second) == 2


@in_virtual_time
async def test_an_attempt_that_is_started_under_a_held_key_takes_its_place() -> None:
    async with world() as its:
        first = its.start(wait_for_ever)
        second = its.job(pay, "1")
        second.key = first.key
        its.runner.start([second])

        assert await its.result(second) == "paid 1"
        assert its.runner.running_count == 0


@in_virtual_time
async def test_an_attempt_that_cleans_up_after_a_cancellation_is_not_disturbed_when_it_is_dropped() -> None:
    cleaned: list[bool] = []

    @defined
    async def obey() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(1)
            cleaned.append(True)

    async with world() as its:
        job = its.start(obey)
        await its.pass_ms(1)
        its.runner.cancel(job.key, "not wanted")
        await its.pass_ms(500)
        its.runner.drop(job.key)
        await its.pass_ms(1_000)

        assert cleaned == [True]
        assert its.outcomes == {}


@in_virtual_time
async def test_an_attempt_that_was_cancelled_while_it_waited_may_be_dropped_before_the_report() -> None:
    async with world({"activities_max": 1}) as its:
        first, second = its.start(pay, "1"), its.start(pay, "2")
        its.runner.cancel(second.key, "not wanted")
        its.runner.drop(second.key)

        assert await its.result(first) == "paid 1"
        assert list(its.outcomes) == [1]
