"""An engine over a memory store on which nobody works, and somebody who takes turns by hand."""

from perdure.core import codec
from perdure.core.command import Command, CompleteRun
from perdure.core.failure import Failure
from perdure.core.ids import RunId, WorkerId, WorkflowId
from perdure.core.message import (
    Message,
    Started,
)
from perdure.core.payload import NULL
from perdure.core.store import ClaimRequest, Park
from perdure.engine.commit import to_commit
from perdure.engine.engine import Engine
from perdure.engine.live import LiveRun
from perdure.stores.memory import MemoryStore
from tests.unit.engine_world import ScriptedProgram, asking
from tests.unit.virtual_time import virtual_clock

ORDER = WorkflowId("order-1")
OTHER = WorkflowId("order-2")
WORKER = WorkerId("worker-1")


class Office:
    """An engine over a memory store, and somebody who takes turns by hand."""

    def __init__(self) -> None:
        self.store = MemoryStore()
        self.clock = virtual_clock()
        self.engine = Engine(self.store, self.clock)

    async def start(self, workflow_id: WorkflowId = ORDER, request_id: str | None = None) -> RunId:
        """Start a run."""
        return await self.engine.start(Started("scripted", workflow_id, "default", ()), request_id)

    async def turn(self, run_id: RunId, *commands: Command) -> None:
        """Take what waits for a run, in one turn that asks for these commands."""
        live = LiveRun(run_id, ORDER, ScriptedProgram(asking(*commands)).open(run_id))
        async for turn in self.engine.turns(run_id):
            live.recall([turn])
        waiting = await self.store.read_waiting(run_id)
        messages = [codec.messages.decode(each.data) for each in waiting.messages]
        # A fresh program, so that recalling before stepping is not held against it.
        live.program = ScriptedProgram(asking(*commands)).open(run_id)
        commit = to_commit(
            live,
            live.take_turn(self.clock.now_ms(), live.fresh(messages)),
            consumed=[message.id for message in messages],
            keeps=lambda _: False,
        )
        assert not await self.store.commit(None, [commit])

    async def inbox(self, run_id: RunId) -> list[Message]:
        """What waits for a run."""
        waiting = await self.store.read_waiting(run_id)
        return [codec.messages.decode(each.data) for each in waiting.messages]

    async def close(self, run_id: RunId) -> None:
        """Let a run complete."""
        await self.turn(run_id, CompleteRun(NULL))

    async def park(self, run_id: RunId) -> None:
        """Park a run."""
        await self.store.register(WORKER, self.clock.now_ms() + 10_000)
        request = ClaimRequest(WORKER, ("default",), frozenset({"scripted"}), frozenset(), 10, 0, 0)
        (claimed,) = (await self.store.claim(request, self.clock.now_ms())).runs
        assert claimed.run.run_id == run_id
        failure = codec.failures.encode(Failure("NonDeterminism", "history has a timer"))
        await self.store.park(WORKER, [Park(run_id, claimed.run.turns_count, failure)])
