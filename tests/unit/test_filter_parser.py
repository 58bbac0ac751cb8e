"""The filter language: what a text means, and what is refused with its position and a remedy."""

import re
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from perdure.core.errors import InvalidFilter, InvalidOption
from perdure.core.filter.build import quoted, runs_where
from perdure.core.filter.lexer import FILTER_CHARS_MAX
from perdure.core.filter.parser import DEPTH_MAX, ORDER_MAX, TERMS_MAX, VALUES_MAX, is_reserved, parse_filter
from perdure.core.filter.terms import WORDS_MAX
from perdure.core.filter.tree import (
    EVERYTHING,
    And,
    AttributeField,
    Comparand,
    Compare,
    IsNull,
    Node,
    Op,
    Or,
    Order,
    Reading,
    SystemField,
    ValueClass,
)


def system(field: SystemField, op: Op, *values: Comparand, negated: bool = False) -> Compare:
    """A comparison of what every run has."""
    kinds = {
        SystemField.START_TIME: ValueClass.MOMENT,
        SystemField.CLOSE_TIME: ValueClass.MOMENT,
        SystemField.DURATION: ValueClass.NUMBER,
        SystemField.HISTORY_LENGTH: ValueClass.NUMBER,
        SystemField.PARKED: ValueClass.BOOL,
    }
    return Compare(field, op, (Reading(kinds.get(field, ValueClass.KEYWORD), values),), negated)


def number(name: str, op: Op, *values: Comparand, negated: bool = False) -> Compare:
    """A comparison of a search attribute with numbers."""
    return Compare(AttributeField(name), op, (Reading(ValueClass.NUMBER, values),), negated)


A, B, C = (number(name, Op.IN, 1) for name in "ABC")
NOT_A, NOT_B = (number(name, Op.IN, 1, negated=True) for name in "AB")
WORKFLOW_TYPE, STATUS, STARTED = SystemField.WORKFLOW_TYPE, SystemField.STATUS, SystemField.START_TIME

MEANINGS: dict[str, Node] = {
    "WorkflowType = 'Order'": system(WORKFLOW_TYPE, Op.IN, "Order"),
    'WorkflowType="Order"': system(WORKFLOW_TYPE, Op.IN, "Order"),
    "`WorkflowType` = 'it''s'": system(WORKFLOW_TYPE, Op.IN, "it's"),
    "WorkflowType <> 'a\\'": system(WORKFLOW_TYPE, Op.IN, "a\\", negated=True),
    "WorkflowId starts_with 'order-'": system(SystemField.WORKFLOW_ID, Op.STARTS_WITH, "order-"),
    "WorkflowId NOT STARTS_WITH 'x'": system(SystemField.WORKFLOW_ID, Op.STARTS_WITH, "x", negated=True),
    "TaskQueue > 'a'": system(SystemField.TASK_QUEUE, Op.MORE, "a"),
    "ExecutionStatus = 'Running'": system(STATUS, Op.IN, "running"),
    "ExecutionStatus in ('running', 'Canceled')": system(STATUS, Op.IN, "running", "cancelled"),
    "ExecutionStatus not in ('FAILED')": system(STATUS, Op.IN, "failed", negated=True),
    "StartTime > '1970-01-01T00:00:01Z'": system(STARTED, Op.MORE, 1_000),
    "StartTime > '1970-01-01 02:00:01.5+02:00'": system(STARTED, Op.MORE, 1_500),
    "StartTime > '1970-01-02'": system(STARTED, Op.MORE, 86_400_000),
    "StartTime > '1970-01-01T00:00:01.000000001Z'": system(STARTED, Op.MORE, 1_000.5),
    "StartTime between '1970-01-01' and '1970-01-02'": system(STARTED, Op.BETWEEN, 0, 86_400_000),
    "CloseTime is null": IsNull(SystemField.CLOSE_TIME),
    "CloseTime is not null": IsNull(SystemField.CLOSE_TIME, negated=True),
    "ExecutionDuration >= '1h30m'": system(SystemField.DURATION, Op.AT_LEAST, 5_400_000),
    "ExecutionDuration < 2.5": system(SystemField.DURATION, Op.LESS, 2_500),
    "HistoryLength <= 100": system(SystemField.HISTORY_LENGTH, Op.AT_MOST, 100),
    "Parked = TRUE": system(SystemField.PARKED, Op.IN, True),
    "Amount > -1.5e3": number("Amount", Op.MORE, -1500.0),
    "Amount between 1 and 5": number("Amount", Op.BETWEEN, 1, 5),
    "Amount not between 1 and 5": number("Amount", Op.BETWEEN, 1, 5, negated=True),
    "Amount in (1, 2.5)": number("Amount", Op.IN, 1, 2.5),
    "Größe = 9": number("Größe", Op.IN, 9),
    "`order by` = 9": number("order by", Op.IN, 9),
    "`a``b` = 9": number("a`b", Op.IN, 9),
    "A = 1 or B = 1 and C = 1": Or((A, And((B, C)))),
    "(A = 1 or B = 1) and C = 1": And((Or((A, B)), C)),
    "not A = 1 and B = 1": And((NOT_A, B)),
    "not (A = 1 and B = 1)": Or((NOT_A, NOT_B)),
    "not (A = 1 or not B = 1)": And((NOT_A, B)),
    "not not A != 1": NOT_A,
    "not A is null": IsNull(AttributeField("A"), negated=True),
    "not A is not null": IsNull(AttributeField("A")),
    "not A not in (1)": A,
}


