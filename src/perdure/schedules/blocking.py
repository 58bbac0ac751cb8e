"""Schedules for code without a loop: each verb blocks, and does what its namesake of `client` does."""

from collections.abc import Callable, Coroutine
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVarTuple, Unpack

from perdure.programs.code.run_options import OnceKeywords
from perdure.programs.schedule.spec import ScheduleSpec
from perdure.programs.schedule.state import Action, Overlap
from perdure.schedules.client import ScheduleHandle, Schedules
from perdure.schedules.values import Schedule, ScheduleDescription, ScheduleKeywords, ScheduleSummary, preview

if TYPE_CHECKING:
    from perdure.blocking import BlockingPerdure

Ts = TypeVarTuple("Ts")


class BlockingScheduleHandle:
    """One schedule."""

    def __init__(self, app: "BlockingPerdure", handle: ScheduleHandle) -> None:
        self._app = app
        self._handle = handle

    @property
    def id(self) -> str:
        """The schedule's id."""
        return self._handle.id

    def describe(self) -> ScheduleDescription:
        """As `ScheduleHandle.describe`."""
        return self._app.wait(self._handle.describe())

    def pause(self, note: str = "", *, request_id: str | None = None) -> None:
        """As `ScheduleHandle.pause`."""
        self._app.wait(self._handle.pause(note, request_id=request_id))

    def unpause(self, note: str = "", *, request_id: str | None = None) -> None:
        """As `ScheduleHandle.unpause`."""
        self._app.wait(self._handle.unpause(note, request_id=request_id))

    def trigger(self, overlap: Overlap | None = None, *, request_id: str | None = None) -> None:
        """As `ScheduleHandle.trigger`."""
        self._app.wait(self._handle.trigger(overlap, request_id=request_id))

    def backfill(
        self, start: datetime, end: datetime, overlap: Overlap = Overlap.BUFFER_ALL, *, request_id: str | None = None
    ) -> None:
        """As `ScheduleHandle.backfill`."""
        self._app.wait(self._handle.backfill(start, end, overlap, request_id=request_id))

    def update(self, change: Callable[[Schedule], Schedule | None]) -> None:
        """As `ScheduleHandle.update`."""
        self._app.wait(self._handle.update(change))

    def delete(self) -> None:
        """As `ScheduleHandle.delete`."""
        self._app.wait(self._handle.delete())


class BlockingSchedules:
    """The schedules of an app's store."""

    def __init__(self, app: "BlockingPerdure", schedules: Schedules) -> None:
        self._app = app
        self._schedules = schedules

    def create(
        self,
        id: str,
        spec: ScheduleSpec,
        workflow: Callable[[Unpack[Ts]], Coroutine[Any, Any, Any]],
        *args: *Ts,
        **options: Unpack[ScheduleKeywords],
    ) -> BlockingScheduleHandle:
        """As `Schedules.create`."""
        made = self._app.wait(self._schedules.create(id, spec, workflow, *args, **options))
        return BlockingScheduleHandle(self._app, made)

    def create_by_name(
        self, id: str, spec: ScheduleSpec, workflow: str, *args: Any, **options: Unpack[ScheduleKeywords]
    ) -> BlockingScheduleHandle:
        """As `Schedules.create_by_name`."""
        made = self._app.wait(self._schedules.create_by_name(id, spec, workflow, *args, **options))
        return BlockingScheduleHandle(self._app, made)

    def action(
        self,
        workflow_id: str,
        workflow: Callable[[Unpack[Ts]], Coroutine[Any, Any, Any]],
        *args: *Ts,
        queue: str | None = None,
        **options: Unpack[OnceKeywords],
    ) -> Action:
        """As `Schedules.action`."""
        return self._schedules.action(workflow_id, workflow, *args, queue=queue, **options)

    def action_by_name(
        self, workflow_id: str, workflow: str, *args: Any, queue: str | None = None, **options: Unpack[OnceKeywords]
    ) -> Action:
        """As `Schedules.action_by_name`."""
        return self._schedules.action_by_name(workflow_id, workflow, *args, queue=queue, **options)

    def handle(self, id: str) -> BlockingScheduleHandle:
        """As `Schedules.handle`."""
        return BlockingScheduleHandle(self._app, self._schedules.handle(id))

    def list(self, *, limit: int = 100, before: str | None = None) -> "list[ScheduleSummary]":
        """As `Schedules.list`."""
        return self._app.wait(self._schedules.list(limit=limit, before=before))

    def preview(
        self, spec: ScheduleSpec | str, zone: str | None = None, count: int = 10, *, after: datetime | None = None
    ) -> "list[datetime]":
        """As `perdure.schedules.preview`."""
        return preview(spec, zone, count, after=after)
