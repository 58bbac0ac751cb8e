"""What the runs of a schedule are started with beside their arguments."""

from contextvars import ContextVar
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from perdure import ContextVarPropagator, Perdure, RetryPolicy, SearchKey, workflow
from perdure.core.errors import InvalidOption
from perdure.core.payload import Payload, from_payload, to_payload
from perdure.programs.schedule.state import Plan
from perdure.schedules import ScheduleSpec
from perdure.testing import TestEnvironment

START = datetime(2026, 11, 20, tzinfo=UTC)
HOURLY = ScheduleSpec(crons=["@hourly"])


async def test_options_of_the_runs_go_along_with_each_start() -> None:
    tenant: ContextVar[str] = ContextVar("tenant")
    app = Perdure("memory://", propagators=[ContextVarPropagator("tenant", tenant, str)])
    region = SearchKey.keyword("Region")
    begun: list[tuple[int, str]] = []

    @app.workflow
    async def brittle() -> None:
        begun.append((workflow.info().attempt, tenant.get("nobody")))
        if len(begun) < 3:
            raise ValueError("not yet")
        await workflow.wait_condition(lambda: False, timeout=60)

    async with TestEnvironment(app, start=START) as env:
        tenant.set("acme")
        schedule = await app.schedules.create(
            "s",
            HOURLY,
            brittle,
            retry=RetryPolicy(maximum_attempts=3),
            run_timeout="30s",
            memo={"team": "red"},
            search_attributes=[region.set("eu")],
        )
        tenant.set("other")
        await env.sleep("70m")
        (run,) = await app.list("Region = 'eu' and ExecutionStatus = 'TimedOut'", limit=1)
        entry = (await schedule.describe()).recent[0]

        assert begun == [(1, "acme"), (2, "acme"), (3, "acme")]
        assert (entry.status, run.memo) == ("timed_out", {"team": "red"})

        action = app.schedules.action("t", brittle, memo={"team": "blue"})
        await schedule.update(lambda each: replace(each, action=action))
        begun.clear()
        await env.sleep("60m")
        failed = (await schedule.describe()).recent[-1]

        assert (begun, failed.status) == ([(1, "other")], "failed")
        with pytest.raises(InvalidOption, match="cron"):
            await app.schedules.create("x", HOURLY, brittle, cron="@daily")  # type: ignore[call-arg]
        with pytest.raises(InvalidOption, match="retries"):
            app.schedules.action("x", brittle, retries=3)  # type: ignore[call-arg]
        with pytest.raises(InvalidOption, match="run_timeout"):
            await app.schedules.create("x", HOURLY, brittle, run_timeout="soon")


async def test_a_schedule_of_before_has_no_options() -> None:
    plan = b'{"schedule_id":"s","spec":{"crons":["@hourly"]},"action":{"workflow_type":"w","workflow_id":"s"}}'

    read: Plan = from_payload(Payload(plan), Plan)

    assert read.action.options is None
    assert to_payload(read).data == plan
