"""Messages: what a run is told. Each has a deterministic id, so that one told twice is known.

The numbers of the classes are persisted: they are never changed and never used again.
"""

from typing import TypeAlias

import msgspec

from perdure.core.attributes import Attribute
from perdure.core.failure import Failure
from perdure.core.ids import RunId, WorkflowId
from perdure.core.payload import Payload
from perdure.core.policy import RetryPolicy, TimeoutKind
from perdure.core.rank import Rank

Headers: TypeAlias = dict[str, Payload]
"""What travels beside the arguments, such as the caller's context; None in a field stands for none."""


class Completed(msgspec.Struct, frozen=True, array_like=True, tag=1, gc=False):
    """An outcome: the result."""

    result: Payload


class Failed(msgspec.Struct, frozen=True, array_like=True, tag=2, gc=False):
    """An outcome: why there is no result."""

    failure: Failure


class Cancelled(msgspec.Struct, frozen=True, array_like=True, tag=3, gc=False):
    """An outcome: the work was cancelled and said so."""

    failure: Failure


class Terminated(msgspec.Struct, frozen=True, array_like=True, tag=4, gc=False):
    """An outcome of a run: ended from outside, without running its code."""

    reason: str


class Continued(msgspec.Struct, frozen=True, array_like=True, tag=5, gc=False):
    """An outcome of a run that is none of its workflow: another run goes on. No answer ever carries it."""

    run_id: RunId


Outcome: TypeAlias = Completed | Failed | Cancelled | Terminated | Continued


