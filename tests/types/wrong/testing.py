"""What the test kit refuses before a test runs."""

from perdure.testing import ActivityEnvironment, TestEnvironment
from tests.types.shop import app, charge, checkout, count


async def wrong_options() -> None:
    """Unknown options and values."""
    TestEnvironment(app, wrong=1)  # error: reportCallIssue
    TestEnvironment(app, unmocked="maybe")  # error: reportArgumentType
    TestEnvironment("memory://")  # error: reportArgumentType


async def wrong_mocks(env: TestEnvironment) -> None:
    """Values and arguments that do not fit."""
    env.mock(charge).returns(1)  # error: reportArgumentType
    env.mock(charge).sequence("a", 1)  # error: reportArgumentType
    env.mock(charge).when("tok", "1")  # error: reportArgumentType
    env.mock(charge).when("tok", 1, 2)  # error: reportCallIssue
    env.mock(charge).assert_called_with()  # error: reportCallIssue
    env.mock(charge).side_effect(lambda: "r")  # error: reportArgumentType
    env.mock(checkout).returns(None)  # error: reportArgumentType
    env.fail_store_call(1, how="sideways")  # error: reportArgumentType


async def wrong_arguments(env: ActivityEnvironment) -> None:
    """Arguments of an activity that is run alone."""
    await env.run(count, "a")  # error: reportCallIssue, reportArgumentType
    await env.run(charge)  # error: reportCallIssue
