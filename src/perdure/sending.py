"""What clients send to handlers: names, arguments and answers, from the handler's method or by name."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import msgspec

from perdure.core.command import CompleteUpdate, RejectUpdate
from perdure.core.errors import InvalidArguments, UndecodablePayload, UpdateFailed, UpdateRejected, UpdateUnanswered
from perdure.core.failure import Failure, to_exception
from perdure.core.ids import WorkflowId, checked_id
from perdure.core.message import Completed, Failed
from perdure.core.payload import NULL, DataConverter, Payload
from perdure.engine.engine import Answered
from perdure.programs.code.definition import Signal
from perdure.programs.code.methods import handler_mark

if TYPE_CHECKING:
    from perdure.app import Perdure

R = TypeVar("R")


class Sent(msgspec.Struct, frozen=True):
    """What is sent to a handler, and how its answer is read."""

    name: str
    args: tuple[Payload, ...]
    decode: Callable[[Payload], Any]


def to_handler(
    convert: DataConverter, kind: str, handler: object, args: tuple[Any, ...], result_type: Any = Any
) -> Sent:
    """What a query or an update sends: to a method of a class workflow, or to a name.

    Raises `InvalidArguments`, `UnserializableValue`, `UnsupportedDefinition`, `InvalidId`.
    """
    if not callable(handler):
        name = checked_id(f"{kind} name", handler)
        payloads = convert.to_payloads(args, what=f"argument of {kind} {name!r}")
        return Sent(name, payloads, convert.decoder(result_type, f"answer of {kind} {name!r}"))
    mark = handler_mark(kind, handler)
    signature = mark.signature(convert)
    return Sent(mark.name, signature.bind(args, {}), signature.decode_result)


def to_signal(convert: DataConverter, signal: object, args: tuple[Any, ...]) -> tuple[str, Payload]:
    """Name and value of a signal: to a method, a `Signal` or a name. Raises as `to_handler`.

    A value that the method's annotation does not fit is refused here: it would park the run.
    """
    if not isinstance(signal, str | Signal):
        sent = to_handler(convert, "signal", signal, args)
        signature = handler_mark("signal", signal).signature(convert)
        try:
            signature.decode(sent.args)
        except UndecodablePayload as error:
            reason = error.facts["reason"]
            raise InvalidArguments(name=sent.name, signature=str(signature), reason=reason) from error
        return sent.name, sent.args[0] if sent.args else NULL
    name = checked_id("signal name", signal if isinstance(signal, str) else signal.name)
    if len(args) > 1:
        reason = f"{len(args)} were given"
        raise InvalidArguments(name=name, signature=f"{name}(value=None)", reason=reason)
    return name, convert.to_payload(args[0] if args else None, what=f"signal {name!r}")


class UpdateHandle(Generic[R]):
    """An update that was sent; R is the type of its result."""

    def __init__(self, app: "Perdure", workflow_id: WorkflowId, run_id: str | None, id: str, sent: Sent) -> None:
        """From `Handle.start_update` and `Handle.update_handle`."""
        self._app = app
        self._decode: Callable[[Payload], R] = sent.decode
        self.workflow_id = workflow_id
        self.run_id = run_id
        """The run that took it; None: looked for in the workflow's open run, else its last one."""
        self.id = id
        self.name = sent.name

    def __repr__(self) -> str:
        return f"<UpdateHandle {self.id!r} of {self.workflow_id!r}>"

    async def result(self) -> R:
        """Wait for the result. Raises `UpdateFailed`, `UpdateRejected` or `UpdateUnanswered`."""
        run_id: Any = self.run_id
        answered = await self._app.call(lambda engine: engine.answer(self.workflow_id, run_id, self.id), waits=True)
        return self.read(answered)

    def read(self, answered: Answered) -> Any:
        """The result in an answer, or None if it was accepted so far; raises what stands for another outcome."""
        facts = {"workflow_id": self.workflow_id, "name": self.name}
        match answered.answer:
            case CompleteUpdate(outcome=Completed(result)):
                return self._decode(result)
            case CompleteUpdate(outcome=Failed(failure)):
                error: UpdateFailed | UpdateRejected = UpdateFailed(**facts, reason=_reason(failure), failure=failure)
            case RejectUpdate(failure=failure):
                error = UpdateRejected(**facts, reason=_reason(failure), failure=failure)
            case None:
                raise UpdateUnanswered(**facts, update_id=self.id)
            case _:
                return None
        raise error from to_exception(failure)


def _reason(failure: Failure) -> str:
    return f"{failure.type}: {failure.message}" if failure.message else failure.type
