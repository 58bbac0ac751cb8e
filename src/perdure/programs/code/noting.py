"""The memo and the search attributes that a run has now, as its code sees them."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from perdure.core.attributes import Attribute
from perdure.core.errors import InvalidOption
from perdure.core.ids import checked_id
from perdure.core.payload import DataConverter, Payload

if TYPE_CHECKING:
    from perdure.programs.code.run import CodeRun

MEMO_ENTRIES_MAX = 100
"""Most entries of one memo."""
MEMO_BYTES_MAX = 256 * 1024
"""Largest memo, in bytes of its values: every list of runs carries it."""


class Noted:
    """Both by name; changed by the code's own calls."""

    __slots__ = ("attributes", "memo")

    def __init__(self, run: "CodeRun") -> None:
        options = None if run.started is None else run.started.options
        self.memo: dict[str, Payload] = dict(options.memo or {}) if options else {}
        self.attributes: dict[str, Attribute] = {each.name: each for each in options.attributes} if options else {}


def noted_of(run: "CodeRun") -> Noted:
    """What the run has noted so far; made when it is first asked for."""
    if run.noted is None:
        run.noted = Noted(run)
    return run.noted


def checked_memo(
    converter: DataConverter, entries: Mapping[str, Any], before: Mapping[str, Payload] | None = None
) -> dict[str, Payload]:
    """The entries of a memo as payloads. Raises `InvalidOption`, `UnserializableValue`, `PayloadTooLarge`.

    `before` are those that the run has already: the limits are on all of them together.
    """
    if not isinstance(entries, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance] # users without a checker
        fact = f"is a {type(entries).__name__}"
        raise InvalidOption(name="memo", value=repr(entries)[:80], fact=fact, remedy="give a dict of names and values")
    found = {
        checked_id("memo entry", name): converter.to_payload(value, what=f"memo entry {name!r}")
        for name, value in entries.items()
    }
    together = {**(before or {}), **found}
    if len(together) > MEMO_ENTRIES_MAX:
        fact, remedy = f"has {len(together)} entries", f"give at most {MEMO_ENTRIES_MAX}"
        raise InvalidOption(name="memo", value="...", fact=fact, remedy=remedy)
    size = sum(len(payload.data) for payload in together.values())
    if size > MEMO_BYTES_MAX:
        remedy = f"give at most {MEMO_BYTES_MAX}; pass large values as arguments, or by reference"
        raise InvalidOption(name="memo", value="...", fact=f"has {size} bytes", remedy=remedy)
    return found


def shown_memo(converter: DataConverter, memo: Mapping[str, Payload] | None) -> dict[str, Any]:
    """The entries as plain JSON values."""
    if not memo:
        return {}
    return {name: converter.from_payload(value, what=f"memo entry {name!r}") for name, value in memo.items()}
