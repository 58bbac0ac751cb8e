"""Wrong calls of clients: each marked line is an error of that rule, and no other line is one."""

from perdure import Handle, Perdure
from tests.types.shop import APPROVE, Approval, app, charge, checkout, order, tick


async def arguments() -> None:
    """Types, counts and names of arguments at the start."""
    await app.start(checkout, "tok", "1")  # error: reportArgumentType
    await app.start(checkout, "tok")  # error: reportArgumentType
    await app.start(checkout, "tok", 1, 2)  # error: reportArgumentType
    await app.start(checkout, card="tok", cents=1)  # error: reportCallIssue
    await app.start(order, "me")  # error: reportArgumentType
    await app.start(tick, 1)  # error: reportArgumentType
    await app.start("checkout", "tok", 1)  # error: reportArgumentType
    await app.start(checkout, "tok", 1, id=1)  # error: reportArgumentType
    await app.start(checkout, "tok", 1, ident="x")  # error: reportCallIssue
    await app.start_by_name(checkout, "tok", 1)  # error: reportArgumentType


async def results(handle: Handle[str]) -> None:
    """Uses of results and handles."""
    number: int = await handle.result()  # error: reportAssignmentType
    other: Handle[int] = await app.start(checkout, "tok", 1)  # error: reportAssignmentType
    handle.result().upper()  # error: reportAttributeAccessIssue, reportUnknownMemberType
    handle.result()  # error: reportUnusedCoroutine
    named: Handle[int] = app.handle("order-1", checkout)  # error: reportAssignmentType
    assert (await (await app.start(order, Approval("me"))).result()).by  # error: reportOptionalMemberAccess
    assert (await handle.describe()).status  # error: reportAttributeAccessIssue, reportUnknownMemberType
    del number, other, named


async def telling(handle: Handle[str]) -> None:
    """Signals and queries."""
    await handle.signal(APPROVE, "me")  # error: reportArgumentType, reportCallIssue
    await handle.signal(APPROVE)  # error: reportArgumentType, reportCallIssue
    await handle.signal(7, "me")  # error: reportArgumentType, reportCallIssue
    text: str = await handle.query("state", result_type=int)  # error: reportAssignmentType
    await handle.cancel(7)  # error: reportArgumentType
    del text


def blocking() -> None:
    """For scripts."""
    app.run(checkout, "tok", "1")  # error: reportArgumentType
    app.run(checkout)  # error: reportArgumentType
    number: int = app.run(checkout, "tok", 1)  # error: reportAssignmentType
    with app.blocking() as client:
        client.start(checkout, "tok", "1")  # error: reportArgumentType
        result: int = client.start(checkout, "tok", 1).result()  # error: reportAssignmentType
        client.start(checkout, "tok", 1).signal(APPROVE, "me")  # error: reportArgumentType, reportCallIssue
        client.list(state="failed")  # error: reportCallIssue
    del number, result


async def listing() -> None:
    """Filters."""
    await app.list(status=3)  # error: reportArgumentType
    await app.list(limit="10")  # error: reportArgumentType
    await app.list(100)  # error: reportArgumentType


def apps() -> None:
    """Options of an app."""
    Perdure()  # error: reportCallIssue
    Perdure("memory://", runs_max="10")  # error: reportArgumentType
    Perdure("memory://", "queue")  # error: reportCallIssue
    Perdure("memory://", lease=[5])  # error: reportArgumentType


app.run(charge, "tok", "1")  # error: reportArgumentType
