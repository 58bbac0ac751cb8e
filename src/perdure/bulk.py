"""Operations on all runs that fit a filter, and handles on them."""

from math import isfinite
from typing import TYPE_CHECKING, Any, Literal, TypedDict, TypeVar, Unpack, overload

import msgspec
from msgspec.structs import replace

from perdure.core.errors import InvalidOption
from perdure.core.ids import RunId, WorkflowId, checked_id
from perdure.core.message import Started
from perdure.core.payload import JSON
from perdure.handle import Handle
from perdure.listing import filter_of
from perdure.programs.bulk.plan import BULK, PROGRESS, BulkAction, BulkPlan, BulkProgress, BulkResult, chosen
from perdure.programs.code.definition import Signal

if TYPE_CHECKING:
    from perdure.app import Perdure

T = TypeVar("T")

RATE = 50.0
"""Runs a second, if nothing else is said."""
RATE_MAX = 10_000.0
"""Most runs a second."""
REASON_CHARS_MAX = 1_000
"""Longest reason."""


class BulkHandle:
    """One bulk operation: a workflow of the engine's own, worked on by any worker of its task queue."""

    def __init__(self, app: "Perdure", handle: Handle[BulkResult]) -> None:
        """Handles come from `app.bulk`."""
        self._app = app
        self._handle = handle

    def __repr__(self) -> str:
        return f"<BulkHandle {self.id!r}>"

    @property
    def id(self) -> str:
        """Its workflow id."""
        return self._handle.workflow_id

    async def progress(self) -> BulkProgress:
        """How far it is. Raises `WorkflowNotFound`."""
        shown = (await self._handle.describe()).run.memo.get(PROGRESS, {})
        return msgspec.convert(shown, BulkProgress)

    async def result(self) -> BulkResult:
        """Wait for it. Raises `WorkflowCancelled` where it was cancelled."""
        return await self._handle.result()

    async def cancel(self, reason: str = "") -> None:
        """Stop it; what it has done stays done. Raises `RunClosed`."""
        await self._handle.cancel(reason)


class BulkKeywords(TypedDict, total=False):
    """Options of a bulk operation, as keyword arguments."""

    reason: str
    """Told to the runs; a signal has none."""
    rate: float
    """Runs a second, at most."""
    id: str | None
    """Names the operation: starting it twice is `AlreadyRunning`. Drawn if it is None."""
    request_id: str | None
    """With it, starting again gives the same operation."""


