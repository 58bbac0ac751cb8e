"""Cron lines: what they mean, which of them are refused, and what the refusal says."""

import zoneinfo
from datetime import UTC, datetime

import pytest

from perdure.core.errors import InvalidSchedule
from perdure.programs.schedule import zones
from perdure.programs.schedule.cron import checked, next_after
from perdure.programs.schedule.zones import zone

NOW = "2026-11-20T23:06:40.123+00:00"


def at(text: str) -> int:
    """A moment in ms."""
    return round(datetime.fromisoformat(text).timestamp() * 1_000)


def next_of(line: str, after: str = NOW) -> str:
    """When a line is due next."""
    found = next_after(line, at(after))
    assert found is not None
    return datetime.fromtimestamp(found / 1_000, UTC).isoformat().removesuffix("+00:00")


@pytest.mark.parametrize(
    ("line", "due"),
    [
        ("* * * * *", "2026-11-20T23:07:00"),
        ("*/30 * * * * *", "2026-11-20T23:07:00"),
        ("41-50 6 23 * * *", "2026-11-20T23:06:41"),
        ("0 9 * * mon-fri", "2026-11-23T09:00:00"),
        ("0 9 * * MON,Wednesday", "2026-11-23T09:00:00"),
        ("0 9 * * 7", "2026-11-22T09:00:00"),
        ("0 9 * * fri-sun", "2026-11-21T09:00:00"),
        ("0 0 1 jan *", "2027-01-01T00:00:00"),
        ("5/15 * * * *", "2026-11-20T23:20:00"),
        ("0 0 29 2 *", "2028-02-29T00:00:00"),
        ("0 0 13 * fri", "2026-11-27T00:00:00"),
        ("0 0 */13 * fri", "2026-11-27T00:00:00"),
        ("0 0 13 * ?", "2026-12-13T00:00:00"),
        ("@yearly", "2027-01-01T00:00:00"),
        ("@Annually", "2027-01-01T00:00:00"),
        ("@monthly", "2026-12-01T00:00:00"),
        ("@weekly", "2026-11-22T00:00:00"),
        ("@daily", "2026-11-21T00:00:00"),
        ("@midnight", "2026-11-21T00:00:00"),
        ("  @hourly  ", "2026-11-21T00:00:00"),
        ("@every 90m", "2026-11-21T00:00:00"),
        ("@every 1h/15m", "2026-11-20T23:15:00"),
        ("@every 1s", "2026-11-20T23:06:41"),
        ("CRON_TZ=Europe/Berlin 0 9 * * *", "2026-11-21T08:00:00"),
        ("TZ=America/New_York @daily", "2026-11-21T05:00:00"),
        ("TZ=utc @daily", "2026-11-21T00:00:00"),
    ],
)
def test_a_line_is_due(line: str, due: str) -> None:
    assert next_of(line) == due


def test_the_moment_itself_is_not_after_it() -> None:
    assert next_of("0 9 * * *", "2026-11-20T09:00:00+00:00") == "2026-11-21T09:00:00"
    assert next_of("0 9 * * *", "2026-11-20T08:59:59.999+00:00") == "2026-11-20T09:00:00"
    assert next_of("@every 1h", "2026-11-20T09:00:00+00:00") == "2026-11-20T10:00:00"


def test_a_skipped_local_time_happens_once_later_by_what_was_skipped() -> None:
    night = "2026-03-28T12:00:00+01:00"

    assert next_of("TZ=Europe/Berlin 30 2 * * *", night) == "2026-03-29T01:30:00"
    assert next_of("TZ=Europe/Berlin 30 2 * * *", "2026-03-29T01:30:00+00:00") == "2026-03-30T00:30:00"


def test_a_local_time_shown_twice_happens_the_first_time_only() -> None:
    night = "2026-10-24T12:00:00+02:00"

    assert next_of("TZ=Europe/Berlin 30 2 * * *", night) == "2026-10-25T00:30:00"
    assert next_of("TZ=Europe/Berlin 30 2 * * *", "2026-10-25T00:30:00+00:00") == "2026-10-26T01:30:00"


