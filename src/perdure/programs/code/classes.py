"""Class workflows: one object a run; one method is the workflow, others are its handlers."""

import inspect
from collections.abc import Callable, Coroutine, Sequence
from types import FunctionType, MethodType
from typing import TYPE_CHECKING, Any, ParamSpec, Protocol, TypeVar, cast, overload

import msgspec

from perdure.core.errors import UnsupportedDefinition
from perdure.core.payload import JSON, DataConverter
from perdure.programs.code.definition import Workflow, place_of
from perdure.programs.code.handlers import Handler
from perdure.programs.code.listed import HandlerSummary, Kind, in_order, summary
from perdure.programs.code.loop import WorkflowLoop, running_loop
from perdure.programs.code.methods import (
    MARK,
    WORKFLOW,
    Mark,
    RunMethod,
    UpdateMethod,
    check_shape,
    check_validator,
    checked_handler,
    mark_of,
)
from perdure.programs.code.signature import Signature

if TYPE_CHECKING:
    from perdure.programs.code.run import CodeRun

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")

INIT = "__perdure_init__"
"""Marks an `__init__` that takes the run's arguments."""


class _Method(msgspec.Struct, frozen=True):
    """A handler of a class, not yet bound to an object."""

    mark: Mark
    signature: Signature
    validator: Callable[..., None] | None = None


class ClassWorkflow(Workflow[P, R]):
    """A class registered as a workflow. It is what `Order.run` stands for: called inside a workflow it is a child."""

    of_method = True

    def __init__(self, cls: type, *, name: str | None = None, converter: DataConverter = JSON) -> None:
        run = _run_method(cls)
        super().__init__(run.fn, name=cls.__name__ if name is None else name, converter=converter)
        self.cls = cls
        self.__qualname__ = f"{cls.__qualname__}.{run.name}"
        self.__module__ = cls.__module__
        self._takes_args = getattr(cls.__init__, INIT, False)
        self._check_init()
        self._methods: dict[tuple[Kind, str], _Method] = {}
        for mark, check in _marked(cls):
            self._add(mark, check)
        setattr(cls, WORKFLOW, self)

    @property
    def functions(self) -> Sequence[Callable[..., Any]]:
        """See `Workflow`: all methods, inherited ones too."""
        found: list[Callable[..., Any]] = []
        for cls in self.cls.__mro__[:-1]:
            for value in vars(cls).values():
                function = value.fget if isinstance(value, property) else getattr(value, "__func__", value)
                function = function.fn if isinstance(function, RunMethod | UpdateMethod) else function
                if isinstance(function, FunctionType):
                    found.append(function)
        return found

    def handlers(self, kind: str) -> list[str]:
        """Names of the handlers of a kind, dynamic ones left out."""
        return [name for own, name in self._methods if own == kind and not self._methods[own, name].mark.dynamic]

    @property
    def listed(self) -> tuple[HandlerSummary, ...]:
        """See `Workflow`."""
        return in_order(
            [
                summary(kind, each.mark.name, each.mark.fn, each.signature, dynamic=each.mark.dynamic)
                for (kind, _), each in self._methods.items()
            ]
        )

    def begin(self, run: "CodeRun", args: list[Any]) -> Coroutine[Any, Any, R]:
        """See `Workflow`: makes the object and lets it hear."""
        try:
            instance = self._instance(args)
        except Exception as error:  # user code: it is the run's failure, as any that leaves the run method
            return _raising(error)
        answering = run.answering()
        for each in self._methods.values():
            mark, validator = each.mark, each.validator
            bound = MethodType(mark.fn, instance)
            if mark.kind == "query":
                run.asked().add(mark.name, bound, each.signature, dynamic=mark.dynamic)
                continue
            check = None if validator is None else MethodType(validator, instance)
            handler = Handler(mark.name, bound, each.signature, validator=check, dynamic=mark.dynamic)
            (answering.add_signal if mark.kind == "signal" else answering.add_update)(handler)
        method: Callable[..., Coroutine[Any, Any, R]] = self.fn
        return method(instance, *args)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, R]:
        """Inside a workflow: run it as a child. Elsewhere: run it on a fresh object, as plain code.

        With an object of the class as its first argument it is the plain method: `Base.run(self)` in a subclass.
        """
        if args and isinstance(args[0], self.cls):
            plain: Coroutine[Any, Any, R] = self.fn(*args, **kwargs)
            return plain
        if type(running_loop()) is WorkflowLoop:
            return super().__call__(*args, **kwargs)
        method: Callable[..., Coroutine[Any, Any, R]] = self.fn
        return method(self._instance(args, **kwargs), *args, **kwargs)

    def _instance(self, args: Sequence[Any], **kwargs: Any) -> Any:
        return self.cls(*args, **kwargs) if self._takes_args else self.cls()

    def _check_init(self) -> None:
        parameters = list(inspect.signature(self.cls.__init__).parameters.values())[1:]
        if self._takes_args:
            own = Signature("__init__ of workflow", self.name, self.cls.__init__, self.place, method=True)
            if (own.count_min, own.count_max) != (self.signature.count_min, self.signature.count_max):
                fact = f"its __init__ takes other arguments than {self.signature}"
                raise self._refused(fact, "give both the same parameters, or leave out @workflow.init")
        elif any(each.default is each.empty and each.kind in _NEEDED for each in parameters):
            fact = "its __init__ needs arguments"
            raise self._refused(fact, "decorate it with @workflow.init to give it those of the run, or take none")

    def _add(self, mark: Mark, check: Callable[..., None] | None) -> None:
        name = checked_handler(mark.kind, mark.name, mark.fn, dynamic=mark.dynamic)
        key = mark.kind, "" if mark.dynamic else name
        if key in self._methods:
            fact = f"the class has another such handler in {place_of(self._methods[key].mark.fn)}"
            remedy = "give one of them another name with name=..."
            where = place_of(mark.fn)
            raise UnsupportedDefinition(kind=mark.kind, name=name, where=where, fact=fact, remedy=remedy)
        signature = mark.signature(self.converter)
        check_shape(mark.kind, name, signature, place_of(mark.fn), dynamic=mark.dynamic)
        if check is not None:
            own = Signature("validator of update", name, check, place_of(check), method=True)
            check_validator(name, check, signature, own)
        self._methods[key] = _Method(mark, signature, check)


