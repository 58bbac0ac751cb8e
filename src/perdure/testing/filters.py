"""The filter language said a second time, slowly and in three truth values, and filters and runs to try it with.

Here `not` turns true to false and leaves what is unknown unknown, as SQL has it. The parser has no third truth value:
it drives every `not` inward. That both find the same runs is what the tests are for.
"""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from random import Random
from typing import Any, NamedTuple, TypeAlias

from perdure.core.attributes import Attribute, AttributeKind
from perdure.core.moment import length_ms, moment_ns
from perdure.core.store import RunRecord, RunStatus
from perdure.core.words import words_of

Written: TypeAlias = str | int | float | bool


class Not(NamedTuple):
    """Turned round."""

    inner: "Said"


class Joined(NamedTuple):
    """Joined by `and` or by `or`."""

    word: str
    inner: "tuple[Said, ...]"


class Asked(NamedTuple):
    """One comparison."""

    field: str
    operator: str
    values: tuple[Written, ...]


Said: TypeAlias = Not | Joined | Asked
Truth: TypeAlias = bool | None


def written(said: Said) -> str:
    """As text."""
    match said:
        case Not(inner):
            return f"not ({written(inner)})"
        case Joined(word, inner):
            return f" {word} ".join(f"({written(each)})" for each in inner)
        case Asked(field, operator, values):
            texts = [_literal(value) for value in values]
            if operator.endswith("in"):
                return f"{field} {operator} ({', '.join(texts)})"
            return f"{field} {operator} {' and '.join(texts)}"


def _literal(value: Written) -> str:
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    return str(value).lower() if isinstance(value, bool) else repr(value)


def truth(said: Said, record: RunRecord) -> Truth:
    """Whether it is so of a run; None where nobody can know."""
    match said:
        case Not(inner):
            found = truth(inner, record)
            return None if found is None else not found
        case Joined(word, inner):
            found = [truth(each, record) for each in inner]
            decisive = word == "or"
            if decisive in found:
                return decisive
            return None if None in found else not decisive
        case Asked(field, operator, values):
            return _answer(_held(field, record), operator, values)


def _answer(held: Any, operator: str, values: tuple[Written, ...]) -> Truth:
    if operator == "is null":
        return held is None
    if operator == "is not null":
        return held is not None
    if operator == "!=" or operator.startswith("not "):
        positive = {"!=": "="}.get(operator, operator.removeprefix("not "))
        found = _answer(held, positive, values)
        return None if found is None else not found
    if held is None:
        return None
    wanted = [held.reads(value) for value in values]
    if None in wanted or (isinstance(held, _Words) and operator not in ("=", "in", "starts_with")):
        return None
    if operator == "starts_with" and not (held.is_text and all(len(one) == 1 for one in wanted)):
        return None
    return any(held.compares(one, operator, wanted) for one in held.values)


class _Held(NamedTuple):
    """The value of a run under a name: one, or those of a list."""

    values: Sequence[Any]
    reads: Callable[[Any], Any]
    """What a written value is to it, as a tuple; None if it can compare with no such value."""
    is_text: bool = False

    def compares(self, value: Any, operator: str, wanted: Sequence[Any]) -> bool:
        first, last = wanted[0][0], wanted[-1][0]
        return {
            "=": lambda: value == first,
            "in": lambda: value in [one[0] for one in wanted],
            "<": lambda: value < first,
            "<=": lambda: value <= first,
            ">": lambda: value > first,
            ">=": lambda: value >= first,
            "between": lambda: first <= value <= last,
            "starts_with": lambda: value[: len(first)] == first,
        }[operator]()


class _Words(_Held):
    """A text: one value, its words."""

    __slots__ = ()

    def compares(self, value: Any, operator: str, wanted: Sequence[Any]) -> bool:
        if operator == "starts_with":
            return any(word[: len(wanted[0][0])] == wanted[0][0] for word in value)
        return any(set(value) >= set(words) for words in wanted)