@pytest.mark.parametrize(("text", "meaning"), MEANINGS.items(), ids=MEANINGS)
def test_a_text_means_a_tree(text: str, meaning: Node) -> None:
    assert parse_filter(text).where == meaning


def readings(text: str) -> dict[ValueClass, tuple[Comparand, ...]]:
    """What the only comparison of a filter asks of each class."""
    where = parse_filter(text).where
    assert isinstance(where, Compare)
    return {reading.kind: reading.values for reading in where.readings}


def test_a_text_is_read_as_whole_text_as_words_and_as_a_moment() -> None:
    assert readings("Note = 'Late refund, LATE'") == {
        ValueClass.KEYWORD: ("Late refund, LATE",),
        ValueClass.WORD: (("late", "refund"),),
    }
    assert readings("Due > '1970-01-01T00:00:00.000000001Z'") == {
        ValueClass.KEYWORD: ("1970-01-01T00:00:00.000000001Z",),
        ValueClass.MOMENT: (1,),
    }
    assert ValueClass.MOMENT not in readings("Due in ('1970-01-01', 'never')")
    assert readings("Note starts_with 'two words'") == {ValueClass.KEYWORD: ("two words",)}
    assert readings("Note = '!!'") == {ValueClass.KEYWORD: ("!!",)}
    assert readings("Done = false") == {ValueClass.BOOL: (False,)}


def test_numbers_beyond_64_bits_compare_alike_with_all_that_are_within() -> None:
    (above,) = readings(f"Amount < {2**63}")[ValueClass.NUMBER]
    (below,) = readings(f"Amount > {-(2**63) - 1}")[ValueClass.NUMBER]
    (moment,) = readings("Due < '9999-12-31'")[ValueClass.MOMENT]

    assert isinstance(above, float)
    assert isinstance(below, float)
    assert isinstance(moment, float)
    assert above > 2**63 - 1
    assert below < -(2**63)
    assert moment > 2**63 - 1


def test_an_empty_filter_is_everything() -> None:
    assert parse_filter("") == parse_filter(" \n") == EVERYTHING == runs_where()


def test_an_order_names_fields_and_directions() -> None:
    found = parse_filter("Parked = false ORDER BY StartTime DESC, `CustomerId`, CloseTime asc").order

    assert found == (
        Order(SystemField.START_TIME, descending=True),
        Order(AttributeField("CustomerId")),
        Order(SystemField.CLOSE_TIME),
    )
    assert parse_filter("order by Amount").where is None


def test_every_status_has_its_names() -> None:
    for text in ("Completed", "FAILED", "cancelled", "Canceled", "terminated", "Running"):
        parse_filter(f"ExecutionStatus = '{text}'")


