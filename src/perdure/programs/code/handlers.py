"""The handlers of one run: signals and updates become tasks of it, in the order in which they arrived.

Those that arrived together begin before anything else of the run goes on. What has no handler waits: a signal in its
channel, an update until the code has nothing more to do, when it is rejected.
"""

import inspect
import logging
from collections.abc import Callable, Coroutine, Sequence
from contextvars import ContextVar
from functools import partial
from typing import TYPE_CHECKING, Any

from perdure.core.command import AcceptUpdate, CompleteUpdate, RejectUpdate
from perdure.core.errors import ForbiddenInWorkflow, ParkedError, PerdureError, UnknownUpdate
from perdure.core.failure import Failure, cancelled, to_failure
from perdure.core.message import Completed, Failed, Signaled, UpdateRequested
from perdure.core.payload import NULL, Payload
from perdure.programs.code.calling import enter, handled
from perdure.programs.code.listed import HandlerSummary, Kind, summary
from perdure.programs.code.loop import CancelledError, forbidden
from perdure.programs.code.queries import undisturbed
from perdure.programs.code.signature import Signature

if TYPE_CHECKING:
    from perdure.programs.code.run import CodeRun

logger = logging.getLogger("perdure.workflow")

update_id: ContextVar[str | None] = ContextVar("perdure_update_id", default=None)
"""The update whose handler is running."""

_REFUSAL = partial(forbidden, "changing the run in a validator", "only read there; change the run in the update itself")


class Handler:
    """A handler of a run, bound to its object."""

    __slots__ = ("dynamic", "fn", "name", "signature", "validator")

    def __init__(
        self,
        name: str,
        fn: Callable[..., Any],
        signature: Signature,
        *,
        validator: Callable[..., None] | None = None,
        dynamic: bool = False,
    ) -> None:
        self.name = name
        self.fn = fn
        self.signature = signature
        self.validator = validator
        self.dynamic = dynamic
        """It is given the name that was sent as its first argument."""

    def value(self, name: str, payload: Payload) -> list[Any]:
        """The arguments for a signal; raises `UndecodablePayload`."""
        signature = self.signature
        if self.dynamic:
            return signature.decode((signature.converter.to_payload(name), payload))
        # No value was sent, and none is needed.
        if payload == NULL and not signature.count_min:
            return []
        return signature.decode((payload,))

    def args(self, update: UpdateRequested) -> list[Any]:
        """The arguments for an update; raises `UndecodablePayload`."""
        signature = self.signature
        if self.dynamic:
            return signature.decode((signature.converter.to_payload(update.name), *update.args))
        return signature.decode(update.args)


