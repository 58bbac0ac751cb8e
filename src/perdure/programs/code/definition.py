"""Definitions: what `@app.activity` and `@app.workflow` make of a function.

Called inside a workflow they ask for the work and wait for it; called anywhere else they are the plain function.
"""

import copy
import inspect
from collections.abc import Callable, Coroutine, Mapping, Sequence
from functools import update_wrapper
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, Protocol, Self, TypeVar, Unpack, cast, overload

from perdure.core.errors import InvalidArguments, UndecodablePayload, UnsupportedDefinition
from perdure.core.ids import checked_id
from perdure.core.payload import JSON, DataConverter, Payload
from perdure.core.policy import ActivityOptions
from perdure.programs.code.interceptors import Interceptors
from perdure.programs.code.listed import HandlerSummary
from perdure.programs.code.loop import WorkflowLoop, running_loop
from perdure.programs.code.options import ActivityKeywords, activity_options, checked_queue
from perdure.programs.code.places import place
from perdure.programs.code.propagation import Propagation
from perdure.programs.code.signature import Signature

if TYPE_CHECKING:
    from perdure.programs.code.run import CodeRun

P = ParamSpec("P")
R = TypeVar("R")

DEFAULTS = ActivityOptions()


class _Definition(Generic[P, R]):
    """What activities and workflows share: a function under a name, with its signature."""

    kind = "definition"
    propagation: Propagation | None = None
    """What goes along with calls of it; the app's."""
    interceptors: Interceptors | None = None
    """What is around it; the app's."""
    of_method = False
    """Its function is a method of a class."""

    def __init__(self, fn: Callable[P, Any], name: str | None, converter: DataConverter) -> None:
        if isinstance(fn, staticmethod):
            fn = fn.__func__
        self.place = place_of(fn)
        """Where the function is defined, such as `shop.py:12`."""
        self.name = _checked_name(self.kind, fn, name, self.place)
        """The name under which it is registered and recorded."""
        self.fn: Callable[P, Any] = fn
        """The plain function."""
        self.is_async = inspect.iscoroutinefunction(fn) or inspect.iscoroutinefunction(type(fn).__call__)
        self._refuse_generators()
        self.signature = Signature(self.kind, self.name, fn, self.place, converter=converter, method=self.of_method)
        update_wrapper(cast(Any, self), fn, updated=())

    def __reduce__(self) -> str:
        # By reference, as plain functions are: a process pool imports the module and finds the definition there.
        return getattr(self, "__qualname__", self.name)

    def __repr__(self) -> str:
        return f"<{self.kind} {self.name!r} from {self.place}>"

    @property
    def converter(self) -> DataConverter:
        """The app's."""
        return self.signature.converter

    def bind(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> tuple[Payload, ...]:
        """The arguments as payloads by position; raises `InvalidArguments` or `UnserializableValue`."""
        return self.signature.bind(args, kwargs)

    def decode_args(self, payloads: Sequence[Payload]) -> list[Any]:
        """The arguments by annotation; raises `UndecodablePayload`."""
        return self.signature.decode(payloads)

    def encode_result(self, value: object) -> Payload:
        """The result as a payload; raises `UnserializableValue` or `PayloadTooLarge`."""
        return self.signature.converter.to_payload(value, what=f"result of {self.kind} {self.name!r}")

    def decode_result(self, payload: Payload) -> R:
        """The result by annotation; raises `UndecodablePayload`."""
        result: R = self.signature.decode_result(payload)
        return result

    def _refused(self, fact: str, remedy: str) -> UnsupportedDefinition:
        return UnsupportedDefinition(kind=self.kind, name=self.name, where=self.place, fact=fact, remedy=remedy)

    def _refuse_generators(self) -> None:
        if inspect.isgeneratorfunction(self.fn) or inspect.isasyncgenfunction(self.fn):
            raise self._refused("it is a generator", "return a list, or send the values one by one as signals")
        if self.of_method:
            return
        first = next(iter(inspect.signature(self.fn).parameters), None)
        around, _, _ = getattr(self.fn, "__qualname__", "").rpartition(".")
        if first in ("self", "cls") and around and not around.endswith("<locals>"):
            raise self._refused(
                "it is a method without its object", "decorate the bound method instead: decorator(instance.method)"
            )


class Activity(_Definition[P, R]):
    """A function that works on the outside world: run by a worker, retried on failure, its outcome recorded once."""

    kind = "activity"

    def __init__(
        self,
        fn: Callable[P, Any],
        *,
        name: str | None = None,
        process: bool = False,
        keywords: ActivityKeywords | None = None,
        converter: DataConverter = JSON,
    ) -> None:
        super().__init__(fn, name, converter)
        self.process = process
        """Runs in a process of its own pool."""
        self.on_engine = False
        """Runs on the engine's own loop: see `worker.system`."""
        self.defaults = DEFAULTS
        """Options of a call that gives no others."""
        self.queue: str | None = None
        """Task queue; None is the workflow's own."""
        if process and self.is_async:
            raise self._refused(
                "an async function cannot run in a process pool", "write it with plain `def`, or leave out process=True"
            )
        self._change(keywords or {})

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, R]:
        """Inside a workflow: ask for the activity when awaited, give its result. Elsewhere: call the plain function."""
        loop = running_loop()
        if type(loop) is WorkflowLoop:
            return loop.host.call_activity(self, args, kwargs)
        plain: Any = self.fn(*args, **kwargs)
        return plain

    def local(self, *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, R]:
        """As calling it, but run by the workflow's own worker within the step, and recorded with the step's outcome.

        For what is quick and can be repeated: it costs no write of its own, and a worker that dies repeats the step.
        """
        loop = running_loop()
        if type(loop) is WorkflowLoop:
            return loop.host.call_local(self, args, kwargs)
        plain: Any = self.fn(*args, **kwargs)
        return plain

    def options(self, **keywords: Unpack[ActivityKeywords]) -> Self:
        """A copy with other options, for the calls made through it."""
        changed = copy.copy(self)
        changed._change(keywords)
        return changed

    def __copy__(self) -> Self:
        twin = object.__new__(type(self))
        twin.__dict__.update(self.__dict__)
        return twin

    def _change(self, keywords: ActivityKeywords) -> None:
        self.defaults = activity_options(self.defaults, keywords)
        if "queue" in keywords:
            self.queue = checked_queue(keywords["queue"])


