"""What a filter is once it is parsed: terms joined by `And` and `Or`. It has no `not`.

A comparison with a value that is missing, or of a kind that cannot be compared with what was written, is neither true
nor false, as in SQL: the run does not fit, and does not fit the negation either. The parser drives every `not` inward
to the terms, where it is the flag `negated`. So whoever evaluates a tree needs two truth values only: a term, negated
or not, holds or does not.
"""

from enum import Enum, IntEnum, StrEnum
from typing import TypeAlias

import msgspec


class ValueClass(IntEnum):
    """Values that can be compared with each other. The numbers are stored: never changed, never used again."""

    KEYWORD = 1
    """Text as a whole, compared by code points; also each element of a keyword list."""
    WORD = 2
    """The words of a text."""
    NUMBER = 3
    BOOL = 4
    MOMENT = 5
    """Of a run: ms since 1970. Of a search attribute: ns since 1970."""


class SystemField(StrEnum):
    """What every run has."""

    WORKFLOW_ID = "WorkflowId"
    RUN_ID = "RunId"
    WORKFLOW_TYPE = "WorkflowType"
    TASK_QUEUE = "TaskQueue"
    PARENT_RUN_ID = "ParentRunId"
    STATUS = "ExecutionStatus"
    START_TIME = "StartTime"
    CLOSE_TIME = "CloseTime"
    DURATION = "ExecutionDuration"
    """In ms; of open runs it is missing."""
    HISTORY_LENGTH = "HistoryLength"
    """In turns."""
    PARKED = "Parked"


class AttributeField(msgspec.Struct, frozen=True, gc=False):
    """A search attribute, by its name."""

    name: str


Field: TypeAlias = SystemField | AttributeField


class Op(Enum):
    """What a term asks. Of several values (a keyword list, words) one must fit; negated, none may."""

    IN = "in"
    """Equal to one of the values."""
    LESS = "<"
    AT_MOST = "<="
    MORE = ">"
    AT_LEAST = ">="
    BETWEEN = "between"
    """From the first value to the second, both included."""
    STARTS_WITH = "starts_with"


Comparand: TypeAlias = str | int | float | bool | tuple[str, ...]
"""What a value is compared with; a tuple: words that must all be there."""


class Reading(msgspec.Struct, frozen=True, gc=False):
    """What a term means for values of one class."""

    kind: ValueClass
    values: tuple[Comparand, ...]


class Compare(msgspec.Struct, frozen=True, gc=False):
    """A comparison; it holds only for values of a class that it has a reading for."""

    field: Field
    op: Op
    readings: tuple[Reading, ...]
    negated: bool = False


class IsNull(msgspec.Struct, frozen=True, gc=False):
    """The value is missing; negated: it is there."""

    field: Field
    negated: bool = False


class And(msgspec.Struct, frozen=True):
    """All hold."""

    nodes: tuple["Node", ...]


class Or(msgspec.Struct, frozen=True):
    """One holds at least."""

    nodes: tuple["Node", ...]


Term: TypeAlias = Compare | IsNull
Node: TypeAlias = Compare | IsNull | And | Or


class Order(msgspec.Struct, frozen=True, gc=False):
    """One key to sort by. Runs without the value come last, either way."""

    field: Field
    descending: bool = False


class Filter(msgspec.Struct, frozen=True):
    """Which runs, in which order; None is all of them. Runs that the order leaves equal come newest first."""

    where: Node | None = None
    order: tuple[Order, ...] = ()


EVERYTHING = Filter()