class Parent(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The call that started a child workflow."""

    run_id: RunId
    workflow_id: WorkflowId
    call_id: int


class OpenChild(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A child workflow that is handed over to the run that goes on: its end is told to that one."""

    call_id: int
    run_id: RunId
    workflow_id: WorkflowId
    workflow_type: str


class Chain(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Where a run stands among the runs of one workflow that follow each other."""

    first_run_id: RunId
    began_at_ms: int
    """When the first of them was started."""
    started_at_ms: int
    """When this run was started, or is to start."""
    previous_run_id: RunId | None = None
    attempt: int = 1
    """Number of the try under the workflow's retry policy."""
    calls_count: int = 0
    """Call ids go on from here: a late answer to a run before can never be taken for one to this run."""
    last_result: Payload | None = None
    """Of the last run that completed."""
    last_failure: Failure | None = None
    """Of the run before, if it failed."""
    children: tuple[OpenChild, ...] = ()
    """Those that the run before handed over, under the call ids that they had there."""
    requests: tuple[str, ...] = ()
    """Ids of the last messages that the runs before took: one that is sent again counts once, whoever takes it."""


class StartOptions(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What a run was started with beside its arguments; a run that goes on for another one inherits it."""

    chain: Chain | None = None
    """None: the run is the first one of its chain."""
    retry: RetryPolicy | None = None
    """Of the workflow as a whole; None: a failed run is not tried again."""
    execution_ms: int | None = None
    """Longest time of all runs of the chain together."""
    run_ms: int | None = None
    """Longest time of one run."""
    cron: str | None = None
    memo: dict[str, Payload] | None = None
    attributes: tuple[Attribute, ...] = ()
    headers: Headers | None = None
    rank: Rank | None = None
    """Of its activities and children, unless they say otherwise."""


class Started(msgspec.Struct, frozen=True, array_like=True, tag=1, gc=False):
    """The first message of every run: all that its program must know of it."""

    workflow_type: str
    workflow_id: WorkflowId
    queue: str
    args: tuple[Payload, ...]
    parent: Parent | None = None
    options: StartOptions | None = None
    """None: nothing but the defaults."""

    @property
    def id(self) -> str:
        """Deterministic: a run starts once."""
        return "start"


class ActivityClosed(msgspec.Struct, frozen=True, array_like=True, tag=2, gc=False):
    """An activity's final outcome, with the number and the start of its last attempt."""

    call_id: int
    outcome: Outcome
    attempt: int = 1
    started_at_ms: int = 0
    last_failure: Failure | None = None
    """Failure of the attempt before the last one."""

    @property
    def id(self) -> str:
        """Deterministic: a call closes once."""
        return f"a{self.call_id}"


class TimerFired(msgspec.Struct, frozen=True, array_like=True, tag=3, gc=False):
    """A timer is due."""

    call_id: int

    @property
    def id(self) -> str:
        """Deterministic: a timer fires once."""
        return f"t{self.call_id}"


class Signaled(msgspec.Struct, frozen=True, array_like=True, tag=4, gc=False):
    """A signal, with the id that its sender gave it or that was drawn for it."""

    name: str
    payload: Payload
    request_id: str
    headers: Headers | None = None

    @property
    def id(self) -> str:
        """The sender's: a signal sent twice under one request id counts once."""
        return f"s/{self.request_id}"


class CancelRequested(msgspec.Struct, frozen=True, array_like=True, tag=5, gc=False):
    """The run shall cancel itself."""

    reason: str
    request_id: str

    @property
    def id(self) -> str:
        """The sender's."""
        return f"x{self.request_id}"


class TerminateRequested(msgspec.Struct, frozen=True, array_like=True, tag=6, gc=False):
    """The run shall end at once, without running its code."""

    reason: str

    @property
    def id(self) -> str:
        """Deterministic: a run is terminated once."""
        return "terminate"


class ChildStarted(msgspec.Struct, frozen=True, array_like=True, tag=7, gc=False):
    """Whether a child workflow started: `refusal` says why it could not."""

    call_id: int
    refusal: Failure | None = None

    @property
    def id(self) -> str:
        """Deterministic: a child starts once."""
        return f"b{self.call_id}"


class ChildClosed(msgspec.Struct, frozen=True, array_like=True, tag=8, gc=False):
    """A child workflow's outcome."""

    call_id: int
    outcome: Outcome

    @property
    def id(self) -> str:
        """Deterministic: a child closes once."""
        return f"c{self.call_id}"


class Resumed(msgspec.Struct, frozen=True, array_like=True, tag=9, gc=False):
    """A parked run shall try again; changes nothing else."""

    request_id: str

    @property
    def id(self) -> str:
        """The sender's."""
        return f"r{self.request_id}"


class UpdateRequested(msgspec.Struct, frozen=True, array_like=True, tag=10, gc=False):
    """An update: a signal whose sender waits for an answer."""

    name: str
    args: tuple[Payload, ...]
    update_id: str
    headers: Headers | None = None

    @property
    def id(self) -> str:
        """The sender's: an update sent twice under one id is applied once."""
        return f"u{self.update_id}"


class DeadlinePassed(msgspec.Struct, frozen=True, array_like=True, tag=11, gc=False):
    """The run's own deadline, or that of its chain, has come."""

    kind: TimeoutKind

    @property
    def id(self) -> str:
        """Deterministic: a deadline passes once."""
        return f"deadline/{self.kind}"


class Forked(msgspec.Struct, frozen=True, array_like=True, tag=13, gc=False):
    """The run began with turns of another one; from here on it goes its own way."""

    run_id: RunId
    """Its own; what it draws by chance comes from this one from here on."""
    workflow_id: WorkflowId
    source_run_id: RunId
    turns_count: int
    """How many turns it has from there."""
    chain: Chain
    reason: str = ""

    @property
    def id(self) -> str:
        """Deterministic: a run is forked off once."""
        return f"fork/{self.run_id}"


class PauseRequested(msgspec.Struct, frozen=True, array_like=True, tag=12, gc=False):
    """The run shall take no turn until it is resumed."""

    reason: str
    request_id: str

    @property
    def id(self) -> str:
        """The sender's."""
        return f"p{self.request_id}"


class Moved(msgspec.Struct, frozen=True, array_like=True, tag=20, gc=False):
    """Workers of another route take the run's turns from here on; changes nothing else."""

    route: str
    request_id: str

    @property
    def id(self) -> str:
        """The sender's."""
        return f"m{self.request_id}"


Message: TypeAlias = (
    Started
    | ActivityClosed
    | TimerFired
    | Signaled
    | CancelRequested
    | TerminateRequested
    | ChildStarted
    | ChildClosed
    | Resumed
    | UpdateRequested
    | DeadlinePassed
    | PauseRequested
    | Moved
    | Forked
)


class Query(msgspec.Struct, frozen=True, gc=False):
    """A question to a run; it is answered from the live run and recorded nowhere."""

    name: str
    args: tuple[Payload, ...]
    headers: Headers | None = None
