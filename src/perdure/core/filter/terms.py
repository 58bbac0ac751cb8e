"""From one comparison as it was written to a term: what its values mean for the field that it names."""

import re
from collections.abc import Sequence
from math import inf, isfinite, nextafter
from typing import NamedTuple, TypeAlias

from perdure.core.filter.tree import AttributeField, Comparand, Compare, Field, Op, Reading, SystemField, ValueClass
from perdure.core.moment import NS_A_MS, length_ms, moment_ns
from perdure.core.rows import RunStatus
from perdure.core.words import words_of

WORDS_MAX = 8
"""Most words of one value that is looked for in a text."""
INT_MIN, INT_MAX = -(2**63), 2**63 - 1
"""The integers that every store can hold."""

Written: TypeAlias = str | int | float | bool
"""A value as it was written."""


class Unfit(NamedTuple):
    """Why a comparison cannot be asked."""

    fact: str
    remedy: str


_STATUSES = {re.sub(r"[^a-z]", "", status.value): status for status in RunStatus} | {"canceled": RunStatus.CANCELLED}
_RANGES = (Op.LESS, Op.AT_MOST, Op.MORE, Op.AT_LEAST, Op.BETWEEN)
_MOMENTS = (SystemField.START_TIME, SystemField.CLOSE_TIME)


def compare(field: Field, op: Op, values: Sequence[Written], *, negated: bool) -> Compare | Unfit:
    """The term that asks `op` of a field, or why it cannot be asked."""
    kinds = {_kind(value) for value in values}
    if len(kinds) > 1:
        return Unfit("values of different kinds stand together", "give only texts, only numbers or only true and false")
    if op is Op.STARTS_WITH and kinds != {"text"}:
        return Unfit("starts_with looks for text", "put the text in quotes")
    if kinds == {"bool"} and op is not Op.IN:
        return Unfit(f"{op.value} cannot be asked of true and false", "use = or !=")
    readings = _attribute_readings(op, values) if isinstance(field, AttributeField) else _readings(field, op, values)
    return readings if isinstance(readings, Unfit) else Compare(field, op, readings, negated)


def _kind(value: Written) -> str:
    return "bool" if isinstance(value, bool) else "text" if isinstance(value, str) else "number"


# Of search attributes: the kind of the value in each run decides what is compared


def _attribute_readings(op: Op, values: Sequence[Written]) -> tuple[Reading, ...]:
    texts = [value for value in values if isinstance(value, str)]
    if not texts:
        kind = ValueClass.BOOL if isinstance(values[0], bool) else ValueClass.NUMBER
        return (Reading(kind, tuple(storable(value) for value in values if not isinstance(value, str))),)
    readings = [Reading(ValueClass.KEYWORD, tuple(texts))]
    moments = [moment_ns(text) for text in texts]
    known = tuple(storable(moment) for moment in moments if moment is not None)
    if op is not Op.STARTS_WITH and len(known) == len(moments):
        readings.append(Reading(ValueClass.MOMENT, known))
    words = [words_of(text) for text in texts]
    most = 1 if op is Op.STARTS_WITH else WORDS_MAX
    if op not in _RANGES and all(1 <= len(each) <= most for each in words):
        readings.append(Reading(ValueClass.WORD, tuple(words)))
    return tuple(readings)


def storable(value: int | float) -> int | float:
    """The number itself, or where it is beyond 64 bits one that compares alike with all that are within."""
    if isinstance(value, float) or INT_MIN <= value <= INT_MAX:
        return value
    near = float(value)
    return nextafter(near, -inf) if near == INT_MIN else near


# Of what every run has: the field decides


def _readings(field: SystemField, op: Op, values: Sequence[Written]) -> tuple[Reading, ...] | Unfit:
    if op is Op.STARTS_WITH and not _is_keyword(field):
        return Unfit(f"{field} is no text to start with something", "compare it with = or <, or leave it out")
    found: list[Comparand] = []
    for value in values:
        one = _system_value(field, op, value)
        if isinstance(one, Unfit):
            return one
        found.append(one)
    return (Reading(class_of(field), tuple(found)),)


def class_of(field: SystemField) -> ValueClass:
    """How the values of a field compare."""
    match field:
        case SystemField.START_TIME | SystemField.CLOSE_TIME:
            return ValueClass.MOMENT
        case SystemField.DURATION | SystemField.HISTORY_LENGTH:
            return ValueClass.NUMBER
        case SystemField.PARKED:
            return ValueClass.BOOL
        case _:
            return ValueClass.KEYWORD


def _is_keyword(field: SystemField) -> bool:
    return class_of(field) is ValueClass.KEYWORD and field is not SystemField.STATUS


def _system_value(field: SystemField, op: Op, value: Written) -> Comparand | Unfit:
    if field is SystemField.STATUS:
        return _status(op, value)
    if field in _MOMENTS:
        return _moment(field, value)
    if field is SystemField.DURATION:
        return _length(value)
    if field is SystemField.PARKED:
        return value if isinstance(value, bool) else Unfit("Parked is true or false", "write Parked = true")
    if field is SystemField.HISTORY_LENGTH:
        if isinstance(value, (bool, str)):
            return Unfit("HistoryLength is a number", "write HistoryLength > 100")
        return storable(value)
    return value if isinstance(value, str) else Unfit(f"{field} is text", "put the value in quotes")


def _status(op: Op, value: Written) -> Comparand | Unfit:
    known = ", ".join("".join(word.capitalize() for word in re.split("[^a-z]", status)) for status in RunStatus)
    if op is not Op.IN:
        return Unfit("ExecutionStatus has no order", "use =, != or in")
    status = _STATUSES.get(re.sub(r"[\s_-]", "", value).lower()) if isinstance(value, str) else None
    if status is None:
        return Unfit(f"{str(value)[:40]!r} is no status", f"give one of {known}")
    return status.value


def _moment(field: SystemField, value: Written) -> Comparand | Unfit:
    moment = moment_ns(value) if isinstance(value, str) else None
    if moment is None:
        return Unfit(f"{str(value)[:40]!r} is no moment", f"write {field} > '2026-01-01T00:00:00Z'")
    whole, rest = divmod(moment, NS_A_MS)
    # Between two ms is between them, whatever it is compared with: half of one says that exactly.
    return whole + 0.5 if rest else whole


def _length(value: Written) -> Comparand | Unfit:
    length: int | float | None
    if isinstance(value, bool):
        length = None
    elif isinstance(value, str):
        length = length_ms(value)
    else:
        length = (value if INT_MIN <= value <= INT_MAX else float(value)) * 1_000
    if length is None or not isfinite(length):
        return Unfit(f"{str(value)[:40]!r} is no length of time", "write ExecutionDuration > '1h30m', or seconds")
    return storable(length)