def test_what_happens_every_hour_follows_elapsed_time() -> None:
    assert next_of("TZ=Europe/Berlin 30 * * * *", "2026-10-25T00:30:00+00:00") == "2026-10-25T01:30:00"
    assert next_of("TZ=Europe/Berlin 30 * * * *", "2026-03-29T00:30:00+00:00") == "2026-03-29T01:30:00"


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("", "holds no fields"),
        ("* * *", "has 3 fields"),
        ("* * * * * * *", "has 7 fields"),
        ("61 * * * *", "minute 61 is out of bounds (character 1)"),
        ("0 24 * * *", "hour 24 is out of bounds (character 3)"),
        ("0 0 0 * *", "day of month 0 is out of bounds (character 5)"),
        ("0 0 1,32 * *", "day of month 32 is out of bounds (character 7)"),
        ("0 0 * 1-13 *", "month 13 is out of bounds (character 9)"),
        ("0 0 * * 8", "day of week 8 is out of bounds"),
        ("0 0 * * 99999999999999999999", "is out of bounds"),
        ("0 9 L * *", "'L' is no day of month (character 5)"),
        ("0 9 * * 5#2", "day of week '5#2' cannot be read"),
        ("0 9 * jan-foo *", "'foo' is no month (character 11)"),
        ("0 9 * * fri-tue", "runs backwards (character 9); write 0-tue,fri-7"),
        ("22-2 * * * *", "runs backwards (character 1); write 0-2,22-59"),
        ("*/0 * * * *", "step '0' of the minute field is no positive number (character 3)"),
        ("*/x * * * *", "step 'x'"),
        ("*-5 * * * *", "minute '*-5' cannot be read"),
        ("-5 * * * *", "minute '-5' cannot be read"),
        ("1,,2 * * * *", "an entry of the minute field is empty (character 3)"),
        ("? * * * *", "? means any day"),
        ("\u0661 * * * *", "cannot be read"),
        ("@reboot", "'@reboot' is unknown (character 1); known are @yearly"),
        ("@every", "is unknown"),
        ("@every soon", "every is not a length of time (character 8)"),
        ("@every 0s", "every is not a positive length"),
        ("@every 10ms", "every is shorter than a second"),
        ("@every 1h/1h", "offset is not shorter than the interval"),
        ("0 0 31 2 *", "is never due"),
        ("0 0 30 2,2 *", "is never due"),
        ("TZ=Europe/Berln @daily", "time zone 'Europe/Berln' is unknown; did you mean 'Europe/Berlin'?"),
        ("TZ=/etc/passwd @daily", "time zone '/etc/passwd' is unknown"),
        ("TZ=Europe @daily", "time zone 'Europe' is unknown"),
        ("TZ=\udcff @daily", "is unknown"),
        ("TZ=Europe/Berlin", "holds no fields"),
        ("* " * 600, "has 1200 characters, more than 1000"),
        (5, "is no text"),
        (None, "is no text"),
    ],
)
def test_a_line_is_refused_with_its_place_and_a_remedy(line: object, says: str) -> None:
    with pytest.raises(InvalidSchedule) as caught:
        checked(line, at(NOW))

    assert says in str(caught.value)
    assert "; " in str(caught.value)


def test_a_line_that_can_be_due_is_returned() -> None:
    assert checked("0 0 29 2 *", at(NOW)) == "0 0 29 2 *"


def test_a_machine_without_zone_data_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing() -> set[str]:
        return set()

    zoneinfo.reset_tzpath(to=[])
    monkeypatch.setattr(zones, "available_timezones", nothing)
    zoneinfo.ZoneInfo.clear_cache()
    try:
        with pytest.raises(InvalidSchedule, match="no time zone data; install the package tzdata"):
            zone("Antarctica/Troll")
        assert zone("UTC").offset(0) == 0
    finally:
        zoneinfo.reset_tzpath()


@pytest.mark.parametrize("moment", [-(10**18), 10**18, 7_258_118_400_000])
def test_moments_outside_the_years_of_schedules_are_no_error(moment: int) -> None:
    found = next_after("0 9 * * *", moment)

    assert found == (9 * 3_600_000 if moment < 0 else None)
