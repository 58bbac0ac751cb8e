"""The blocking facade: the same verbs for scripts, Flask and Django, from any thread."""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar, TypeVarTuple, Unpack, overload

from perdure.bulk import BlockingBulk
from perdure.completion import BlockingCompletions
from perdure.core.errors import EngineStopped
from perdure.core.store import RunStatus
from perdure.description import RunDescription, RunSummary
from perdure.drain import DrainLine
from perdure.engine.history import HistoryEvent
from perdure.handle import Handle
from perdure.programs.code.definition import Signal
from perdure.progress import Progress
from perdure.schedules.blocking import BlockingSchedules
from perdure.sending import UpdateHandle
from perdure.starting import StartKeywords

if TYPE_CHECKING:
    from perdure.app import Perdure

R = TypeVar("R")
T = TypeVar("T")
Ts = TypeVarTuple("Ts")
Us = TypeVarTuple("Us")


class BlockingPerdure:
    """A running app whose verbs block; async activities run on a loop in a thread of its own. A context manager."""

    def __init__(self, app: "Perdure", *, work: bool = True) -> None:
        """`work` False: a client only."""
        self._app = app
        self._running: AbstractAsyncContextManager[object] = app if work else app.client()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self.schedules = BlockingSchedules(self, app.schedules)
        self.bulk = BlockingBulk(self, app.bulk)

    def __enter__(self) -> "BlockingPerdure":
        loop = self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=loop.run_forever, name="perdure-activities", daemon=True)
        self._thread.start()
        try:
            self.wait(self._running.__aenter__())
        except BaseException:  # whatever it was, the thread must not stay
            self._end()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self.wait(self._running.__aexit__(None, None, None))
        finally:
            self._end()

    def _end(self) -> None:
        loop, thread = self._loop, self._thread
        assert loop is not None
        assert thread is not None
        self._loop = None
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()

    def wait(self, coroutine: Coroutine[Any, Any, T], timeout: float | None = None) -> T:
        """Run a coroutine on the app's loop; raises TimeoutError after `timeout` seconds."""
        if self._loop is None:
            coroutine.close()
            raise EngineStopped
        future = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        try:
            return future.result(timeout)
        except TimeoutError:
            future.cancel()
            raise

    def start(
        self, workflow: Callable[[*Ts], Coroutine[Any, Any, R]], *args: *Ts, **options: Unpack[StartKeywords]
    ) -> "BlockingHandle[R]":
        """As `Perdure.start`."""
        return BlockingHandle(self, self.wait(self._app.start(workflow, *args, **options)))

    def start_by_name(self, name: str, *args: Any, **options: Unpack[StartKeywords]) -> "BlockingHandle[Any]":
        """As `Perdure.start_by_name`."""
        return BlockingHandle(self, self.wait(self._app.start_by_name(name, *args, **options)))

    @overload
    def signal_with_start(
        self,
        signal: Signal[T],
        value: T,
        workflow: Callable[[*Ts], Coroutine[Any, Any, R]],
        *args: *Ts,
        **options: Unpack[StartKeywords],
    ) -> "BlockingHandle[R]": ...
    @overload
    def signal_with_start(
        self,
        signal: str,
        value: Any,
        workflow: Callable[[*Ts], Coroutine[Any, Any, R]],
        *args: *Ts,
        **options: Unpack[StartKeywords],
    ) -> "BlockingHandle[R]": ...
    def signal_with_start(
        self, signal: Signal[Any] | str, value: Any, workflow: Any, *args: Any, **options: Unpack[StartKeywords]
    ) -> "BlockingHandle[Any]":
        """As `Perdure.signal_with_start`."""
        name = signal if isinstance(signal, str) else signal.name
        return BlockingHandle(self, self.wait(self._app.signal_with_start(name, value, workflow, *args, **options)))

    def update_with_start(
        self,
        update: Callable[[Any, *Us], Coroutine[Any, Any, T]],
        update_args: tuple[*Us],
        workflow: Callable[[*Ts], Coroutine[Any, Any, Any]],
        *args: *Ts,
        **options: Unpack[StartKeywords],
    ) -> T:
        """As `Perdure.update_with_start`."""
        return self.wait(self._app.update_with_start(update, update_args, workflow, *args, **options))

    @property
    def activities(self) -> BlockingCompletions:
        """As `Perdure.activities`."""
        return BlockingCompletions(self._app.activities, self.wait)

    @overload
    def handle(
        self, id: str, workflow: Callable[..., Coroutine[Any, Any, R]], *, run_id: str | None = None
    ) -> "BlockingHandle[R]": ...
    @overload
    def handle(self, id: str, *, run_id: str | None = None) -> "BlockingHandle[Any]": ...
    def handle(self, id: str, workflow: Any = None, *, run_id: str | None = None) -> "BlockingHandle[Any]":
        """As `Perdure.handle`."""
        app = self._app
        found = app.handle(id, run_id=run_id) if workflow is None else app.handle(id, workflow, run_id=run_id)
        return BlockingHandle(self, found)

    def list(
        self,
        query: str = "",
        *,
        status: RunStatus | str | None = None,
        workflow: str | None = None,
        id_prefix: str | None = None,
        parked: bool | None = None,
        limit: int = 100,
        before: str | None = None,
    ) -> "list[RunSummary]":
        """As `Perdure.list`."""
        found = self._app.list(
            query, status=status, workflow=workflow, id_prefix=id_prefix, parked=parked, limit=limit, before=before
        )
        return self.wait(found)

    @overload
    def count(self, query: str = "") -> int: ...
    @overload
    def count(self, query: str = "", *, group_by: Literal["ExecutionStatus"]) -> dict[RunStatus, int]: ...
    def count(
        self, query: str = "", *, group_by: Literal["ExecutionStatus"] | None = None
    ) -> int | dict[RunStatus, int]:
        """As `Perdure.count`."""
        return self.wait(self._app.count(query) if group_by is None else self._app.count(query, group_by=group_by))

    def drain(self) -> "list[DrainLine]":
        """As `Perdure.drain`."""
        return self.wait(self._app.drain())


