"""Faults that a test orders: the store call with a given number is refused, unknown or late, or the worker dies at it.

Counted are the calls of the worker and its engine that read or change runs; those that the test's own verbs make are
left alone unless it is asked for, because a test that calls a verb would have to call it again.
"""

from collections.abc import Callable, Iterable
from contextvars import ContextVar
from typing import Literal, TypeAlias, get_args

from perdure.core.errors import InvalidOption
from perdure.testing.faults import LIFE, Fate

FaultKind: TypeAlias = Literal["refused", "unknown", "late", "crash before", "crash after"]
"""It did not happen; it happened and nobody was told; it takes 30 s; the worker dies before it, or after it."""
FAULT_KINDS: tuple[FaultKind, ...] = get_args(FaultKind)

UNCOUNTED = LIFE | {"wait", "leaseholders", "register", "release"}
"""Verbs that begin, end or only wait."""
LATE_MS = 30_000
_LATE = Fate(arrives_ms=LATE_MS)
_FATES: dict[str, Fate] = {
    "refused": Fate(refused=True),
    "unknown": Fate(unknown=True),
    "late": _LATE,
    "crash before": Fate(refused=True, silent=True),
    "crash after": Fate(silent=True),
}

of_client: ContextVar[bool] = ContextVar("perdure_testing_of_client", default=False)
"""Whether what this task calls is called for a verb of the test's."""


class Fault:
    """One order."""

    def __init__(self, kind: FaultKind, number: int | None, verbs: frozenset[str] | None, *, clients: bool) -> None:
        self.kind = kind
        self.struck: str | None = None
        """The verb that it befell last, once it did."""
        self._number = number
        self._verbs = verbs
        self._clients = clients
        self._seen_count = 0

    def strikes(self, verb: str, *, client: bool) -> bool:
        """Whether it befalls this call."""
        if (self._verbs is not None and verb not in self._verbs) or (client and not self._clients):
            return False
        self._seen_count += 1
        if self._number is not None and self._seen_count != self._number:
            return False
        self.struck = verb
        return True


class Faults:
    """`Fates` as ordered."""

    def __init__(self, crash: Callable[[], None]) -> None:
        """`crash` lets the process be gone that makes the call."""
        self._crash = crash
        self._orders: list[Fault] = []
        self.calls: list[str] = []
        """The verbs of all calls that were counted."""

    def order(self, kind: FaultKind, number: int | None, verbs: Iterable[str] | None, *, clients: bool) -> Fault:
        """A fault for the call with a number from now on (of these verbs), or for all of them."""
        if kind not in FAULT_KINDS:
            raise InvalidOption(
                name="how", value=repr(kind), fact="is no fault", remedy=f"give one of {', '.join(FAULT_KINDS)}"
            )
        if number is not None and number < 1:
            raise InvalidOption(name="number", value=number, fact="counts from 1", remedy="give 1 or more")
        fault = Fault(kind, number, None if verbs is None else frozenset(verbs), clients=clients)
        self._orders.append(fault)
        return fault

    def clear(self) -> None:
        """Nothing fails any more."""
        self._orders.clear()

    def draw(self, verb: str, number: int) -> Fate | None:
        """See `Fates`."""
        if verb in UNCOUNTED:
            return None
        client = of_client.get()
        if not client:
            self.calls.append(verb)
        struck = [fault for fault in self._orders if fault.strikes(verb, client=client)]
        if not struck:
            return None
        kind = struck[0].kind
        if kind == "crash before" or kind == "crash after":
            self._crash()
        return _FATES[kind]
