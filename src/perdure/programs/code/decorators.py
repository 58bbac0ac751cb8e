"""The decorators of handlers and of the run method, and what handlers can ask. Public as part of `perdure.workflow`."""

from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, Concatenate, ParamSpec, TypeVar, overload

from perdure.core.errors import InvalidOption
from perdure.programs.code.api import current_run
from perdure.programs.code.classes import INIT
from perdure.programs.code.definition import place_of
from perdure.programs.code.handlers import Handler, update_id
from perdure.programs.code.listed import Kind
from perdure.programs.code.methods import (
    MARK,
    Mark,
    RunMethod,
    UpdateMethod,
    belongs_to_class,
    check_shape,
    check_validator,
    checked_handler,
)
from perdure.programs.code.options import Duration, duration_ms
from perdure.programs.code.signature import Signature

P = ParamSpec("P")
R = TypeVar("R")
F = TypeVar("F", bound=Callable[..., Any])


def run(fn: Callable[Concatenate[Any, P], Coroutine[Any, Any, R]], /) -> RunMethod[P, R]:
    """Decorator for the method that is the workflow: one in a class that is registered with `@app.workflow`."""
    return RunMethod(fn)


def init(fn: F, /) -> F:
    """Decorator for `__init__`: give it the run's arguments, so that handlers find a state made of them."""
    setattr(fn, INIT, True)
    return fn


@overload
def query(fn: F, /) -> F: ...
@overload
def query(*, name: str | None = None, dynamic: bool = False) -> Callable[[F], F]: ...
def query(fn: Any = None, /, *, name: str | None = None, dynamic: bool = False) -> Any:
    """Decorator: answer queries under the function's name, or `name`; `dynamic`: all that nobody else answers.

    For a method of a class workflow, or for a function inside a running workflow. It is a plain function that reads the
    workflow's state; it can change nothing and wait for nothing. A dynamic one takes the name, then the arguments.
    """
    if fn is None:
        return partial(_marked, "query", name, dynamic)
    return _marked("query", name, dynamic, fn)


@overload
def signal(fn: F, /) -> F: ...
@overload
def signal(*, name: str | None = None, dynamic: bool = False) -> Callable[[F], F]: ...
def signal(fn: Any = None, /, *, name: str | None = None, dynamic: bool = False) -> Any:
    """Decorator: handle signals of the function's name, or `name`; `dynamic`: all that nobody else takes.

    For a method of a class workflow, or for a function inside a running workflow; with or without `async`. It takes
    the signal's value, or nothing; a dynamic one takes the name and the value. Each signal is handled once, in a task
    of its own, begun in order of arrival. An exception that leaves it fails the run.
    """
    if fn is None:
        return partial(_marked, "signal", name, dynamic)
    return _marked("signal", name, dynamic, fn)


@overload
def update(fn: Callable[P, R], /) -> UpdateMethod[P, R]: ...
@overload
def update(*, name: str | None = None, dynamic: bool = False) -> Callable[[Callable[P, R]], UpdateMethod[P, R]]: ...
def update(fn: Any = None, /, *, name: str | None = None, dynamic: bool = False) -> Any:
    """Decorator: handle updates of the function's name, or `name`; `dynamic`: all that nobody else takes.

    For a method of a class workflow, or for a function inside a running workflow; with or without `async`. What it
    returns or raises goes to whoever sent the update, and not into the run. `@handler.validator` decides what is
    accepted. A dynamic one takes the name, then the arguments.
    """
    if fn is None:
        return partial(_marked, "update", name, dynamic)
    return _marked("update", name, dynamic, fn)


def _marked(kind: Kind, name: str | None, dynamic: bool, fn: Any) -> Any:  # noqa: FBT001 # given by `partial`
    mark = Mark(kind, fn, name, dynamic=dynamic)
    if belongs_to_class(fn):
        if kind == "update":
            return UpdateMethod(fn, mark)
        setattr(fn, MARK, mark)
        return fn
    return _added(mark)


def _added(mark: Mark) -> Any:
    """Let the run whose code is running use a handler."""
    live = current_run(mark.kind)
    if live.loop.refusal is not None:
        raise live.loop.refusal()
    fn, kind, where = mark.fn, mark.kind, place_of(mark.fn)
    name = checked_handler(kind, mark.name, fn, dynamic=mark.dynamic)
    converter = live.program.converter
    signature = Signature(kind, name, fn, where, converter=converter)
    check_shape(kind, name, signature, where, dynamic=mark.dynamic)
    if kind == "query":
        live.asked().add(name, fn, signature, dynamic=mark.dynamic)
        return fn
    handler = Handler(name, fn, signature, dynamic=mark.dynamic)
    if kind == "signal":
        live.answering().add_signal(handler)
        return fn

    def check(validator: Callable[..., None]) -> None:
        own = Signature("validator of update", name, validator, place_of(validator), converter=converter)
        check_validator(name, validator, signature, own)
        handler.validator = validator

    method: UpdateMethod[..., Any] = UpdateMethod(fn, mark)
    method.on_check = check
    live.answering().add_update(handler)
    return method


async def wait_condition(predicate: Callable[[], object], *, timeout: Duration | None = None) -> None:
    """Wait until `predicate()` is true. It reads the workflow's state, and is asked again whenever the code has run.

    Raises TimeoutError if it is still false after `timeout`, which is durable, as all timers are.
    """
    live = current_run("wait_condition")
    timeout_s = None if timeout is None else duration_ms("timeout", timeout) / 1_000
    if not callable(predicate):
        value, remedy = repr(predicate)[:80], "give a function without parameters, such as `lambda: self.done`"
        raise InvalidOption(name="predicate", value=value, fact="cannot be called", remedy=remedy)
    await live.waiting().wait(predicate, timeout_s)


def all_handlers_finished() -> bool:
    """Whether no handler of a signal or an update has begun and not ended: the one to wait for before returning."""
    answering = current_run("all_handlers_finished").handlers
    return answering is None or not answering.unfinished


def current_update_id() -> str | None:
    """The id of the update that the running code handles; None elsewhere."""
    current_run("current_update_id")
    return update_id.get()
