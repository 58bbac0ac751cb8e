"""One run of a function workflow: messages in, the function runs until it waits, commands out.

What the function asked for is compared with what is recorded when a turn is recalled; the function is the only state.
"""

import logging
from collections.abc import Callable, Coroutine, Mapping, Sequence
from random import Random
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar, cast
from zlib import crc32

from perdure.core.chain import forked
from perdure.core.command import CancelTimer, Command, RecordLocalActivity
from perdure.core.errors import ParkedError, PerdureError, UnregisteredActivity
from perdure.core.ids import RunId
from perdure.core.message import (
    ActivityClosed,
    Completed,
    Forked,
    Message,
    Query,
    Signaled,
    Started,
)
from perdure.core.payload import Payload
from perdure.core.turn import Turn
from perdure.programs.code import calling, calls, replay
from perdure.programs.code.asyncgens import watch as watch_async_generators
from perdure.programs.code.closing import closing_of, refusal_of, warn_of_unfinished
from perdure.programs.code.conditions import Conditions
from perdure.programs.code.continuing import chain_of
from perdure.programs.code.handlers import Handlers
from perdure.programs.code.hearing import hear
from perdure.programs.code.local import Locals
from perdure.programs.code.loop import (
    NOBODY,
    Future,
    LoopTask,
    Queue,
    RunStopped,
    WorkflowLoop,
    WorkflowTimer,
    running_loop,
    set_running_loop,
)
from perdure.programs.code.queries import Queries
from perdure.programs.code.refused import RefusedList

if TYPE_CHECKING:
    from perdure.programs.code.noting import Noted
    from perdure.programs.code.program import CodeProgram

S = TypeVar("S")
T = TypeVar("T")

logger = logging.getLogger("perdure.workflow")

HISTORY_TURNS_MAX = 20_000
"""A longer history is not kept while it is recalled, and a mismatch in it is told without the source line."""


_open_runs: set["CodeRun"] = set()
"""Runs whose coroutines are alive. The garbage collector must never end one: it would do so in the middle of another
run's step, say, where the activities of a `finally` block would be asked for by that run."""

_STOPPED = RefusedList(RunStopped)


