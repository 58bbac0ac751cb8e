"""The options of a test environment, checked."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, TypedDict, cast

import msgspec

from perdure.core.errors import InvalidOption
from perdure.core.ids import checked_id
from perdure.programs.code.options import Duration, duration_ms
from perdure.testing.virtual import START_MS


class EnvironmentOptions(TypedDict, total=False):
    """The options of a `TestEnvironment`, as keyword arguments."""

    store: str
    """URL of another store than a fresh one in memory."""
    start: datetime
    """Where the clock stands at first; 15 June 2025, 15:06:40 UTC."""
    queues: Iterable[str]
    """Task queues that are served beside those that the app and its activities name."""
    patience: Duration
    """How long in real time the clock stands still for an activity that runs; 10 s."""
    seed: int
    """Draws ids."""
    unmocked: Literal["run", "refuse"]
    """What becomes of activities that are not mocked; they run."""
    twice: bool
    """Run each activity twice, and report those that then end differently."""
    replay: bool | Literal["processes"]
    """After each turn, replay its run from the start; "processes": at the end also in one with another hash seed."""
    network: Iterable[str] | None
    """Refuse the network but for this machine and these hosts (`db.test`, `db.test:5432`); None refuses nothing."""


class Settings(msgspec.Struct, frozen=True):
    """The same, checked and complete."""

    store: str = "memory://"
    start_ms: int = START_MS
    queues: frozenset[str] = frozenset()
    patience_s: float = 10.0
    seed: int = 0
    refuses_unmocked: bool = False
    twice: bool = False
    replay: bool = False
    processes: bool = False
    network: frozenset[str] | None = None


def settings_of(options: EnvironmentOptions) -> Settings:
    """The settings that the options ask for; raises `InvalidOption`, `InvalidId`."""
    given: dict[str, Any] = {}
    for name, value in cast("dict[str, Any]", options).items():
        match name:
            case "start":
                given["start_ms"] = moment_ms(name, value)
            case "patience":
                given["patience_s"] = duration_ms(name, value) / 1_000
            case "queues":
                names = (value,) if isinstance(value, str) else value
                given[name] = frozenset(checked_id("queue", each) for each in names)
            case "network":
                given[name] = None if value is None else frozenset((value,) if isinstance(value, str) else value)
            case "unmocked":
                if value not in ("run", "refuse"):
                    remedy = "give 'run' or 'refuse'"
                    raise InvalidOption(name=name, value=repr(value), fact="is unknown", remedy=remedy)
                given["refuses_unmocked"] = value == "refuse"
            case "replay":
                if value not in (True, False, "processes"):
                    remedy = "give True, False or 'processes'"
                    raise InvalidOption(name=name, value=repr(value), fact="is unknown", remedy=remedy)
                given["replay"], given["processes"] = bool(value), value == "processes"
            case "store" | "seed" | "twice":
                given[name] = value
            case _:
                known = ", ".join(EnvironmentOptions.__annotations__)
                raise InvalidOption(name=name, value=repr(value), fact="is unknown", remedy=f"known are {known}")
    return Settings(**given)


def moment_ms(name: str, moment: datetime) -> int:
    """A moment in milliseconds since 1970; raises `InvalidOption`."""
    value: Any = moment
    if not isinstance(value, datetime) or value.tzinfo is None:
        raise InvalidOption(
            name=name, value=repr(value), fact="is no moment", remedy="give a datetime with a time zone"
        )
    return (value - datetime.fromtimestamp(0, UTC)) // timedelta(milliseconds=1)
