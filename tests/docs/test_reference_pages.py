"""The reference pages name everything that there is: public names, history events, limits."""

import inspect
import re
from pathlib import Path

import pytest

import perdure
from perdure import activity, data, schedules, testing, workflow
from perdure.core import limits
from perdure.core.filter import lexer, parser
from perdure.engine import attempts, history
from perdure.programs.code import noting, options, search
from perdure.stores.sqlite import faults
from perdure.worker import watchdog

REFERENCE = Path(__file__).resolve().parents[2] / "docs" / "reference"
API = (REFERENCE / "api.md").read_text()
EVENTS = (REFERENCE / "history-events.md").read_text()
LIMITS = (REFERENCE / "limits.md").read_text()
TESTING = (REFERENCE / "testing.md").read_text()

OUTCOMES = ("Completed", "Failed", "TimedOut", "Canceled", "Terminated")


def missing(names: list[str], page: str) -> list[str]:
    """Those that the page does not name in code marks."""
    marked = set(re.findall(r"\w+", " ".join(re.findall(r"`[^`]+`", page))))
    return [name for name in names if name not in marked]


@pytest.mark.parametrize(
    "names",
    [perdure.__all__, workflow.__all__, activity.__all__, data.__all__, schedules.__all__],
    ids=("perdure", "workflow", "activity", "data", "schedules"),
)
def test_the_api_page_names_everything_public(names: list[str]) -> None:
    assert missing(names, API) == []


@pytest.mark.parametrize("kind", [perdure.Perdure, perdure.Handle])
def test_the_api_page_names_every_verb(kind: type) -> None:
    verbs = [name for name, _ in inspect.getmembers(kind, inspect.isfunction) if not name.startswith("_")]
    own = {"call", "enter_on", "knows", "leave", "new_id", "query"}
    internal = own if kind is perdure.Perdure else set[str]()

    assert missing([verb for verb in verbs if verb not in internal], API) == []


@pytest.mark.parametrize("kind", [perdure.Perdure.__init__, perdure.RetryPolicy, options.ActivityKeywords])
def test_the_api_page_names_every_option(kind: object) -> None:
    annotations: dict[str, object] = getattr(kind, "__annotations__", {})

    assert missing([name for name in annotations if name != "return"], API) == []


@pytest.mark.parametrize("kind", [testing.TestEnvironment, testing.Mock, testing.ActivityEnvironment])
def test_the_page_of_the_test_kit_names_every_verb(kind: type) -> None:
    verbs = [name for name, _ in inspect.getmembers(kind, inspect.isfunction) if not name.startswith("_")]
    internal = {"answers_for", "checked", "fits", "next"}

    assert missing([verb for verb in verbs if verb not in internal], TESTING) == []


def test_the_page_of_the_test_kit_names_everything_public() -> None:
    assert missing([*testing.__all__, *testing.EnvironmentOptions.__annotations__], TESTING) == []


def test_the_page_of_events_names_every_type() -> None:
    source = inspect.getsource(history)
    types = set(re.findall(r'"((?:Workflow|Activity|Timer|Child|StartChild|Request|Marker)\w+)"', source))
    # An activity is never terminated, and a child's own time never passes.
    types |= {f"ActivityTask{outcome}" for outcome in OUTCOMES if outcome != "Terminated"}
    types |= {f"ChildWorkflowExecution{outcome}" for outcome in OUTCOMES if outcome != "TimedOut"}

    assert missing(sorted(types), EVENTS) == []


@pytest.mark.parametrize(
    ("limit", "shown"),
    [
        (limits.PAYLOAD_BYTES_MAX, f"{limits.PAYLOAD_BYTES_MAX // 2**20} MiB as JSON"),
        (limits.VALUES_MAX, f"details of one error or one heartbeat | {limits.VALUES_MAX} |"),
        (limits.TOGETHER_BYTES_MAX, f"together | {limits.TOGETHER_BYTES_MAX // 2**20} MiB"),
        (
            limits.DETAILS_BYTES_MAX,
            f"details of one error or one heartbeat together | {limits.DETAILS_BYTES_MAX // 2**20} MiB",
        ),
        (
            limits.CLAIMED_BYTES_MAX,
            f"with a [claim check](../how-to/large-payloads.md) | {limits.CLAIMED_BYTES_MAX // 2**20} MiB",
        ),
        (limits.TURN_BYTES_MAX, f"asks for | {limits.TURN_BYTES_MAX // 2**20} MiB"),
        (limits.ID_CHARS_MAX, f"1 to {limits.ID_CHARS_MAX} characters"),
        (limits.TEXT_CHARS_MAX, f"{limits.TEXT_CHARS_MAX // 1000} 000 characters"),
        (limits.CAUSES_MAX, f"causes of a failure | {limits.CAUSES_MAX} |"),
        (search.ATTRIBUTES_MAX, f"attributes of one run | {search.ATTRIBUTES_MAX} |"),
        (search.NAME_CHARS_MAX, f"| {search.NAME_CHARS_MAX}, {search.KEYWORD_CHARS_MAX}, {search.TEXT_CHARS_MAX} char"),
        (search.LIST_MAX, f"of a keyword list | {search.LIST_MAX} |"),
        (noting.MEMO_BYTES_MAX, f"| {noting.MEMO_ENTRIES_MAX}, {noting.MEMO_BYTES_MAX // 1024} KiB |"),
        (lexer.FILTER_CHARS_MAX, f"{lexer.FILTER_CHARS_MAX // 1000} 000 characters, {parser.TERMS_MAX} comparisons |"),
        (faults.FILTER_S_MAX, f"of a SQLite store | {faults.FILTER_S_MAX:g} seconds |"),
        (attempts.DEATHS_MAX, f"under one activity | {attempts.DEATHS_MAX} |"),
        (watchdog.STEP_MS_MAX, f"that computes | {watchdog.STEP_MS_MAX // 1000} second |"),
        (watchdog.LOOP_MS_MAX, f"your event loop | {watchdog.LOOP_MS_MAX // 1000} seconds |"),
    ],
)
def test_the_page_of_limits_has_the_numbers_of_the_code(limit: float, shown: str) -> None:
    assert limit > 0
    assert shown in LIMITS


def test_the_guarantees_name_tests_that_exist() -> None:
    root = REFERENCE.parents[1]
    named = set(re.findall(r"`(tests/[\w/.]+)`", (root / "docs" / "explanation" / "guarantees.md").read_text()))

    assert named
    assert [
        path for path in sorted(named) if not ((root / path).is_file() or any((root / path).glob("test_*.py")))
    ] == []