class CodeRun:
    """A run in memory. `commands` holds None where a command was withdrawn within its turn."""

    __slots__ = (
        "_ids",
        "_parked",
        "_random",
        "activities",
        "at_ms",
        "calls_before",
        "calls_count",
        "cancel_reason",
        "channels",
        "children",
        "commands",
        "conditions",
        "failure",
        "handlers",
        "history",
        "locals",
        "loop",
        "main",
        "new_commands",
        "noted",
        "opened_as",
        "program",
        "queries",
        "recorded",
        "repeated",
        "replaying",
        "run_id",
        "started",
        "timers",
        "turns_count",
        "versions",
        "withdrawn",
    )

    def __init__(self, program: "CodeProgram", run_id: RunId) -> None:
        self.program = program
        self.run_id = self.opened_as = run_id
        self.loop = WorkflowLoop(self, crc32(run_id.encode()) << 16)
        self.started: Started | None = None
        self.at_ms = 0
        self.turns_count = 0
        self.replaying = False
        self.calls_count = 0
        self.calls_before = 0
        """Calls up to here were asked for in an earlier turn."""
        self.commands: list[Command | None] = []
        self.withdrawn = False
        self.new_commands: Callable[[], list[Command | None]] = list
        """Makes the list of a turn: a place to look over the code's shoulder."""
        self.recorded: Mapping[int, Payload] = {}
        """Side effects of the turn that is recalled."""
        self.repeated: Turn | None = None
        """The turn that was recalled last."""
        self.versions: dict[str, int] | None = None
        """By change: which version the run follows, once it has asked."""
        self.locals: Locals | None = None
        """Local activities; None until the code asks for one."""
        self.noted: Noted | None = None
        """Memo and search attributes, once the code has looked at them."""
        self.activities: dict[int, tuple[Future[Any], calls.Callee]] = {}
        self.timers: dict[int, WorkflowTimer] = {}
        self.children: dict[int, calls.Child] = {}
        self.channels: dict[str, Queue[Signaled]] | None = None
        self.queries: Queries | None = None
        self.handlers: Handlers | None = None
        self.conditions: Conditions | None = None
        self.failure: Exception | None = None
        """What left a signal's handler."""
        self.history: list[Turn] | None = None
        self.main: LoopTask | None = None
        self.cancel_reason: str | None = None
        self._parked: PerdureError | None = None
        self._random: Random | None = None
        self._ids: Random | None = None

    # core.program.ProgramRun

    def step(self, at_ms: int, messages: Sequence[Message]) -> Sequence[Command]:
        """See `ProgramRun`."""
        self.replaying = False
        self.history = None
        return self._take(at_ms, messages)

    def recall(self, turn: Turn) -> None:
        """See `ProgramRun`."""
        if self.history is None:
            self.history = []
        if len(self.history) < HISTORY_TURNS_MAX:
            self.history.append(turn)
        asked = self.repeat(turn)
        if replay.differs(turn.outputs, asked):
            history = self.history
            self.close()
            raise replay.mismatch(self, history, turn, asked)

    def repeat(self, turn: Turn) -> Sequence[Command]:
        """Take a recorded turn's messages once more; return what the code asks for now."""
        self.replaying = True
        self.recorded = replay.side_effects(turn)
        self.repeated = turn
        return self._take(turn.at_ms, turn.inputs)

    def query(self, query: Query) -> Payload:
        """See `ProgramRun`."""
        self.replaying = False
        self.history = None
        return self.asked().answer(self, query)

    def close(self) -> None:
        """See `ProgramRun`."""
        self._abandon()
        self.queries = self.channels = self.main = self.history = self.repeated = self.locals = None
        self.handlers = self.conditions = None
        # Without this the run and its loop would wait for the garbage collector, thousands of them at a time.
        self.loop.host = NOBODY

    # A turn

    def _take(self, at_ms: int, messages: Sequence[Message]) -> list[Command]:
        loop = self.loop
        # Local activities may have led the time on beyond what another worker's clock says now.
        self.at_ms = at_ms = max(at_ms, self.at_ms)
        loop.now_s = at_ms / 1_000
        self.turns_count += 1
        self.calls_before = self.calls_count
        commands = self.commands = self.new_commands()
        before = running_loop()
        set_running_loop(loop)
        try:
            for message in messages:
                if type(message) is ActivityClosed:
                    self._close_activity(message)
                else:
                    hear(self, message)
            if self.handlers is not None:
                self.handlers.begin()
            loop.drain()
            if self.locals and self.replaying and self.repeated is not None:
                self.locals.take_recorded(self, self.repeated)
        except BaseException:  # also an interrupt leaves nothing behind that could run on
            set_running_loop(before)
            self.close()
            raise
        set_running_loop(before)
        return self._asked(commands)

    def go_on(self, record: RecordLocalActivity) -> Sequence[Command]:
        """Hand over what came of a local activity, and run on; see `OpenTurn`."""
        assert self.locals is not None
        before = running_loop()
        set_running_loop(self.loop)
        try:
            self.locals.take(self, record)
            self.loop.drain()
        except BaseException:  # as in `_take`
            set_running_loop(before)
            self.close()
            raise
        set_running_loop(before)
        return self._asked(self.commands)

    def _asked(self, commands: list[Command | None]) -> list[Command]:
        """What the turn asks for; where it is not over, an `OpenTurn`."""
        if self._parked is not None:
            parked = self._parked
            self.close()
            raise parked
        if self.loop.ended and self.main is not None and (self.main.done() or self.failure is not None):
            refusal = refusal_of(self, self.main)
            if refusal is not None:
                self.close()
                raise refusal
            return self._ended(commands, self.main)
        if self.locals and not self.replaying:
            return self.locals.opened(self, [command for command in commands if command is not None])
        if self.withdrawn:
            self.withdrawn = False
            return [command for command in commands if command is not None]
        return cast("list[Command]", commands)

    def _close_activity(self, message: ActivityClosed) -> None:
        waiting = self.activities.pop(message.call_id, None)
        if waiting is None:
            return
        future, callee = waiting
        if future.done():
            return
        outcome = message.outcome
        if type(outcome) is Completed:
            future.set_result(callee.decode_result(outcome.result))
        else:
            future.set_exception(calls.activity_error(callee.name, message))

    def fork(self, message: Forked) -> None:
        """From here on the run is another one than that whose turns it has repeated."""
        assert self.started is not None, "a run is forked off one that has begun"
        self.run_id, self.started = message.run_id, forked(self.started, message)
        self._random = self._ids = None
        # A late answer to the other run's calls must not be taken for one to its own.
        self.calls_count = self.calls_before = max(self.calls_count, message.chain.calls_count)

    def start(self, message: Started) -> None:
        """Begin: the first message of the run."""
        self.started = message
        chain = chain_of(self)
        self.calls_count = 0 if chain is None else chain.calls_count
        _open_runs.add(self)
        watch_async_generators()
        definition = self.program.definition
        args = definition.decode_args(message.args)
        self.main = self.loop.start(calling.main(self, definition.begin(self, args), args))

    def _ended(self, commands: list[Command | None], main: LoopTask) -> list[Command]:
        asked = [command for command in commands if command is not None]
        asked.append(closing_of(self, main))
        warn_of_unfinished(self)
        self._abandon()
        return asked

    def _abandon(self) -> None:
        self.loop.refusal = RunStopped
        self.commands = _STOPPED
        self.loop.on_idle = None
        before = running_loop()
        # Without our loop as the running one, the activities in a `finally` would be plain functions, and run.
        set_running_loop(self.loop)
        try:
            self.loop.abandon()
        finally:
            set_running_loop(before)
        _open_runs.discard(self)
        self.activities.clear()
        self.timers.clear()
        self.children.clear()

    def fail(self, error: Exception) -> None:
        """End the run for what left one of its handlers."""
        self.failure = error
        self.loop.ended = True

    def park(self, error: PerdureError) -> NoReturn:
        """Stop the run for `error`, whatever the workflow's code does with the exception that unwinds it."""
        if self._parked is None:
            self._parked = error
        self.loop.ended = True
        self.loop.refusal = RunStopped
        self.commands = _STOPPED
        raise RunStopped

    def decoded(self, decode: Callable[[S], T], sealed: S) -> T:
        """The value of a payload, say; one that does not decode parks the run."""
        try:
            return decode(sealed)
        except ParkedError as error:
            self.park(error)

    def stop(self) -> NoReturn:
        """End the slice: the code has left its history, and what it does next is of no use."""
        self.loop.ended = True
        self.loop.refusal = RunStopped
        raise RunStopped

    # loop.Host

    def start_timer(self, timer: WorkflowTimer, due_at_ms: int) -> None:
        """See `Host`."""
        calling.timer(self, timer, due_at_ms)

    def cancel_timer(self, timer: WorkflowTimer) -> None:
        """See `Host`."""
        self.timers.pop(timer.call_id, None)
        if not self.loop.closing and not self.withdraw(timer.call_id, timer.index):
            self.commands.append(CancelTimer(timer.call_id))

    def log_failure(self, message: str, error: BaseException | None) -> None:
        """See `Host`."""
        logger.error("run %s: %s", self.run_id, message, exc_info=error)

    def call_activity(
        self, activity: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> Coroutine[Any, Any, Any]:
        """See `Host`."""
        if self.loop.refusal is not None:
            raise self.loop.refusal()
        if activity.name not in self.program.known_names and activity.queue is None:
            self.find_activity(activity.name)
        bound = activity.signature.bind(args, kwargs)
        definition = self.program.definition
        if definition.propagation is None and definition.interceptors is None:
            return calls.perform(self, activity, bound)
        return calling.activity(self, activity, bound, args)

    def call_local(self, activity: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Coroutine[Any, Any, Any]:
        """See `Host`."""
        if self.loop.refusal is not None:
            raise self.loop.refusal()
        if activity.name not in self.program.known_names:
            self.find_activity(activity.name)
        return calling.local(self, activity, activity.signature.bind(args, kwargs), args)

    def call_workflow(
        self, workflow: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> Coroutine[Any, Any, Any]:
        """See `Host`."""
        return calling.child(self, calls.ChildCall(workflow, workflow.bind_checked(args, kwargs)), args)

    # For the API

    def withdraw(self, call_id: int, index: int) -> bool:
        """Take back what was asked for in this turn; False if it was in an earlier one."""
        if call_id <= self.calls_before:
            return False
        self.commands[index] = None
        self.withdrawn = True
        return True

    def find_activity(self, name: str) -> Any:
        """The registered activity; parks the run if there is none."""
        found = self.program.knows_activity(name)
        if found is None:
            self.park(UnregisteredActivity(name=name, known=self.program.activity_names()))
        self.program.known_names.add(name)
        return found

    def asked(self) -> Queries:
        """The query handlers of the run."""
        if self.queries is None:
            self.queries = Queries()
        return self.queries

    def answering(self) -> Handlers:
        """The signal and update handlers of the run."""
        if self.handlers is None:
            self.handlers = Handlers(self)
        return self.handlers

    def waiting(self) -> Conditions:
        """The conditions of the run."""
        if self.conditions is None:
            self.conditions = Conditions(self)
        return self.conditions

    def idle(self) -> bool:
        """See `WorkflowLoop.on_idle`: conditions may hold now; and whoever has no handler yet, gets none."""
        if self.conditions and self.conditions.wake():
            return True
        self.loop.on_idle = self.idle if self.conditions else None
        if self.handlers is not None:
            self.handlers.refuse_undecided()
        return False

    def channel(self, name: str) -> "Queue[Signaled]":
        """What came for a channel and was not received yet."""
        if self.channels is None:
            self.channels = {}
        queue = self.channels.get(name)
        if queue is None:
            queue = self.channels[name] = Queue()
        return queue

    def random(self) -> Random:
        """For the workflow's code."""
        if self.loop.refusal is not None:
            raise self.loop.refusal()
        if self._random is None:
            self._random = Random(self.run_id)
        return self._random

    def ids(self) -> Random:
        """For run ids of children: apart from the other, so that what the code draws does not shift them."""
        if self._ids is None:
            self._ids = Random(f"{self.run_id}/ids")
        return self._ids
