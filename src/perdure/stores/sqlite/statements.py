"""The named statements of the `.sql` files beside this module, loaded once. How to read them: `turns.sql`."""

import re
from importlib import resources
from typing import NamedTuple

ROWS_MAX = 1_024
"""Most rows that one execution of a repeated statement takes; fewer where they are joined by `union all`."""
TERMS_MAX = 64
"""Most terms of one compound select. Source: SQLITE_MAX_COMPOUND_SELECT is 500, and plans grow with them."""

_FILES = ("turns.sql", "messages.sql", "attributes.sql", "claims.sql", "queues.sql", "reads.sql")
_NAME = re.compile(r"^-- name: (\w+)$", re.MULTILINE)
_COMMENT = re.compile(r"^\s*--.*\n", re.MULTILINE)


class Repeated(NamedTuple):
    """A statement with a part that is repeated once a row."""

    head: str
    row: str
    separator: str
    tail: str
    width: int
    """Parameters a row."""
    rows_max: int

    def text(self, rows_count: int) -> str:
        """The statement for so many rows."""
        return self.head + self.separator.join([self.row] * rows_count) + self.tail


def sizes(rows_count: int, rows_max: int) -> list[int]:
    """Split a count into chunks of few different sizes, so that their statements stay prepared.

    A size has five significant bits: a hundred of them reach to 1 000 rows, and two add up to any count below.
    """
    found = [rows_max] * (rows_count // rows_max)
    rest = rows_count % rows_max
    while rest:
        size = rest & -(1 << max(0, rest.bit_length() - 5))
        found.append(size)
        rest -= size
    return found


def read_all(*files: str) -> dict[str, str]:
    """The texts of all statements in files by name."""
    found: dict[str, str] = {}
    for file in files:
        _, *parts = _NAME.split(resources.files("perdure.stores.sqlite").joinpath(file).read_text("utf-8"))
        for name, text in zip(parts[::2], parts[1::2], strict=True):
            assert name not in found, f"two statements are named {name}"
            found[name] = _COMMENT.sub("", text).strip().removesuffix(";")
    return found


def repeated(text: str) -> Repeated:
    """Take a text with `{...}` apart."""
    head, rest = text.split("{")
    row, tail = rest.split("}")
    union = row.endswith(" union all")
    row = row.removesuffix(" union all")
    return Repeated(head, row, " union all " if union else ", ", tail, row.count("?"), TERMS_MAX if union else ROWS_MAX)


TEXTS = read_all(*_FILES)
REPEATED = {name: repeated(text) for name, text in TEXTS.items() if "{" in text}
