"""Who plays what: the app's registry with each activity watched, mocked or run twice, and workflows that are mocked."""

import asyncio
import copy
import inspect
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, cast

import msgspec

from perdure.core.errors import PerdureError
from perdure.core.failure import ApplicationError
from perdure.core.ids import RunId
from perdure.core.message import Started
from perdure.programs.code.definition import Activity, Workflow
from perdure.testing.kit.answers import Definition, Mock, MockCall, Reply, completed
from perdure.testing.kit.errors import NotIdempotent, TestError, UnmockedActivity
from perdure.testing.kit.mocked import MockProgram
from perdure.testing.kit.stage import Stage
from perdure.worker.context import current
from perdure.worker.registry import Registry

AnyActivity = Activity[..., Any]


class CastOptions(msgspec.Struct, frozen=True):
    """How activities are run that are not mocked."""

    twice: bool = False
    refuse: bool = False


class Cast(Registry):
    """The registry of one environment: it begins as the app's, and changes nothing there."""

    def __init__(self, app: Registry, options: CastOptions, report: Callable[[TestError], None]) -> None:
        """`report` hears, in any thread, of what a test must hear of."""
        self.__dict__.update(app.__dict__)
        self._options = options
        self._report = report
        self._real = dict(self._activities)
        self._activities = {name: self._watched(each) for name, each in self._real.items()}
        self._runnable = {**self._runnable, **self._activities}
        self._versions = dict(self._versions)
        self._programs = dict(self._programs)
        self.calls: dict[str, list[MockCall]] = {}
        """Every call of every activity, by name."""
        self.stage: Stage

    # Mocks

    def definition(self, name: str, kind: str | None) -> Definition:
        """What is registered under a name, or something with any arguments if there is nothing."""
        if kind != "workflow" and name in self._real:
            return self._real[name]
        program = None if kind == "activity" else self.program(name)
        found = getattr(program, "definition", None)
        if isinstance(found, Workflow):
            return cast("Workflow[..., Any]", found)

        async def unknown(*args: Any) -> Any: ...

        return Workflow(unknown, name=name) if kind == "workflow" else Activity(unknown, name=name)

    def add_mock(self, definition: Definition) -> "Mock[..., Any]":
        """Let a mock stand for a definition from now on."""
        mock: Mock[..., Any] = Mock(definition)
        if isinstance(definition, Workflow):
            program = MockProgram(mock, self._note_start(mock), self._report)
            self.stand_in(definition.name, program)
        else:
            mock.calls = self._calls_of(definition.name)
            mock.calls.clear()
            mocked = self._mocked(definition, mock)
            self._activities[definition.name] = self._runnable[definition.name] = mocked
        return mock

    def _note_start(self, mock: "Mock[..., Any]") -> Callable[[Started, RunId, tuple[Any, ...]], None]:
        def note(started: Started, run_id: RunId, args: tuple[Any, ...]) -> None:
            mock.calls.append(MockCall(args, self._now(), started.workflow_id, run_id, 1))

        return note

    def _mocked(self, definition: AnyActivity, mock: "Mock[..., Any]") -> AnyActivity:
        async def perform(*given: Any) -> Any:
            args = self._note(definition, given)
            answers = mock.answers_for(args)
            try:
                reply = answers.next()
                if answers.takes_ms:
                    await self.stage.pace.sleep(answers.takes_ms / 1_000)
                value = await self._played(reply, args)
                return value if reply.fn is None else mock.checked(value)
            except TestError as error:
                raise self._told(error) from error

        return _replaced(definition, perform)

    async def _played(self, reply: Reply, args: tuple[Any, ...]) -> Any:
        if reply.hangs:
            await self.stage.pace.wait(asyncio.get_running_loop().create_future())
        if reply.error is not None:
            raise reply.error
        if reply.fn is None:
            return reply.value
        result = reply.fn(*args)
        return await result if inspect.isawaitable(result) else result

    # Real activities

    def _watched(self, definition: AnyActivity) -> AnyActivity:
        async def perform(*args: Any) -> Any:
            self._begin(definition, args)
            if not self._options.twice:
                return await definition.fn(*args)
            first = await _outcome_of(definition, args)
            try:
                second = await definition.fn(*args)
            except Exception as error:  # the activity's own
                self._compare(definition, first, _shown_error(error))
                raise
            self._compare(definition, first, _shown_result(definition, second))
            return second

        def perform_here(*args: Any) -> Any:
            self._begin(definition, args)
            if not self._options.twice:
                return definition.fn(*args)
            try:
                first = _shown_result(definition, definition.fn(*args))
            except Exception as error:  # the activity's own
                first = _shown_error(error)
            try:
                second = definition.fn(*args)
            except Exception as error:  # the activity's own
                self._compare(definition, first, _shown_error(error))
                raise
            self._compare(definition, first, _shown_result(definition, second))
            return second

        return _replaced(definition, perform if definition.is_async else perform_here)

    def _begin(self, definition: AnyActivity, args: tuple[Any, ...]) -> None:
        self._note(definition, args)
        if self._options.refuse:
            raise self._told(UnmockedActivity(name=definition.name))

    def _compare(self, definition: AnyActivity, first: str, second: str) -> None:
        if first != second:
            self._report(NotIdempotent(name=definition.name, first=first, second=second))

    def _told(self, error: TestError) -> ApplicationError:
        """What an attempt ends with that must not be tried again, because the test is wrong."""
        self._report(error)
        return ApplicationError(str(error), type=type(error).__name__, retryable=False)

    # Calls

    def _calls_of(self, name: str) -> list[MockCall]:
        return self.calls.setdefault(name, [])

    def _note(self, definition: AnyActivity, args: tuple[Any, ...]) -> tuple[Any, ...]:
        job = current("a mock").job
        whole = tuple(completed(definition, args, {}))
        call = MockCall(whole, self._now(), job.workflow_id, job.key.run_id, job.attempt)
        self._calls_of(definition.name).append(call)
        return whole

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self.stage.time.now_ms / 1_000, UTC)


def _replaced(definition: AnyActivity, fn: Callable[..., Any]) -> AnyActivity:
    """The activity with another function; one for a process runs in a thread, where the test sees it."""
    twin = copy.copy(definition)
    twin.fn = fn
    twin.is_async = inspect.iscoroutinefunction(fn)
    twin.process = False
    return twin


async def _outcome_of(definition: AnyActivity, args: tuple[Any, ...]) -> str:
    try:
        return _shown_result(definition, await definition.fn(*args))
    except Exception as error:  # the activity's own
        return _shown_error(error)


def _shown_result(definition: AnyActivity, result: object) -> str:
    try:
        return definition.encode_result(result).data.decode(errors="replace")
    except PerdureError as error:
        return _shown_error(error)


def _shown_error(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
