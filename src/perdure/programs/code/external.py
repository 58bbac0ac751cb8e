"""Other workflows, seen from workflow code: to signal them and to cancel them, wherever they run."""

from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar, overload

from perdure.core.ids import checked_id
from perdure.core.payload import NULL, Payload, to_payload
from perdure.programs.code.api import current_run
from perdure.programs.code.calling import headers_of, outbound
from perdure.programs.code.definition import Signal
from perdure.programs.code.interceptors import OutboundCall
from perdure.programs.code.system import CANCEL, SIGNAL, SystemCallee, ask_engine

if TYPE_CHECKING:
    from perdure.programs.code.run import CodeRun

T = TypeVar("T")

_SIGNAL = SystemCallee(SIGNAL)
_CANCEL = SystemCallee(CANCEL)


class ExternalHandle:
    """A workflow that is not this run's child. Each call returns when it was delivered."""

    def __init__(self, run: "CodeRun", workflow_id: str, run_id: str | None) -> None:
        self._run = run
        self.workflow_id = workflow_id
        self.run_id = run_id
        """None: its open run."""

    def __repr__(self) -> str:
        return f"<ExternalHandle {self.workflow_id!r} run {self.run_id or 'latest'}>"

    @overload
    async def signal(self, signal: Signal[T], value: T, /) -> None: ...
    @overload
    async def signal(self, signal: str, value: Any = None, /) -> None: ...
    async def signal(self, signal: Signal[Any] | str, value: Any = None, /) -> None:
        """Send a signal, once; raises `ExternalWorkflowError` where no such run is open."""
        name = checked_id("signal name", signal.name if isinstance(signal, Signal) else signal)
        payload = self._run.program.converter.to_payload(value, what=f"signal {name!r}")
        args = (*self._target(), to_payload(name), payload, self._headers())
        call = OutboundCall("signal", name, (value,), self.workflow_id)
        await outbound(self._run, call, partial(ask_engine, self._run, _SIGNAL, self.workflow_id, args))

    async def cancel(self, reason: str = "") -> None:
        """Ask it to cancel itself, once; raises `ExternalWorkflowError` where no such run is open."""
        args = (*self._target(), to_payload(reason))
        call = OutboundCall("cancel", "", (reason,), self.workflow_id)
        await outbound(self._run, call, partial(ask_engine, self._run, _CANCEL, self.workflow_id, args))

    def _headers(self) -> Payload:
        headers = headers_of(self._run)
        return NULL if headers is None else to_payload(headers)

    def _target(self) -> tuple[Payload, Payload]:
        return to_payload(self.workflow_id), to_payload(self.run_id)


def external(id: str, *, run_id: str | None = None) -> ExternalHandle:
    """A handle on another workflow: on the run named, else on its open run at the time of each call."""
    run = current_run("external")
    return ExternalHandle(run, checked_id("workflow id", id), None if run_id is None else checked_id("run id", run_id))