REFUSED = {
    "WorkflowType": (13, "the filter ends where an operator is expected"),
    "WorkflowType = ": (16, "the filter ends where a value is expected"),
    "WorkflowType = Order": (16, "'Order' stands where a value is expected"),
    "WorkflowType = 5": (14, "WorkflowType is text"),
    "workflowtype = 'x'": (1, "there is no field 'workflowtype'; write WorkflowType"),
    "`WORKFLOWTYPE` = 'x'": (1, "write WorkflowType"),
    "A = 1 B = 1": (7, "'B' stands where 'and', 'or', 'order by' or the end"),
    "A = 1 and": (10, "where a field is expected"),
    "and A = 1": (1, "put it in backquotes if a search attribute is named 'and'"),
    "(A = 1": (7, "the filter ends where ')' is expected"),
    "A = 1)": (6, "')' stands"),
    "A = 'x": (5, "the quoted text does not end"),
    "A = 'it''s": (5, "the quoted text does not end"),
    "`A = 1": (1, "the quoted name does not end"),
    "`` = 1": (1, "the quoted name is empty"),
    "A = 1; drop table runs": (6, "';' means nothing here"),
    "A = 1 -- no": (7, "'-' means nothing here"),
    "A == 1": (4, "'=' stands where a value"),
    "A = null": (5, "nothing equals null"),
    "A is 5": (6, "'5' stands where 'null'"),
    "A not = 1": (7, "where an operator is expected"),
    "A in 1": (6, "where '(' is expected"),
    "A in ()": (7, "where a value is expected"),
    "A in (1, 'x')": (3, "values of different kinds"),
    "A between 1": (12, "where 'and' is expected"),
    "A between 1 and 'x'": (3, "values of different kinds"),
    "A starts_with 5": (3, "starts_with looks for text"),
    "A > true": (3, "> cannot be asked of true and false"),
    "A = 1e999": (5, "the number is too large"),
    "A = " + "9" * 5_000: (5, "the number is too large"),
    "A = 1 order StartTime": (7, "where 'and', 'or', 'order by' or the end"),
    "order by": (9, "where a field is expected"),
    "order by A and B": (12, "where ',' or the end is expected"),
    "A = 1 group by A": (7, "'group' stands"),
    "Parked = 'yes'": (8, "Parked is true or false"),
    "Parked > true": (8, "> cannot be asked"),
    "ExecutionStatus = 'Sleeping'": (17, "'Sleeping' is no status; give one of Running, "),
    "ExecutionStatus > 'Running'": (17, "ExecutionStatus has no order"),
    "ExecutionStatus starts_with 'Run'": (17, "is no text to start with"),
    "StartTime > 'yesterday'": (11, "'yesterday' is no moment"),
    "StartTime > '2026-02-30'": (11, "is no moment"),
    "StartTime > '2026-01-01T25:00:00Z'": (11, "is no moment"),
    "StartTime > '2026-01-01T00:00:00+99:00'": (11, "is no moment"),
    "StartTime > 5": (11, "'5' is no moment"),
    "StartTime starts_with '2026'": (11, "is no text to start with"),
    "ExecutionDuration > 'long'": (19, "'long' is no length of time"),
    "ExecutionDuration > ''": (19, "is no length of time"),
    "ExecutionDuration = true": (19, "is no length of time"),
    "ExecutionDuration > '" + "9" * 400 + "w'": (19, "is no length of time"),
    "ExecutionDuration > " + "9" * 308: (19, "is no length of time"),
    "HistoryLength > 'x'": (15, "HistoryLength is a number"),
    "A = 'a\0b'": (5, "there is a NUL character"),
    "A = 'a\ud800b'": (5, "there is a lone surrogate"),
    "`\ud800` = 1": (1, "there is a lone surrogate"),
    "\0": (1, "means nothing here"),
    "\ud800 = 1": (1, "means nothing here"),
    "(" * (DEPTH_MAX + 1) + "A = 1": (DEPTH_MAX + 2, f"more than {DEPTH_MAX} parentheses"),
    "not " * 100_000: (FILTER_CHARS_MAX + 1, "the filter has 400000 characters"),
    " or ".join(["A = 1"] * (TERMS_MAX + 1)): (TERMS_MAX * 9 + 1, f"more than {TERMS_MAX} comparisons"),
    "A in (" + ",".join(["1"] * (VALUES_MAX + 1)) + ")": (VALUES_MAX * 2 + 7, f"more than {VALUES_MAX} values"),
    "order by " + ",".join(["A"] * (ORDER_MAX + 1)): (20, f"more than {ORDER_MAX} fields to sort by"),
}


