"""Wrong uses of class workflows: each marked line is an error of that rule, and no other line is one."""

from perdure import Handle, workflow
from tests.types.shop import Approval, Cart, app


async def starting() -> None:
    """Types and counts of the run's arguments."""
    await app.start(Cart.run, 1)  # error: reportArgumentType
    await app.start(Cart.run)  # error: reportArgumentType
    await app.start(Cart.run, "Ann", 1, 2)  # error: reportArgumentType
    await app.start(Cart, "Ann")  # error: reportArgumentType
    wrong: Handle[str] = await app.start(Cart.run, "Ann")  # error: reportAssignmentType
    del wrong


async def telling(handle: Handle[list[str]]) -> None:
    """Types, counts and kinds of handlers."""
    await handle.signal(Cart.approve, "me")  # error: reportArgumentType, reportCallIssue
    await handle.signal(Cart.approve)  # error: reportArgumentType, reportCallIssue
    await handle.signal(Cart.stop, Approval("me"))  # error: reportArgumentType, reportCallIssue
    await handle.signal(Cart.total)  # error: reportArgumentType, reportCallIssue
    await handle.query(Cart.total, "2")  # error: reportArgumentType, reportCallIssue
    text: str = await handle.query(Cart.total)  # error: reportAssignmentType
    await handle.update(Cart.add, 7)  # error: reportArgumentType, reportCallIssue
    await handle.update(Cart.add)  # error: reportArgumentType, reportCallIssue
    await handle.update(Cart.clear, 1)  # error: reportArgumentType, reportCallIssue
    await handle.update(Cart.add, "tea", ident="u")  # error: reportCallIssue
    number: str = await (await handle.start_update(Cart.add, "tea")).result()  # error: reportAssignmentType
    handle.update(Cart.clear)  # error: reportUnusedCoroutine
    del text, number


async def plain() -> None:
    """Calls of the plain methods."""
    cart = Cart()  # error: reportCallIssue
    await cart.add(1)  # error: reportArgumentType
    await cart.run()  # error: reportCallIssue


class Mistaken:
    """Definitions that cannot be."""

    @workflow.run  # error: reportArgumentType
    def run(self) -> None:
        """A run is async."""

    @workflow.update
    def put(self, item: str) -> int:
        """An update."""
        return len(item)

    @put.validator  # error: reportArgumentType
    def check_put(self, item: int) -> None:
        """Another type of argument."""
