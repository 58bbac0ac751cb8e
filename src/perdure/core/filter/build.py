"""Filters made of values instead of text."""

from datetime import datetime

from perdure.core.errors import InvalidOption
from perdure.core.filter.terms import class_of
from perdure.core.filter.tree import EVERYTHING, And, Comparand, Compare, Filter, Node, Op, Reading, SystemField


def runs_where(
    *,
    status: str | None = None,
    workflow_type: str | None = None,
    workflow_id: str | None = None,
    workflow_id_prefix: str | None = None,
    parked: bool | None = None,
    base: Filter = EVERYTHING,
) -> Filter:
    """The runs of `base` to which all of this applies; None asks nothing."""
    nodes: list[Node] = [] if base.where is None else [base.where]
    asked = (
        (SystemField.STATUS, Op.IN, status),
        (SystemField.WORKFLOW_TYPE, Op.IN, workflow_type),
        (SystemField.WORKFLOW_ID, Op.IN, workflow_id),
        (SystemField.WORKFLOW_ID, Op.STARTS_WITH, workflow_id_prefix),
        (SystemField.PARKED, Op.IN, parked),
    )
    nodes += [_term(field, op, value) for field, op, value in asked if value is not None]
    if len(nodes) < 2:
        return Filter(nodes[0] if nodes else None, base.order)
    return Filter(And(tuple(nodes)), base.order)


def quoted(value: str | float | datetime) -> str:
    """A value as it stands in the text of a filter: whatever is in it, it is one value there."""
    match value:
        case str():
            return "'" + value.replace("'", "''") + "'"
        case bool():
            return "true" if value else "false"
        case datetime():
            if value.utcoffset() is None:
                fact, remedy = "is a datetime without a time zone", "give datetime(..., tzinfo=UTC)"
                raise InvalidOption(name="value", value=repr(value), fact=fact, remedy=remedy)
            return f"'{value.isoformat()}'"
        case int() | float():
            return repr(value)


def _term(field: SystemField, op: Op, value: Comparand) -> Compare:
    return Compare(field, op, (Reading(class_of(field), (value,)),))
