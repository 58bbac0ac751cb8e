"""Filters made by hypothesis: two ways to evaluate them agree, and the language survives any text."""

from random import Random

from hypothesis import example, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from perdure.core.attributes import Attribute, AttributeKind
from perdure.core.errors import InvalidFilter
from perdure.core.filter.evaluate import Facts, fits, in_order, page
from perdure.core.filter.parser import parse_filter
from perdure.core.filter.tree import Filter
from perdure.core.ids import RunId
from perdure.core.rows import RunRecord, RunStatus
from perdure.testing.conformance.listing import some_order, some_run
from perdure.testing.filters import some_filter, truth, written

WORDS = ["A", "=", "<", "'x'", "(", ")", "and", "or", "not", "in", "5", "null", "order", "by"]


def some_record(random: Random, number: int) -> RunRecord:
    """A run as a store shows it."""
    run = some_run(random, number)
    status = random.choice(list(RunStatus))
    closed_at_ms = None if status is RunStatus.RUNNING else run.created_at_ms + random.choice((0, 250, 1_000))
    return RunRecord(
        run_id=run.run_id,
        workflow_id=run.workflow_id,
        workflow_type=run.workflow_type,
        queue=run.queue,
        status=status,
        created_at_ms=run.created_at_ms,
        closed_at_ms=closed_at_ms,
        turns_count=random.randrange(3),
        parent_run_id=run.parent_run_id,
        parked=random.choice((None, b"why")),
        worker=None,
        attributes=run.attributes,
    )


@given(st.randoms(use_true_random=False))
@settings(max_examples=400, deadline=None)
def test_driving_not_inward_says_the_same_as_three_truth_values(random: Random) -> None:
    records = [some_record(random, number) for number in range(5)]
    said = some_filter(random, records)
    where = parse_filter(written(said)).where

    for record in records:
        assert fits(where, Facts.of(record)) == (truth(said, record) is True), (written(said), record)


@given(st.randoms(use_true_random=False))
@settings(max_examples=100, deadline=None)
def test_pages_put_together_are_the_whole(random: Random) -> None:
    records = [some_record(random, number) for number in range(8)]
    where = Filter(None, some_order(random))

    found: list[RunId] = []
    while one := page(records, where, 3, found[-1] if found else None):
        found += [record.run_id for record in one]

    assert found == [facts.record.run_id for facts in in_order(map(Facts.of, records), where.order)]


@given(
    st.text(max_size=40)
    | st.lists(
        st.sampled_from(["A", "=", "<", "'x'", "(", ")", "and", "or", "not", "in", "5", "null", "order", "by"])
    ).map(" ".join)
)
@example("A = 1")
@settings(max_examples=500)
def test_any_text_is_a_filter_or_is_refused_with_a_code(text: str) -> None:
    try:
        where = parse_filter(text)
    except InvalidFilter as error:
        assert 1 <= error.facts["position"] <= len(text) + 1
        str(error).encode()
    else:
        attributes = (Attribute("A", AttributeKind.KEYWORD, "x"),)
        record = replace(some_record(Random(1), 1), attributes=attributes)
        assert fits(where.where, Facts.of(record)) in (True, False)
