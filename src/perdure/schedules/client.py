"""Schedules for users: create, look at and tell the rules that start workflows at moments."""

from collections.abc import Callable, Coroutine, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVarTuple, Unpack, cast

from perdure.core import codec
from perdure.core.errors import (
    AlreadyRunning,
    InvalidSchedule,
    RunClosed,
    ScheduleExists,
    ScheduleNotFound,
    UnknownWorkflow,
    WorkflowNotFound,
)
from perdure.core.ids import ID_CHARS_MAX, RunId, WorkflowId, checked_id
from perdure.core.message import Query, Signaled, Started, StartOptions
from perdure.core.payload import Payload, from_payload, to_payload
from perdure.core.store import RunStatus
from perdure.programs.code.definition import Workflow
from perdure.programs.code.program import CodeProgram
from perdure.programs.code.run_options import OnceKeywords, run_options
from perdure.programs.schedule.program import ScheduleProgram
from perdure.programs.schedule.spec import ScheduleSpec, check_due
from perdure.programs.schedule.state import (
    ID_PREFIX,
    NAME,
    Action,
    Backfill,
    BackfillRequest,
    Described,
    Overlap,
    Pause,
    State,
    Trigger,
    Update,
    Wanted,
)
from perdure.schedules.values import (
    STAMP_CHARS_MAX,
    Schedule,
    ScheduleDescription,
    ScheduleKeywords,
    ScheduleSummary,
    described,
    note_of,
    overlap_of,
    planned,
    preview,
    refused,
    stretch,
    written,
)
from perdure.starting import with_headers

if TYPE_CHECKING:
    from perdure.app import Perdure
    from perdure.engine.engine import Engine

Ts = TypeVarTuple("Ts")
Bound: TypeAlias = tuple[str, tuple[Payload, ...]]
"""A workflow's name and its arguments."""

ANSWER_POLL_MS = 500
"""An update looks for its answer this often, where no news of the store wakes it."""


class ScheduleHandle:
    """One schedule. Each verb raises `ScheduleNotFound` if it was deleted."""

    def __init__(self, app: "Perdure", id: str) -> None:
        """Handles come from `Schedules.create` and `Schedules.handle`."""
        self._app = app
        self.id = id
        self.workflow_id = WorkflowId(ID_PREFIX + id)
        """The schedule is a run of this workflow id: its history tells all that it did."""

    def __repr__(self) -> str:
        return f"<ScheduleHandle {self.id!r}>"

    async def describe(self) -> ScheduleDescription:
        """What it does, what it did, and what comes next."""
        return described(await self._found())

    async def _found(self) -> Described:
        question = Query("describe", (to_payload(self._app.clock.now_ms()),))

        async def look(engine: "Engine") -> tuple[RunId, Payload | None]:
            record = await engine.find(self.workflow_id)
            if record.status is not RunStatus.RUNNING:
                raise ScheduleNotFound(schedule_id=self.id)
            answer = None
            if not record.turns_count:
                # No worker has seen it yet: it is what it was created as.
                for waiting in (await engine.store.read_waiting(record.run_id)).messages:
                    message = codec.messages.decode(waiting.data)
                    if isinstance(message, Started):
                        run = ScheduleProgram().open(record.run_id)
                        run.begin(message)
                        answer = run.query(question)
            return record.run_id, answer

        try:
            run_id, answer = await self._app.call(look)
            if answer is None:
                answer = await self._app.query(self.workflow_id, run_id, question)
        except (WorkflowNotFound, RunClosed) as error:
            raise ScheduleNotFound(schedule_id=self.id) from error
        found: Described = from_payload(answer, Described, what="the description of a schedule")
        return found

    async def _tell(self, name: str, value: object, request_id: str | None) -> str:
        request_id = self._app.new_id() if request_id is None else checked_id("request id", request_id)
        signal = Signaled(name, to_payload(value, what="request to a schedule"), request_id)
        try:
            await self._app.call(lambda engine: engine.signal(self.workflow_id, None, signal))
        except (WorkflowNotFound, RunClosed) as error:
            raise ScheduleNotFound(schedule_id=self.id) from error
        return request_id

    async def pause(self, note: str = "", *, request_id: str | None = None) -> None:
        """Let nothing happen until it is unpaused, but what is asked for by hand. Durable when it returns."""
        await self._tell("pause", Pause(note_of(note)), request_id)

    async def unpause(self, note: str = "", *, request_id: str | None = None) -> None:
        """Let it go on; what was due meanwhile does not happen later. Durable when it returns."""
        await self._tell("unpause", Pause(note_of(note)), request_id)

    async def trigger(self, overlap: Overlap | None = None, *, request_id: str | None = None) -> None:
        """Let it act now, also while it is paused; `overlap` None: by its own policy. Durable when it returns."""
        await self._tell("trigger", Trigger(None if overlap is None else overlap_of(overlap)), request_id)

    async def backfill(
        self,
        start: datetime,
        end: datetime,
        overlap: Overlap = Overlap.BUFFER_ALL,
        *,
        request_id: str | None = None,
    ) -> None:
        """Let it act for its moments from `start` to `end`, both counted, up to now. Durable when it returns.

        One action after the other, unless `overlap` says otherwise.
        """
        start_ms, end_ms = stretch(start, end)
        await self._tell("backfill", BackfillRequest(start_ms, end_ms, overlap_of(overlap)), request_id)

    async def update(self, change: Callable[[Schedule], Schedule | None]) -> None:
        """Change it: `change` gets what it is and returns what it shall be, or None to leave it.

        Where somebody else changed it meanwhile, `change` is called again with what it is then. Returns when the
        schedule has taken the change, which needs a worker.
        """
        while True:
            found = await self._found()
            wanted = change(written(found.plan))
            if wanted is None:
                return
            plan = planned(self.id, wanted)
            check_due(plan.spec, self._app.clock.now_ms())
            request_id = await self._tell("update", Update(plan, found.state.version), None)
            refusal = await self._answer(request_id)
            if not refusal:
                return
            if refusal != "changed":
                fact, remedy = f"was refused: {refusal}", "mend it and update again"
                raise InvalidSchedule(what="update of schedule", value=repr(self.id), fact=fact, remedy=remedy)

    async def _answer(self, request_id: str) -> str:
        """Why a request changed nothing; empty if it was obeyed."""
        seen = 0
        while True:
            for handled in (await self._found()).state.handled:
                if handled.request_id == request_id:
                    return handled.refusal
            seen = await self._app.call(lambda engine, seen=seen: engine.store.wait(seen, ANSWER_POLL_MS))

    async def delete(self) -> None:
        """End it at once and for ever; workflows that it started go on. Durable when it returns."""
        try:
            await self._app.call(lambda engine: engine.terminate(self.workflow_id, None, "deleted"))
        except (WorkflowNotFound, RunClosed) as error:
            raise ScheduleNotFound(schedule_id=self.id) from error


