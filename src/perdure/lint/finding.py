"""What the checks find, and what each code means."""

from enum import StrEnum
from typing import NamedTuple

import msgspec


class Severity(StrEnum):
    """How bad a finding is."""

    ERROR = "error"
    WARNING = "warning"


class Rule(NamedTuple):
    """One code: what it is about, and the remedy where the finding names no better one."""

    code: str
    title: str
    remedy: str
    severity: Severity = Severity.ERROR


_ACTIVITY = "do it in an activity"

CLOCK = Rule("PDC001", "a clock that no replay repeats", "use workflow.now() or workflow.time()")
CHANCE = Rule("PDC002", "random numbers that no replay repeats", "use workflow.random() or workflow.uuid4()")
SETS = Rule("PDC003", "the order of a set", "iterate over sorted(...), or keep a list or a dict")
ADDRESS = Rule("PDC004", "a hash or an address", "compare the values themselves, or use a checksum such as zlib.crc32")
ENVIRONMENT = Rule(
    "PDC005", "the environment of the process", "read it in an activity, in workflow.side_effect, or pass it in"
)
THREADS = Rule("PDC006", "threads, processes, other loops", f"use asyncio.create_task or gather, or {_ACTIVITY}")
BLOCKING = Rule("PDC007", "the world outside: files, sockets, other programs", _ACTIVITY)
GLOBALS = Rule(
    "PDC008", "a global that is written", "keep it in the run: a local variable, an argument or a field of its object"
)
SWALLOWED = Rule(
    "PDC009", "a handler that swallows cancellation", "write `except Exception`, or end the handler with `raise`"
)
SPINNING = Rule("PDC010", "a loop that waits for nothing durable", "await a signal, an event or asyncio.sleep(seconds)")
DROPPED = Rule(
    "PDC011", "a task or a call that nobody awaits", "await it, or start it in a TaskGroup", Severity.WARNING
)

RULES = (CLOCK, CHANCE, SETS, ADDRESS, ENVIRONMENT, THREADS, BLOCKING, GLOBALS, SWALLOWED, SPINNING, DROPPED)


class Finding(msgspec.Struct, frozen=True, order=True):
    """One place that a replay may not repeat. `line` and `column` count from 1."""

    file: str
    line: int
    column: int
    code: str
    severity: Severity
    fact: str
    remedy: str
    workflow: str
    """The workflow whose code it is, or that calls it."""
