"""The simulator's workflow and activities, and the ledger in which activities write what they really did.

The ledger is outside the engine, as the world is: it knows of every execution, also of those whose outcome was lost.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import msgspec

from perdure import activity, workflow
from perdure.core.command import ParentClosePolicy
from perdure.core.failure import (
    ActivityError,
    ActivityTimeout,
    ApplicationError,
    ChildWorkflowError,
    ExternalWorkflowError,
)
from perdure.programs.code.definition import Activity, Workflow
from perdure.programs.code.options import ActivityKeywords, RetryPolicy
from perdure.programs.code.program import CodeProgram
from perdure.programs.code.search import SearchKey
from perdure.testing.plans import (
    FOREVER_MS,
    Again,
    Apply,
    Beats,
    Call,
    Fail,
    Fan,
    Ghost,
    Later,
    Local,
    Mark,
    Op,
    Plan,
    Race,
    Receive,
    Side,
    Silence,
    Sleep,
    Spawn,
    Step,
    Tell,
    local_key,
    value_of,
)
from perdure.testing.virtual import VirtualLoop
from perdure.worker.registry import Registry

WORKFLOW = "simulated"
UPDATE = "apply"
"""Update of every run: a number from 0 on, or a negative one that is rejected, and a key."""
RETRY = RetryPolicy(initial_interval="200ms", maximum_interval="2s")
BEAT_MS = 1_000
"""Gap between the heartbeats of an activity that never ends."""


class Execution(msgspec.Struct):
    """One execution of an activity's code."""

    key: str
    attempt: int
    process: str
    """Name of the loop that ran it."""
    worker: str
    """Under which worker id its process worked when it began."""
    from_ms: int
    returned: bool = False
    """Its code returned; whether that was recorded is another matter."""
    ended: bool = False


class Ledger:
    """What activities did, by key; and what the workflow code may ask of the world."""

    def __init__(self, worker_of: Callable[[str], str]) -> None:
        """`worker_of` tells the worker id of a process at this moment."""
        self._worker_of = worker_of
        self.executions: dict[str, list[Execution]] = defaultdict(list)
        self.tokens: list[tuple[str, str]] = []
        """Key and token of each attempt that waits for somebody to complete it, in the order of their beginning."""
        self.mended = False
        """Whether the activity that nobody knew is known."""
        self.drawn_count = 0

    def begin(self, key: str) -> Execution:
        """An execution begins, here and now."""
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        worker = self._worker_of(loop.name)
        execution = Execution(key, activity.info().attempt, loop.name, worker, loop.shared.now_ms)
        self.executions[key].append(execution)
        return execution

    def draw(self) -> int:
        """A number that is another one each time."""
        self.drawn_count += 1
        return self.drawn_count


ledger = Ledger(str)


def new_ledger(worker_of: Callable[[str], str]) -> Ledger:
    """Start an empty ledger, the one that activities write from now on."""
    global ledger
    ledger = Ledger(worker_of)
    return ledger


async def work(key: str, ms: int, failures: int, fatal: bool) -> int:  # noqa: FBT001 # activities take arguments by position
    """Take some time, fail as often as told, return the key's value."""
    execution = ledger.begin(key)
    try:
        if ms >= FOREVER_MS:
            while True:
                await asyncio.sleep(BEAT_MS / 1_000)
                activity.heartbeat()
        if ms:
            await asyncio.sleep(ms / 1_000)
        if fatal:
            raise ApplicationError("on purpose", type="Fatal", retryable=False)
        if activity.info().attempt <= failures:
            raise ApplicationError("on purpose", type="Flaky")
        execution.returned = True
        return value_of(key)
    finally:
        execution.ended = True


async def beats(key: str, count: int, gap_ms: int, fails_at: int) -> int:
    """Beat `count` times, going on where an earlier attempt stopped."""
    execution = ledger.begin(key)
    try:
        begin = activity.heartbeat_details(int) or 0
        for number in range(begin + 1, count + 1):
            await asyncio.sleep(gap_ms / 1_000)
            activity.heartbeat(number)
            if number == fails_at and activity.info().attempt == 1:
                raise ApplicationError("on purpose", type="Flaky")
        execution.returned = True
        return value_of(key) + count
    finally:
        execution.ended = True


async def silence(key: str) -> None:
    """Never beat, never end."""
    execution = ledger.begin(key)
    try:
        await asyncio.sleep(FOREVER_MS / 1_000)
    finally:
        execution.ended = True


async def echo(key: str, value: int) -> int:
    """Return the value."""
    execution = ledger.begin(key)
    execution.returned = execution.ended = True
    return value


async def later(key: str) -> int:
    """Leave it to somebody outside."""
    execution = ledger.begin(key)
    ledger.tokens.append((key, activity.info().token))
    execution.returned = execution.ended = True
    raise activity.CompleteLater


async def ghost(key: str) -> int:
    """Known to nobody: it is in no registry."""
    raise AssertionError(key)


_work: Activity[[str, int, int, bool], int] = Activity(work, keywords=ActivityKeywords(retry=RETRY))
_beats: Activity[[str, int, int, int], int] = Activity(beats, keywords=ActivityKeywords(retry=RETRY, heartbeat="3s"))
_silence: Activity[[str], None] = Activity(silence, keywords=ActivityKeywords(retries=0, heartbeat="800ms"))
_echo: Activity[[str, int], int] = Activity(echo, keywords=ActivityKeywords(retry=RETRY))
_later: Activity[[str], int] = Activity(later)
_ghost: Activity[[str], int] = Activity(ghost)


