"""What a mock answers: values and errors, in order, for fitting arguments; and what it knows of its calls."""

import inspect
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Generic, ParamSpec, Self, TypeAlias, TypeVar, cast

import msgspec

from perdure.core.errors import InvalidArguments, PerdureError
from perdure.programs.code.definition import Activity, Workflow
from perdure.programs.code.options import Duration, duration_ms
from perdure.testing.kit.errors import UnfitMock

P = ParamSpec("P")
R = TypeVar("R")

Definition: TypeAlias = Activity[..., Any] | Workflow[..., Any]


class Matcher:
    """Stands for every argument that a predicate accepts; see `matching`."""

    def __init__(self, predicate: Callable[[Any], object], text: str) -> None:
        self._predicate = predicate
        self._text = text

    def __eq__(self, other: object) -> bool:
        return bool(self._predicate(other))

    def __hash__(self) -> int:
        return id(self)

    def __repr__(self) -> str:
        return self._text


ANY: Any = Matcher(lambda _: True, "ANY")
"""Stands for every argument."""


def matching(predicate: Callable[[Any], object]) -> Any:
    """Stands for every argument that `predicate` accepts: `mock.when(matching(lambda cents: cents > 100))`."""
    return Matcher(predicate, f"matching({getattr(predicate, '__name__', predicate)!s})")


class MockCall(msgspec.Struct, frozen=True):
    """One call of an activity, or one start of a workflow."""

    args: tuple[Any, ...]
    """Decoded, by position."""
    at: datetime
    """The virtual moment."""
    workflow_id: str
    run_id: str
    attempt: int
    """Number of the try, from 1."""


class Reply(msgspec.Struct, frozen=True):
    """What one call is answered."""

    value: Any = None
    error: BaseException | type[BaseException] | None = None
    fn: Callable[..., Any] | None = None
    hangs: bool = False


class Answers(Generic[P, R]):
    """The answers for some arguments."""

    def __init__(self, definition: Definition, expected: Sequence[Any] | None = None) -> None:
        """`expected` None: for all arguments."""
        self.definition = definition
        self.expected = expected
        self.takes_ms = 0
        self._replies: list[Reply] = []
        self._lasting: Reply | None = None
        self._used_count = 0

    def returns(self, value: R) -> Self:
        """Answer every call with a value. Raises `UnfitMock` if it is not of the annotated type."""
        return self._always(Reply(self.checked(value)))

    def raises(self, error: BaseException | type[BaseException]) -> Self:
        """Fail every call; an activity is then tried again as its options say."""
        return self._always(Reply(error=error))

    def side_effect(self, fn: Callable[P, R | Awaitable[R]]) -> Self:
        """Answer every call with what `fn` returns or raises for its arguments. Raises `UnfitMock`."""
        self._check_callable(fn)
        return self._always(Reply(fn=fn))

    def sequence(self, *outcomes: R | BaseException | type[BaseException]) -> Self:
        """Answer the first call with the first outcome, and so on: exceptions are raised, the rest is returned."""
        self._lasting, self._used_count = None, 0
        self._replies = [self._reply(each) for each in outcomes]
        return self

    def takes(self, length: Duration) -> Self:
        """Let each call take so much virtual time."""
        self.takes_ms = duration_ms("takes", length)
        return self

    def hangs(self) -> Self:
        """Never answer: a call ends by its deadline or by its cancellation."""
        return self._always(Reply(hangs=True))

    def _always(self, reply: Reply) -> Self:
        self._lasting, self._replies = reply, []
        return self

    def _reply(self, outcome: Any) -> Reply:
        if isinstance(outcome, BaseException) or (isinstance(outcome, type) and issubclass(outcome, BaseException)):
            return Reply(error=outcome)
        return Reply(self.checked(outcome))

    def fits(self, args: Sequence[Any]) -> bool:
        """Whether the answers are for a call with these arguments."""
        return self.expected is None or list(self.expected) == list(args)

    def next(self) -> Reply:
        """The answer of the next call; raises `UnfitMock` if there is none."""
        if self._lasting is not None:
            return self._lasting
        if not self._replies:
            return Reply(self.checked(None))
        if self._used_count >= len(self._replies):
            raise self._unfit(f"was called more often than its {len(self._replies)} outcomes", "give it more outcomes")
        self._used_count += 1
        return self._replies[self._used_count - 1]

    def checked(self, value: Any) -> Any:
        """The value, sure to be of the annotated type."""
        try:
            self.definition.decode_result(self.definition.encode_result(value))
        except PerdureError as error:
            fact = f"returns {value!r}, which does not fit {self.definition.signature}: {error}"
            raise self._unfit(fact, "give it a value of the annotated type, by returns(...) say") from error
        return value

    def _check_callable(self, fn: Callable[..., Any]) -> None:
        theirs = _parameters(self.definition).parameters.values()
        given = [each for each in theirs if each.kind is not inspect.Parameter.VAR_POSITIONAL]
        try:
            # Defaults are filled in before it is called.
            inspect.signature(fn).bind(*[None] * len(given))
        except TypeError as error:
            fact = f"has a side effect that cannot be called as {self.definition.signature}: {error}"
            raise self._unfit(fact, "give it a function with the same parameters") from error
        is_workflow = isinstance(self.definition, Workflow)
        if is_workflow and inspect.iscoroutinefunction(fn):
            raise self._unfit(
                "has an async side effect", "give it a plain function, and let it take time by takes(...)"
            )

    def _unfit(self, fact: str, remedy: str) -> UnfitMock:
        return UnfitMock(kind=self.definition.kind, name=self.definition.name, fact=fact, remedy=remedy)


