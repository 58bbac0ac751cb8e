"""Context that goes along: what a client's code, a workflow and an activity know beside their arguments.

It travels in the headers of starts, signals, activities and children. Nothing is done where an app has no propagators.
"""

from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from typing import Any, Generic, Protocol, TypeVar

from perdure.core.ids import checked_id
from perdure.core.message import Headers
from perdure.core.payload import JSON, Payload

T = TypeVar("T")


class Propagator(Protocol):
    """Carries something from the context of the caller into that of the code which is called."""

    def inject(self, headers: dict[str, Payload]) -> None:
        """Write what the current context holds; called by clients, and by workflow code when it asks for something.

        In a workflow it must do the same in every replay.
        """
        ...

    def extract(self, headers: Mapping[str, Payload]) -> None:
        """Set up the context of a workflow or an activity, before its code runs."""
        ...


class ContextVarPropagator(Generic[T]):
    """Carries one context variable: `ContextVarPropagator("tenant", tenant, str)`. An unset one is not carried."""

    def __init__(self, name: str, var: ContextVar[T], type: type[T] | None = None) -> None:
        """`name` is the header; `type` is how its JSON value is read."""
        self._name = checked_id("header", name)
        self._var = var
        self._decode = JSON.decoder(Any if type is None else type, f"header {name!r}")

    def inject(self, headers: dict[str, Payload]) -> None:
        """See `Propagator`."""
        try:
            value = self._var.get()
        except LookupError:
            return
        headers[self._name] = JSON.to_payload(value, what=f"header {self._name!r}")

    def extract(self, headers: Mapping[str, Payload]) -> None:
        """See `Propagator`."""
        payload = headers.get(self._name)
        if payload is not None:
            self._var.set(self._decode(payload))


class Propagation:
    """The propagators of an app."""

    def __init__(self, propagators: Sequence[Propagator]) -> None:
        self._propagators = tuple(propagators)

    def headers(self) -> Headers | None:
        """What goes along from here; None if nothing does."""
        headers: dict[str, Payload] = {}
        for each in self._propagators:
            each.inject(headers)
        return headers or None

    def apply(self, headers: Headers | None) -> None:
        """Set up this context by what came along."""
        if headers:
            for each in self._propagators:
                each.extract(headers)
