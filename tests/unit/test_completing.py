"""Activities that are completed later, by their token or by hand, by whoever has the store."""

import asyncio
from typing import Any

import pytest

from perdure import activity
from perdure.core.errors import ActivityNotOpen, InvalidOption
from perdure.core.failure import ActivityError, ActivityTimeout, Failure
from perdure.core.message import Completed, Failed, Outcome
from perdure.core.payload import to_payload
from perdure.description import describe, moment
from perdure.engine.completing import ActivityRef, Completing
from perdure.engine.later import Token, parsed_token
from perdure.programs.code.definition import Activity
from tests.unit.virtual_time import in_virtual_time
from tests.unit.worker_world import Yard, until, yard

FLAKY = Failed(Failure("Flaky", "not yet"))


class Desk:
    """An activity that leaves its token and goes, and somebody outside who completes it."""

    def __init__(self, place: Yard, **keywords: Any) -> None:
        self.tokens: list[str] = []
        self.details: list[Any] = []

        async def approve(question: str) -> str:
            self.tokens.append(activity.info().token)
            self.details.append(activity.heartbeat_details(int))
            raise activity.CompleteLater

        async def ask(question: str) -> list[Any]:
            try:
                return ["yes", await self.approve(question)]
            except ActivityTimeout as error:
                return [error.kind.value, error.attempt]
            except ActivityError as error:
                return [error.type, error.attempt]

        self.approve: Activity[..., str] = place.activity(approve, **keywords)
        self.ask = place.workflow(ask)
        self._outside = Completing(place.client, place.clock)

    async def end(self, outcome: Outcome, token: str | None = None) -> None:
        """End the last attempt from outside, or the one named."""
        await self._outside.end(parsed_token(token or self.tokens[-1]), lambda _: outcome)

    async def end_by_name(self, outcome: Outcome, name: str | int = "approve") -> None:
        """End the open attempt of an activity from outside."""
        await self._outside.end(ActivityRef("w", name), lambda _: outcome)

    async def beat(self, *details: int) -> None:
        """A sign of life from outside."""
        await self._outside.beat(parsed_token(self.tokens[-1]), [to_payload(each) for each in details])


YES = Completed(to_payload("granted"))


@in_virtual_time
async def test_a_token_completes_an_activity_hours_later() -> None:
    async with yard() as place:
        desk = Desk(place)
        await place.process("worker")
        run_id = await place.start(desk.ask, "?")
        await asyncio.sleep(3 * 3_600)

        await desk.end(YES)

        assert await place.result(run_id) == ["yes", "granted"]
        assert len(desk.tokens) == 1


@in_virtual_time
async def test_it_outlives_the_worker_that_began_it() -> None:
    async with yard() as place:
        desk = Desk(place)
        first = await place.process("first")
        run_id = await place.start(desk.ask, "?")
        await until(lambda: bool(desk.tokens))
        await asyncio.sleep(1)
        first.store.cut_off = True
        first.loop.crash()
        await desk.end(YES)

        await place.process("second")

        assert await place.result(run_id) == ["yes", "granted"]
        assert len(desk.tokens) == 1


@in_virtual_time
async def test_a_worker_that_dies_before_it_gave_the_attempt_up_runs_it_again() -> None:
    async with yard() as place:
        desk = Desk(place)
        first = await place.process("first", lease_ms=3_000)
        first.store.delays_s["finish"] = 3_600
        run_id = await place.start(desk.ask, "?")
        await until(lambda: bool(desk.tokens))
        first.store.cut_off = True
        first.loop.crash()
        await place.process("second")
        await until(lambda: len(desk.tokens) == 2)
        await asyncio.sleep(1)

        with pytest.raises(ActivityNotOpen):
            await desk.end(YES, desk.tokens[0])
        await desk.end(YES)

        assert await place.result(run_id) == ["yes", "granted"]


@in_virtual_time
async def test_a_failure_by_token_is_tried_again_by_the_retry_policy() -> None:
    async with yard() as place:
        desk = Desk(place, retries=1)
        await place.process("worker")
        run_id = await place.start(desk.ask, "?")
        await asyncio.sleep(1)

        await desk.end(FLAKY)
        await asyncio.sleep(10)
        await desk.end(FLAKY)

        assert await place.result(run_id) == ["Flaky", 2]
        assert len(desk.tokens) == 2


@in_virtual_time
async def test_the_timeout_of_an_attempt_goes_on_while_it_waits() -> None:
    async with yard() as place:
        desk = Desk(place, timeout="1h", retries=1)
        await place.process("worker")
        run_id = await place.start(desk.ask, "?")

        assert await place.result(run_id, within_s=3 * 3_600) == ["start_to_close", 2]
        assert len(desk.tokens) == 2


