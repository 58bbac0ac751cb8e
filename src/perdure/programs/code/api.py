"""What workflow code can ask of the engine, beside plain asyncio. Public as `perdure.workflow`."""

import inspect
import logging
from collections.abc import Callable, Coroutine, Mapping, MutableMapping
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any, TypeVar, TypeVarTuple, Unpack, cast, overload
from uuid import UUID

import msgspec

from perdure.core.command import ParentClosePolicy, RecordSideEffect
from perdure.core.errors import InvalidOption, NotInWorkflow, UnsupportedDefinition
from perdure.core.failure import Failure, to_exception, to_failure
from perdure.core.ids import checked_id
from perdure.core.message import Parent
from perdure.core.payload import NULL, DataConverter, Payload
from perdure.core.policy import ActivityOptions
from perdure.programs.code import calling
from perdure.programs.code.calls import ChildCall, ChildHandle
from perdure.programs.code.channel import Channel
from perdure.programs.code.continuing import TURNS_SUGGESTED, chain_of
from perdure.programs.code.definition import DEFAULTS, Signal, Workflow, place_of
from perdure.programs.code.loop import WorkflowLoop, forbidden, running_loop, set_running_loop
from perdure.programs.code.noting import noted_of, shown_memo
from perdure.programs.code.options import ActivityKeywords, activity_options, checked_queue
from perdure.programs.code.run import CodeRun
from perdure.programs.code.run_options import RunKeywords, run_options
from perdure.programs.code.search import shown_attributes

R = TypeVar("R")
T = TypeVar("T")
Ts = TypeVarTuple("Ts")

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FAILED = {"encoding": "perdure/failure"}


def current_run(name: str) -> CodeRun:
    """The run whose code is running; raises `NotInWorkflow` for the function `name`."""
    loop = running_loop()
    if type(loop) is not WorkflowLoop:
        raise NotInWorkflow(name=f"workflow.{name}()")
    return cast(CodeRun, loop.host)


def in_workflow() -> bool:
    """Whether workflow code is running."""
    return type(running_loop()) is WorkflowLoop


class Info(msgspec.Struct, frozen=True):
    """What is known of the run that is running."""

    workflow_id: str
    run_id: str
    workflow_type: str
    queue: str
    parent: Parent | None
    turn_number: int
    """The step that is running, from 1."""
    replaying: bool
    """The step repeats what is recorded. Nothing may be decided by it."""
    first_run_id: str
    """Of the first of the runs that follow each other under this workflow id."""
    previous_run_id: str | None
    """Of the run that this one goes on for."""
    attempt: int
    """Number of the try under the workflow's retry policy, from 1."""
    continue_as_new_suggested: bool
    """The history is long: go on as a new run, by `workflow.continue_as_new`."""
    memo: Mapping[str, Any] = {}
    """By name, as plain JSON values."""
    search_attributes: Mapping[str, Any] = {}
    """By name; `SearchKey.value_in` gives one with its type."""


def info() -> Info:
    """What is known of this run."""
    run = current_run("info")
    started = run.started
    assert started is not None, "code runs after its start"
    noted = noted_of(run)
    chain = chain_of(run)
    return Info(
        workflow_id=started.workflow_id,
        run_id=run.run_id,
        workflow_type=started.workflow_type,
        queue=started.queue,
        parent=started.parent,
        turn_number=run.turns_count,
        replaying=run.replaying,
        first_run_id=run.run_id if chain is None else chain.first_run_id,
        previous_run_id=None if chain is None else chain.previous_run_id,
        attempt=1 if chain is None else chain.attempt,
        continue_as_new_suggested=run.turns_count >= TURNS_SUGGESTED,
        memo=shown_memo(run.program.converter, noted.memo),
        search_attributes=shown_attributes(noted.attributes.values()),
    )


def now() -> datetime:
    """The moment of this step, in UTC: the same in every replay."""
    return _EPOCH + timedelta(milliseconds=current_run("now").at_ms)


def time() -> float:
    """The moment of this step, in seconds since 1970: the same in every replay."""
    return current_run("time").at_ms / 1_000


def random() -> Random:
    """This run's own generator: it draws the same numbers in every replay. Not for secrets."""
    return current_run("random").random()