async def _step(step: Step) -> int | str:
    keywords = ActivityKeywords()
    if step.attempts_max:
        keywords["retry"] = RetryPolicy(
            initial_interval="100ms", maximum_interval="1s", maximum_attempts=step.attempts_max
        )
    if step.timeout_ms is not None:
        keywords["timeout"] = step.timeout_ms / 1_000
    if step.wait_ms is not None:
        keywords["schedule_to_start"] = step.wait_ms / 1_000
    if step.ms >= FOREVER_MS:
        keywords["heartbeat"] = 5 * BEAT_MS / 1_000
    called = _work.options(**keywords) if keywords else _work
    try:
        return await called(step.key, step.ms, step.failures, step.fatal)
    except ActivityTimeout as error:
        return error.kind.value
    except ActivityError as error:
        return error.type


async def _race(race: Race) -> int | str:
    try:
        async with asyncio.timeout(race.limit_ms / 1_000):
            return await _step(race.step)
    except TimeoutError:
        return "timeout"


async def _silent(key: str) -> str:
    try:
        await _silence(key)
    except ActivityTimeout as error:
        return error.kind.value
    except ActivityError as error:
        return error.type
    return "ended"


async def _sleep(ms: int) -> str:
    before = workflow.time()
    await asyncio.sleep(ms / 1_000)
    return "slept" if workflow.time() - before >= ms / 1_000 - 0.0005 else "early"


async def _spawn(op: Spawn) -> str:
    try:
        await workflow.start_child(_simulated, op.plan, id=op.id, parent_close_policy=ParentClosePolicy(op.policy))
    except ChildWorkflowError:
        return "refused"
    return "started"


async def _tell(key: str) -> int | str:
    try:
        await workflow.external(workflow.info().workflow_id, run_id=workflow.info().run_id).signal(key, value_of(key))
    except ExternalWorkflowError as error:
        return error.type
    return await workflow.channel(key, int).receive()


async def _or_type(call: Callable[[], Any]) -> Any:
    try:
        return await call()
    except (ActivityError, ChildWorkflowError) as error:
        return error.type


class Hearing:
    """What one run was told by updates."""

    def __init__(self, numbers: Sequence[int]) -> None:
        """`numbers` are those that the run before heard and did not use."""
        self.numbers = list(numbers)

        @workflow.update(name=UPDATE)
        async def apply(number: int, key: str) -> int:
            self.numbers.append(number)
            if number % 2:
                await _step(Step(key, 5))
            return value_of(key)

        @apply.validator
        def check(number: int, key: str) -> None:
            if number < 0:
                raise ApplicationError(f"{key} is refused on purpose", type="Negative")

    async def used(self, count: int) -> list[int]:
        """The first `count` of the numbers, once there are so many."""
        await workflow.wait_condition(lambda: len(self.numbers) >= count)
        used, self.numbers = self.numbers[:count], self.numbers[count:]
        return used


async def _perform(op: Op, hearing: Hearing) -> Any:
    match op:
        case Later(key):
            return await _or_type(lambda: _later(key))
        case Mark(name, value):
            workflow.upsert_search_attributes(SearchKey.int(name).set(value))
            return value
        case Apply(count):
            return await hearing.used(count)
        case Fail(times):
            if workflow.info().attempt <= times:
                raise ApplicationError("on purpose", type="Flaky")
            return workflow.info().attempt
        case _:
            return await _perform_plain(op)


async def _perform_plain(op: Op) -> Any:
    match op:
        case Step():
            return await _step(op)
        case Fan(steps):
            return await asyncio.gather(*[_step(step) for step in steps])
        case Sleep(ms):
            return await _sleep(ms)
        case Race():
            return await _race(op)
        case Beats(key, count, gap_ms, fails_at):
            return await _or_type(lambda: _beats(key, count, gap_ms, fails_at))
        case Silence(key):
            return await _silent(key)
        case Receive(count):
            notes = workflow.channel("note", int)
            return [await notes.receive() for _ in range(count)]
        case Side(key):
            drawn = workflow.side_effect(ledger.draw, result_type=int)
            return [drawn, await _or_type(lambda: _echo(key, drawn))]
        case Local(key, ms, failures, count):
            calls = [_work.local(local_key(key, index), ms, failures, False) for index in range(count)]
            return list(await asyncio.gather(*calls))
        case Tell(key):
            return await _tell(key)
        case Ghost(key):
            known = ledger.mended
            return await _or_type(lambda: _work(key, 1, 0, False) if known else _ghost(key))
        case Call(plan):
            return await _or_type(lambda: _simulated(plan))
        case Spawn():
            return await _spawn(op)
        case Later() | Mark() | Apply() | Fail() | Again():
            raise AssertionError(op)


async def simulated(plan: Plan, before: list[Any] | None = None, heard: list[int] | None = None) -> list[Any]:
    """Carry out a plan; `before` are the results of the runs that this one goes on for, `heard` what they left."""
    results = list(before or ())
    hearing = Hearing(heard or ())

    @workflow.query
    def progress() -> int:
        return len(results)

    try:
        for op in plan.ops:
            if isinstance(op, Again):
                await workflow.wait_condition(workflow.all_handlers_finished)
                workflow.continue_as_new(op.plan, results, hearing.numbers)
            results.append(await _perform(op, hearing))
    except asyncio.CancelledError:
        if plan.clean_up is not None:
            await _step(plan.clean_up)
        raise
    return results


_simulated: Workflow[[Plan], list[Any]] = Workflow(simulated, name=WORKFLOW)


@cache
def registry() -> Registry:
    """Everything that a simulated worker knows: the same for all of a process, since it is looked through at length."""
    made = Registry()
    made.add_activity(_work)
    made.add_activity(_beats)
    made.add_activity(_silence)
    made.add_activity(_echo)
    made.add_activity(_later)
    made.add_program(WORKFLOW, _simulated.place, lambda: CodeProgram(_simulated, made.activity))
    return made
