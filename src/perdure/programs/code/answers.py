"""Clocks and random numbers, read through their modules by workflow code: answered from the run, or refused.

The functions are replaced in their modules, once; outside a workflow step the replacement calls the original. They stay
plain callables there: no method when kept in a class, pickled by name.
"""

import os
import random
import sys
import uuid
from collections.abc import Callable
from functools import partial, update_wrapper
from importlib import import_module
from typing import Any

from perdure.core.errors import ForbiddenInWorkflow
from perdure.programs.code.loop import RunStopped, WorkflowLoop, running_loop
from perdure.programs.code.places import frames_above_bottom, place_of_caller

Answer = Callable[..., Any]

_IMPORTING = ("importlib._bootstrap", "_frozen_importlib")


class Answered:
    """Stands in a module for one of its functions. `answer` is called with the loop, then with what the caller gave."""

    def __init__(self, module: str, name: str, original: Callable[..., Any], answer: Answer) -> None:
        self._original = original
        self._answer = answer
        self._name = name
        update_wrapper(self, original, updated=())
        self.__module__ = module

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        loop = running_loop()
        if type(loop) is not WorkflowLoop or _importing():
            return self._original(*args, **kwargs)
        return self._answer(loop, *args, **kwargs)

    def __repr__(self) -> str:
        return repr(self._original)

    def __reduce__(self) -> str:
        return self._name


def _importing() -> bool:
    # A module that is first imported inside a step is imported in no replay: it must not draw from the run.
    frame = sys._getframe(2)  # pyright: ignore[reportPrivateUsage]
    return any(each.f_globals.get("__name__") in _IMPORTING for each in frames_above_bottom(frame))


originals: dict[int, tuple[str, Callable[..., Any]]] = {}
"""The replaced functions by identity, with what to call instead of one that was bound by name before."""


def install() -> None:
    """Replace the functions."""
    clock = import_module("time")
    for name in ("time", "monotonic", "perf_counter", "process_time", "thread_time"):
        _replace(clock, name, _seconds)
        _replace(clock, f"{name}_ns", _nanoseconds)
    for name in ("localtime", "gmtime", "ctime"):
        _replace(clock, name, partial(_moment, getattr(clock, name)))
    # Not every Python audits these two.
    _replace(clock, "sleep", partial(_refuse, "time.sleep()", "await asyncio.sleep(...), which is durable"))
    thread = partial(_refuse, "starting a thread", "do it in an activity")
    _replace(import_module("_thread"), "start_new_thread", thread)
    _replace(import_module("threading"), "_start_new_thread", thread)
    for name in DRAWS:
        _replace(random, name, partial(_draw, name))
    _replace(uuid, "uuid4", _uuid4)
    _replace(uuid, "uuid1", partial(_refuse, "uuid.uuid1()", "use workflow.uuid4()"))
    secret = "make secrets in an activity; for other random numbers use workflow.random()"
    _replace(os, "urandom", partial(_refuse, "os.urandom()", secret))
    # `secrets` and SystemRandom draw through this name.
    _replace(random, "_urandom", partial(_refuse, "a secret random number", secret))


DRAWS = (
    "betavariate", "binomialvariate", "choice", "choices", "expovariate", "gammavariate", "gauss", "getrandbits",
    "getstate", "lognormvariate", "normalvariate", "paretovariate", "randbytes", "randint", "random", "randrange",
    "sample", "seed", "setstate", "shuffle", "triangular", "uniform", "vonmisesvariate", "weibullvariate",
)  # fmt: skip
"""Functions of `random` that draw from the run."""


def _replace(module: Any, name: str, answer: Answer) -> None:
    original = getattr(module, name, None)
    if original is not None and not isinstance(original, Answered):
        originals[id(original)] = f"{module.__name__}.{name}", original
        setattr(module, name, Answered(module.__name__, name, original, answer))


def _seconds(loop: WorkflowLoop) -> float:
    return loop.now_s


def _nanoseconds(loop: WorkflowLoop) -> int:
    return loop.host.at_ms * 1_000_000


def _moment(original: Callable[..., Any], loop: WorkflowLoop, secs: float | None = None) -> Any:
    return original(loop.now_s if secs is None else secs)


def _draw(name: str, loop: WorkflowLoop, *args: Any, **kwargs: Any) -> Any:
    if name == "seed" and not kwargs and args in ((), (None,)):
        _refuse("random.seed() without a seed", "give a seed, or leave it: it is seeded by the run", loop)
    return getattr(loop.host.random(), name)(*args, **kwargs)


def _uuid4(loop: WorkflowLoop) -> uuid.UUID:
    return uuid.UUID(int=loop.host.random().getrandbits(128), version=4)


def _refuse(what: str, remedy: str, loop: WorkflowLoop, *_args: Any, **_kwargs: Any) -> Any:
    if loop.closing:
        raise RunStopped
    where = place_of_caller()
    raise ForbiddenInWorkflow(what=what, where="" if where is None else f" at {where}", remedy=remedy)