class Schedules:
    """The schedules of an app's store."""

    def __init__(self, app: "Perdure") -> None:
        self._app = app

    async def create(
        self,
        id: str,
        spec: ScheduleSpec,
        workflow: Callable[[Unpack[Ts]], Coroutine[Any, Any, Any]],
        *args: *Ts,
        **options: Unpack[ScheduleKeywords],
    ) -> ScheduleHandle:
        """Start `workflow` with these arguments at the moments of `spec`; durable when it returns.

        Raises `ScheduleExists`, and `InvalidSchedule`, `InvalidOption`, `InvalidArguments` or `UnserializableValue`
        before anything is stored.
        """
        name, payloads = self._bound(workflow, args, options.get("queue"))
        return await self._create(id, spec, (name, payloads), options)

    async def create_by_name(
        self, id: str, spec: ScheduleSpec, workflow: str, *args: Any, **options: Unpack[ScheduleKeywords]
    ) -> ScheduleHandle:
        """The same for a workflow known by its name; one that only other workers know needs their `queue`."""
        return await self._create(id, spec, self._named(workflow, args, options.get("queue")), options)

    def action(
        self,
        workflow_id: str,
        workflow: Callable[[Unpack[Ts]], Coroutine[Any, Any, Any]],
        *args: *Ts,
        queue: str | None = None,
        **options: Unpack[OnceKeywords],
    ) -> Action:
        """What a schedule shall do, for an update: start `workflow` under this id, to which the moment is appended.

        `queue` None is the schedule's own. Options that are not given are none, whatever they were.
        """
        own = None if queue is None else checked_id("queue", queue)
        return Action(*self._of(workflow_id, self._bound(workflow, args, queue)), own, self._options(options))

    def action_by_name(
        self, workflow_id: str, workflow: str, *args: Any, queue: str | None = None, **options: Unpack[OnceKeywords]
    ) -> Action:
        """The same for a workflow known by its name; one that only other workers know needs their `queue`."""
        own = None if queue is None else checked_id("queue", queue)
        return Action(*self._of(workflow_id, self._named(workflow, args, queue)), own, self._options(options))

    @staticmethod
    def _of(workflow_id: str, bound: Bound) -> tuple[str, str, tuple[Payload, ...]]:
        return bound[0], workflow_id, bound[1]

    def _options(self, given: Mapping[str, Any]) -> StartOptions | None:
        unknown = [each for each in given if each not in OnceKeywords.__annotations__]
        if unknown:
            remedy = f"known are queue, {', '.join(OnceKeywords.__annotations__)}"
            raise refused(unknown[0], given[unknown[0]], "is unknown", remedy)
        keywords = cast(OnceKeywords, given)
        own = run_options(self._app.converter, self._app.clock.now_ms(), {**keywords})
        return with_headers(own, self._app.around.headers)

    def _named(self, workflow: str, args: tuple[Any, ...], queue: str | None) -> Bound:
        name = checked_id("workflow name", workflow)
        program = self._app.registry.program(name)
        if program is None and queue is None:
            self._app.registry.known_program(name)
        if isinstance(program, CodeProgram):
            return name, program.definition.bind_checked(args, {})
        return name, self._app.converter.to_payloads(args, what=f"argument of workflow {name!r}")

    def _bound(self, workflow: Callable[..., Any], args: tuple[Any, ...], queue: str | None) -> Bound:
        if not isinstance(workflow, Workflow):
            known = ", ".join(sorted(self._app.registry.workflow_types)) or "none"
            raise UnknownWorkflow(name=getattr(workflow, "__name__", repr(workflow)), known=known)
        definition = cast("Workflow[..., Any]", workflow)
        if queue is None:
            # One of another app, say: its runs would wait for ever.
            self._app.registry.known_program(definition.name)
        return definition.name, definition.bind_checked(args, {})

    async def _create(self, id: str, spec: ScheduleSpec, bound: Bound, options: ScheduleKeywords) -> ScheduleHandle:
        known = {**ScheduleKeywords.__annotations__, **OnceKeywords.__annotations__}
        unknown = [each for each in options if each not in known]
        if unknown:
            raise refused(unknown[0], "", "is unknown", f"known are {', '.join(known)}")
        handle = self.handle(id)
        queue, request_id = options.get("queue"), options.get("request_id")
        base = options.get("workflow_id")
        of_runs = {name: value for name, value in options.items() if name in OnceKeywords.__annotations__}
        schedule = Schedule(
            spec=spec,
            action=Action(*self._of(id if base is None else base, bound), options=self._options(of_runs)),
            overlap=options.get("overlap", Overlap.SKIP),
            catch_up=options.get("catch_up", Schedule.catch_up),
            pause_on_failure=options.get("pause_on_failure", False),
            actions_max=options.get("actions_max"),
        )
        now_ms = self._app.clock.now_ms()
        plan = planned(id, schedule)
        check_due(plan.spec, now_ms)
        stretches = [stretch(*each) for each in options.get("backfill", ())]
        state = State(
            paused=bool(options.get("paused", False)),
            note=note_of(options.get("note", "")),
            actions_left=plan.actions_max,
            buffered=[Wanted(now_ms, asked=True)] if options.get("trigger", False) else [],
            backfills=[Backfill(start - 1, min(end, now_ms), Overlap.BUFFER_ALL) for start, end in stretches],
        )
        started = Started(
            NAME,
            handle.workflow_id,
            self._app.queue if queue is None else checked_id("queue", queue),
            (to_payload(plan, what="the plan of a schedule"), to_payload(state)),
        )
        if request_id is not None:
            checked_id("request id", request_id)
        try:
            await self._app.call(lambda engine: engine.start(started, request_id))
        except AlreadyRunning as error:
            raise ScheduleExists(schedule_id=id) from error
        return handle

    def handle(self, id: str) -> ScheduleHandle:
        """A handle on a schedule; nothing is looked up yet."""
        if len(checked_id("schedule id", id)) > ID_CHARS_MAX - STAMP_CHARS_MAX:
            fact = f"has more than {ID_CHARS_MAX - STAMP_CHARS_MAX} characters"
            raise refused("id", id, fact, "give a shorter one")
        return ScheduleHandle(self._app, id)

    async def list(self, *, limit: int = 100, before: str | None = None) -> "list[ScheduleSummary]":
        """The schedules, newest first, at most `limit`; `before` is the run id where the page before ended."""
        runs = await self._app.list(status=RunStatus.RUNNING, workflow=NAME, limit=limit, before=before)
        return [
            ScheduleSummary(run.workflow_id.removeprefix(ID_PREFIX), run.started_at, run.run_id, run.parked)
            for run in runs
        ]

    def preview(
        self, spec: ScheduleSpec | str, zone: str | None = None, count: int = 10, *, after: datetime | None = None
    ) -> "list[datetime]":
        """The next moments of a spec or a cron line: see `perdure.schedules.preview`. Needs no running app."""
        return preview(spec, zone, count, after=after)
