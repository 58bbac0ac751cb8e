"""Options of a whole run, wherever it is started: by a client or as a child. Everything is checked here, once."""

from collections.abc import Iterable, Mapping
from typing import Any

from perdure.core.attributes import Attribute
from perdure.core.message import StartOptions
from perdure.core.payload import DataConverter
from perdure.programs.code.noting import checked_memo
from perdure.programs.code.options import Duration, RetryPolicy, duration_ms
from perdure.programs.code.ranks import RankKeywords, rank_of
from perdure.programs.code.search import check_count, checked_attributes
from perdure.programs.schedule.cron import checked as checked_cron


class OnceKeywords(RankKeywords, total=False):
    """Options of a run that no cron line repeats, as keyword arguments."""

    retry: RetryPolicy
    """Run it again, from the start, when it failed; without it a failed run is final."""
    execution_timeout: Duration
    """Longest time of the workflow, with all runs that follow each other."""
    run_timeout: Duration
    """Longest time of one run."""
    memo: Mapping[str, Any]
    """Values that readers see without its history."""
    search_attributes: Iterable[Attribute]
    """What it is found by: `SearchKey.keyword("CustomerId").set("c-17")`."""


class RunKeywords(OnceKeywords, total=False):
    """Options of a run, wherever it is started, as keyword arguments."""

    cron: str
    """Run it again and again, by UTC; a moment that comes while it runs is left out."""


RUN_KEYWORDS = frozenset(RunKeywords.__annotations__)


def run_options(converter: DataConverter, now_ms: int, keywords: RunKeywords) -> StartOptions | None:
    """The checked options of a run; None if there are none.

    Raises `InvalidOption`, `InvalidSchedule`, `InvalidAttribute`, `UnserializableValue`.
    """
    if keywords.keys().isdisjoint(RUN_KEYWORDS):
        return None
    retry, cron, memo = keywords.get("retry"), keywords.get("cron"), keywords.get("memo")
    execution, run = keywords.get("execution_timeout"), keywords.get("run_timeout")
    given = checked_attributes(keywords.get("search_attributes", ()))
    attributes = tuple(each for each in given if each.value is not None)
    check_count([each.name for each in attributes])
    return StartOptions(
        retry=None if retry is None else retry.compiled(),
        execution_ms=None if execution is None else duration_ms("execution_timeout", execution),
        run_ms=None if run is None else duration_ms("run_timeout", run),
        cron=None if cron is None else checked_cron(cron, now_ms),
        memo=None if memo is None else checked_memo(converter, memo, {}),
        attributes=attributes,
        rank=rank_of(keywords),
    )
