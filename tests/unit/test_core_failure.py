"""Failures: an exception to its serialised form and back, whatever the exception is."""

import copy
import pickle
import traceback
from datetime import timedelta
from typing import Any

import pytest

from perdure.core import codec
from perdure.core.failure import (
    CAUSES_MAX,
    TEXT_CHARS_MAX,
    ActivityError,
    ActivityTimeout,
    ApplicationError,
    ChildWorkflowError,
    ExecutionError,
    Failure,
    cancelled,
    timed_out,
    to_exception,
    to_failure,
)
from perdure.core.payload import Payload, to_payloads
from perdure.core.policy import TimeoutKind


class Declined(ApplicationError):
    """A user's own error."""


class Custom(Exception):
    """An error whose text is its own business."""

    def __init__(self, text: Any) -> None:
        super().__init__()
        self.text = text

    def __str__(self) -> Any:
        if isinstance(self.text, Exception):
            raise self.text
        return self.text


def raised(error: BaseException) -> BaseException:
    """The error with a traceback."""
    try:
        raise error
    except BaseException as caught:  # whatever it is, it comes back
        return caught


def causes(failure: Failure | None) -> list[str]:
    """The messages along the chain."""
    found: list[str] = []
    while failure is not None:
        found.append(failure.message)
        failure = failure.cause
    return found


# From an exception


def test_a_plain_exception_keeps_its_bare_type_and_message() -> None:
    assert to_failure(ValueError("no such card")) == Failure("ValueError", "no such card")


def test_a_nested_class_is_known_by_its_bare_name() -> None:
    class Inner(Exception):
        """Its qualified name says where it is; its bare name is what policies and people match."""

    assert to_failure(Inner("x")).type == "Inner"


def test_the_traceback_names_the_line_without_repeating_the_message() -> None:
    failure = to_failure(raised(ValueError("no such card")))

    assert 'test_core_failure.py", line' in failure.traceback
    assert "raise error" in failure.traceback
    assert "no such card" not in failure.traceback


def test_a_cause_is_kept_and_so_is_a_context() -> None:
    outer = ValueError("outer")
    outer.__cause__ = KeyError("cause")
    outer.__context__ = KeyError("context")
    bare = ValueError("bare")
    bare.__context__ = OSError("context")

    assert causes(to_failure(outer)) == ["outer", "'cause'"]
    assert causes(to_failure(bare)) == ["bare", "context"]


def test_a_context_that_was_suppressed_is_left_out() -> None:
    error = ValueError("outer")
    error.__context__ = OSError("hidden")
    error.__suppress_context__ = True

    assert to_failure(error).cause is None


def test_a_long_chain_is_cut() -> None:
    error: Exception = ValueError("0")
    for number in range(1, 200):
        above = ValueError(str(number))
        above.__cause__ = error
        error = above

    assert causes(to_failure(error)) == [str(number) for number in range(199, 198 - CAUSES_MAX, -1)][: CAUSES_MAX + 1]


def test_a_cyclic_chain_ends() -> None:
    first, second = ValueError("first"), ValueError("second")
    first.__cause__, second.__cause__ = second, first

    assert len(causes(to_failure(first))) == CAUSES_MAX + 1


def test_an_application_error_keeps_all_that_it_says() -> None:
    error = ApplicationError(
        "card declined", {"code": 51}, None, type="Declined", retryable=False, next_retry_delay=timedelta(seconds=1.5)
    )

    assert to_failure(error) == Failure(
        "Declined", "card declined", retryable=False, details=to_payloads([{"code": 51}, None]), next_retry_ms=1_500
    )


def test_a_subclass_of_an_application_error_is_a_type_of_its_own() -> None:
    assert to_failure(Declined("no")).type == "Declined"
    assert to_failure(Declined("no", type="Other")).type == "Other"


@pytest.mark.parametrize(("delay", "expected"), [(timedelta(0), 0), (timedelta(seconds=-5), 0), (timedelta.max, None)])
def test_a_delay_is_never_negative_and_always_fits(delay: timedelta, expected: int | None) -> None:
    failure = to_failure(ApplicationError("x", next_retry_delay=delay))

    assert failure.next_retry_ms is not None
    assert expected in (None, failure.next_retry_ms)
    assert codec.failures.decode(codec.failures.encode(failure)) == failure


