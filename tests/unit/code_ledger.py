"""A class with handlers of every kind, for the tests of handlers."""

import asyncio
from typing import Any

from perdure import workflow
from perdure.core.command import AcceptUpdate, Command, CompleteUpdate, RejectUpdate
from perdure.core.failure import ApplicationError
from perdure.core.message import Completed
from perdure.core.payload import from_payload
from perdure.programs.code.definition import Activity


async def _echo(value: Any) -> Any:
    return value


echo: Activity[[Any], Any] = Activity(_echo, name="echo")


class Ledger:
    def __init__(self) -> None:
        self.lines: list[Any] = []
        self.locked = False
        self.closed = False

    @workflow.run
    async def run(self) -> list[Any]:
        self.lines.append("run")
        await workflow.wait_condition(lambda: self.closed)
        return self.lines

    @workflow.signal
    def note(self, line: Any = "nothing") -> None:
        self.lines.append(line)

    @workflow.signal
    async def slow_note(self, line: str) -> None:
        self.lines.append(await echo(line))

    @workflow.signal
    def fail(self, kind: str) -> None:
        if kind == "forbidden":
            open("/etc/hosts")  # noqa: PTH123, SIM115 # refused
        raise ApplicationError("on purpose", type=kind)

    @workflow.signal
    def close(self) -> None:
        self.closed = True

    @workflow.signal(name="lock")
    def lock_it(self) -> None:
        self.locked = True

    @workflow.update
    def put(self, line: str) -> int:
        self.lines.append(line)
        return len(self.lines)

    @put.validator
    def check_put(self, line: str) -> None:
        if self.locked:
            raise PermissionError("locked")
        if line == "change":
            asyncio.get_running_loop().call_later(1, print)

    @workflow.update
    async def slow_put(self, line: str) -> list[Any]:
        self.lines.append(workflow.current_update_id())
        self.lines.append(await echo(line))
        return [workflow.current_update_id(), len(self.lines)]

    @workflow.update
    async def broken(self, kind: str) -> None:
        if kind == "cancel":
            raise asyncio.CancelledError("enough")
        if kind == "forbidden":
            asyncio.get_running_loop().run_in_executor(None, print)
        raise ApplicationError("on purpose", {"code": 7}, type=kind)

    @workflow.query
    def finished(self) -> bool:
        return workflow.all_handlers_finished()


def accepted(commands: list[Command]) -> list[str]:
    return [each.update_id for each in commands if isinstance(each, AcceptUpdate)]


def answers(commands: list[Command]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for each in commands:
        if isinstance(each, CompleteUpdate):
            outcome = each.outcome
            found[each.update_id] = (
                from_payload(outcome.result) if isinstance(outcome, Completed) else outcome.failure.type
            )
        elif isinstance(each, RejectUpdate):
            found[each.update_id] = f"rejected: {each.failure.type}"
    return found
