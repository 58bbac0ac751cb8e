"""Failures: an exception in its serialised form, and the exceptions that users raise and catch around it.

ApplicationError                raised by users to say more than a plain exception does
ExecutionError                  caught in workflow code: what was called ended without a result
├── ActivityError → ActivityTimeout
├── ChildWorkflowError
└── ExternalWorkflowError
"""

import traceback
from datetime import timedelta
from typing import Any

import msgspec

from perdure.core.errors import InvalidOption, PayloadTooLarge, PerdureError
from perdure.core.limits import CAUSES_MAX, DETAILS_BYTES_MAX, TEXT_CHARS_MAX
from perdure.core.payload import JSON, DataConverter, Payload, from_payload
from perdure.core.policy import TimeoutKind

ENCODED = "Encoded failure"
"""Message of a failure whose text only an app with the right codecs can show."""


class Failure(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Why something ended without a result."""

    type: str
    """Bare name of the exception's class, or the type that an `ApplicationError` names."""
    message: str
    traceback: str = ""
    cause: "Failure | None" = None
    retryable: bool = True
    details: tuple[Payload, ...] = ()
    next_retry_ms: int | None = None
    """Delay before the next try that the error itself asked for."""
    timeout: TimeoutKind | None = None
    encoded: Payload | None = None
    """Message, traceback, cause and details, where codecs made one payload of them."""


class ApplicationError(Exception):
    """An error with a type name, details (JSON values) and a say on retries; also what a remote exception becomes."""

    def __init__(
        self,
        message: str = "",
        *details: Any,
        type: str | None = None,
        retryable: bool = True,
        next_retry_delay: timedelta | None = None,
    ) -> None:
        super().__init__(message)
        if next_retry_delay is not None and not isinstance(next_retry_delay, timedelta):  # pyright: ignore[reportUnnecessaryIsInstance]
            fact = f"is a {next_retry_delay.__class__.__name__}"
            raise InvalidOption(name="next_retry_delay", value=next_retry_delay, fact=fact, remedy="give a timedelta")
        self.message = message
        self.details = details
        self.type = type or self.__class__.__name__
        self.retryable = retryable
        self.next_retry_delay = next_retry_delay

    def __str__(self) -> str:
        return self.message if self.type == type(self).__name__ else f"{self.type}: {self.message}"


class ExecutionError(Exception):
    """What a workflow called ended without a result; `failure` says why, `__cause__` is the failure as an exception."""

    def __init__(self, what: str, name: str, failure: Failure) -> None:
        super().__init__(f"{what} {name!r} failed: {failure.type}: {failure.message}")
        self.name = name
        self.failure = failure
        self.type = failure.type
        """Bare class name of the exception that was raised there."""
        self.__cause__ = to_exception(failure)

    def __reduce__(self) -> tuple[Any, ...]:
        # Made again without `__init__`, whose parameters differ from class to class.
        return _remade, (type(self), self.args, self.__dict__)


def _remade(kind: type[ExecutionError], args: tuple[Any, ...], facts: dict[str, Any]) -> ExecutionError:
    error = kind.__new__(kind, *args)
    error.__dict__.update(facts)
    error.__cause__ = to_exception(error.failure)
    return error


class ActivityError(ExecutionError):
    """An activity ended without a result, after its last try."""

    def __init__(self, name: str, failure: Failure, attempt: int) -> None:
        super().__init__("activity", name, failure)
        self.attempt = attempt
        """Number of the last try, from 1."""


class ActivityTimeout(ActivityError):
    """An activity's deadline passed; `kind` says which."""

    def __init__(self, name: str, failure: Failure, attempt: int, kind: TimeoutKind) -> None:
        super().__init__(name, failure, attempt)
        self.kind = kind


class ChildWorkflowError(ExecutionError):
    """A child workflow ended without a result, or could not start."""

    def __init__(self, name: str, failure: Failure) -> None:
        super().__init__("child workflow", name, failure)


class ExternalWorkflowError(ExecutionError):
    """Another workflow could not be told: there is no such run, or it is closed; `type` says which."""

    def __init__(self, workflow_id: str, failure: Failure) -> None:
        super().__init__("telling workflow", workflow_id, failure)


def clipped(text: str) -> str:
    """The text as it can be recorded: at most `TEXT_CHARS_MAX` characters and without lone surrogates."""
    # Lone surrogates (from file names, say) would make the whole turn unserialisable.
    text = text.encode("utf-8", "backslashreplace").decode()
    if len(text) <= TEXT_CHARS_MAX:
        return text
    half = TEXT_CHARS_MAX // 2
    return f"{text[:half]}\n... {len(text) - TEXT_CHARS_MAX} characters left out ...\n{text[-half:]}"


def _members(error: BaseException) -> tuple[BaseException, ...]:
    """The exceptions of a group; none of any other exception."""
    exceptions: tuple[BaseException, ...] = getattr(error, "exceptions", ())
    return exceptions if isinstance(error, BaseExceptionGroup) else ()


def _message_of(error: BaseException) -> str:
    try:
        if members := _members(error):
            return clipped("; ".join(f"{type(each).__name__}: {_message_of(each)}" for each in members))
        return clipped(str(error))
    except Exception as problem:  # user code: __str__ may raise anything
        return f"<__str__ of the exception raised {type(problem).__name__}>"


def to_failure(error: BaseException, convert: DataConverter = JSON, *, depth: int = 0) -> Failure:
    """The serialised form of `error`, with its cause chain, at most `CAUSES_MAX` deep; `convert` is for its details."""
    if isinstance(error, ExecutionError):
        cause: Failure | None = error.failure
    else:
        beneath = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
        # One cause fits into a chain: the first of a group; the message names them all.
        beneath = _members(error)[0] if _members(error) else beneath
        cause = None
        if beneath is not None and depth < CAUSES_MAX:
            cause = to_failure(beneath, convert, depth=depth + 1)
    stack = clipped("".join(traceback.format_tb(error.__traceback__)))
    if not isinstance(error, ApplicationError):
        return Failure(type(error).__name__, _message_of(error), stack, cause)
    message = str(error.message)
    details: tuple[Payload, ...] = ()
    try:
        found = convert.to_payloads(error.details, what="detail of ApplicationError")
        size = sum([len(detail.data) for detail in found])
        if size > DETAILS_BYTES_MAX:
            raise PayloadTooLarge(what="details of ApplicationError", size=size, limit=DETAILS_BYTES_MAX)
        details = found
    except PerdureError as problem:
        # Why the work failed matters more than what was attached to it.
        message += f" (its details are left out: {problem})"
    delay = error.next_retry_delay
    return Failure(
        type=clipped(str(error.type)),
        message=clipped(message),
        traceback=stack,
        cause=cause,
        retryable=error.retryable,
        details=details,
        next_retry_ms=None if delay is None else max(0, int(delay.total_seconds() * 1_000)),
    )


def to_exception(failure: Failure) -> ApplicationError:
    """The exception that stands for `failure`, with its cause chain as `__cause__`."""
    error = ApplicationError(
        failure.message,
        *(from_payload(detail) for detail in failure.details),
        type=failure.type,
        retryable=failure.retryable,
        next_retry_delay=None if failure.next_retry_ms is None else timedelta(milliseconds=failure.next_retry_ms),
    )
    if failure.traceback:
        error.add_note(f"Remote traceback:\n{failure.traceback}")
    if failure.cause is not None:
        error.__cause__ = to_exception(failure.cause)
    return error


def cancelled(reason: str) -> Failure:
    """The failure of something that was cancelled."""
    return Failure("CancelledError", reason, retryable=False)


def timed_out(kind: TimeoutKind, last: Failure | None = None, details: tuple[Payload, ...] = ()) -> Failure:
    """The failure of an attempt, or of a run, whose deadline passed.

    `last` is the failure of the try before, `details` the last heartbeat's.
    """
    # A deadline over all tries, or of the queue, leaves no time for another one.
    retryable = kind in (TimeoutKind.START_TO_CLOSE, TimeoutKind.HEARTBEAT, TimeoutKind.RUN)
    return Failure("TimeoutError", f"{kind} timeout", cause=last, retryable=retryable, details=details, timeout=kind)