def test_details_that_cannot_be_kept_do_not_hide_the_message() -> None:
    failure = to_failure(ApplicationError("card declined", object(), retryable=False))

    assert failure.message.startswith("card declined (its details are left out: PDR1009")
    assert failure.details == ()
    assert not failure.retryable


BROKEN: dict[str, tuple[BaseException, str]] = {
    "a __str__ that raises": (Custom(RuntimeError("in __str__")), "<__str__ of the exception raised RuntimeError>"),
    "a __str__ that gives no text": (Custom(5), "<__str__ of the exception raised TypeError>"),
    "a __str__ that never ends": (Custom(RecursionError()), "<__str__ of the exception raised RecursionError>"),
    "lone surrogates": (OSError("file \udcff\ud800"), "file \\udcff\\ud800"),
    "lone surrogates in an application error": (ApplicationError("file \udcff"), "file \\udcff"),
    "a message that is no text": (ApplicationError(ValueError("why")), "why"),  # type: ignore[arg-type]
}


@pytest.mark.parametrize(("error", "message"), BROKEN.values(), ids=BROKEN)
def test_a_broken_exception_is_told_as_well_as_can_be(error: BaseException, message: str) -> None:
    failure = to_failure(error)

    assert failure.message == message
    assert codec.failures.decode(codec.failures.encode(failure)) == failure


def test_a_type_that_is_no_text_can_be_recorded() -> None:
    odd: Any = ValueError
    failure = to_failure(ApplicationError("x", type=odd))
    surrogate = to_failure(ApplicationError("x", type="\udcff"))

    assert codec.failures.decode(codec.failures.encode(failure)) == failure
    assert surrogate.type == "\\udcff"


def test_a_long_text_loses_its_middle() -> None:
    text = "a" * TEXT_CHARS_MAX + "b" * TEXT_CHARS_MAX

    plain = to_failure(ValueError(text)).message
    application = to_failure(ApplicationError(text)).message

    assert plain == application
    assert plain == f"{'a' * 10_000}\n... 20000 characters left out ...\n{'b' * 10_000}"
    assert to_failure(ValueError("x" * TEXT_CHARS_MAX)).message == "x" * TEXT_CHARS_MAX


def test_a_long_traceback_loses_its_middle() -> None:
    def go(depth: int, *, odd: bool) -> None:
        if depth == 0:
            raise ValueError("deep")
        # Two lines in turn: the traceback of one and the same line is folded.
        if odd:
            go(depth - 1, odd=False)
        else:
            go(depth - 1, odd=True)

    with pytest.raises(ValueError, match="deep") as caught:
        go(400, odd=True)
    failure = to_failure(caught.value)

    assert len(failure.traceback) < TEXT_CHARS_MAX + 100
    assert "characters left out" in failure.traceback
    assert 'raise ValueError("deep")' in failure.traceback


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(3), GeneratorExit()])
def test_what_is_no_exception_is_told_too(error: BaseException) -> None:
    assert to_failure(error).type == type(error).__name__


def test_a_group_tells_of_all_its_members() -> None:
    inner = ExceptionGroup("inner", [KeyError("c")])
    failure = to_failure(ExceptionGroup("unhandled errors", [ValueError("a"), OSError("b"), inner]))

    assert failure.type == "ExceptionGroup"
    for text in ("ValueError: a", "OSError: b", "KeyError: 'c'"):
        assert text in failure.message


def test_what_only_looks_like_a_group_is_none() -> None:
    class Lookalike(Exception):
        """Has an attribute of that name."""

        exceptions = (ValueError("a"),)

    assert to_failure(Lookalike("itself")).message == "itself"


def test_an_error_about_a_call_gives_the_failure_of_the_call_as_its_cause() -> None:
    beneath = Failure("Declined", "no", traceback="far away", retryable=False)

    failure = to_failure(ActivityError("charge", beneath, 3))

    assert failure.type == "ActivityError"
    assert failure.message == "activity 'charge' failed: Declined: no"
    assert failure.cause is beneath


# To an exception