def uuid4() -> UUID:
    """A UUID drawn from `random()`: the same in every replay."""
    return UUID(int=current_run("uuid4").random().getrandbits(128), version=4)


def cancellation_requested() -> bool:
    """Whether someone asked this run to cancel itself."""
    return current_run("cancellation_requested").cancel_reason is not None


@overload
def side_effect(fn: Callable[[], T]) -> T: ...
@overload
def side_effect(fn: Callable[[], Any], *, result_type: type[T]) -> T: ...
def side_effect(fn: Callable[[], Any], *, result_type: Any = Any) -> Any:
    """Call `fn` once and record what it returns; a replay is handed the recorded value.

    For reading something quick and local: the environment, a real clock. The value passes through its serialised form
    both times. An exception is recorded too and raised as `ApplicationError`.
    """
    run = current_run("side_effect")
    if run.loop.refusal is not None:
        raise run.loop.refusal()
    if inspect.iscoroutinefunction(fn):
        raise forbidden("awaiting in a side effect", "give it a plain function, or write an activity")
    convert = run.program.converter
    decode = convert.decoder(result_type, "side effect")
    run.calls_count = call_id = run.calls_count + 1
    value = run.recorded.get(call_id, NULL) if run.replaying else _computed(fn, convert)
    run.commands.append(RecordSideEffect(call_id, value))
    if value.metadata == _FAILED:
        raise to_exception(msgspec.json.decode(value.data, type=Failure))
    if run.replaying and call_id not in run.recorded:
        run.stop()
    return run.decoded(decode, value)


def _computed(fn: Callable[[], Any], convert: DataConverter) -> Payload:
    loop = running_loop()
    # Outside the workflow's loop the guards are off and the real clocks answer: that is what it is for.
    set_running_loop(None)
    try:
        return convert.to_payload(fn(), what="side effect")
    except Exception as error:  # user code
        return Payload(msgspec.json.encode(to_failure(error, convert)), _FAILED)
    finally:
        set_running_loop(loop)


@overload
def channel(name: Signal[T]) -> Channel[T]: ...
@overload
def channel(name: str) -> Channel[Any]: ...
@overload
def channel(name: str, type: type[T]) -> Channel[T]: ...
def channel(name: Signal[Any] | str, type: Any = Any) -> Channel[Any]:
    """The signals of one name; those that came before this call wait in it."""
    run = current_run("channel")
    if isinstance(name, Signal):
        name, type = name.name, name.type
    if run.handlers is not None:
        run.handlers.channels_read.add(name)
    return Channel(run, checked_id("signal name", name), run.program.converter.decoder(type, f"signal {name!r}"))


class _Named:
    """An activity known by its name only."""

    def __init__(
        self, name: str, defaults: ActivityOptions, queue: str | None, decode: Callable[[Payload], Any]
    ) -> None:
        self.name = name
        self.defaults = defaults
        self.queue = queue
        self.decode_result = decode


@overload
def execute_activity(name: str, /, *args: Any, **options: Unpack[ActivityKeywords]) -> Coroutine[Any, Any, Any]: ...
@overload
def execute_activity(
    name: str, /, *args: Any, result_type: type[T], **options: Unpack[ActivityKeywords]
) -> Coroutine[Any, Any, T]: ...
def execute_activity(name: str, /, *args: Any, result_type: Any = None, **options: Any) -> Coroutine[Any, Any, Any]:
    """An activity by its name, such as one of another program; give its `queue` if no worker of this one knows it.

    Options that are not given are those of the registered activity, and its annotations decode the result.
    """
    run = current_run("execute_activity")
    if run.loop.refusal is not None:
        raise run.loop.refusal()
    checked_id("activity name", name)
    keywords = cast(ActivityKeywords, options)
    known = run.program.knows_activity(name)
    if known is None and keywords.get("queue") is None:
        run.find_activity(name)
    queue = known.queue if known is not None else None
    if "queue" in keywords:
        queue = checked_queue(keywords["queue"])
    convert = run.program.converter
    if known is not None and result_type is None:
        decode = known.decode_result
    else:
        decode = convert.decoder(Any if result_type is None else result_type, f"result of activity {name!r}")
    callee = _Named(name, activity_options(DEFAULTS if known is None else known.defaults, keywords), queue, decode)
    if known is not None:
        return calling.activity(run, callee, known.bind(args, {}), args)
    return calling.activity(run, callee, convert.to_payloads(args, what=f"argument of activity {name!r}"), args)


