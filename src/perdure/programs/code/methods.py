"""What the decorators of `perdure.workflow` make of the methods of a class, and of functions inside a running workflow.

Signal and query handlers stay plain functions that carry a mark; the run and updates become descriptors, since more is
asked of them. All of them can be called as what they are, so that a unit test needs nothing.
"""

import inspect
from collections.abc import Callable, Coroutine
from functools import partial, update_wrapper
from types import FunctionType, MethodType
from typing import Any, Concatenate, Generic, ParamSpec, Self, TypeVar, cast, overload

from perdure.core.errors import UnsupportedDefinition
from perdure.core.ids import checked_id
from perdure.core.payload import DataConverter
from perdure.programs.code.definition import Workflow, place_of
from perdure.programs.code.listed import Kind
from perdure.programs.code.signature import Signature

P = ParamSpec("P")
Q = ParamSpec("Q")
R = TypeVar("R")
S = TypeVar("S")
T = TypeVar("T")

MARK = "__perdure_handler__"
WORKFLOW = "__perdure_workflow__"
"""Names the definition in a registered class."""
RESERVED = "__"
"""Names that begin so are the engine's own."""


class Mark:
    """Makes a function a handler: of which kind, under which name."""

    __slots__ = ("_signature", "dynamic", "fn", "kind", "name")

    def __init__(self, kind: Kind, fn: Callable[..., Any], name: str | None, *, dynamic: bool) -> None:
        """`dynamic`: it takes what no other handler of its kind takes."""
        self.kind: Kind = kind
        self.fn = fn
        self.name = name if name is not None else getattr(fn, "__name__", "")
        self.dynamic = dynamic
        self._signature: Signature | None = None

    def on(self, fn: Callable[..., Any]) -> "Mark":
        """The same for a method that overrides the marked one."""
        return Mark(self.kind, fn, self.name, dynamic=self.dynamic)

    def signature(self, converter: DataConverter) -> Signature:
        """Of the method as its callers see it."""
        found = self._signature
        if found is None or found.converter is not converter:
            found = Signature(self.kind, self.name, self.fn, place_of(self.fn), converter=converter, method=True)
            self._signature = found
        return found


def mark_of(value: object) -> Mark | None:
    """The mark of a handler."""
    found = value.mark if isinstance(value, UpdateMethod) else getattr(value, MARK, None)
    return found if isinstance(found, Mark) else None


def handler_mark(kind: str, value: object) -> Mark:
    """The mark of what a caller gives as a handler of this kind. Raises `UnsupportedDefinition`."""
    found = mark_of(value)
    if found is None or found.kind != kind or found.dynamic:
        fact = f"it is no {kind} handler" if found is None or not found.dynamic else "it takes any name"
        name = getattr(value, "__name__", repr(value)[:80])
        remedy = f"decorate the method with @workflow.{kind}, or give the {kind}'s name"
        raise UnsupportedDefinition(kind=kind, name=name, where=place_of(value), fact=fact, remedy=remedy)
    return found


def belongs_to_class(fn: object) -> bool:
    """Whether a function is being defined in the body of a class."""
    around, _, _ = getattr(fn, "__qualname__", "").rpartition(".")
    return (
        isinstance(fn, FunctionType | staticmethod | classmethod) and bool(around) and not around.endswith("<locals>")
    )


def checked_handler(kind: str, name: str, fn: Callable[..., Any], *, dynamic: bool = False) -> str:
    """The name of a handler that can be one. Raises `UnsupportedDefinition` or `InvalidId`."""
    where = place_of(fn)
    refuse = partial(UnsupportedDefinition, kind=kind, name=name or repr(fn)[:80], where=where)
    if not callable(fn) or isinstance(fn, staticmethod | classmethod | type):
        raise refuse(fact="it is not a method", remedy="decorate a plain method, innermost")
    if inspect.isgeneratorfunction(fn) or inspect.isasyncgenfunction(fn):
        raise refuse(fact="it is a generator", remedy="return a list")
    if kind == "query" and inspect.iscoroutinefunction(fn):
        raise refuse(fact="it is not a plain function", remedy="write it with plain `def`")
    if dynamic:
        return name
    if name.startswith(RESERVED):
        raise refuse(fact="the name is taken", remedy="give it another one with name=..., without leading underscores")
    return checked_id(f"{kind} name", name)