def test_an_exception_comes_back_with_everything() -> None:
    failure = Failure(
        "Declined",
        "no",
        traceback="  File x\n",
        cause=Failure("OSError", "line cut", cause=Failure("KeyError", "'a'")),
        retryable=False,
        details=to_payloads([1, "two"]),
        next_retry_ms=1_500,
    )

    error = to_exception(failure)

    assert str(error) == "Declined: no"
    assert (error.type, error.message, error.retryable, error.details) == ("Declined", "no", False, (1, "two"))
    assert error.next_retry_delay == timedelta(seconds=1.5)
    assert error.__notes__ == ["Remote traceback:\n  File x\n"]
    assert str(error.__cause__) == "OSError: line cut"
    assert error.__cause__ is not None
    assert str(error.__cause__.__cause__) == "KeyError: 'a'"


def test_what_the_failure_does_not_say_the_exception_does_not_say() -> None:
    error = to_exception(Failure("ApplicationError", "no"))

    assert str(error) == "no"
    assert error.__cause__ is None
    assert not hasattr(error, "__notes__")
    assert error.next_retry_delay is None


def test_a_failure_survives_the_way_there_and_back() -> None:
    failure = to_failure(
        ApplicationError("no", [1], type="Declined", retryable=False, next_retry_delay=timedelta(milliseconds=7))
    )

    assert to_failure(to_exception(failure)) == failure


def test_a_printed_exception_shows_the_remote_traceback() -> None:
    failure = to_failure(raised(ValueError("deep down")))

    text = "".join(traceback.format_exception(ActivityError("charge", failure, 1)))

    assert "raise error" in text
    assert "deep down" in text
    assert "activity 'charge' failed: ValueError: deep down" in text


# The exceptions of workflow code


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ActivityError("charge", Failure("ValueError", "no"), 3), "activity 'charge' failed: ValueError: no"),
        (ChildWorkflowError("ship", Failure("ValueError", "no")), "child workflow 'ship' failed: ValueError: no"),
    ],
)
def test_an_execution_error_says_what_failed_and_why(error: ExecutionError, text: str) -> None:
    assert str(error) == text
    assert error.type == "ValueError"
    assert isinstance(error.__cause__, ApplicationError)
    assert error.__cause__.type == "ValueError"


def test_an_activity_error_tells_the_attempt_and_a_timeout_its_kind() -> None:
    failure = timed_out(TimeoutKind.HEARTBEAT, None)

    error = ActivityTimeout("charge", failure, 4, TimeoutKind.HEARTBEAT)

    assert (error.name, error.attempt, error.kind) == ("charge", 4, TimeoutKind.HEARTBEAT)
    assert str(error) == "activity 'charge' failed: TimeoutError: heartbeat timeout"


@pytest.mark.parametrize(
    "error",
    [
        ApplicationError("no", 1, type="Declined", retryable=False, next_retry_delay=timedelta(seconds=1)),
        ActivityError("charge", Failure("ValueError", "no"), 3),
        ActivityTimeout("charge", timed_out(TimeoutKind.HEARTBEAT, None), 4, TimeoutKind.HEARTBEAT),
        ChildWorkflowError("ship", Failure("ValueError", "no")),
    ],
    ids=lambda error: type(error).__name__,
)
def test_the_exceptions_survive_copying_and_pickling(error: Exception) -> None:
    for again in (copy.copy(error), pickle.loads(pickle.dumps(error))):
        assert type(again) is type(error)
        assert str(again) == str(error)
        assert vars(again) == vars(error)
        assert repr(again.__cause__) == repr(error.__cause__)


# Failures of the engine's own


def test_a_cancellation_is_never_retried() -> None:
    assert cancelled("enough") == Failure("CancelledError", "enough", retryable=False)


@pytest.mark.parametrize(
    ("kind", "retryable"),
    [
        (TimeoutKind.START_TO_CLOSE, True),
        (TimeoutKind.HEARTBEAT, True),
        (TimeoutKind.SCHEDULE_TO_CLOSE, False),
        (TimeoutKind.SCHEDULE_TO_START, False),
    ],
)
def test_a_timeout_is_retried_where_there_is_time_left(kind: TimeoutKind, *, retryable: bool) -> None:
    last = Failure("ValueError", "no")
    details = (Payload(b"3"),)

    failure = timed_out(kind, last, details)

    assert failure == Failure(
        "TimeoutError", f"{kind.value} timeout", cause=last, retryable=retryable, details=details, timeout=kind
    )
