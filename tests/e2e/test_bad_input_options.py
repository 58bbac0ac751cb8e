"""Options out of bounds, bad URLs and what cannot be a definition: refused where they are written."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from perdure import Perdure, RetryPolicy
from perdure.core.errors import InvalidId, InvalidOption, InvalidUrl, UnsupportedDefinition
from tests.e2e.bad_input import EACH_STORE, url_of

BAD_OPTIONS: dict[str, dict[str, Any]] = {
    "queue": {"queue": ""},
    "activities_max": {"activities_max": 0},
    "threads_max": {"threads_max": -1},
    "processes_max": {"processes_max": 0},
    "runs_max": {"runs_max": 0},
    "cache_size": {"cache_size": 0},
    "lease": {"lease": "soon"},
    "zero lease": {"lease": 0},
    "text as a count": {"activities_max": "many"},
    "fraction as a count": {"runs_max": 1.5},
    "no lease": {"lease": None},
}


@pytest.mark.parametrize("options", BAD_OPTIONS.values(), ids=BAD_OPTIONS)
def test_options_of_the_app_are_checked(options: dict[str, Any]) -> None:
    (name,) = options

    with pytest.raises((InvalidOption, InvalidId), match=rf"PDR100[12]: .*{name}.*; give "):
        Perdure("memory://", **options)


BAD_ACTIVITY_OPTIONS: dict[str, dict[str, Any]] = {
    "retries": {"retries": -1},
    "retries none": {"retries": None},
    "retry": {"retry": 3},
    "retry beside retries": {"retry": RetryPolicy(), "retries": 1},
    "timeout": {"timeout": "30 parsecs"},
    "timeout zero": {"timeout": 0},
    "timeout negative": {"timeout": timedelta(seconds=-1)},
    "timeout nan": {"timeout": float("nan")},
    "timeout forever": {"timeout": float("inf")},
    "timeout huge": {"timeout": 10**30},
    "timeout bool": {"timeout": True},
    "heartbeat": {"heartbeat": ""},
    "schedule_to_close": {"schedule_to_close": "-5s"},
    "schedule_to_start": {"schedule_to_start": []},
    "coefficient": {"retry": RetryPolicy(coefficient=0.5)},
    "coefficient nan": {"retry": RetryPolicy(coefficient=float("nan"))},
    "initial_interval": {"retry": RetryPolicy(initial_interval="x")},
    "maximum_attempts": {"retry": RetryPolicy(maximum_attempts=-1)},
    "non_retryable": {"retry": RetryPolicy(non_retryable=(3,))},  # type: ignore[arg-type]
    "unknown": {"retrys": 3},
}


@pytest.mark.parametrize(("case", "options"), BAD_ACTIVITY_OPTIONS.items(), ids=BAD_ACTIVITY_OPTIONS)
async def test_options_of_activities_are_checked_where_they_are_written(case: str, options: dict[str, Any]) -> None:
    app = Perdure("memory://")

    @app.activity
    async def act() -> None: ...

    with pytest.raises(InvalidOption, match=r"PDR1002: option \w+=.*; (give|known are)"):
        app.activity(**options)(_nothing)
    with pytest.raises(InvalidOption, match=r"PDR1002: option \w+=.*; (give|known are)"):
        act.options(**options)


async def _nothing() -> None: ...


@pytest.mark.parametrize(
    "url",
    [
        "",
        "sqlite",
        "sqlite:",
        "sqlite://",
        "sqlite:///",
        "sqlite:///:memory:",
        "sqlite:///a\0b",
        "sqlite:///a?mode=ro",
        "sqlite:///folder/",
        "sqlite:////tmp",
        "sqlite:///\ud800",
        "memory:",
        "memory://x",
        "postgres://localhost/x",
        "http://localhost",
        "shop.db",
        7,
        None,
    ],
    ids=repr,
)
def test_a_bad_url_is_refused(url: Any) -> None:
    with pytest.raises(InvalidUrl, match=r"PDR1003: store URL .*; use sqlite:///path/to/file.db or memory://"):
        Perdure(url)


@EACH_STORE
@pytest.mark.parametrize("options", [{"limit": 0}, {"limit": 1_001}, {"status": "open"}, {"limit": "x"}], ids=repr)
async def test_options_of_a_list_are_checked(kind: str, tmp_path: Path, options: dict[str, Any]) -> None:
    app = Perdure(url_of(kind, tmp_path))

    async with app:
        with pytest.raises(InvalidOption, match=r"PDR1002: option (limit|status)=.*; give"):
            await app.list(**options)


def test_what_cannot_be_a_workflow_or_an_activity_is_refused() -> None:
    app = Perdure("memory://")
    register_workflow: Any = app.workflow
    register_activity: Any = app.activity

    def plain() -> None: ...

    def keyword_only(*, a: int) -> None: ...

    async def unresolved(a: Any) -> None: ...

    unresolved.__annotations__["a"] = "Missing"

    def generator() -> Any:
        yield 1

    refused: list[tuple[Any, Any]] = [
        (register_workflow, plain),
        (register_workflow, 7),
        (register_workflow, lambda: 1),
        (register_workflow, Perdure),
        (register_activity, 7),
        (register_activity, Perdure),
        (register_activity, keyword_only),
        (register_activity, unresolved),
        (register_activity, generator),
    ]
    for register, wrong in refused:
        with pytest.raises(UnsupportedDefinition, match=r"PDR1007: .*; "):
            register(wrong)
