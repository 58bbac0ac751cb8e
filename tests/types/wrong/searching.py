"""Wrong values of search attributes: each marked line is an error of that rule, and no other line is one."""

from perdure import SearchKey, workflow
from tests.types.shop import app

CUSTOMER = SearchKey.keyword("CustomerId")
CENTS = SearchKey.int("Cents")
PAID = SearchKey.bool("Paid")
DUE = SearchKey.datetime("Due")
TAGS = SearchKey.keyword_list("Tags")


async def values() -> None:
    """Values of another type than the key's."""
    CUSTOMER.set(5)  # error: reportArgumentType
    CENTS.set("5")  # error: reportArgumentType
    CENTS.set(0.5)  # error: reportArgumentType
    PAID.set("yes")  # error: reportArgumentType
    DUE.set("2026-01-01")  # error: reportArgumentType
    TAGS.set([1])  # error: reportArgumentType
    number: int | None = CUSTOMER.value_in({})  # error: reportAssignmentType
    workflow.upsert_search_attributes(CENTS)  # error: reportArgumentType
    workflow.upsert_search_attributes({"Cents": 5})  # error: reportArgumentType
    await app.count("", group_by="WorkflowType")  # error: reportArgumentType
    del number
