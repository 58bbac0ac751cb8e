"""How a run is started, as users write it. Everything is checked here, once."""

from collections.abc import Callable
from typing import Any, NamedTuple, Unpack, cast

from msgspec.structs import replace

from perdure.core.errors import InvalidOption, UnknownWorkflow
from perdure.core.ids import WorkflowId, checked_id
from perdure.core.message import Headers, StartOptions
from perdure.core.payload import DataConverter, Payload
from perdure.engine.starting import AT_ONCE, IdConflict, IdReuse, StartPolicy
from perdure.programs.code.classes import refuse_class
from perdure.programs.code.definition import Workflow
from perdure.programs.code.options import Duration, duration_ms, member
from perdure.programs.code.program import CodeProgram
from perdure.programs.code.run_options import RunKeywords, run_options
from perdure.worker.registry import Registry


class StartKeywords(RunKeywords, total=False):
    """Options of a start, as keyword arguments."""

    id: str | None
    """The workflow id; drawn if it is None."""
    queue: str | None
    """The task queue; None is the app's own."""
    request_id: str | None
    """With it, starting again gives the same run."""
    delay: Duration
    """Begin so much later."""
    id_reuse: IdReuse
    """Whether an id may be used again whose last run is closed."""
    id_conflict: IdConflict
    """What to do where the id has an open run."""


_KNOWN = {**StartKeywords.__annotations__, **RunKeywords.__annotations__}


class Start(NamedTuple):
    """The checked options of a start."""

    workflow_id: WorkflowId
    queue: str
    request_id: str | None
    options: StartOptions | None
    policy: StartPolicy


def with_headers(options: StartOptions | None, headers: Headers | None) -> StartOptions | None:
    """The options with what goes along; None if there is nothing."""
    if headers is None:
        return options
    return replace(options or StartOptions(), headers=headers)


class StartContext(NamedTuple):
    """What the app adds to a start."""

    converter: DataConverter
    queue: str
    new_id: Callable[[], str]
    now_ms: int
    headers: Headers | None = None


def checked_start(context: StartContext, **keywords: Unpack[StartKeywords]) -> Start:
    """The options of a start; raises `InvalidOption`, `InvalidId`, `InvalidSchedule`, `UnserializableValue`."""
    if not keywords:
        return Start(WorkflowId(context.new_id()), context.queue, None, with_headers(None, context.headers), AT_ONCE)
    id, queue, request_id = keywords.get("id"), keywords.get("queue"), keywords.get("request_id")
    policy = AT_ONCE
    if keywords.keys() & {"delay", "id_reuse", "id_conflict"}:
        policy = StartPolicy(
            reuse=member("id_reuse", IdReuse, keywords.get("id_reuse", IdReuse.ALLOW_DUPLICATE)),
            conflict=member("id_conflict", IdConflict, keywords.get("id_conflict", IdConflict.FAIL)),
            delay_ms=duration_ms("delay", keywords.get("delay", 0), zero=True),
        )
    return Start(
        workflow_id=WorkflowId(context.new_id() if id is None else checked_id("workflow id", id)),
        queue=context.queue if queue is None else checked_id("queue", queue),
        request_id=None if request_id is None else checked_id("request id", request_id),
        options=with_headers(run_options(context.converter, context.now_ms, keywords), context.headers),
        policy=policy,
    )


class Target(NamedTuple):
    """A workflow with its arguments."""

    name: str
    args: tuple[Payload, ...]
    decode: Callable[[Payload], Any]
    route: str | None = None
    """What a worker must serve to begin it, where its version is known and there are others."""


def defined(registry: Registry, workflow: Callable[..., Any]) -> "Workflow[..., Any]":
    """The definition that stands for a workflow function; raises `UnknownWorkflow`."""
    if isinstance(workflow, Workflow):
        return cast("Workflow[..., Any]", workflow)
    refuse_class(workflow)
    known = ", ".join(sorted(registry.workflow_types)) or "none"
    raise UnknownWorkflow(name=getattr(workflow, "__name__", repr(workflow)), known=known)


def target_of(
    registry: Registry, converter: DataConverter, workflow: Any, args: tuple[Any, ...], options: StartKeywords
) -> Target:
    """What is to be started: a workflow, or the one of a name; only where a queue is named may it be unknown here."""
    for name, value in options.items():
        if name not in _KNOWN:
            remedy = f"known are {', '.join(_KNOWN)}; arguments of the workflow are given by position"
            raise InvalidOption(name=name, value=repr(value)[:80], fact="is unknown", remedy=remedy)
    queue = options.get("queue")
    if isinstance(workflow, str):
        program = registry.program(workflow)
        if program is None and queue is None:
            registry.known_program(workflow)
        if not isinstance(program, CodeProgram):
            payloads = converter.to_payloads(args, what=f"argument of workflow {workflow!r}")
            return Target(checked_id("workflow name", workflow), payloads, converter.from_payload)
        definition = program.definition
    else:
        definition = defined(registry, workflow)
        if queue is None:
            # One of another app, say: its run would wait for ever.
            registry.known_program(definition.name)
    route = registry.start_route(definition.name, definition.version)
    return Target(definition.name, definition.bind_checked(args, {}), definition.decode_result, route)
