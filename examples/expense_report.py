"""An expense report that several people must approve, each within a deadline.

    python expense_report.py      two approve, one of them late and through the person above

Each approver is asked by a child workflow of its own, under an id that says whom it asks, so that a decision is simply
a signal to that child. Whoever does not answer in time is passed over for the person above. One rejection ends the
report, and those who have not decided yet are told so: their workflows are cancelled and clean up.
"""

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from perdure import ParentClosePolicy, Perdure, Signal, workflow

app = Perdure("sqlite:///expenses.db")


@dataclass(frozen=True)
class Report:
    """What was spent, who must approve it, and who decides for those who do not answer."""

    employee: str
    purpose: str
    cents: int
    approvers: tuple[str, ...]
    escalate_to: str
    deadline: timedelta = timedelta(days=3)


@dataclass(frozen=True)
class Request:
    """One approver's part of a report."""

    report: Report
    approver: str


@dataclass(frozen=True)
class Decision:
    """What somebody decided, and why."""

    by: str
    approved: bool
    reason: str = ""


DECIDE = Signal("decide", Decision)


# What the workflows call


@app.activity
def send_mail(to: str, text: str) -> None:
    """Stands for a mail server."""
    with Path("mails.txt").open("a") as mails:
        mails.write(f"{to}: {text}\n")
    print(f"mail to {to}: {text}", flush=True)


@app.activity
def pay_out(employee: str, cents: int, reference: str) -> None:
    """Stands for the payroll, which pays each reference once."""
    paid = Path("payments.txt")
    if paid.exists() and reference in paid.read_text().split():
        return
    with paid.open("a") as payments:
        payments.write(f"{reference} {employee} {cents}\n")
    print(f"paid {cents} cents to {employee}", flush=True)


# The workflows


@app.workflow
async def approval(request: Request) -> Decision:
    """Ask one approver, then the person above; nobody's answer is a rejection."""
    decisions = workflow.channel(DECIDE)
    report = request.report
    for person in (request.approver, report.escalate_to):
        await send_mail(person, f"Please decide on {report.purpose!r} of {report.employee}.")
        try:
            async with asyncio.timeout(report.deadline.total_seconds()):
                return await decisions.receive()
        except TimeoutError:
            await send_mail(person, f"Your time for {report.purpose!r} is over.")
        except asyncio.CancelledError:
            await send_mail(person, f"No decision on {report.purpose!r} is needed any more.")
            raise
    return Decision(by="nobody", approved=False, reason="nobody decided in time")


@app.workflow
async def expense_report(report: Report) -> tuple[Decision, ...]:
    """The decisions, the last of which is a rejection if there is one. Pays if all approved."""
    report_id = workflow.info().workflow_id
    decided: list[Decision] = []

    @workflow.query
    def decisions() -> list[Decision]:
        return decided

    requests = [
        await workflow.start_child(
            approval,
            Request(report, approver),
            id=f"{report_id}/{approver}",
            # Those that are still open when this workflow ends are cancelled then, and not merely stopped.
            parent_close_policy=ParentClosePolicy.CANCEL,
        )
        for approver in report.approvers
    ]
    for next_decision in asyncio.as_completed([request.result() for request in requests]):
        decision = await next_decision
        decided.append(decision)
        if not decision.approved:
            await send_mail(report.employee, f"{report.purpose!r} was rejected by {decision.by}: {decision.reason}")
            return tuple(decided)
    await pay_out(report.employee, report.cents, report_id)
    await send_mail(report.employee, f"{report.purpose!r} was approved.")
    return tuple(decided)


async def main() -> None:
    """A report that two people must approve, of whom one does not answer."""
    second = timedelta(seconds=1)
    report = Report("ada", "a train to Lisbon", 12_300, ("bob", "carol"), escalate_to="dora", deadline=second)
    async with app:
        handle = await app.start(expense_report, report)
        bob = app.handle(f"{handle.workflow_id}/bob", approval)
        carol = app.handle(f"{handle.workflow_id}/carol", approval)
        await asyncio.sleep(0.5)
        await bob.signal(DECIDE, Decision("bob", approved=True))
        await asyncio.sleep(1)
        await carol.signal(DECIDE, Decision("dora", approved=True, reason="carol is on holiday"))
        for decision in await handle.result():
            print(decision)


if __name__ == "__main__":
    asyncio.run(main())
