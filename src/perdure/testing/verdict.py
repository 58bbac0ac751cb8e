"""The verdict on a simulated world after its end: what runs owed, what clients were told, what activities did."""

from itertools import pairwise

import msgspec

from perdure.core import codec
from perdure.core.command import CancelRun, CompleteRun, FailRun, RunActivity, TerminateRun
from perdure.core.ids import RunId, WorkerId
from perdure.core.message import CancelRequested, Signaled, Started, TerminateRequested
from perdure.core.payload import from_payload
from perdure.core.store import RunRecord, RunStatus
from perdure.core.turn import Turn
from perdure.engine.commit import outcome_of
from perdure.testing.actors import Execution
from perdure.testing.invariants import all_runs, fsck
from perdure.testing.plans import LOCAL, Expectation, Plan
from perdure.testing.world import World

QUARANTINE_DEATHS = 3


async def judge(world: World) -> list[str]:
    """Everything that is wrong with a world that has ended."""
    verdict = _Verdict(world)
    report = await fsck(world.witness.inner)
    found = [*world.violations, *world.witness.violations, *map(str, report.violations)]
    found += [f"nobody caught: {context}" for context in world.time.errors]
    return found + await verdict.texts()


class _Verdict:
    """Compares a world with what it owed."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._store = world.witness.inner
        self._found: list[str] = []
        self._asked: dict[str, int] = {}
        self._expectation = Expectation(
            deaths=world.witness.deaths_count > 0,
            quarantines=world.witness.deaths_count >= QUARANTINE_DEATHS,
            disturbed=world.shape.disturbed,
        )

    async def texts(self) -> list[str]:
        """What is wrong."""
        records: dict[RunId, RunRecord] = {}
        async for record in all_runs(self._store):
            records[record.run_id] = record
            await self._check_run(record)
        self._check_starts(records)
        for start in self._world.starts:
            if start.run_id is not None and start.outcome is not None and start.run_id in records:
                closing = (await self._turns(start.run_id))[-1].outputs[-1]
                assert isinstance(closing, CompleteRun | FailRun | CancelRun | TerminateRun)
                if outcome_of(closing) != start.outcome:
                    self._found.append(f"{start.workflow_id}: a client was told {start.outcome}, recorded is {closing}")
        for key, executions in self._world.ledger.executions.items():
            self._check_executions(key, executions)
        return self._found

    async def _turns(self, run_id: RunId) -> list[Turn]:
        (turns,) = await self._store.read_turns([(run_id, 0)], 1_000_000)
        return [codec.turns.decode(data) for data in turns]

    # Runs

    async def _check_run(self, record: RunRecord) -> None:
        turns = await self._turns(record.run_id)
        name = f"{record.workflow_id} (run {record.run_id})"
        if record.status is RunStatus.RUNNING or not turns:
            waiting = await self._store.read_waiting(record.run_id)
            parked = None if record.parked is None else codec.failures.decode(record.parked)
            self._found.append(f"{name} is open after {len(turns)} turns; {parked}; {waiting}")
            return
        started = turns[0].inputs[0]
        if not isinstance(started, Started):
            self._found.append(f"{name} has {started} as its first message")
            return
        plan = from_payload(started.args[0], Plan)
        inputs = [message for turn in turns for message in turn.inputs]
        cancelled = any(isinstance(message, CancelRequested) for message in inputs)
        terminated = any(isinstance(message, TerminateRequested) for message in inputs)
        self._count_calls(turns)
        self._check_signals(name, turns)
        allowed = {RunStatus.COMPLETED}
        allowed |= {RunStatus.CANCELLED} if cancelled else set()
        allowed = {RunStatus.TERMINATED} if terminated else allowed
        if record.status not in allowed:
            self._found.append(f"{name} is {record.status}, not one of {sorted(allowed)}: {turns[-1].outputs[-1]}")
        elif record.status is RunStatus.CANCELLED:
            self._check_clean_up(name, plan, turns)
        elif record.status is RunStatus.COMPLETED:
            closing = turns[-1].outputs[-1]
            assert isinstance(closing, CompleteRun)
            if not cancelled:
                found = self._expectation.mismatches(plan, msgspec.json.decode(closing.result.data))
                self._found += [f"{name}: {text}" for text in found]

    def _count_calls(self, turns: list[Turn]) -> None:
        for turn in turns:
            for command in turn.outputs:
                if isinstance(command, RunActivity) and not command.name.startswith("perdure."):
                    key = msgspec.json.decode(command.args[0].data)
                    self._asked[key] = self._asked.get(key, 0) + 1
                    if self._asked[key] > 1:
                        self._found.append(f"step {key} was asked for {self._asked[key]} times")

    def _check_signals(self, name: str, turns: list[Turn]) -> None:
        numbers = [
            msgspec.json.decode(message.payload.data)
            for turn in turns
            for message in turn.inputs
            if isinstance(message, Signaled) and message.name == "note" and message.payload.data != b'"poison"'
        ]
        if numbers != list(range(len(numbers))):
            self._found.append(f"{name} heard the signals {numbers}")

    def _check_clean_up(self, name: str, plan: Plan, turns: list[Turn]) -> None:
        # Cancelled in its first turn, its code never began.
        began = not any(isinstance(message, CancelRequested) for message in turns[0].inputs)
        if plan.clean_up is not None and began:
            executions = self._world.ledger.executions.get(plan.clean_up.key, [])
            if not any(each.returned for each in executions) and self._world.witness.deaths_count < QUARANTINE_DEATHS:
                self._found.append(f"{name} was cancelled and has not cleaned up")

    # Clients

    def _check_starts(self, records: dict[RunId, RunRecord]) -> None:
        for start in self._world.starts:
            record = None if start.run_id is None else records.get(start.run_id)
            if record is None:
                self._found.append(f"{start.workflow_id} was acknowledged as run {start.run_id}, which does not exist")
                continue
            count = sum(each.workflow_id == start.workflow_id for each in records.values())
            if count != 1 and not start.another:
                self._found.append(f"{start.workflow_id} has {count} runs")
            if start.terminated and record.status is not RunStatus.TERMINATED:
                self._found.append(f"{start.workflow_id} was terminated and is {record.status}")

    # Activities

    def _check_executions(self, key: str, executions: list[Execution]) -> None:
        """One execution follows another only where the first one failed, or where its worker had lost its lease."""
        if LOCAL in key:
            return
        for before, after in pairwise(executions):
            # The later one may itself be a zombie's, which heard late that it may begin.
            lost = any(self._lost_by(each.worker, after.from_ms) for each in (before, after))
            if before.returned and not lost:
                self._found.append(f"step {key} ran again though it had returned: {before}, then {after}")
            elif not before.returned and after.attempt <= before.attempt and not lost:
                self._found.append(f"step {key} ran twice as one attempt: {before}, then {after}")

    def _lost_by(self, worker: str, at_ms: int) -> bool:
        lost_ms = self._world.witness.lost.get(WorkerId(worker))
        return lost_ms is not None and lost_ms <= at_ms