class WorkflowDecorator(Protocol):
    """What `app.workflow(...)` gives."""

    @overload
    def __call__(self, fn: type[T], /) -> type[T]: ...
    @overload
    def __call__(self, fn: Callable[P, Coroutine[Any, Any, R]], /) -> Workflow[P, R]: ...


def workflow_of(fn: Any, *, name: str | None = None, converter: DataConverter = JSON) -> Workflow[..., Any]:
    """The definition of a function or a class. Raises `UnsupportedDefinition`."""
    if isinstance(fn, type):
        return ClassWorkflow(fn, name=name, converter=converter)
    return Workflow(fn, name=name, converter=converter)


def refuse_class(value: object) -> None:
    """Refuse a class where its run method is wanted. Raises `UnsupportedDefinition`."""
    if isinstance(value, type):
        run = next((name for name, each in inspect.getmembers_static(value) if isinstance(each, RunMethod)), "run")
        fact, remedy = "it is a class", f"give its run method, {value.__name__}.{run}"
        raise UnsupportedDefinition(
            kind="workflow", name=value.__name__, where=value.__module__, fact=fact, remedy=remedy
        )


_NEEDED = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


async def _raising(error: Exception) -> Any:
    raise error


def _run_method(cls: type) -> RunMethod[..., Any]:
    """The method that is the workflow. Raises `UnsupportedDefinition`."""
    found: dict[str, RunMethod[..., Any]] = {}
    for base in reversed(cls.__mro__):
        for attribute, value in vars(base).items():
            if isinstance(value, RunMethod):
                found[attribute] = value
            elif attribute in found and isinstance(value, FunctionType):
                found[attribute] = RunMethod(value)
    if len(found) == 1:
        return next(iter(found.values()))
    where = "its class"
    fact, remedy = "it has no run method", "decorate one method with @workflow.run"
    if found:
        where = place_of(next(iter(found.values())).fn)
        fact, remedy = f"it has several run methods: {', '.join(found)}", "leave @workflow.run on one of them"
    raise UnsupportedDefinition(kind="workflow", name=cls.__name__, where=where, fact=fact, remedy=remedy)


def _marked(cls: type) -> list[tuple[Mark, Callable[..., None] | None]]:
    """The handlers of a class, with validators. What overrides a handler handles the same, also unmarked."""
    found: dict[str, tuple[Mark, str | None]] = {}
    for base in reversed(cls.__mro__):
        for attribute, value in vars(base).items():
            mark = mark_of(value)
            before = found.pop(attribute, None)
            if mark is not None:
                check = value.check.__name__ if isinstance(value, UpdateMethod) and value.check is not None else None
                found[attribute] = mark, check
            elif before is not None and isinstance(value, FunctionType):
                own = before[0].on(value)
                setattr(value, MARK, own)
                found[attribute] = own, before[1]
    return [(mark, _validator(cls, attribute, check)) for attribute, (mark, check) in found.items()]


def _validator(cls: type, attribute: str, name: str | None) -> Callable[..., None] | None:
    """The validator of a handler, by its name: a subclass may override it."""
    if name is None:
        return None
    found: Any = inspect.getattr_static(cls, name, None)
    if callable(found) and not isinstance(found, UpdateMethod):
        return cast(Callable[..., None], found)
    # Named like its update, or taken away from the class.
    updates = (vars(base).get(attribute) for base in cls.__mro__)
    return next((each.check for each in updates if isinstance(each, UpdateMethod) and each.check is not None), None)
