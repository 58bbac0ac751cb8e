"""From the tree of a filter to SQL: parts of `filters.sql` put together, and every name and value bound.

No text that a user wrote gets into a statement; tests look at what the driver is given.
"""

import time
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, assert_never

from perdure.core.filter.tree import (
    And,
    AttributeField,
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
from perdure.stores.sqlite.database import Database
from perdure.stores.sqlite.faults import FILTER_S_MAX
from perdure.stores.sqlite.statements import read_all

PARTS = read_all("filters.sql")
STEPS_A_LOOK = 100_000
"""So many steps of SQLite's machine between two looks at the clock: a few ms."""
_COMPARES = {Op.LESS: "<", Op.AT_MOST: "<=", Op.MORE: ">", Op.AT_LEAST: ">="}
_LAST_CHAR = chr(0x10FFFF)


class Part(NamedTuple):
    """A piece of SQL with what is bound in it, in order."""

    text: str
    bound: tuple[Any, ...] = ()


class Found(NamedTuple):
    """A way to find all runs that may fit by an index; the lowest rank is the best."""

    rank: int
    part: Part


TRUE = Part("1")


def list_keys(db: Database, where: Filter, limit: int, before: RunId | None) -> list[int]:
    """The internal ids of the runs chosen, in order."""
    if not where.order:
        page = TRUE if before is None else Part("runs.run_id < ?", (before,))
        return _answers(db, _filled("list_runs", chosen=_chosen(where, page)), limit)
    keys = _joined(", ", [Part(f"{part.text} as key_{index}", part.bound) for index, part in enumerate(_keys(where))])
    after = TRUE
    if before is not None:
        mark = _filled("find_mark", keys=keys)
        row = db.execute(mark.text, (*mark.bound, before)).fetchone()
        if row is None:
            return []
        after = _after(where.order, row, before)
    order = Part(", ".join([*map(_sorted, range(len(where.order)), where.order), "run_id desc"]))
    return _answers(
        db, _filled("list_runs_in_order", keys=keys, chosen=_chosen(where), after=after, order=order), limit
    )


def count_by_status(db: Database, where: Filter) -> list[tuple[str, int]]:
    """Each status that some of the runs chosen have, with how many."""
    return [(status, amount) for status, amount in _answers(db, _filled("count_runs", chosen=_chosen(where)))]


def _answers(db: Database, part: Part, *last: int) -> list[Any]:
    """What a query packs into one JSON array, unless it takes too long: then SQLite says that it was interrupted."""
    give_up_at_s = time.monotonic() + FILTER_S_MAX
    db.connection.set_progress_handler(lambda: time.monotonic() > give_up_at_s, STEPS_A_LOOK)
    try:
        return db.decoded(db.execute(part.text, (*part.bound, *last)))
    finally:
        db.connection.set_progress_handler(None, 0)


# Putting parts together


def _filled(name: str, **parts: Part) -> Part:
    """A named part with others in its places; each is there once, and what is bound follows the text."""
    text = PARTS[name]
    places = sorted(parts, key=lambda place: text.index(f"{{{place}}}"))
    bound: list[Any] = []
    for place in places:
        text = text.replace(f"{{{place}}}", parts[place].text)
        bound += parts[place].bound
    return Part(text, tuple(bound))


def _joined(separator: str, parts: Sequence[Part]) -> Part:
    return Part(separator.join(part.text for part in parts), tuple(each for part in parts for each in part.bound))


def _all_or_any(word: str, parts: Sequence[Part]) -> Part:
    """In halves: a chain of a thousand would be deeper than what SQLite takes."""
    if len(parts) == 1:
        return parts[0]
    half = len(parts) // 2
    both = _joined(f" {word} ", [_all_or_any(word, parts[:half]), _all_or_any(word, parts[half:])])
    return Part(f"({both.text})", both.bound)


def _places(values: Sequence[Any]) -> Part:
    return Part(", ".join("?" * len(values)), tuple(values))


# Which runs


def _chosen(where: Filter, page: Part = TRUE) -> Part:
    """What stands after `from`."""
    fit = page if where.where is None else _all_or_any("and", [page, _fits(where.where)])
    found = None if where.where is None else _found(where.where)
    return _filled("chosen", fit=fit) if found is None else _filled("chosen_by_index", found=found.part, fit=fit)


def _fits(node: Node) -> Part:
    match node:
        case And(nodes):
            return _all_or_any("and", [_fits(each) for each in nodes])
        case Or(nodes):
            return _all_or_any("or", [_fits(each) for each in nodes])
        case IsNull(field, negated):
            return _is_null(field, negated=negated)
        case Compare(AttributeField(name), op, readings, negated):
            return _fits_attribute(name, op, readings, negated=negated)
        case Compare(field, op, readings, negated):
            part = _compared(PARTS[f"field_{field}"], op, readings[0].values)
            return Part(f"not ({part.text})", part.bound) if negated else Part(f"({part.text})", part.bound)
        case _:
            assert_never(node)


def _is_null(field: Field, *, negated: bool) -> Part:
    if isinstance(field, SystemField):
        return Part(f"{PARTS[f'field_{field}']} is {'not ' if negated else ''}null")
    part = Part(PARTS["fits_no_attribute"], (field.name,))
    return Part(f"(not {part.text})", part.bound) if negated else part


def _compared(column: str, op: Op, values: Sequence[Comparand]) -> Part:
    """A comparison of a column with values that are not words."""
    match op:
        case Op.IN:
            places = _places(values)
            return Part(f"{column} in ({places.text})", places.bound)
        case Op.BETWEEN:
            return Part(f"{column} between ? and ?", tuple(values))
        case Op.STARTS_WITH:
            first = str(values[0])
            end = _end_of(first)
            return Part(
                f"{column} >= ?" + ("" if end is None else f" and {column} < ?"), (first, end)[: 1 + (end is not None)]
            )
        case Op.LESS | Op.AT_MOST | Op.MORE | Op.AT_LEAST:
            return Part(f"{column} {_COMPARES[op]} ?", tuple(values))


def _end_of(prefix: str) -> str | None:
    """The first text after all those that begin so; None if none comes after them."""
    kept = prefix.rstrip(_LAST_CHAR)
    if not kept:
        return None
    following = ord(kept[-1]) + 1
    # Surrogates are no characters: the next one comes after them.
    return kept[:-1] + chr(0xE000 if following == 0xD800 else following)


def _fits_attribute(name: str, op: Op, readings: Sequence[Reading], *, negated: bool) -> Part:
    own: list[Part] = []
    several: list[Part] = []
    for reading in readings:
        if reading.kind is not ValueClass.WORD:
            own.append(_of_class(reading.kind, _compared("value", op, reading.values)))
            continue
        phrases = [value for value in reading.values if isinstance(value, tuple)]
        single = [phrase[0] for phrase in phrases if len(phrase) == 1]
        if single:
            own.append(_of_class(ValueClass.WORD, _compared("value", op, single)))
        several += [_has_words(name, phrase) for phrase in phrases if len(phrase) > 1]
    if own:
        value = _all_or_any("or", own)
        several.insert(0, _has(name, value))
    part = _all_or_any("or", several)
    if not negated:
        return part
    classes = ", ".join(str(int(reading.kind)) for reading in readings)
    there = _has(name, Part(f"class in ({classes})"))
    return Part(f"({there.text} and not {part.text})", (*there.bound, *part.bound))


def _of_class(kind: ValueClass, value: Part) -> Part:
    return Part(f"(class = {int(kind)} and {value.text})", value.bound)


def _has(name: str, value: Part) -> Part:
    part = _filled("fits_attribute", value=value)
    return Part(part.text, (name, *part.bound))


def _has_words(name: str, words: Sequence[str]) -> Part:
    part = _filled("fits_words", **{"class": Part(str(int(ValueClass.WORD)))}, words=_places(words))
    return Part(part.text, (len(words), name, *part.bound))


# By which index


def _found(node: Node) -> Found | None:
    """How the runs that may fit are found by an index; None if all must be looked at."""
    match node:
        case And(nodes):
            ways = [found for each in nodes if (found := _found(each)) is not None]
            return min(ways, key=lambda found: found.rank, default=None)
        case Or(nodes):
            ways = [_found(each) for each in nodes]
            known = [found for found in ways if found is not None]
            if len(known) < len(ways):
                return None
            return Found(max(found.rank for found in known), _joined(" union ", [found.part for found in known]))
        case IsNull(AttributeField(name), negated=True):
            return Found(4, Part(PARTS["find_any_attribute"], (name,)))
        case Compare(SystemField() as field, op, readings, negated=False):
            return _found_run(field, op, readings[0].values)
        case Compare(AttributeField(name), op, readings, negated=False):
            parts = [part for reading in readings for part in _found_attribute(name, op, reading)]
            return Found(_rank(op), _joined(" union ", parts))
        case _:
            return None


def _rank(op: Op) -> int:
    return {Op.IN: 1, Op.STARTS_WITH: 2}.get(op, 3)


def _found_run(field: SystemField, op: Op, values: Sequence[Comparand]) -> Found | None:
    if field is SystemField.RUN_ID and op is Op.IN:
        return Found(0, _filled("find_run_id", run_id=_compared("run_id", op, values)))
    if field is SystemField.WORKFLOW_ID and op in (Op.IN, Op.STARTS_WITH):
        return Found(
            0 if op is Op.IN else 2, _filled("find_workflow_id", workflow_id=_compared("workflow_id", op, values))
        )
    return None


def _found_attribute(name: str, op: Op, reading: Reading) -> Iterable[Part]:
    # Of several words the first one: what else must be there is looked at in each run.
    values = [value[0] if isinstance(value, tuple) else value for value in reading.values]
    part = _filled("find_attribute", **{"class": Part(str(int(reading.kind)))}, value=_compared("value", op, values))
    return [Part(part.text, (name, *part.bound))]


# In which order


def _keys(where: Filter) -> list[Part]:
    return [_key(order.field) for order in where.order]


def _key(field: Field) -> Part:
    return (
        Part(PARTS["field_attribute"], (field.name,))
        if isinstance(field, AttributeField)
        else Part(PARTS[f"field_{field}"])
    )


def _sorted(index: int, order: Order) -> str:
    # Said of what cannot be missing it would keep an index from being used.
    last = "" if order.field is SystemField.START_TIME else " nulls last"
    return f"key_{index} {'desc' if order.descending else 'asc'}{last}"


def _after(order: Sequence[Order], mark: Sequence[Any], before: RunId) -> Part:
    """What comes after the run whose keys these are."""
    part = Part("run_id < ?", (before,))
    for index, (key, value) in reversed([*enumerate(zip(order, mark, strict=True))]):
        name = f"key_{index}"
        if value is None:
            part = Part(f"({name} is null and {part.text})", part.bound)
        else:
            sign = "<" if key.descending else ">"
            text = f"({name} is null or {name} {sign} ? or ({name} = ? and {part.text}))"
            part = Part(text, (value, value, *part.bound))
    return part