class ActivityDecorator(Protocol):
    """What `app.activity(...)` gives."""

    @overload
    def __call__(self, fn: Callable[P, Coroutine[Any, Any, R]], /) -> Activity[P, R]: ...
    @overload
    def __call__(self, fn: Callable[P, R], /) -> Activity[P, R]: ...


class Workflow(_Definition[P, R]):
    """An async function that is replayed from its history: durable, deterministic, without effects of its own."""

    kind = "workflow"
    version = 1
    """Of several under one name."""
    route_of: Callable[[str, int], str | None] | None = None
    """What a worker must serve to begin one version, where there are others: the registry's answer."""

    def __init__(self, fn: Callable[P, Any], *, name: str | None = None, converter: DataConverter = JSON) -> None:
        super().__init__(fn, name, converter)
        if not self.is_async:
            raise self._refused("it is not async", "write `async def`, and move blocking work into activities")

    @property
    def functions(self) -> Sequence[Callable[..., Any]]:
        """All functions that run in its runs, but for helpers."""
        return (self.fn,)

    @property
    def listed(self) -> tuple[HandlerSummary, ...]:
        """The handlers that it declares; those of a function are only known to its runs."""
        return ()

    def own_route(self) -> str | None:
        """What a worker must serve to begin its version; None where there is no other."""
        return None if self.route_of is None else self.route_of(self.name, self.version)

    def begin(self, run: "CodeRun", args: list[Any]) -> Coroutine[Any, Any, R]:
        """The coroutine that is a run of it."""
        del run  # for what else a definition needs there
        function: Callable[..., Coroutine[Any, Any, R]] = self.fn
        return function(*args)

    def bind_checked(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> tuple[Payload, ...]:
        """As `bind`, and sure that the run can take them: a refused start is better than a parked run."""
        payloads = self.bind(args, kwargs)
        try:
            self.decode_args(payloads)
        except UndecodablePayload as error:
            reason = error.facts["reason"]
            raise InvalidArguments(name=self.name, signature=str(self.signature), reason=reason) from error
        return payloads

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, R]:
        """Inside a workflow: run it as a child workflow and give its result. Elsewhere: call the plain function."""
        loop = running_loop()
        if type(loop) is WorkflowLoop:
            return loop.host.call_workflow(self, args, kwargs)
        plain: Any = self.fn(*args, **kwargs)
        return plain


def place_of(fn: Any) -> str:
    """Where a function is defined, such as `shop.py:12`."""
    inner: Any = inspect.unwrap(fn) if callable(fn) else fn
    for each in (inner, getattr(inner, "__func__", None), type(inner).__call__ if callable(inner) else None):
        code = getattr(each, "__code__", None)
        if code is not None:
            return place(code, code.co_firstlineno)
    return "an unknown place"


def _checked_name(kind: str, fn: object, name: str | None, where: str) -> str:
    if not callable(fn):
        raise UnsupportedDefinition(
            kind=kind, name=repr(fn)[:80], where=where, fact="it cannot be called", remedy="decorate a function"
        )
    if isinstance(fn, type):
        raise UnsupportedDefinition(
            kind=kind, name=fn.__name__, where=where, fact="it is a class", remedy="decorate a function"
        )
    own = name if name is not None else getattr(fn, "__name__", None)
    if own is None or own == "<lambda>":
        raise UnsupportedDefinition(
            kind=kind, name=own or repr(fn)[:80], where=where, fact="it has no name", remedy="give it one with name=..."
        )
    return checked_id(f"{kind} name", own)


class Signal(Generic[R]):
    """A signal's name with the type of its value: `APPROVE = Signal("approve", Approval)`."""

    def __init__(self, name: str, type: type[R]) -> None:
        self.name = checked_id("signal name", name)
        self.type = type

    def __repr__(self) -> str:
        return f"Signal({self.name!r}, {self.type!r})"