class BlockingHandle(Generic[R]):
    """A handle whose calls block; each does what its namesake of `Handle` does."""

    def __init__(self, app: BlockingPerdure, handle: Handle[R]) -> None:
        self._app = app
        self._handle = handle

    @property
    def workflow_id(self) -> str:
        """The workflow's id."""
        return self._handle.workflow_id

    @property
    def run_id(self) -> str | None:
        """As `Handle.run_id`."""
        return self._handle.run_id

    def result(self, timeout: float | None = None) -> R:
        """As `Handle.result`; raises TimeoutError after `timeout` seconds."""
        return self._app.wait(self._handle.result(), timeout)

    @overload
    def signal(self, signal: Signal[T], value: T, /, *, request_id: str | None = None) -> None: ...
    @overload
    def signal(
        self,
        signal: Callable[[Any, *Ts], Coroutine[Any, Any, None] | None],
        /,
        *args: *Ts,
        request_id: str | None = None,
    ) -> None: ...
    @overload
    def signal(self, signal: str, value: Any = None, /, *, request_id: str | None = None) -> None: ...
    def signal(self, signal: Any, /, *args: Any, request_id: str | None = None) -> None:
        """As `Handle.signal`."""
        self._app.wait(self._handle.signal(signal, *args, request_id=request_id))

    @overload
    def query(self, query: Callable[[Any, *Ts], T], /, *args: *Ts) -> T: ...
    @overload
    def query(self, query: str, /, *args: Any) -> Any: ...
    @overload
    def query(self, query: str, /, *args: Any, result_type: type[T]) -> T: ...
    def query(self, query: Any, /, *args: Any, result_type: Any = Any) -> Any:
        """As `Handle.query`."""
        return self._app.wait(self._handle.query(query, *args, result_type=result_type))

    @overload
    def update(
        self, update: Callable[[Any, *Ts], Coroutine[Any, Any, T]], /, *args: *Ts, id: str | None = None
    ) -> T: ...
    @overload
    def update(self, update: Callable[[Any, *Ts], T], /, *args: *Ts, id: str | None = None) -> T: ...
    @overload
    def update(self, update: str, /, *args: Any, id: str | None = None) -> Any: ...
    @overload
    def update(self, update: str, /, *args: Any, id: str | None = None, result_type: type[T]) -> T: ...
    def update(self, update: Any, /, *args: Any, id: str | None = None, result_type: Any = Any) -> Any:
        """As `Handle.update`."""
        return self._app.wait(self._handle.update(update, *args, id=id, result_type=result_type))

    @overload
    def start_update(
        self, update: Callable[[Any, *Ts], Coroutine[Any, Any, T]], /, *args: *Ts, id: str | None = None
    ) -> "BlockingUpdateHandle[T]": ...
    @overload
    def start_update(
        self, update: Callable[[Any, *Ts], T], /, *args: *Ts, id: str | None = None
    ) -> "BlockingUpdateHandle[T]": ...
    @overload
    def start_update(self, update: str, /, *args: Any, id: str | None = None) -> "BlockingUpdateHandle[Any]": ...
    @overload
    def start_update(
        self, update: str, /, *args: Any, id: str | None = None, result_type: type[T]
    ) -> "BlockingUpdateHandle[T]": ...
    def start_update(
        self, update: Any, /, *args: Any, id: str | None = None, result_type: Any = Any
    ) -> "BlockingUpdateHandle[Any]":
        """As `Handle.start_update`."""
        made = self._app.wait(self._handle.start_update(update, *args, id=id, result_type=result_type))
        return BlockingUpdateHandle(self._app, made)

    @overload
    def update_handle(self, id: str, update: Callable[..., Coroutine[Any, Any, T]], /) -> "BlockingUpdateHandle[T]": ...
    @overload
    def update_handle(self, id: str, update: Callable[..., T], /) -> "BlockingUpdateHandle[T]": ...
    @overload
    def update_handle(self, id: str, /) -> "BlockingUpdateHandle[Any]": ...
    def update_handle(self, id: str, update: Any = None, /) -> "BlockingUpdateHandle[Any]":
        """As `Handle.update_handle`."""
        found = self._handle.update_handle(id) if update is None else self._handle.update_handle(id, update)
        return BlockingUpdateHandle(self._app, found)

    def cancel(self, reason: str = "") -> None:
        """As `Handle.cancel`."""
        self._app.wait(self._handle.cancel(reason))

    def terminate(self, reason: str = "") -> None:
        """As `Handle.terminate`."""
        self._app.wait(self._handle.terminate(reason))

    def pause(self, reason: str = "") -> None:
        """As `Handle.pause`."""
        self._app.wait(self._handle.pause(reason))

    def skip(self, message_id: str, reason: str = "") -> None:
        """As `Handle.skip`."""
        self._app.wait(self._handle.skip(message_id, reason))

    def edit(self, message_id: str, value: Any, reason: str = "") -> None:
        """As `Handle.edit`."""
        self._app.wait(self._handle.edit(message_id, value, reason))

    def reset(
        self,
        *,
        turn: int | None = None,
        event: int | None = None,
        reason: str = "",
        reapply_signals: bool = True,
        request_id: str | None = None,
    ) -> "BlockingHandle[R]":
        """As `Handle.reset`."""
        made = self._handle.reset(
            turn=turn, event=event, reason=reason, reapply_signals=reapply_signals, request_id=request_id
        )
        return BlockingHandle(self._app, self._app.wait(made))

    def fork(
        self,
        *,
        id: str,
        turn: int | None = None,
        event: int | None = None,
        reason: str = "",
        reapply_signals: bool = True,
        request_id: str | None = None,
    ) -> "BlockingHandle[R]":
        """As `Handle.fork`."""
        made = self._handle.fork(
            id=id, turn=turn, event=event, reason=reason, reapply_signals=reapply_signals, request_id=request_id
        )
        return BlockingHandle(self._app, self._app.wait(made))

    def delete(self) -> None:
        """As `Handle.delete`."""
        self._app.wait(self._handle.delete())

    def resume(self) -> None:
        """As `Handle.resume`."""
        self._app.wait(self._handle.resume())

    def move(self, build: str | None) -> bool:
        """As `Handle.move`."""
        return self._app.wait(self._handle.move(build))

    def describe(self) -> RunDescription:
        """As `Handle.describe`."""
        return self._app.wait(self._handle.describe())

    def history(self) -> list[HistoryEvent]:
        """As `Handle.history`."""
        return self._app.wait(self._handle.history())

    def progress(self) -> Progress:
        """As `Handle.progress`."""
        return self._app.wait(self._handle.progress())

    def progress_bar(self) -> R:
        """As `Handle.progress_bar`."""
        return self._app.wait(self._handle.progress_bar())


class BlockingUpdateHandle(Generic[R]):
    """An update that was sent; each does what its namesake of `UpdateHandle` does."""

    def __init__(self, app: BlockingPerdure, handle: UpdateHandle[R]) -> None:
        self._app = app
        self._handle = handle

    @property
    def id(self) -> str:
        """As `UpdateHandle.id`."""
        return self._handle.id

    @property
    def run_id(self) -> str | None:
        """As `UpdateHandle.run_id`."""
        return self._handle.run_id

    def result(self, timeout: float | None = None) -> R:
        """As `UpdateHandle.result`; raises TimeoutError after `timeout` seconds."""
        return self._app.wait(self._handle.result(), timeout)
