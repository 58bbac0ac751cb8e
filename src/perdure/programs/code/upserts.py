"""Memo and search attributes, changed by the code of a workflow. Public as `perdure.workflow`."""

from collections.abc import Mapping
from typing import Any

from perdure.core.attributes import Attribute
from perdure.core.command import UpsertAttributes, UpsertMemo
from perdure.core.payload import Payload
from perdure.programs.code.api import current_run
from perdure.programs.code.noting import checked_memo, noted_of
from perdure.programs.code.run import CodeRun
from perdure.programs.code.search import check_count, checked_attributes


def upsert_memo(entries: Mapping[str, Any]) -> None:
    """Add or replace entries of this run's memo; None takes one away.

    They are seen by readers when this step is durable. Raises `InvalidOption`, `UnserializableValue`.
    """
    run = _writing("upsert_memo")
    noted = noted_of(run)
    gone = {name for name, value in entries.items() if value is None}
    kept = {name: value for name, value in noted.memo.items() if name not in gone}
    added = checked_memo(run.program.converter, {n: v for n, v in entries.items() if n not in gone}, kept)
    changes: dict[str, Payload | None] = {**dict.fromkeys(sorted(gone.intersection(noted.memo))), **added}
    noted.memo = {**kept, **added}
    run.commands.append(UpsertMemo(changes))


def upsert_search_attributes(*attributes: Attribute) -> None:
    """Add, replace or take away search attributes of this run: `upsert_search_attributes(STATE.set("paid"))`.

    The run is found by them when this step is durable. Raises `InvalidAttribute`.
    """
    run = _writing("upsert_search_attributes")
    changes = checked_attributes(attributes)
    noted = noted_of(run)
    after = noted.attributes | {each.name: each for each in changes}
    after = {name: each for name, each in after.items() if each.value is not None}
    check_count(after)
    noted.attributes = after
    run.commands.append(UpsertAttributes(changes))


def _writing(name: str) -> CodeRun:
    """The run, where it may change anything: not in a query."""
    run = current_run(name)
    if run.loop.refusal is not None:
        raise run.loop.refusal()
    return run
