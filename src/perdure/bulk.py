"""Operations on all runs that fit a filter, and handles on them."""

from collections.abc import Coroutine
from math import isfinite
from typing import TYPE_CHECKING, Any, TypedDict, TypeVar, Unpack, overload

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
from perdure.programs.code.options import member

if TYPE_CHECKING:
    from perdure.app import Perdure
    from perdure.blocking import BlockingPerdure

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
    """Told to the runs; a signal and a deletion have none."""
    rate: float
    """Runs a second, at most."""
    id: str | None
    """Names the operation: starting it twice is `AlreadyRunning`. Drawn if it is None."""
    request_id: str | None
    """With it, starting again gives the same operation."""


class Bulk:
    """The verbs of `app.bulk`. Each starts an operation that outlives this process, and is durable when it returns.

    Raises `InvalidFilter`, `InvalidOption`.
    """

    def __init__(self, app: "Perdure") -> None:
        self._app = app

    async def cancel(self, query: str, **options: Unpack[BulkKeywords]) -> BulkHandle:
        """Ask all open runs that fit to cancel themselves."""
        return await self._start(_plan(BulkAction.CANCEL, query, options), options)

    async def terminate(self, query: str, **options: Unpack[BulkKeywords]) -> BulkHandle:
        """End all open runs that fit, without running their code; what they are told names the operation."""
        return await self._start(_plan(BulkAction.TERMINATE, query, options), options)

    @overload
    async def signal(
        self, query: str, signal: Signal[T], value: T, /, **options: Unpack[BulkKeywords]
    ) -> BulkHandle: ...
    @overload
    async def signal(
        self, query: str, signal: str, value: Any = None, /, **options: Unpack[BulkKeywords]
    ) -> BulkHandle: ...
    async def signal(
        self, query: str, signal: Signal[Any] | str, value: Any = None, /, **options: Unpack[BulkKeywords]
    ) -> BulkHandle:
        """Send all open runs that fit a signal, each once."""
        name = checked_id("signal name", signal.name if isinstance(signal, Signal) else signal)
        payload = self._app.converter.to_payload(value, what=f"signal {name!r}")
        plan = replace(_plan(BulkAction.SIGNAL, query, options), signal=name, value=payload.data.decode())
        return await self._start(plan, options)

    async def reset(
        self, query: str, *, turn: int, reapply_signals: bool = True, **options: Unpack[BulkKeywords]
    ) -> BulkHandle:
        """Let all runs that fit, open or closed, begin again as `Handle.reset` does, each once.

        `turn` is the last one that is kept: 0 begins from the start, -1 repeats the last one. Those that were continued
        as new are left alone; where another run of the workflow id is open, the reset of a closed one fails.
        """
        if isinstance(turn, bool) or not isinstance(turn, int):  # type: ignore[unnecessary-isinstance]
            remedy = "give a number: 0 begins from the start, -1 repeats the last turn"
            raise InvalidOption(name="turn", value=repr(turn)[:80], fact="is no turn", remedy=remedy)
        plan = replace(_plan(BulkAction.RESET, query, options), turn=turn, reapply_signals=reapply_signals)
        return await self._start(plan, options)

    async def delete(self, query: str, **options: Unpack[BulkKeywords]) -> BulkHandle:
        """Delete all closed runs that fit, with their histories."""
        return await self._start(_plan(BulkAction.DELETE, query, options), options)

    async def count(self, action: str, query: str) -> int:
        """How many runs an operation would find now: `action` is the name of its verb. Starts nothing."""
        where = chosen(_plan(member("action", BulkAction, action), query, {}))
        return sum((await self._app.call(lambda engine: engine.count_runs(where))).values())

    def handle(self, id: str) -> BulkHandle:
        """A handle on an operation that exists, by its id."""
        return BulkHandle(self._app, _handle(self._app, WorkflowId(checked_id("workflow id", id)), None))

    async def _start(self, plan: BulkPlan, options: BulkKeywords) -> BulkHandle:
        id, request_id = options.get("id"), options.get("request_id")
        workflow_id = WorkflowId(self._app.new_id() if id is None else checked_id("workflow id", id))
        own = None if request_id is None else checked_id("request id", request_id)
        started = Started(BULK, workflow_id, self._app.queue, JSON.to_payloads([plan]))
        run_id = await self._app.call(lambda engine: engine.start(started, own))
        return BulkHandle(self._app, _handle(self._app, workflow_id, run_id))


class BlockingBulkHandle:
    """A handle whose calls block; each does what its namesake of `BulkHandle` does."""

    def __init__(self, app: "BlockingPerdure", handle: BulkHandle) -> None:
        self._app = app
        self._handle = handle

    @property
    def id(self) -> str:
        """As `BulkHandle.id`."""
        return self._handle.id

    def progress(self) -> BulkProgress:
        """As `BulkHandle.progress`."""
        return self._app.wait(self._handle.progress())

    def result(self, timeout: float | None = None) -> BulkResult:
        """As `BulkHandle.result`; raises TimeoutError after `timeout` seconds."""
        return self._app.wait(self._handle.result(), timeout)

    def cancel(self, reason: str = "") -> None:
        """As `BulkHandle.cancel`."""
        self._app.wait(self._handle.cancel(reason))


class BlockingBulk:
    """The verbs of `Bulk` for code without a loop; each does what its namesake does."""

    def __init__(self, app: "BlockingPerdure", bulk: Bulk) -> None:
        self._app = app
        self._bulk = bulk

    def cancel(self, query: str, **options: Unpack[BulkKeywords]) -> BlockingBulkHandle:
        """As `Bulk.cancel`."""
        return self._made(self._bulk.cancel(query, **options))

    def terminate(self, query: str, **options: Unpack[BulkKeywords]) -> BlockingBulkHandle:
        """As `Bulk.terminate`."""
        return self._made(self._bulk.terminate(query, **options))

    @overload
    def signal(
        self, query: str, signal: Signal[T], value: T, /, **options: Unpack[BulkKeywords]
    ) -> BlockingBulkHandle: ...
    @overload
    def signal(
        self, query: str, signal: str, value: Any = None, /, **options: Unpack[BulkKeywords]
    ) -> BlockingBulkHandle: ...
    def signal(
        self, query: str, signal: Signal[Any] | str, value: Any = None, /, **options: Unpack[BulkKeywords]
    ) -> BlockingBulkHandle:
        """As `Bulk.signal`."""
        name = signal if isinstance(signal, str) else signal.name
        return self._made(self._bulk.signal(query, name, value, **options))

    def reset(
        self, query: str, *, turn: int, reapply_signals: bool = True, **options: Unpack[BulkKeywords]
    ) -> BlockingBulkHandle:
        """As `Bulk.reset`."""
        return self._made(self._bulk.reset(query, turn=turn, reapply_signals=reapply_signals, **options))

    def delete(self, query: str, **options: Unpack[BulkKeywords]) -> BlockingBulkHandle:
        """As `Bulk.delete`."""
        return self._made(self._bulk.delete(query, **options))

    def count(self, action: str, query: str) -> int:
        """As `Bulk.count`."""
        return self._app.wait(self._bulk.count(action, query))

    def handle(self, id: str) -> BlockingBulkHandle:
        """As `Bulk.handle`."""
        return BlockingBulkHandle(self._app, self._bulk.handle(id))

    def _made(self, making: Coroutine[Any, Any, BulkHandle]) -> BlockingBulkHandle:
        return BlockingBulkHandle(self._app, self._app.wait(making))


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
        remedy = "write WorkflowId is not null if every run is meant"
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
