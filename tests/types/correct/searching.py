"""Search attributes, filters and counts."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import assert_type

from perdure import BulkHandle, BulkResult, RunStatus, RunSummary, SearchAttribute, SearchKey, quoted, workflow
from tests.types.shop import app

CUSTOMER = SearchKey.keyword("CustomerId")
CENTS = SearchKey.int("Cents")
RATE = SearchKey.double("Rate")
PAID = SearchKey.bool("Paid")
DUE = SearchKey.datetime("Due")
TAGS = SearchKey.keyword_list("Tags")
NOTE = SearchKey.text("Note")


async def listing() -> None:
    """Lists and counts."""
    found = await app.list(f"CustomerId = {quoted('x')} and Due > {quoted(datetime.now(UTC))}", limit=5)
    assert_type(found, list[RunSummary])
    assert_type(await app.count("Cents > 5"), int)
    assert_type(await app.count(group_by="ExecutionStatus"), dict[RunStatus, int])
    attributes = found[0].search_attributes
    assert_type(CUSTOMER.value_in(attributes), str | None)
    assert_type(CENTS.value_in(attributes), int | None)
    assert_type(RATE.value_in(attributes), float | None)
    assert_type(PAID.value_in(attributes), bool | None)
    assert_type(DUE.value_in(attributes), datetime | None)
    assert_type(TAGS.value_in(attributes), Sequence[str] | None)
    assert_type(NOTE.value_in(attributes), str | None)


@app.workflow
async def noting() -> None:
    """What a run says of itself."""
    assert_type(CUSTOMER.set("x"), SearchAttribute)
    workflow.upsert_search_attributes(CENTS.set(5), RATE.set(5), PAID.set(True), TAGS.set(("a",)), NOTE.unset())
    workflow.upsert_search_attributes(DUE.set(workflow.now()))
    workflow.upsert_memo({"a": 1, "b": None})


async def bulk() -> None:
    """Operations on many runs: a handle, or a count."""
    assert_type(await app.bulk.reset("Cents > 5", turn=-1), BulkHandle)
    assert_type(await app.bulk.count("reset", "Cents > 5"), int)
    client = app.blocking()
    assert_type(client.bulk.signal("Cents > 5", "stop").result(), BulkResult)
    assert_type(client.bulk.count("terminate", "Cents > 5"), int)
