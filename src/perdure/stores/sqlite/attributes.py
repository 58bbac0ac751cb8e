"""Search attributes in the database: a row a value, so that indexes find them."""

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Any

from perdure.core.attributes import Attribute, AttributeKind, compared
from perdure.stores.sqlite.database import Database


def insert(db: Database, runs: Iterable[tuple[int, Sequence[Attribute]]]) -> None:
    """Add the attributes of new runs, by internal id."""
    flat: list[Any] = []
    for key, attributes in runs:
        for attribute in {each.name: each for each in attributes if each.value is not None}.values():
            flat += _rows(key, attribute)
    db.run_rows("insert_attributes", flat)


def change(db: Database, runs: Sequence[tuple[int, Sequence[Attribute]]]) -> None:
    """Add, replace or take away attributes of runs, by internal id."""
    db.run_rows("drop_attributes", [value for key, changes in runs for each in changes for value in (key, each.name)])
    # The last of several changes of one name counts, also if it takes the attribute away.
    last = [(key, list({each.name: each for each in changes}.values())) for key, changes in runs]
    insert(db, last)


def _rows(key: int, attribute: Attribute) -> list[Any]:
    kind, values = compared(attribute)
    if attribute.kind is AttributeKind.TEXT:
        flat: list[Any] = [key, attribute.name, 0, attribute.kind.value, None, attribute.value]
        for place, word in enumerate(values, 1):
            flat += (key, attribute.name, place, None, int(kind), word)
        return flat
    flat = []
    for place, value in enumerate(values):
        flat += (key, attribute.name, place, attribute.kind.value, int(kind), value)
    return flat


def read(db: Database, keys: Sequence[int]) -> dict[int, tuple[Attribute, ...]]:
    """The attributes of runs by internal id, in the order of their names."""
    found: dict[int, list[Attribute]] = {}
    # Row by row: JSON would round numbers.
    rows = db.rows_of("read_attributes", keys)
    for (key, name, kind), group in groupby(rows, key=lambda row: (row[0], row[1], row[2])):
        found.setdefault(key, []).append(_attribute(name, AttributeKind(kind), [row[3] for row in group]))
    return {key: tuple(attributes) for key, attributes in found.items()}


def _attribute(name: str, kind: AttributeKind, values: list[Any]) -> Attribute:
    if kind is AttributeKind.KEYWORD_LIST:
        return Attribute(name, kind, tuple(values))
    return Attribute(name, kind, bool(values[0]) if kind is AttributeKind.BOOL else values[0])