def _held(field: str, record: RunRecord) -> _Held | None:
    known: dict[str, tuple[object, Callable[[Any], Any]]] = {
        "WorkflowId": (record.workflow_id, _text),
        "RunId": (record.run_id, _text),
        "WorkflowType": (record.workflow_type, _text),
        "TaskQueue": (record.queue, _text),
        "ParentRunId": (record.parent_run_id, _text),
        "ExecutionStatus": (record.status.value, lambda value: (RunStatus(str(value).lower()).value,)),
        "StartTime": (record.created_at_ms * 1_000_000, _moment),
        "CloseTime": (None if record.closed_at_ms is None else record.closed_at_ms * 1_000_000, _moment),
        "ExecutionDuration": (
            None if record.closed_at_ms is None else record.closed_at_ms - record.created_at_ms,
            lambda value: (length_ms(value) if isinstance(value, str) else value * 1_000,),
        ),
        "HistoryLength": (record.turns_count, _number),
        "Parked": (record.parked is not None, _bool),
    }
    if field in known:
        value, reads = known[field]
        return None if value is None else _Held([value], reads, is_text=reads is _text)
    name = field.strip("`")
    return _held_attribute(next((each for each in record.attributes if each.name == name), None))


def _held_attribute(attribute: Attribute | None) -> _Held | None:
    if attribute is None:
        return None
    match attribute.kind:
        case AttributeKind.KEYWORD:
            return _Held([attribute.value], _text, is_text=True)
        case AttributeKind.KEYWORD_LIST:
            assert isinstance(attribute.value, tuple)
            return _Held(attribute.value, _text, is_text=True)
        case AttributeKind.TEXT:
            return _Words([words_of(str(attribute.value))], _words, is_text=True)
        case AttributeKind.INT | AttributeKind.DOUBLE:
            return _Held([attribute.value], _number)
        case AttributeKind.BOOL:
            return _Held([attribute.value], _bool)
        case AttributeKind.DATETIME:
            return _Held([attribute.value], _moment)


def _text(value: Written) -> tuple[str] | None:
    return (value,) if isinstance(value, str) else None


def _words(value: Written) -> tuple[str, ...] | None:
    return (words_of(value) or None) if isinstance(value, str) else None


def _number(value: Written) -> tuple[float] | None:
    return None if isinstance(value, (str, bool)) else (value,)


def _bool(value: Written) -> tuple[bool] | None:
    return (value,) if isinstance(value, bool) else None


def _moment(value: Written) -> tuple[int] | None:
    found = moment_ns(value) if isinstance(value, str) else None
    return None if found is None else (found,)


# Filters and attributes to try


_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 (its text is to have no zone)
NAMES = ("A", "B", "`order`", "Größe")
_TEXTS = (
    "a",
    "b",
    "ab",
    "A",
    "",
    "é",
    "it's",
    'say "x"',
    "late refund",
    "refund",
    "1970-01-01",
    "1970-01-02T00:00:00Z",
    "%",
    "a_b",
)
_NUMBERS: tuple[int | float, ...] = (0, 1, -1, 0.5, 1.0, 2**53, 2**53 + 1, 2.0**53, 2**63 - 1, -(2**63), 10**30, 1e308)
_NS_A_DAY = 86_400_000_000_000
_MOMENTS = (0, 1, _NS_A_DAY, _NS_A_DAY + 1, -_NS_A_DAY)
_MOMENT_TEXTS = (
    "1970-01-01",
    "1970-01-01T00:00:00.000000001Z",
    "1970-01-02T01:00:00+01:00",
    "1969-12-31",
    "9999-12-31",
)
_RANGES = ("<", "<=", ">", ">=", "between", "not between")
_EQUALITIES = ("=", "!=", "in", "not in", "is null", "is not null")


