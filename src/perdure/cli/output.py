"""Output: tables for people, one JSON document for programs. What a terminal would interpret is shown escaped."""

import json
import sys
import unicodedata
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec

CELL_CHARS_MAX = 100
"""A longer cell is cut; `-o json` shows all of it."""


def one_line(text: str) -> str:
    """The text with line breaks, controls and marks that change the direction of writing escaped."""
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)


def moment(at: datetime | None) -> str:
    """A moment to the second, in UTC; empty if there is none."""
    return "" if at is None else f"{at:%Y-%m-%d %H:%M:%S}Z"


def cell(value: object) -> str:
    """A value as one cell of a table."""
    text = one_line("" if value is None else str(value))
    return text if len(text) <= CELL_CHARS_MAX else f"{text[: CELL_CHARS_MAX - 1]}…"


def compact(value: Any) -> str:
    """A JSON value as text."""
    return json.dumps(value, ensure_ascii=False, separators=(", ", ": "))


def print_json(value: Any) -> None:
    """Print one JSON document."""
    print(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())


def print_error(line: str) -> None:
    """Print a line for people, beside the output."""
    print(line, file=sys.stderr)


def print_table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print columns as wide as their content; nothing but the head where there are no rows."""
    lines = [list(head), *([cell(value) for value in row] for row in rows)]
    widths = [max(_width(line[column]) for line in lines) for column in range(len(head))]
    for line in lines:
        padded = [text + " " * (width - _width(text)) for text, width in zip(line, widths, strict=True)]
        print("  ".join(padded).rstrip())


def print_fields(fields: Sequence[tuple[str, object]]) -> None:
    """Print names and values, one pair a line, uncut; those without a value are left out."""
    shown = [(name, one_line(str(value))) for name, value in fields if value is not None and value != ""]
    width = max(len(name) for name, _ in shown)
    for name, value in shown:
        print(f"{name:{width}}  {value}")


def _width(text: str) -> int:
    """Columns that a terminal gives the text."""
    if text.isascii():
        return len(text)
    return sum(_columns(each) for each in text)


def _columns(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1
