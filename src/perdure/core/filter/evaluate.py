"""Whether a run fits a filter, and where it comes in the order: what every store must agree with."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias, assert_never

from perdure.core.attributes import Attribute, Compared, compared
from perdure.core.filter.terms import class_of
from perdure.core.filter.tree import (
    And,
    Comparand,
    Compare,
    Field,
    Filter,
    IsNull,
    Node,
    Op,
    Or,
    Order,
    Reading,
    SystemField,
    ValueClass,
)
from perdure.core.ids import RunId
from perdure.core.rows import RunRecord

Values: TypeAlias = tuple[ValueClass, tuple[Compared, ...]]
"""The value of a field: its class, and one value; or several, of lists and texts."""


class Facts(NamedTuple):
    """What filters see of one run."""

    record: RunRecord
    attributes: Mapping[str, Attribute]
    """By their names."""

    @classmethod
    def of(cls, record: RunRecord) -> "Facts":
        """Of a run with its attributes."""
        return cls(record, {each.name: each for each in record.attributes})

    def values(self, field: Field) -> Values | None:
        """The value of a field; None if it is missing."""
        if isinstance(field, SystemField):
            value = _system_value(self.record, field)
            return None if value is None else (class_of(field), (value,))
        attribute = self.attributes.get(field.name)
        return None if attribute is None else compared(attribute)


def _system_value(record: RunRecord, field: SystemField) -> Compared | None:
    match field:
        case SystemField.WORKFLOW_ID:
            return record.workflow_id
        case SystemField.RUN_ID:
            return record.run_id
        case SystemField.WORKFLOW_TYPE:
            return record.workflow_type
        case SystemField.TASK_QUEUE:
            return record.queue
        case SystemField.PARENT_RUN_ID:
            return record.parent_run_id
        case SystemField.STATUS:
            return record.status.value
        case SystemField.START_TIME:
            return record.created_at_ms
        case SystemField.CLOSE_TIME:
            return record.closed_at_ms
        case SystemField.DURATION:
            return None if record.closed_at_ms is None else record.closed_at_ms - record.created_at_ms
        case SystemField.HISTORY_LENGTH:
            return record.turns_count
        case SystemField.PARKED:
            return int(record.parked is not None)


def fits(node: Node | None, facts: Facts) -> bool:
    """Whether a run fits; everything fits None."""
    match node:
        case None:
            return True
        case And(nodes):
            return all(fits(each, facts) for each in nodes)
        case Or(nodes):
            return any(fits(each, facts) for each in nodes)
        case IsNull(field, negated):
            return (facts.values(field) is None) != negated
        case Compare(field, op, readings, negated):
            found = facts.values(field)
            reading = None if found is None else next((each for each in readings if each.kind is found[0]), None)
            return found is not None and reading is not None and _holds(op, reading, found[1]) != negated
        case _:
            assert_never(node)


def _holds(op: Op, reading: Reading, values: tuple[Compared, ...]) -> bool:
    if reading.kind is ValueClass.WORD:
        return _holds_of_words(op, reading.values, frozenset(values))
    return any(_holds_of(op, reading.values, value) for value in values)


def _holds_of_words(op: Op, wanted: Iterable[Comparand], words: frozenset[Compared]) -> bool:
    phrases = [each for each in wanted if isinstance(each, tuple)]
    if op is Op.STARTS_WITH:
        return any(str(word).startswith(phrase[0]) for phrase in phrases for word in words)
    return any(words.issuperset(phrase) for phrase in phrases)


def _holds_of(op: Op, wanted: Sequence[Any], value: Any) -> bool:
    match op:
        case Op.IN:
            return any(value == each for each in wanted)
        case Op.LESS:
            return value < wanted[0]
        case Op.AT_MOST:
            return value <= wanted[0]
        case Op.MORE:
            return value > wanted[0]
        case Op.AT_LEAST:
            return value >= wanted[0]
        case Op.BETWEEN:
            return wanted[0] <= value <= wanted[1]
        case Op.STARTS_WITH:
            return value.startswith(wanted[0])


# Order


def sort_value(field: Field, facts: Facts) -> Compared | None:
    """What a run is sorted by: of lists and texts nothing, as if it were missing."""
    found = facts.values(field)
    if found is None or found[0] is ValueClass.WORD:
        return None
    attribute = None if isinstance(field, SystemField) else facts.attributes[field.name]
    return None if attribute is not None and isinstance(attribute.value, tuple) else found[1][0]


def in_order(runs: Iterable[Facts], order: Sequence[Order]) -> list[Facts]:
    """Runs in an order: those without the value last, either way; those that are equal newest first (by run id).

    Values of different kinds under one name: numbers, moments, true and false by their numbers, then text.
    """
    found = sorted(runs, key=lambda facts: facts.record.run_id, reverse=True)
    for key in reversed(order):
        values = [(sort_value(key.field, facts), facts) for facts in found]
        present = [(isinstance(value, str), value, facts) for value, facts in values if value is not None]
        # Sorting is stable, also where it is reversed.
        present.sort(key=_rank, reverse=key.descending)
        found = [facts for _, _, facts in present] + [facts for value, facts in values if value is None]
    return found


def page(runs: Iterable[RunRecord], where: Filter, limit: int, before: RunId | None) -> list[RunRecord]:
    """What `Store.list_runs` promises, of all the runs that there are."""
    everyone = [Facts.of(record) for record in runs]
    mark = next((facts for facts in everyone if facts.record.run_id == before), None)
    found = [facts for facts in everyone if facts is mark or fits(where.where, facts)]
    if mark is None and before is not None:
        found = [] if where.order else [facts for facts in found if facts.record.run_id < before]
    ordered = in_order(found, where.order)
    after = 0 if mark is None else ordered.index(mark) + 1
    return [facts.record for facts in ordered[after : after + limit]]


def _rank(each: tuple[bool, Any, Facts]) -> tuple[bool, Any]:
    return each[0], each[1]
