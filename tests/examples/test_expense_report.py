"""Expense report: approved by all, rejected with a reason, escalated, passed over, and over a restart."""

import asyncio
from datetime import timedelta

from examples.expense_report import DECIDE, Decision, Report, app, approval, expense_report
from tests.examples import scripts

REPORT = Report("ada", "a train", 12_300, ("bob", "carol"), escalate_to="dora")


async def asked(count: int) -> None:
    """Return when so many people were asked to decide."""
    while sum("Please decide" in mail for mail in scripts.lines("mails.txt")) < count:
        await asyncio.sleep(0.01)


async def decide(approver: str, decision: Decision) -> None:
    await app.handle(f"report/{approver}", approval).signal(DECIDE, decision)


async def test_a_report_that_all_approve_is_paid_once() -> None:
    async with app:
        handle = await app.start(expense_report, REPORT, id="report")
        await asked(2)
        await decide("carol", Decision("carol", approved=True))
        await decide("bob", Decision("bob", approved=True))

        assert {each.by for each in await handle.result()} == {"bob", "carol"}

    assert scripts.lines("payments.txt") == ["report ada 12300"]
    assert scripts.lines("mails.txt")[-1] == "ada: 'a train' was approved."


async def test_one_rejection_ends_the_report_and_tells_those_who_were_still_asked() -> None:
    async with app:
        handle = await app.start(expense_report, REPORT, id="report")
        await asked(2)
        await decide("bob", Decision("bob", approved=False, reason="first class"))

        assert await handle.result() == (Decision("bob", approved=False, reason="first class"),)
        assert await handle.query("decisions", result_type=list[Decision]) == [*await handle.result()]
        carol = app.handle("report/carol")
        while (await carol.describe()).run.status == "running":  # it cleans up after its parent
            await asyncio.sleep(0.01)
        assert (await carol.describe()).run.status == "cancelled"

    assert scripts.lines("payments.txt") == []
    assert "ada: 'a train' was rejected by bob: first class" in scripts.lines("mails.txt")
    assert "carol: No decision on 'a train' is needed any more." in scripts.lines("mails.txt")


async def test_a_report_that_nobody_looks_at_is_escalated_and_then_rejected() -> None:
    report = Report("ada", "a train", 12_300, ("bob",), escalate_to="dora", deadline=timedelta(milliseconds=300))
    async with app:
        handle = await app.start(expense_report, report, id="report")

        (decision,) = await handle.result()

    assert decision == Decision("nobody", approved=False, reason="nobody decided in time")
    assert [mail.partition(":")[0] for mail in scripts.lines("mails.txt")] == ["bob", "bob", "dora", "dora", "ada"]


async def test_who_is_asked_after_an_escalation_decides_also_after_a_restart() -> None:
    report = Report("ada", "a train", 12_300, ("bob",), escalate_to="dora", deadline=timedelta(seconds=2))
    async with app:
        await app.start(expense_report, report, id="report")
        await asked(1)

    async with app:
        await asked(2)
        await decide("bob", Decision("dora", approved=True))

        assert await app.handle("report", expense_report).result() == (Decision("dora", approved=True),)

    assert scripts.lines("payments.txt") == ["report ada 12300"]


def test_the_program_runs() -> None:
    assert "reason='carol is on holiday'" in scripts.run("expense_report.py")