def some_attributes(random: Random) -> tuple[Attribute, ...]:
    """Of a run: few names and few values, so that filters find something."""
    found: list[Attribute] = []
    for name in NAMES:
        kind = random.choice([None, None, *AttributeKind])
        if kind is not None:
            found.append(Attribute(name.strip("`"), kind, _some_value(random, kind)))
    return tuple(found)


def _some_value(random: Random, kind: AttributeKind) -> str | int | float | bool | tuple[str, ...]:
    match kind:
        case AttributeKind.KEYWORD:
            return random.choice(_TEXTS)
        case AttributeKind.TEXT:
            return " ".join(random.choices(_TEXTS, k=random.randint(1, 3)))
        case AttributeKind.KEYWORD_LIST:
            return tuple(random.choices(_TEXTS, k=random.randint(1, 3)))
        case AttributeKind.INT:
            return random.choice([each for each in _NUMBERS if isinstance(each, int) and abs(each) < 2**63])
        case AttributeKind.DOUBLE:
            return float(random.choice(_NUMBERS))
        case AttributeKind.BOOL:
            return random.choice([True, False])
        case AttributeKind.DATETIME:
            return random.choice(_MOMENTS)


def some_filter(random: Random, records: Sequence[RunRecord], depth: int = 3) -> Said:
    """What may be asked of these runs, with up to so many joints within each other."""
    choice = random.random()
    if depth == 0 or choice < 0.4:
        return _some_comparison(random, records)
    if choice < 0.55:
        return Not(some_filter(random, records, depth - 1))
    inner = [some_filter(random, records, depth - 1) for _ in range(random.randint(2, 3))]
    return Joined(random.choice(["and", "or"]), tuple(inner))


def _some_comparison(random: Random, records: Sequence[RunRecord]) -> Asked:
    record = random.choice(records)
    texts = (record.workflow_id, record.run_id, record.workflow_type, record.queue, "", "w", "zz")
    moments = [_iso(record.created_at_ms), _iso((record.closed_at_ms or 0) + 1), _iso(record.created_at_ms) + "5"]
    kinds: list[tuple[Sequence[str], Sequence[Written], Sequence[str]]] = [
        (NAMES, _TEXTS, (*_EQUALITIES, *_RANGES, "starts_with", "not starts_with")),
        (NAMES, _NUMBERS, (*_EQUALITIES, *_RANGES)),
        (NAMES, _MOMENT_TEXTS, (*_EQUALITIES, *_RANGES)),
        (NAMES, (True, False), _EQUALITIES),
        (
            ("WorkflowId", "RunId", "WorkflowType", "TaskQueue", "ParentRunId"),
            texts,
            (*_EQUALITIES, *_RANGES, "starts_with", "not starts_with"),
        ),
        (("ExecutionStatus",), tuple(status.value for status in RunStatus), _EQUALITIES),
        (("StartTime", "CloseTime"), moments, (*_EQUALITIES, *_RANGES)),
        (("ExecutionDuration",), ("1s", "250ms", 0.5, 1, "1.5ms"), ("=", "!=", *_RANGES, "is null", "is not null")),
        (("HistoryLength",), (0, 1, 2, 0.5), (*_EQUALITIES, *_RANGES)),
        (("Parked",), (True, False), _EQUALITIES),
    ]
    fields, values, operators = random.choice(kinds)
    operator = random.choice(operators)
    count = 0 if operator.endswith("null") else 2 if operator.endswith("between") else 1
    if operator in ("in", "not in"):
        count = random.randint(1, 3)
    chosen = random.choices(values, k=count)
    if fields[0] == "ExecutionDuration":
        # In one comparison stand lengths or numbers, not both.
        chosen = [value for value in chosen if isinstance(value, str) == isinstance(chosen[0], str)]
        chosen += chosen[:1] * (count - len(chosen))
    return Asked(random.choice(fields), operator, tuple(chosen))


def _iso(at_ms: int) -> str:
    return (_EPOCH + timedelta(milliseconds=at_ms)).isoformat(timespec="milliseconds")