class Handlers:
    """The signal and update handlers of one run, and what they are doing."""

    __slots__ = ("_heard", "_run", "_signals", "_undecided", "_unfinished", "_updates", "channels_read")

    def __init__(self, run: "CodeRun") -> None:
        self._run = run
        self._signals: dict[str | None, Handler] = {}
        """By name; None: every other name."""
        self._updates: dict[str | None, Handler] = {}
        self.channels_read: set[str] = set()
        """Channels that the code has opened: a dynamic handler leaves them alone."""
        self._heard: list[tuple[Handler, Signaled | UpdateRequested]] = []
        """Of this turn, not begun yet."""
        self._undecided: dict[str, UpdateRequested] = {}
        """Updates that no handler takes so far."""
        self._unfinished: dict[int, str] = {}

    # Registering

    def add_signal(self, handler: Handler) -> None:
        """Take the signals of a name, also those that wait for somebody."""
        self._signals[None if handler.dynamic else handler.name] = handler
        channels = self._run.channels or {}
        names = [name for name in channels if name not in self.channels_read] if handler.dynamic else [handler.name]
        for name in names:
            waiting = channels.get(name)
            while waiting is not None and not waiting.empty():
                self._begin_signal(handler, waiting.get_nowait())

    def add_update(self, handler: Handler) -> None:
        """Take the updates of a name, also those that wait for a decision."""
        self._updates[None if handler.dynamic else handler.name] = handler
        for update in list(self._undecided.values()):
            if handler.dynamic or update.name == handler.name:
                del self._undecided[update.update_id]
                self._begin_update(handler, update)

    # Hearing

    def hear(self, message: Signaled | UpdateRequested) -> bool:
        """Note a message for a handler, to be begun with the others of its turn; False: nobody handles it."""
        table = self._signals if type(message) is Signaled else self._updates
        found = table.get(message.name)
        if found is None and message.name not in self.channels_read:
            found = table.get(None)
        if found is not None:
            self._heard.append((found, message))
        return found is not None

    def hear_update(self, update: UpdateRequested) -> None:
        """Note an update, with or without a handler for it."""
        if not self._was_rejected(update.update_id) and not self.hear(update):
            self._undecided[update.update_id] = update
            self._run.loop.on_idle = self._run.idle

    def begin(self) -> None:
        """Begin what was heard in this turn, before what else waits to run."""
        if self._heard:
            self._run.loop.before_others(self._begin_heard)

    def _begin_heard(self) -> None:
        heard, self._heard = self._heard, []
        for handler, message in heard:
            if isinstance(message, Signaled):
                self._begin_signal(handler, message)
            else:
                self._begin_update(handler, message)

    def refuse_undecided(self) -> None:
        """Reject the updates that nobody took, now that the code has nothing more to do."""
        undecided, self._undecided = self._undecided, {}
        for update in undecided.values():
            started = self._run.started
            known = ", ".join(sorted(name for name in self._updates if name is not None)) or "none"
            workflow_id = self._run.run_id if started is None else started.workflow_id
            error = UnknownUpdate(workflow_id=workflow_id, name=update.name, known=known)
            self._reject(update, to_failure(error))

    def listed(self) -> list[HandlerSummary]:
        """All of them."""
        tables: tuple[tuple[Kind, dict[str | None, Handler]], ...] = (
            ("signal", self._signals),
            ("update", self._updates),
        )
        return [
            summary(kind, each.name, each.fn, each.signature, dynamic=each.dynamic)
            for kind, table in tables
            for each in table.values()
        ]

    @property
    def undecided(self) -> Sequence[UpdateRequested]:
        """Updates that were taken from the inbox and neither accepted nor rejected."""
        return list(self._undecided.values())

    @property
    def unfinished(self) -> Sequence[str]:
        """Handlers that have begun and not ended, in words."""
        return list(self._unfinished.values())

    # Running

    def _begin(self, what: str, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        loop = self._run.loop
        number = loop.next_number()
        self._unfinished[number] = what
        loop.create_task(self._watched(number, work), name=what)

    async def _watched(self, number: int, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        try:
            # Made here: a run that is let go of before its task begins leaves no coroutine that nobody awaits.
            await work()
        finally:
            del self._unfinished[number]

    def _begin_signal(self, handler: Handler, signal: Signaled) -> None:
        self._begin(f"signal {signal.name}", partial(self._run_signal, handler, signal))

    async def _run_signal(self, handler: Handler, signal: Signaled) -> None:
        args = self._run.decoded(partial(handler.value, signal.name), signal.payload)
        try:
            self._run.decoded(partial(enter, self._run), signal.headers)
            result = handled(self._run, signal, handler.fn, args)
            if inspect.isawaitable(result):
                await result
        except Exception as error:  # user code: what leaves a signal's handler is the run's failure
            self._run.fail(error)

    def _begin_update(self, handler: Handler, update: UpdateRequested) -> None:
        self._begin(f"update {update.name}", partial(self._run_update, handler, update))

    async def _run_update(self, handler: Handler, update: UpdateRequested) -> None:
        run = self._run
        update_id.set(update.update_id)
        args = self._admitted(handler, update)
        if args is None:
            return
        run.commands.append(AcceptUpdate(update.update_id))
        try:
            result = handled(run, update, handler.fn, args)
            if inspect.isawaitable(result):
                result = await result
            what = f"result of update {update.name!r}"
            outcome: Completed | Failed = Completed(handler.signature.converter.to_payload(result, what=what))
        except ForbiddenInWorkflow as error:
            run.park(error)
        except CancelledError as error:
            outcome = Failed(cancelled(str(error) or "the update's code cancelled itself"))
        except Exception as error:  # user code: it is the update's failure
            outcome = Failed(self._failure(error))
        run.commands.append(CompleteUpdate(update.update_id, outcome))

    def _admitted(self, handler: Handler, update: UpdateRequested) -> list[Any] | None:
        """The arguments of an update that is accepted; None for one that is not. A replay does not ask again."""
        run = self._run
        if run.replaying:
            try:
                enter(run, update.headers)
                return handler.args(update)
            except ParkedError as error:
                run.park(error)
        try:
            enter(run, update.headers)
            args = handler.args(update)
            if handler.validator is not None:
                undisturbed(run, partial(handler.validator, *args), _REFUSAL)
                # What the validator did to its arguments is unknown to a replay, which does not call it.
                args = handler.args(update)
        except Exception as error:  # user code: that is how it rejects
            self._reject(update, self._failure(error))
            return None
        return args

    def _failure(self, error: BaseException) -> Failure:
        try:
            return to_failure(error, self._run.program.converter)
        except PerdureError as problem:  # details that cannot be serialised
            return to_failure(problem)

    def _reject(self, update: UpdateRequested, failure: Failure) -> None:
        self._run.commands.append(RejectUpdate(update.update_id, failure))

    # Replay

    def _was_rejected(self, id: str) -> bool:
        """Whether the update was rejected in the turn that is repeated. Nothing decides it again."""
        run = self._run
        if not run.replaying or run.repeated is None:
            return False
        return any(isinstance(each, RejectUpdate) and each.update_id == id for each in run.repeated.outputs)
