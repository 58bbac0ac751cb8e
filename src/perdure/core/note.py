"""What a run tells of itself: memo, progress and status, as readers see them without its history."""

import msgspec

from perdure.core.payload import Payload


class Progress(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """So much of so much, in the run's own unit."""

    done: float
    total: float | None = None
    text: str = ""


class RunNote(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The current state of all of it."""

    memo: dict[str, Payload] | None = None
    progress: Progress | None = None
    status: str = ""