class Mock(Answers[P, R]):
    """Stands for an activity or a workflow in one environment, and knows how it was called."""

    def __init__(self, definition: Definition) -> None:
        super().__init__(definition)
        self.calls: list[MockCall] = []
        """All calls, in order."""
        self._cases: list[Answers[P, R]] = []

    def __repr__(self) -> str:
        return f"<Mock of {self.definition.kind} {self.definition.name!r}, called {len(self.calls)} times>"

    def when(self, *args: P.args, **kwargs: P.kwargs) -> Answers[P, R]:
        """The answers for calls with these arguments; `ANY` and `matching(...)` stand for many. The latest wins.

        Raises `InvalidArguments`.
        """
        case = Answers[P, R](self.definition, bound(self.definition, args, kwargs))
        self._cases.append(case)
        return case

    def answers_for(self, args: Sequence[Any]) -> Answers[P, R]:
        """The answers that fit these arguments."""
        return next((case for case in reversed(self._cases) if case.fits(args)), self)

    @property
    def call_count(self) -> int:
        """How often it was called."""
        return len(self.calls)

    def assert_called(self) -> None:
        """It was called."""
        assert self.calls, f"{self!r} was expected to be called"

    def assert_called_once(self) -> None:
        """It was called exactly once."""
        assert len(self.calls) == 1, f"{self!r} was expected to be called once; it was called with {self._shown()}"

    def assert_not_called(self) -> None:
        """It was never called."""
        assert not self.calls, f"{self!r} was not expected to be called; it was called with {self._shown()}"

    def assert_called_with(self, *args: P.args, **kwargs: P.kwargs) -> None:
        """Its last call had these arguments."""
        self.assert_called()
        self._assert_same(self.calls[-1].args, bound(self.definition, args, kwargs))

    def assert_called_once_with(self, *args: P.args, **kwargs: P.kwargs) -> None:
        """It was called exactly once, with these arguments."""
        self.assert_called_once()
        self._assert_same(self.calls[-1].args, bound(self.definition, args, kwargs))

    def assert_any_call(self, *args: P.args, **kwargs: P.kwargs) -> None:
        """One of its calls had these arguments."""
        expected = bound(self.definition, args, kwargs)
        assert any(list(call.args) == expected for call in self.calls), (
            f"{self!r} was expected to be called with {tuple(expected)!r}; it was called with {self._shown()}"
        )

    def _assert_same(self, args: tuple[Any, ...], expected: list[Any]) -> None:
        assert expected == list(args), f"{self!r} was expected to be called with {tuple(expected)!r}, not with {args!r}"

    def _shown(self) -> str:
        return ", ".join(repr(call.args) for call in self.calls) or "nothing"


def _parameters(definition: Definition) -> inspect.Signature:
    """The parameters that a caller gives."""
    own = inspect.signature(definition.fn)
    if not (isinstance(definition, Workflow) and definition.of_method):
        return own
    return own.replace(parameters=list(own.parameters.values())[1:])


def completed(definition: Definition, args: Sequence[Any], kwargs: Mapping[str, Any]) -> list[Any]:
    """Arguments by position, with defaults; raises `InvalidArguments`."""
    own = _parameters(definition)
    try:
        found = own.bind(*args, **kwargs)
    except TypeError as error:
        raise InvalidArguments(name=definition.name, signature=str(definition.signature), reason=str(error)) from error
    found.apply_defaults()
    values: list[Any] = []
    for name, parameter in own.parameters.items():
        value = found.arguments[name]
        values += cast("tuple[Any, ...]", value) if parameter.kind is inspect.Parameter.VAR_POSITIONAL else (value,)
    return values


def bound(definition: Definition, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[Any]:
    """Arguments of which some may be matchers, as a call would get them; raises `InvalidArguments`."""
    values = completed(definition, args, kwargs)
    if any(isinstance(value, Matcher) for value in values):
        return values
    # As they come out at the other side: a tuple may have become a list, say.
    return definition.decode_args(definition.bind(tuple(values), {}))
