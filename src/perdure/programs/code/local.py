"""Local activities, as workflow code sees them: they run within the turn and are recorded in the order of their ends.

A replay hands out what is recorded, one outcome after the other, and lets the code run on in between: the same as what
happened the first time.
"""

from typing import TYPE_CHECKING, Any

from perdure.core.command import Command, RecordLocalActivity, RunActivity
from perdure.core.failure import Failure
from perdure.core.message import ActivityClosed, Completed, Failed, Headers
from perdure.core.payload import Payload
from perdure.core.program import LocalCall, OpenTurn
from perdure.core.turn import Turn
from perdure.programs.code.calls import Callee, activity_error
from perdure.programs.code.loop import Future

if TYPE_CHECKING:
    from perdure.programs.code.run import CodeRun


NOT_RECORDED = Failure("NotRecorded", "the history has no such local activity")


class Locals:
    """The local activities that a run waits for in this turn."""

    __slots__ = ("_begun", "_waiting")

    def __init__(self) -> None:
        self._waiting: dict[int, tuple[RunActivity, Future[RecordLocalActivity]]] = {}
        self._begun: list[LocalCall] = []

    def __len__(self) -> int:
        """How many the turn waits for."""
        return len(self._waiting)

    async def outcome(self, run: "CodeRun", call: LocalCall) -> RecordLocalActivity:
        """What a try comes to."""
        call_id = call.call.call_id
        future: Future[RecordLocalActivity] = Future(loop=run.loop)
        self._waiting[call_id] = call.call, future
        self._begun.append(call)
        try:
            return await future
        finally:
            self._waiting.pop(call_id, None)

    def take(self, run: "CodeRun", record: RecordLocalActivity) -> bool:
        """Record an outcome here and hand it over; False if the code did not ask for it so."""
        call, future = self._waiting.get(record.call_id, (None, None))
        if call is None or future is None or call.name != record.name:
            return False
        run.commands.append(record)
        run.at_ms = max(run.at_ms, record.at_ms)
        run.loop.now_s = run.at_ms / 1_000
        # No longer waited for, also while its task has not run yet.
        del self._waiting[record.call_id]
        if not future.done():
            future.set_result(record)
        return True

    def opened(self, run: "CodeRun", commands: list[Command]) -> OpenTurn:
        """The turn as it is, with what is to be run now."""
        begun = [each for each in self._begun if each.call.call_id in self._waiting]
        self._begun = []
        return OpenTurn(commands, begun, list(self._waiting), run.go_on)

    def take_recorded(self, run: "CodeRun", turn: Turn) -> None:
        """Hand over what is recorded in the turn that is recalled, as far as the code asks for it."""
        self._begun = []
        for command in turn.outputs:
            if type(command) is RecordLocalActivity and not run.loop.ended:
                if not self.take(run, command):
                    break
                run.loop.drain()
        self._begun = []
        if not run.loop.ended:
            # Each recorded turn ended without waiting for any: what is asked for now is asked for by other code.
            for call_id, (call, _) in self._waiting.items():
                run.commands.append(RecordLocalActivity(call_id, call.name, Failed(NOT_RECORDED)))


async def perform_local(
    run: "CodeRun", callee: Callee, args: tuple[Payload, ...], headers: Headers | None = None
) -> Any:
    """Run an activity within the turn and wait for its result. Raises as an ordinary one does."""
    if run.locals is None:
        run.locals = Locals()
    run.calls_count = call_id = run.calls_count + 1
    call = RunActivity(call_id, callee.name, args, callee.defaults, None, headers)
    attempt = LocalCall(call, 1, run.at_ms, None)
    while True:
        record = await run.locals.outcome(run, attempt)
        if record.retry_at_ms is None or type(record.outcome) is not Failed:
            break
        attempt = LocalCall(call, record.attempt + 1, attempt.scheduled_at_ms, record.outcome.failure)
        await _until(run, record.retry_at_ms)
    if type(record.outcome) is Completed:
        return run.decoded(callee.decode_result, record.outcome.result)
    raise activity_error(callee.name, ActivityClosed(call_id, record.outcome, record.attempt))


async def _until(run: "CodeRun", at_ms: int) -> None:
    due: Future[None] = Future(loop=run.loop)
    timer = run.loop.call_at(at_ms / 1_000, lambda: None if due.done() else due.set_result(None))
    try:
        await due
    finally:
        timer.cancel()
