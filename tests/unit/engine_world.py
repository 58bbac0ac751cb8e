"""A program that does what a test says, and short makers of messages and commands."""

from collections.abc import Callable, Sequence

from perdure.core.command import Command, ParentClosePolicy, RunActivity, StartChild, StartTimer
from perdure.core.errors import UnknownQuery
from perdure.core.failure import Failure
from perdure.core.ids import RunId, WorkflowId
from perdure.core.message import (
    ActivityClosed,
    CancelRequested,
    ChildClosed,
    ChildStarted,
    Completed,
    Message,
    Parent,
    Query,
    Resumed,
    Signaled,
    Started,
    TimerFired,
)
from perdure.core.payload import NULL, Payload, to_payload
from perdure.core.policy import ActivityOptions
from perdure.core.turn import Turn
from perdure.engine.live import LiveRun

RUN_ID = RunId("0199f0a0-0000-7000-8000-000000000001")
CHILD_RUN_ID = RunId("0199f0a0-0000-7000-8000-000000000002")
PARENT_RUN_ID = RunId("0199f0a0-0000-7000-8000-000000000003")
WORKFLOW_ID = WorkflowId("order-1")
AT_MS = 1_763_680_000_123

PARENT = Parent(PARENT_RUN_ID, WorkflowId("parent-1"), 9)

Script = Callable[[int, Sequence[Message]], Sequence[Command]]


class ScriptedRun:
    """A `ProgramRun` that asks for what its script says, and remembers what it was told."""

    def __init__(self, script: Script) -> None:
        self._script = script
        self.told: list[Message] = []
        self.recalled: list[Turn] = []
        self.steps_count = 0
        self.closed = False

    def step(self, at_ms: int, messages: Sequence[Message]) -> Sequence[Command]:
        self.told.extend(messages)
        self.steps_count += 1
        return self._script(at_ms, messages)

    def recall(self, turn: Turn) -> None:
        assert self.steps_count == 0, "turns are recalled before any step"
        self.recalled.append(turn)

    def query(self, query: Query) -> Payload:
        if query.name != "told":
            raise UnknownQuery(workflow_id=WORKFLOW_ID, name=query.name, known="told")
        return to_payload([message.id for message in [*self._recalled_messages(), *self.told]])

    def _recalled_messages(self) -> list[Message]:
        return [message for turn in self.recalled for message in turn.inputs]

    def close(self) -> None:
        self.closed = True


class ScriptedProgram:
    """A `Program` whose runs all follow one script."""

    def __init__(self, script: Script, name: str = "scripted") -> None:
        self._script = script
        self.name = name
        self.opened: list[ScriptedRun] = []

    def open(self, run_id: RunId) -> ScriptedRun:
        self.opened.append(ScriptedRun(self._script))
        return self.opened[-1]


def asking(*commands: Command) -> Script:
    """Ask for these commands in every step."""
    return lambda _at_ms, _messages: commands


def live_run(*commands: Command, parent: Parent | None = None) -> LiveRun:
    """A live run that has started, and whose first step asked for these commands."""
    live = LiveRun(RUN_ID, WORKFLOW_ID, ScriptedRun(asking()))
    live.recall([Turn(1, AT_MS, (started(parent=parent),), commands)])
    return live


def started(*, parent: Parent | None = None, queue: str = "default") -> Started:
    """The first message."""
    return Started("scripted", WORKFLOW_ID, queue, (), parent)


def activity(call_id: int, *, queue: str | None = None, options: ActivityOptions | None = None) -> RunActivity:
    """A call of an activity."""
    return RunActivity(call_id, "charge", (), options or ActivityOptions(), queue)


def timer(call_id: int, due_at_ms: int = AT_MS + 1_000) -> StartTimer:
    """A timer."""
    return StartTimer(call_id, due_at_ms)


def child(call_id: int, policy: ParentClosePolicy = ParentClosePolicy.TERMINATE) -> StartChild:
    """A child workflow; its ids tell the number of its call."""
    return StartChild(
        call_id, RunId(f"{CHILD_RUN_ID}-{call_id}"), WorkflowId(f"child-{call_id}"), "ship", (NULL,), policy
    )


def activity_closed(call_id: int) -> ActivityClosed:
    """An activity's result."""
    return ActivityClosed(call_id, Completed(NULL))


def timer_fired(call_id: int) -> TimerFired:
    """A timer's firing."""
    return TimerFired(call_id)


def child_closed(call_id: int) -> ChildClosed:
    """A child's result."""
    return ChildClosed(call_id, Completed(NULL))


def child_started(call_id: int, refusal: Failure | None = None) -> ChildStarted:
    """A child's start."""
    return ChildStarted(call_id, refusal)


def signaled(request_id: str) -> Signaled:
    """A signal."""
    return Signaled("approve", NULL, request_id)


def cancel_requested(request_id: str) -> CancelRequested:
    """A request to cancel."""
    return CancelRequested("enough", request_id)


def resumed(request_id: str) -> Resumed:
    """A resumption."""
    return Resumed(request_id)
