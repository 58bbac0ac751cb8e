"""What decorators make, with and without parentheses, of sync and async functions."""

from typing import assert_type

from perdure import Activity, Workflow
from tests.types.shop import Approval, charge, checkout, count, crunch, order, refund, tick

assert_type(charge.name, str)
activities: tuple[Activity[[str, int], str], Activity[[list[str]], int], Activity[[int], float]] = (
    Activity(charge.fn),
    count,
    crunch,
)
one: Workflow[[str, int], str] = Workflow(checkout.fn)
many: tuple[Workflow[[], None], str] = (tick, order.name)


async def outside() -> None:
    """Outside a workflow a definition is the plain function."""
    assert_type(await charge("tok", 1), str)
    assert_type(await refund("r"), bool)
    assert_type(await refund("r", reason="broken"), bool)
    assert_type(await checkout("tok", cents=1), str)
    assert_type(await order(Approval("me")), Approval | None)
    assert_type(await tick(), None)
    assert_type(await charge.options(retries=1, timeout=None)("tok", 1), str)
