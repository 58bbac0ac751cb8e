"""The verdict on a simulated world after its end: what runs owed, what clients were told, what activities did."""

from collections import Counter
from itertools import pairwise
from typing import Any

import msgspec

from perdure.core import codec
from perdure.core.command import CompleteRun, CompleteUpdate, RejectUpdate, ResetRun, RunActivity
from perdure.core.ids import RunId, WorkerId
from perdure.core.message import CancelRequested, Completed, Failed, TerminateRequested
from perdure.core.payload import from_payload
from perdure.core.store import RunRecord, RunStatus
from perdure.core.turn import Turn
from perdure.engine.commit import outcome_of
from perdure.testing.actors import Execution
from perdure.testing.invariants import all_runs, fsck
from perdure.testing.lineage import Lineages, PastRun, past_run, repeated, signals_heard
from perdure.testing.plans import DIED, LOCAL, Again, Expectation, failures_count, marks_of, value_of
from perdure.testing.world import Start, World, family_of

QUARANTINE_DEATHS = 3
POISON = b'"poison"'


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
        self._asked: Counter[str] = Counter()
        self._runs: dict[RunId, PastRun] = {}
        self._lineages = Lineages(self._runs)
        self._reborn: dict[str, int] = {}
        """How many runs of a family began anew: its steps may have been asked for so often more."""
        deaths_count = world.witness.deaths_count
        expectations = [
            Expectation(deaths=deaths_count > 0, quarantines=deaths_count >= QUARANTINE_DEATHS, disturbed=disturbed)
            for disturbed in (world.shape.disturbed, True)
        ]
        self._expectation, self._expectation_late = expectations
        """Timers of a run that began anew are armed for their old moments."""

    async def texts(self) -> list[str]:
        """What is wrong."""
        async for record in all_runs(self._store):
            await self._read(record)
        for start in self._world.starts:
            self._reborn[start.family] = self._lineages.reborn_count(
                [run for run in self._runs.values() if family_of(run.record.workflow_id) == start.family]
            )
        for run in self._runs.values():
            self._check_run(run)
        self._found += self._lineages.wrong_successors()
        for start in self._world.starts:
            self._check_start(start)
        for key, count in self._asked.items():
            if count > 1 + self._again_count(key):
                self._found.append(f"step {key} was asked for {count} times")
        for key, executions in self._world.ledger.executions.items():
            self._check_executions(key, executions)
        return self._found

    async def _read(self, record: RunRecord) -> None:
        turns = await self._turns(record.run_id)
        name = f"{record.workflow_id} (run {record.run_id})"
        if record.status is RunStatus.RUNNING or not turns:
            waiting = await self._store.read_waiting(record.run_id)
            parked = None if record.parked is None else codec.failures.decode(record.parked)
            self._found.append(f"{name} is open after {len(turns)} turns; {parked}; {waiting}")
            return
        run = past_run(record, turns)
        if run is None:
            self._found.append(f"{name} has {turns[0].inputs} as its first messages")
            return
        self._runs[record.run_id] = run

    async def _turns(self, run_id: RunId) -> list[Turn]:
        (turns,) = await self._store.read_turns([(run_id, 0)], 1_000_000)
        return [codec.turns.decode(data) for data in turns]

    def _again_count(self, key: str) -> int:
        """How often more than once the steps of this key's family may have been asked for."""
        return self._reborn.get(key.partition(".")[0], 0)

    # Runs

    def _check_run(self, run: PastRun) -> None:
        record, name = run.record, f"{run.record.workflow_id} (run {run.run_id})"
        line = self._lineages.of(run)
        inputs = [message for each in line for message in each.inputs]
        cancelled = any(isinstance(message, CancelRequested) for message in inputs)
        # A reset undoes an end, but not the ends of children that it brought about.
        ended = any(
            isinstance(message, CancelRequested | TerminateRequested)
            for each in self._runs.values()
            if each.record.workflow_id == record.workflow_id
            for message in each.inputs
        )
        self._count_calls(run)
        self._found += [f"{name}: {text}" for text in repeated(line)]
        numbers = [msgspec.json.decode(data) for data in signals_heard(line, "note") if data != POISON]
        if numbers != list(range(len(numbers))):
            self._found.append(f"{name} heard the signals {numbers}")
        allowed = self._allowed(run, cancelled=cancelled)
        if record.status not in allowed:
            self._found.append(f"{name} is {record.status}, not one of {sorted(allowed)}: {run.closing}")
        elif record.status is RunStatus.CANCELLED:
            self._check_clean_up(name, run)
        elif isinstance(run.closing, CompleteRun) and not ended:
            plan = line[0].plan
            # A fork of a run that was handed results begins with them.
            results = from_payload(run.closing.result, list[Any])[line[0].before_count :]
            late = self._reborn.get(family_of(record.workflow_id), 0) > 0
            found = (self._expectation_late if late else self._expectation).mismatches(plan, results)
            options = line[0].started.options
            owed = {each.name: each.value for each in (() if options is None else options.attributes)} | marks_of(plan)
            marks = {each.name: each.value for each in record.attributes}
            if marks != owed:
                found.append(f"its search attributes are {marks}, not {owed}")
            self._found += [f"{name}: {text}" for text in found]

    def _allowed(self, run: PastRun, *, cancelled: bool) -> set[RunStatus]:
        if isinstance(run.closing, ResetRun) or any(isinstance(each, TerminateRequested) for each in run.inputs):
            return {RunStatus.TERMINATED}
        plan, options = run.plan, run.started.options
        attempt = 1 if options is None or options.chain is None else options.chain.attempt
        if attempt <= failures_count(plan):
            allowed = {RunStatus.FAILED}
        elif any(isinstance(op, Again) for op in plan.ops):
            allowed = {RunStatus.CONTINUED_AS_NEW}
        else:
            allowed = {RunStatus.COMPLETED}
        return allowed | {RunStatus.CANCELLED} if cancelled else allowed

    def _count_calls(self, run: PastRun) -> None:
        for turn in run.own_turns:
            for command in turn.outputs:
                if isinstance(command, RunActivity) and not command.name.startswith("perdure."):
                    self._asked[msgspec.json.decode(command.args[0].data)] += 1

    def _check_clean_up(self, name: str, run: PastRun) -> None:
        # Cancelled in its first turn, its code never began.
        began = not any(isinstance(message, CancelRequested) for message in run.turns[0].inputs)
        clean_up = run.plan.clean_up
        if clean_up is not None and began:
            executions = self._world.ledger.executions.get(clean_up.key, [])
            if not any(each.returned for each in executions) and self._world.witness.deaths_count < QUARANTINE_DEATHS:
                self._found.append(f"{name} was cancelled and has not cleaned up")

    # Clients

    def _check_start(self, start: Start) -> None:
        run = None if start.run_id is None else self._runs.get(start.run_id)
        if run is None:
            self._found.append(f"{start.workflow_id} was acknowledged as run {start.run_id}, which does not exist")
            return
        runs = [each for each in self._runs.values() if each.record.workflow_id == start.workflow_id]
        count = sum(each.record.first_run_id == each.run_id for each in runs)
        if count != 1 and not start.another:
            self._found.append(f"{start.workflow_id} was begun {count} times")
        if start.terminated and not any(each.record.status is RunStatus.TERMINATED for each in runs):
            self._found.append(f"{start.workflow_id} was terminated and is {run.record.status}")
        outcomes = [outcome_of(each.closing) for each in runs if each.closing is not None]
        if start.outcome is not None and start.outcome not in outcomes:
            self._found.append(f"{start.workflow_id}: a client was told {start.outcome}, recorded is {outcomes}")
        recorded = [command for each in runs for turn in each.turns for command in turn.outputs]
        for answer in start.answers:
            if answer not in recorded:
                self._found.append(f"{start.workflow_id}: a client was told {answer}, which is recorded nowhere")
            elif (text := self._wrong_answer(start, answer)) is not None:
                self._found.append(f"{start.workflow_id}: {text}")

    def _wrong_answer(self, start: Start, answer: CompleteUpdate | RejectUpdate) -> str | None:
        """What is wrong with the answer of an update, whenever it was given."""
        number = int(answer.update_id.removeprefix("update"))
        match answer:
            case RejectUpdate(failure=failure):
                # A run that ends has nobody any more who could decide.
                fits = failure.type == ("Negative" if number < 0 else "UnknownUpdate")
            case CompleteUpdate(outcome=Completed(result)):
                fits = number >= 0 and from_payload(result, int) == value_of(f"{start.family}.u{number}")
            case CompleteUpdate(outcome=outcome):
                fits = isinstance(outcome, Failed) and outcome.failure.type in ("CancelledError", DIED)
        return None if fits else f"the answer of an update was {answer}"

    # Activities

    def _check_executions(self, key: str, executions: list[Execution]) -> None:
        """One execution follows another only where the first one failed, or where its worker had lost its lease."""
        if LOCAL in key or self._again_count(key):
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