def check_shape(kind: str, name: str, signature: Signature, where: str, *, dynamic: bool) -> None:
    """Refuse a handler that could not take what is sent. Raises `UnsupportedDefinition`."""
    fact = remedy = None
    if dynamic and kind == "signal" and not signature.count_min <= 2 <= signature.count_max:
        fact, remedy = "it cannot take a name and a value", "write `def handler(self, name, value)`"
    elif dynamic and kind != "signal" and not signature.count_min <= 1 < signature.count_max:
        fact, remedy = "it cannot take a name and any arguments", "write `def handler(self, name, *args)`"
    elif not dynamic and kind == "signal" and signature.count_max > 1:
        fact, remedy = "a signal has one value at most", "put the values into a dataclass"
    if fact is not None:
        raise UnsupportedDefinition(kind=kind, name=name, where=where, fact=fact, remedy=remedy)


def check_validator(name: str, fn: Callable[..., Any], signature: Signature, own: Signature) -> None:
    """Refuse a validator that does not fit its update. Raises `UnsupportedDefinition`."""
    fact = remedy = None
    if inspect.iscoroutinefunction(fn) or inspect.isgeneratorfunction(fn) or inspect.isasyncgenfunction(fn):
        fact, remedy = (
            "it is not a plain function",
            "write it with plain `def`; it decides at once, and changes nothing",
        )
    elif (own.count_min, own.count_max) != (signature.count_min, signature.count_max):
        fact, remedy = f"it takes other arguments than {signature}", "give it the parameters of its update"
    if fact is not None:
        raise UnsupportedDefinition(kind="validator of update", name=name, where=place_of(fn), fact=fact, remedy=remedy)


class RunMethod(Generic[P, R]):
    """The method that is the workflow. `Order.run` is the workflow's definition once its class is registered."""

    def __init__(self, fn: Callable[Concatenate[Any, P], Coroutine[Any, Any, R]]) -> None:
        self.fn = fn
        self.name = getattr(fn, "__name__", "run")
        update_wrapper(cast(Any, self), fn)

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    @overload
    def __get__(self, instance: None, owner: type) -> Workflow[P, R]: ...
    @overload
    def __get__(self, instance: object, owner: type) -> Callable[P, Coroutine[Any, Any, R]]: ...
    def __get__(self, instance: object, owner: type) -> Any:
        if instance is not None:
            return MethodType(self.fn, instance)
        return vars(owner).get(WORKFLOW, self)

    def __call__(self, instance: Any, /, *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, R]:
        """The plain method, of a class that is not registered."""
        return self.fn(instance, *args, **kwargs)


class UpdateMethod(Generic[P, R]):
    """An update's handler; a plain function for whoever calls it."""

    def __init__(self, fn: Callable[P, R], mark: Mark) -> None:
        self.fn = fn
        self.mark = mark
        self.check: Callable[..., None] | None = None
        """The validator."""
        self.on_check: Callable[[Callable[..., None]], None] | None = None
        """Hears of a validator that comes while the handler is in use already."""
        update_wrapper(cast(Any, self), fn)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """The plain function."""
        return self.fn(*args, **kwargs)

    @overload
    def __get__(self, instance: None, owner: type) -> Self: ...
    @overload
    def __get__(self: "UpdateMethod[Concatenate[S, Q], T]", instance: S, owner: type) -> Callable[Q, T]: ...
    def __get__(self, instance: Any, owner: type) -> Any:
        return self if instance is None else MethodType(self.fn, instance)

    def validator(self, fn: Callable[P, None]) -> Callable[P, None]:
        """Decorator: decide with this plain function whether an update is accepted; it raises what is wrong.

        It takes the arguments of the update and changes nothing.
        """
        self.check = fn
        if self.on_check is not None:
            self.on_check(fn)
        # Named like the update, as property setters are, it must not take its place in the class.
        same = getattr(fn, "__name__", None) == getattr(self.fn, "__name__", "")
        return cast(Callable[P, None], self) if same else fn