class _NamedWorkflow:
    """A workflow known by its name only."""

    def __init__(self, name: str, convert: DataConverter) -> None:
        self.name = checked_id("workflow name", name)
        self.decode_result = convert.decoder(Any, f"result of workflow {name!r}")

    def own_route(self) -> None:
        """It has no version of its own."""


@overload
async def start_child(
    workflow: Callable[[*Ts], Coroutine[Any, Any, R]],
    *args: *Ts,
    id: str | None = None,
    parent_close_policy: ParentClosePolicy = ParentClosePolicy.TERMINATE,
    queue: str | None = None,
    **options: Unpack[RunKeywords],
) -> ChildHandle[R]: ...
@overload
async def start_child(
    workflow: str,
    *args: Any,
    id: str | None = None,
    parent_close_policy: ParentClosePolicy = ParentClosePolicy.TERMINATE,
    queue: str | None = None,
    **options: Unpack[RunKeywords],
) -> ChildHandle[Any]: ...
async def start_child(
    workflow: Callable[..., Coroutine[Any, Any, Any]] | str,
    *args: Any,
    id: str | None = None,
    parent_close_policy: ParentClosePolicy = ParentClosePolicy.TERMINATE,
    queue: str | None = None,
    **options: Unpack[RunKeywords],
) -> ChildHandle[Any]:
    """Start a child workflow and return once it has started; await the handle for its result.

    Raises `ChildWorkflowError` if its id is taken. A task that is cancelled while it awaits the handle cancels the
    child, and goes on waiting for what comes of it.
    """
    run = current_run("start_child")
    if isinstance(workflow, str):
        convert = run.program.converter
        target = _NamedWorkflow(workflow, convert)
        payloads = convert.to_payloads(args, what=f"argument of workflow {workflow!r}")
    elif isinstance(workflow, Workflow):
        target, payloads = cast("Workflow[..., Any]", workflow), workflow.bind_checked(args, {})
    else:
        name = getattr(workflow, "__name__", repr(workflow)[:80])
        fact, remedy = "it is not registered", "decorate it with @app.workflow"
        raise UnsupportedDefinition(kind="workflow", name=name, where=place_of(workflow), fact=fact, remedy=remedy)
    own = None if id is None else checked_id("workflow id", id)
    policy = _checked_policy(parent_close_policy)
    wanted = run_options(run.program.converter, run.at_ms, options)
    call = ChildCall(target, payloads, own, policy, checked_queue(queue), wanted)
    handle: ChildHandle[Any] = await calling.started_child(run, call, args)
    return handle


def _checked_policy(value: object) -> ParentClosePolicy:
    if not isinstance(value, ParentClosePolicy):
        remedy = "give ParentClosePolicy.TERMINATE, CANCEL or ABANDON"
        raise InvalidOption(name="parent_close_policy", value=repr(value), fact="is no such policy", remedy=remedy)
    return value


class WorkflowLogger(logging.LoggerAdapter[logging.Logger]):
    """Logs what workflow code says once: silent in replay. Records carry `workflow_id` and `run_id`."""

    def isEnabledFor(self, level: int) -> bool:  # noqa: N802 # the name is logging's
        """False while a step is repeated."""
        loop = running_loop()
        if type(loop) is WorkflowLoop and (loop.host.replaying or loop.closing):
            return False
        return super().isEnabledFor(level)

    def process(self, msg: Any, kwargs: MutableMapping[str, Any]) -> tuple[Any, MutableMapping[str, Any]]:
        """Add the ids of the run."""
        loop = running_loop()
        if type(loop) is WorkflowLoop:
            run = cast(CodeRun, loop.host)
            workflow_id = run.started.workflow_id if run.started is not None else None
            kwargs["extra"] = {"workflow_id": workflow_id, "run_id": run.run_id, **(kwargs.get("extra") or {})}
        return msg, kwargs


logger = WorkflowLogger(logging.getLogger("perdure.workflow"))
"""For workflow code: silent in replay."""