class Bulk:
    """The verbs of `app.bulk`. Each starts an operation that outlives this process, and is durable when it returns.

    With `dry_run` nothing is started: the answer is how many runs fit now. Raises `InvalidFilter`, `InvalidOption`.
    """

    def __init__(self, app: "Perdure") -> None:
        self._app = app

    @overload
    async def cancel(
        self, query: str, *, dry_run: Literal[False] = False, **options: Unpack[BulkKeywords]
    ) -> BulkHandle: ...
    @overload
    async def cancel(self, query: str, *, dry_run: Literal[True], **options: Unpack[BulkKeywords]) -> int: ...
    async def cancel(self, query: str, *, dry_run: bool = False, **options: Unpack[BulkKeywords]) -> BulkHandle | int:
        """Ask all open runs that fit to cancel themselves."""
        return await self._start(_plan(BulkAction.CANCEL, query, options), options, dry_run=dry_run)

    @overload
    async def terminate(
        self, query: str, *, dry_run: Literal[False] = False, **options: Unpack[BulkKeywords]
    ) -> BulkHandle: ...
    @overload
    async def terminate(self, query: str, *, dry_run: Literal[True], **options: Unpack[BulkKeywords]) -> int: ...
    async def terminate(
        self, query: str, *, dry_run: bool = False, **options: Unpack[BulkKeywords]
    ) -> BulkHandle | int:
        """End all open runs that fit, without running their code; what they are told names the operation."""
        return await self._start(_plan(BulkAction.TERMINATE, query, options), options, dry_run=dry_run)

    @overload
    async def signal(
        self,
        query: str,
        signal: Signal[T],
        value: T,
        /,
        *,
        dry_run: Literal[False] = False,
        **options: Unpack[BulkKeywords],
    ) -> BulkHandle: ...
    @overload
    async def signal(
        self,
        query: str,
        signal: str,
        value: Any = None,
        /,
        *,
        dry_run: Literal[False] = False,
        **options: Unpack[BulkKeywords],
    ) -> BulkHandle: ...
    @overload
    async def signal(
        self, query: str, signal: Signal[T], value: T, /, *, dry_run: Literal[True], **options: Unpack[BulkKeywords]
    ) -> int: ...
    @overload
    async def signal(
        self, query: str, signal: str, value: Any = None, /, *, dry_run: Literal[True], **options: Unpack[BulkKeywords]
    ) -> int: ...
    async def signal(
        self,
        query: str,
        signal: Signal[Any] | str,
        value: Any = None,
        /,
        *,
        dry_run: bool = False,
        **options: Unpack[BulkKeywords],
    ) -> BulkHandle | int:
        """Send all open runs that fit a signal, each once."""
        name = checked_id("signal name", signal.name if isinstance(signal, Signal) else signal)
        payload = self._app.converter.to_payload(value, what=f"signal {name!r}")
        plan = replace(_plan(BulkAction.SIGNAL, query, options), signal=name, value=payload.data.decode())
        return await self._start(plan, options, dry_run=dry_run)

    def handle(self, id: str) -> BulkHandle:
        """A handle on an operation that exists, by its id."""
        return BulkHandle(self._app, _handle(self._app, WorkflowId(checked_id("workflow id", id)), None))

    async def _start(self, plan: BulkPlan, options: BulkKeywords, *, dry_run: bool) -> BulkHandle | int:
        if dry_run:
            where = chosen(plan)
            return sum((await self._app.call(lambda engine: engine.count_runs(where))).values())
        id, request_id = options.get("id"), options.get("request_id")
        workflow_id = WorkflowId(self._app.new_id() if id is None else checked_id("workflow id", id))
        own = None if request_id is None else checked_id("request id", request_id)
        started = Started(BULK, workflow_id, self._app.queue, JSON.to_payloads([plan]))
        run_id = await self._app.call(lambda engine: engine.start(started, own))
        return BulkHandle(self._app, _handle(self._app, workflow_id, run_id))


def _plan(action: BulkAction, query: str, options: BulkKeywords) -> BulkPlan:
    for name in options.keys() - BulkKeywords.__annotations__.keys():
        remedy = f"known are {', '.join(BulkKeywords.__annotations__)}"
        raise InvalidOption(name=name, value=repr(options.get(name))[:80], fact="is unknown", remedy=remedy)
    return BulkPlan(action, _query(query), _rate(options.get("rate", RATE)), reason=_reason(options.get("reason", "")))


def _handle(app: "Perdure", workflow_id: WorkflowId, run_id: RunId | None) -> Handle[BulkResult]:
    decode = JSON.decoder(BulkResult, "result of a bulk operation")
    return Handle(app, workflow_id, run_id, decode, known=run_id is not None)


def _query(query: object) -> str:
    where = filter_of(query)
    assert isinstance(query, str)
    if where.where is None:
        remedy = "write WorkflowId is not null if every open run is meant"
        raise InvalidOption(name="query", value=repr(query)[:80], fact="names no runs", remedy=remedy)
    if where.order:
        remedy = "leave order by out: the newest run comes first"
        raise InvalidOption(name="query", value=repr(query)[:80], fact="names an order", remedy=remedy)
    return query


def _rate(rate: object) -> float:
    fits = isinstance(rate, (int, float)) and not isinstance(rate, bool) and isfinite(rate) and 0 < rate <= RATE_MAX
    if not fits:
        remedy = f"give runs a second, up to {RATE_MAX:g}"
        raise InvalidOption(name="rate", value=repr(rate)[:80], fact="is out of bounds", remedy=remedy)
    return float(rate)  # type: ignore[arg-type]


def _reason(reason: object) -> str:
    if not isinstance(reason, str) or len(reason) > REASON_CHARS_MAX:
        remedy = f"give text of at most {REASON_CHARS_MAX} characters"
        raise InvalidOption(name="reason", value=repr(reason)[:80], fact="is no reason", remedy=remedy)
    return reason