@in_virtual_time
async def test_the_timeout_over_all_attempts_ends_it_for_good() -> None:
    async with yard() as place:
        desk = Desk(place, schedule_to_close="1h")
        await place.process("worker")
        run_id = await place.start(desk.ask, "?")

        assert await place.result(run_id, within_s=3 * 3_600) == ["schedule_to_close", 1]


@in_virtual_time
async def test_heartbeats_by_token_keep_it_alive_and_leave_details() -> None:
    async with yard() as place:
        desk = Desk(place, heartbeat="60s", retries=1)
        await place.process("worker")
        run_id = await place.start(desk.ask, "?")
        for number in range(1, 5):
            await asyncio.sleep(40)
            await desk.beat(number)
        await asyncio.sleep(40)
        await desk.beat()

        await asyncio.sleep(120)
        assert desk.details == [None, 4]
        await desk.end(YES)

        assert await place.result(run_id) == ["yes", "granted"]


@in_virtual_time
async def test_by_hand_an_activity_is_ended_that_waits_for_its_next_try() -> None:
    async with yard() as place:

        async def stuck() -> str:
            raise ConnectionError("down")

        sticking = place.activity(stuck)

        async def flow() -> str:
            return await sticking.options(retries=100)()

        desk = Desk(place)
        await place.process("worker")
        run_id = await place.start(place.workflow(flow))
        await asyncio.sleep(30)

        await desk.end_by_name(YES, "stuck")

        assert await place.result(run_id) == "granted"


@in_virtual_time
async def test_by_hand_an_activity_is_ended_that_runs() -> None:
    async with yard() as place:

        async def hang() -> str:
            await asyncio.sleep(3_600_000)
            return "never"

        hanging = place.activity(hang)

        async def flow() -> str:
            return await hanging()

        desk = Desk(place)
        process = await place.process("worker", lease_ms=3_000)
        run_id = await place.start(place.workflow(flow))
        await asyncio.sleep(30)

        await desk.end_by_name(YES, 1)

        assert await place.result(run_id) == "granted"
        await asyncio.sleep(5)
        assert process.working.busy_count == 0


@in_virtual_time
async def test_what_is_not_open_is_refused() -> None:
    async with yard() as place:
        desk = Desk(place)
        await place.process("worker")
        run_id = await place.start(desk.ask, "?")
        await asyncio.sleep(1)
        await desk.end(YES)
        await place.result(run_id)

        for wrong in (desk.tokens[0], "no-such-run/1/1"):
            with pytest.raises(ActivityNotOpen):
                await desk.end(YES, wrong)
        with pytest.raises(ActivityNotOpen):
            await desk.end_by_name(YES)
        for wrong in ("", "rubbish", "a/b/c", "run/1"):
            with pytest.raises(InvalidOption):
                parsed_token(wrong)


@in_virtual_time
async def test_a_name_that_fits_several_is_refused() -> None:
    async with yard() as place:
        desk = Desk(place)

        async def flow() -> list[str]:
            return list(await asyncio.gather(desk.approve("a"), desk.approve("b")))

        await place.process("worker")
        run_id = await place.start(place.workflow(flow))
        await asyncio.sleep(1)

        with pytest.raises(ActivityNotOpen, match="2 times"):
            await desk.end_by_name(YES)
        await desk.end_by_name(YES, 2)
        await desk.end_by_name(YES)

        assert await place.result(run_id) == ["granted", "granted"]


@in_virtual_time
async def test_a_lost_answer_of_the_store_is_told_and_nothing_is_recorded_twice() -> None:
    async with yard() as place:
        desk = Desk(place)
        process = await place.process("worker")
        # The worker gives the attempt up; the answer is lost, and it says so again.
        process.store.lost["finish"] = {1, 2}
        run_id = await place.start(desk.ask, "?")
        await asyncio.sleep(30)
        await desk.end(YES)

        assert await place.result(run_id) == ["yes", "granted"]
        assert len(await place.closings_of(run_id, "approve")) == 1


@in_virtual_time
async def test_a_description_says_that_somebody_else_completes_it() -> None:
    async with yard() as place:
        desk = Desk(place)
        await place.process("worker")
        await place.start(desk.ask, "?")
        await asyncio.sleep(1)

        found = describe(await place.client.describe(place.main), moment(place.clock.now_ms()))

        (pending,) = found.activities
        assert pending.completed_later
        assert not pending.running
        assert pending.next_try_at is None


@in_virtual_time
async def test_a_local_activity_cannot_be_completed_later() -> None:
    async with yard() as place:
        desk = Desk(place)

        async def flow() -> str:
            try:
                return await desk.approve.local("?")
            except ActivityError as error:
                return error.type

        await place.process("worker")

        assert await place.result(await place.start(place.workflow(flow))) == "CompleteLater"


def test_a_token_is_read_as_it_was_written() -> None:
    token = Token(parsed_token("r-1/2/3").run_id, 2, 3)

    assert parsed_token(str(token)) == token