@pytest.mark.parametrize(("text", "expected"), REFUSED.items(), ids=range(len(REFUSED)))
def test_what_is_not_in_the_language_is_refused_with_position_fact_and_remedy(
    text: str, expected: tuple[int, str]
) -> None:
    with pytest.raises(InvalidFilter) as caught:
        parse_filter(text)

    position, fact = expected
    message = str(caught.value)
    assert message.startswith(f"PDR1040: filter, at character {position} (near ")
    assert fact in message
    assert re.search(r"; \S.+$", message), "there is no remedy"
    assert len(message) < 600
    message.encode()


def test_what_is_just_within_the_limits_is_taken() -> None:
    parse_filter("(" * DEPTH_MAX + "A = 1" + ")" * DEPTH_MAX)
    parse_filter(" or ".join(["A = 1"] * TERMS_MAX))
    parse_filter("A in (" + ",".join(["1"] * VALUES_MAX) + ")")
    parse_filter("order by " + ",".join(["A"] * ORDER_MAX))
    parse_filter(" " * FILTER_CHARS_MAX)


def test_values_build_the_same_tree_as_text() -> None:
    text = "WorkflowType = 'Order' and WorkflowId starts_with 'o' and Parked = true"

    assert runs_where(workflow_type="Order", workflow_id_prefix="o", parked=True) == parse_filter(text)
    assert runs_where(status="running") == parse_filter("ExecutionStatus = 'Running'")
    joined = runs_where(workflow_id="a", base=parse_filter("A = 1 order by B"))
    assert joined == parse_filter("A = 1 and WorkflowId = 'a' order by B")


@pytest.mark.parametrize("value", ["it's", "' or 1=1 --", "\\", "", 5, -0.5, 1e300, True, False])
def test_a_quoted_value_is_that_value(value: str | float) -> None:
    where = parse_filter(f"A = {quoted(value)}").where

    assert isinstance(where, Compare)
    assert where.readings[0].values == (value,)


def test_a_quoted_moment_is_that_moment() -> None:
    moment = datetime(1970, 1, 1, 2, 0, 0, 5, tzinfo=timezone(timedelta(hours=2)))

    assert readings(f"A = {quoted(moment)}")[ValueClass.MOMENT] == (5_000,)
    with pytest.raises(InvalidOption, match="without a time zone"):
        quoted(datetime(1970, 1, 1))  # noqa: DTZ001 (that is what is refused)


def test_names_of_what_every_run_has_are_reserved() -> None:
    assert is_reserved("WorkflowType")
    assert is_reserved("workflowtype")
    assert not is_reserved("CustomerId")


@pytest.mark.parametrize(
    ("limit", "shown"),
    [
        (FILTER_CHARS_MAX, "| characters of a filter | 100 000 |"),
        (TERMS_MAX, "| comparisons | 100 |"),
        (VALUES_MAX, "counted one by one | 1000 |"),
        (DEPTH_MAX, "within each other | 50 |"),
        (ORDER_MAX, "| fields to sort by | 5 |"),
        (WORDS_MAX, "looked for in texts | 8 |"),
    ],
)
def test_the_page_of_filters_has_the_limits_of_the_code(limit: int, shown: str) -> None:
    page = (Path(__file__).resolve().parents[2] / "docs/reference/filters.md").read_text()

    assert shown in page
    assert shown.replace(" ", "").endswith(f"|{limit}|")
