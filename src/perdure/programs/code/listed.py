"""The handlers of a run, for whoever wants to know what it can be told and asked."""

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from perdure.programs.code.signature import Signature

if TYPE_CHECKING:
    from perdure.programs.code.run import CodeRun

HANDLERS_QUERY = "__handlers"
"""Answered by every run: its handlers, as `HandlerSummary`s."""

Kind = Literal["signal", "query", "update"]


class HandlerSummary(msgspec.Struct, frozen=True):
    """One handler of a run."""

    kind: Kind
    name: str
    """As it is sent; of a dynamic one, its own."""
    signature: str
    """Such as `add(item: str) -> int`."""
    doc: str = ""
    """Its docstring."""
    dynamic: bool = False
    """It takes every name that no other handler of its kind takes."""


def summary(kind: Kind, name: str, fn: Callable[..., Any], signature: Signature, *, dynamic: bool) -> HandlerSummary:
    """A handler as it is shown."""
    return HandlerSummary(kind, name, str(signature), inspect.getdoc(fn) or "", dynamic)


def in_order(found: list[HandlerSummary]) -> tuple[HandlerSummary, ...]:
    """By kind and name."""
    return tuple(sorted(found, key=lambda each: (each.kind, each.name)))


def handlers_of(run: "CodeRun") -> tuple[HandlerSummary, ...]:
    """Those that a run has now; a function registers its own as it goes."""
    found = [] if run.queries is None else run.queries.listed()
    return in_order([*found, *([] if run.handlers is None else run.handlers.listed())])
