"""One connection to the file: named statements in, plain values out. It knows no verbs.

Every step of a statement lets go of the interpreter lock and waits for it again, behind whatever else runs in the
process. Hence statements that take many rows at once, and queries that return one row: a JSON array, with blobs in hex.
"""

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from perdure.core.ids import RunId
from perdure.stores.sqlite.statements import REPEATED, TEXTS, sizes

KEYS_MAX = 200_000
"""Most run ids whose internal ids are remembered."""

PACKED_BYTES_MAX = 32 * 1024 * 1024
"""Most bytes of blobs that are packed into one value. Source: SQLITE_MAX_LENGTH is 1e9, hex doubles, memory is dear."""

_decode_json = msgspec.json.Decoder(list[Any]).decode


class Database:
    """A connection, the internal ids of runs that it has seen, and whether something became claimable or closed."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection
        self.changed = False
        self.slots_awaited = False
        """Some claim had limits: where an attempt is over, more may be claimable."""
        self.statements_count = 0
        """How many statements were executed; for tests of the hot path."""
        self._keys: dict[RunId, int] = {}
        self._texts: dict[tuple[str, int], str] = {}

    def execute(self, text: str, parameters: Sequence[Any] | Mapping[str, Any] = ()) -> sqlite3.Cursor:
        """Execute a text that is no named statement: transactions and pragmas."""
        self.statements_count += 1
        return self.connection.execute(text, parameters)

    def run(self, name: str, *parameters: Any) -> int:
        """Execute a statement; return how many rows it changed."""
        return self.execute(TEXTS[name], parameters).rowcount

    def run_named(self, name: str, parameters: Mapping[str, Any]) -> int:
        """Execute a statement with named parameters; return how many rows it changed."""
        return self.execute(TEXTS[name], parameters).rowcount

    def value(self, name: str, *parameters: Any) -> Any:
        """The first column of the first row; None if there is none."""
        row = self.execute(TEXTS[name], parameters).fetchone()
        return None if row is None else row[0]

    def values(self, name: str, *parameters: Any) -> list[Any]:
        """What a query packs into one JSON array."""
        return self.decoded(self.execute(TEXTS[name], parameters))

    def decoded(self, cursor: sqlite3.Cursor) -> list[Any]:
        """The JSON array that a query returned."""
        return _decode_json(cursor.fetchone()[0])

    def run_rows(self, name: str, flat: Sequence[Any], *, before: Sequence[Any] = ()) -> int:
        """Execute a repeated statement for all rows, given one after the other; return how many rows it changed."""
        return sum(cursor.rowcount for cursor in self._rows(name, flat, before, ()))

    def values_of(
        self, name: str, flat: Sequence[Any], *, before: Sequence[Any] = (), after: Sequence[Any] = ()
    ) -> list[Any]:
        """What a repeated query packs into JSON arrays, all in one."""
        found: list[Any] = []
        for cursor in self._rows(name, flat, before, after):
            found += self.decoded(cursor)
        return found

    def numbers_of(self, name: str, flat: Sequence[Any], *, after: Sequence[Any] = ()) -> list[int]:
        """The single number that each execution of a repeated query returns, without the nulls."""
        found = [cursor.fetchone()[0] for cursor in self._rows(name, flat, (), after)]
        return [number for number in found if number is not None]

    def blobs_of(self, name: str, flat: Sequence[Any], *, after: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """The rows of a repeated query whose last column is a blob, and which has a twin that counts their bytes.

        As one value where they are not too many bytes for that; row by row otherwise.
        """
        if sum(self.numbers_of(f"{name}_bytes", flat, after=after)) > PACKED_BYTES_MAX:
            return [row for cursor in self._rows(name, flat, (), after) for row in cursor]
        return [(*row[:-1], bytes.fromhex(row[-1])) for row in self.values_of(f"{name}_packed", flat, after=after)]

    def _rows(
        self, name: str, flat: Sequence[Any], before: Sequence[Any], after: Sequence[Any]
    ) -> Iterator[sqlite3.Cursor]:
        """One cursor after the other: one that was read to its end leaves its statement prepared for the next."""
        statement = REPEATED[name]
        width = statement.width
        start = 0
        for size in sizes(len(flat) // width, statement.rows_max):
            text = self._texts.get((name, size))
            if text is None:
                text = self._texts[name, size] = statement.text(size)
            end = start + size * width
            yield self.execute(text, [*before, *flat[start:end], *after])
            start = end

    def rows_of(self, name: str, flat: Sequence[Any]) -> list[tuple[Any, ...]]:
        """The rows of a repeated query, one by one: for few of them, with values that JSON would change."""
        return [row for cursor in self._rows(name, flat, (), ()) for row in cursor]

    # Internal ids of runs

    def keys_of(self, runs: Sequence[RunId]) -> dict[RunId, int]:
        """The internal ids of those runs that exist; one deleted meanwhile may be among them, its id names nothing."""
        try:
            return dict(zip(runs, map(self._keys.__getitem__, runs), strict=True))
        except KeyError:
            found = {run_id: self._keys[run_id] for run_id in runs if run_id in self._keys}
        missing = dict(self.values_of("run_keys", [run_id for run_id in runs if run_id not in found]))
        self.remember_keys(missing)
        return found | missing

    def remember_keys(self, keys: Mapping[RunId, int]) -> None:
        """Keep internal ids at hand."""
        if len(self._keys) + len(keys) > KEYS_MAX:
            self._keys.clear()
        self._keys.update(keys)

    def forget_keys(self) -> None:
        """After a roll-back: ids given to new runs are given again."""
        self._keys.clear()
