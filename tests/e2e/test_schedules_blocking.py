"""Schedules for code without a loop."""

import time
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from perdure import Perdure
from perdure.core.errors import ScheduleNotFound
from perdure.schedules import BlockingScheduleHandle, Overlap, ScheduleSpec

YEARLY = ScheduleSpec(crons=["@yearly"])


def test_every_verb_blocks_and_does_what_its_namesake_does(url: str) -> None:
    app = Perdure(url)

    @app.workflow
    async def report(word: str) -> str:
        return word

    with app.blocking() as client:
        handle = client.schedules.create("r", YEARLY, report, "word", paused=True)
        client.schedules.create_by_name("other", YEARLY, "report", "word")
        assert [each.id for each in client.schedules.list()] == ["other", "r"]
        handle = client.schedules.handle(handle.id)
        handle.trigger(request_id="once")
        handle.trigger(request_id="once")
        (first,) = _recent(handle, 1)
        assert client.handle(first, report).result() == "word"

        handle.backfill(datetime(2020, 6, 1, tzinfo=UTC), datetime(2022, 6, 1, tzinfo=UTC))
        assert len(_recent(handle, 3)) == 3
        handle.unpause("go")
        handle.update(lambda schedule: replace(schedule, overlap=Overlap.ALLOW_ALL))
        handle.update(lambda schedule: replace(schedule, action=client.schedules.action("r", report, "other")))
        handle.pause("stop")
        found = handle.describe()
        assert (found.paused, found.note, found.version) == (True, "stop", 3)
        assert found.schedule.overlap is Overlap.ALLOW_ALL
        assert len(client.schedules.preview("@hourly", count=3)) == 3
        handle.delete()
        with pytest.raises(ScheduleNotFound):
            handle.describe()


def _recent(handle: BlockingScheduleHandle, count: int) -> list[str]:
    """Ids of the workflows that were started, when there are so many."""
    while len(found := handle.describe().recent) < count:
        time.sleep(0.005)
    return [str(each.workflow_id) for each in found]
