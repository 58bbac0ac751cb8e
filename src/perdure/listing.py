"""What a list or a count of runs asks for, from what the caller wrote."""

from perdure.core.errors import InvalidFilter, InvalidOption
from perdure.core.filter.build import runs_where
from perdure.core.filter.parser import parse_filter
from perdure.core.filter.tree import Filter
from perdure.core.ids import checked_id
from perdure.core.store import RunStatus

GROUP = "ExecutionStatus"
"""The field by which counts can be grouped."""


def filter_of(
    query: object,
    *,
    status: RunStatus | str | None = None,
    workflow: str | None = None,
    id_prefix: str | None = None,
    parked: bool | None = None,
) -> Filter:
    """The filter that a text says, with what is named beside it. Raises `InvalidFilter`, `InvalidOption`."""
    if not isinstance(query, str):
        fact = f"the filter is a {type(query).__name__}"
        raise InvalidFilter(position=1, near=repr(query)[:40], fact=fact, remedy="write it as text")
    return runs_where(
        status=None if status is None else _status(status).value,
        workflow_type=_checked("workflow", workflow),
        workflow_id_prefix=_checked("id_prefix", id_prefix),
        parked=parked,
        base=parse_filter(query),
    )


def check_group(group_by: str | None) -> None:
    """Refuse a count by something else than the status. Raises `InvalidOption`."""
    if group_by not in (None, GROUP):
        remedy = f"give {GROUP!r}, or count with one filter for each value"
        raise InvalidOption(name="group_by", value=repr(group_by)[:80], fact="cannot be grouped by", remedy=remedy)


def _status(status: RunStatus | str) -> RunStatus:
    try:
        return RunStatus(status)
    except ValueError as error:
        known = ", ".join(RunStatus)
        raise InvalidOption(name="status", value=status, fact="is unknown", remedy=f"give one of {known}") from error


def _checked(name: str, value: object) -> str | None:
    """Text that can be a name or the beginning of one: others no run has, and no store is asked for them."""
    if value is None:
        return None
    if not isinstance(value, str):
        fact = f"is a {type(value).__name__}"
        raise InvalidOption(name=name, value=repr(value)[:80], fact=fact, remedy="give text")
    return checked_id(name, value) if value else value
