"""Wrong definitions: each marked line is an error of that rule, and no other line is one."""

from perdure import RetryPolicy
from perdure.workflow import Signal
from tests.types.shop import app, charge


@app.workflow  # error: reportArgumentType, reportCallIssue, reportUntypedFunctionDecorator
def not_async(card: str) -> str:
    """A workflow is async."""
    return card


@app.workflow(name="named")  # error: reportArgumentType, reportCallIssue, reportUntypedFunctionDecorator
def not_async_either(card: str) -> str:
    """Nor with parentheses."""
    return card


@app.workflow(retries=3)  # error: reportCallIssue, reportUntypedFunctionDecorator
async def with_options() -> None:
    """Workflows have no retries."""


@app.activity(retrys=3)  # error: reportCallIssue, reportUntypedFunctionDecorator
async def misspelt() -> None:
    """An option that is unknown."""


@app.activity(retries="3")  # error: reportArgumentType
async def many() -> None:
    """A count as text."""


@app.activity(timeout=[5])  # error: reportArgumentType
async def slow() -> None:
    """A length that is none."""


charge.options(retries="3")  # error: reportArgumentType
charge.options(retrys=3)  # error: reportCallIssue
app.activity(7)  # error: reportArgumentType, reportCallIssue
RetryPolicy(5)  # error: reportCallIssue
RetryPolicy(maximum_attempts="5")  # error: reportArgumentType
Signal("approve")  # error: reportCallIssue
charge.name = 7  # error: reportAttributeAccessIssue
