"""Waiting for the answers of updates: they are in the history, and one shared watcher a process looks for them there.

What this process itself commits takes the short way. Where the run goes on as another one, an update that was not
accepted goes with it, and so does whoever waits. One that is sent again after a run before took it is answered from
that run's history.
"""

import asyncio
from collections.abc import Sequence
from typing import TypeAlias

from perdure.core import codec
from perdure.core.command import AcceptUpdate, CompleteUpdate, RejectUpdate
from perdure.core.ids import RunId
from perdure.core.message import Started
from perdure.core.store import RunStatus, Store
from perdure.core.turn import Turn
from perdure.engine.closings import Closings
from perdure.engine.pipeline import surely

TURNS_A_LOOK = 200

Answer: TypeAlias = AcceptUpdate | RejectUpdate | CompleteUpdate | None
"""What became of an update; None: the run closed without answering it."""


class UpdateWaiter:
    """One who waits for an update to be accepted, or to be answered."""

    __slots__ = ("accepted", "after_count", "early", "future", "run_id", "taken_before", "update_id")

    def __init__(self, update_id: str, *, early: bool) -> None:
        self.update_id = update_id
        self.early = early
        """Satisfied when the update is accepted."""
        self.accepted = False
        self.run_id = RunId("")
        self.after_count = 0
        """So many turns of the run have been looked at."""
        self.taken_before: RunId | None = None
        """The run before this one, where a run before took the update: this one drops it."""
        self.future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()

    def tell(self, turn: Turn) -> None:
        """Look for the update in a turn."""
        if turn.number == 1:
            self.taken_before = self._taken_before(turn)
        for command in turn.outputs:
            if not isinstance(command, AcceptUpdate | RejectUpdate | CompleteUpdate):
                continue
            if command.update_id == self.update_id:
                early = isinstance(command, AcceptUpdate)
                self.accepted = self.accepted or early
                if not early or self.early:
                    self.settle(command)

    def _taken_before(self, first: Turn) -> RunId | None:
        for message in first.inputs:
            if isinstance(message, Started) and message.options is not None:
                chain = message.options.chain
                if chain is not None and f"u{self.update_id}" in chain.requests:
                    return chain.previous_run_id
        return None

    def settle(self, answer: Answer) -> None:
        """The answer is known."""
        if not self.future.done():
            self.future.set_result(answer)


class Updates:
    """Those who wait for updates in this process, by run."""

    def __init__(self, store: Store, closings: Closings) -> None:
        self._store = store
        self._closings = closings
        self.waiters: dict[RunId, list[UpdateWaiter]] = {}
        """By run; others only look."""
        self._looks: set[asyncio.Task[None]] = set()
        closings.beside(self)

    # Waiting

    def place(self, waiter: UpdateWaiter, run_id: RunId, after_count: int) -> None:
        """Let someone wait for what run `run_id` does after so many turns."""
        self.forget(waiter)
        waiter.run_id, waiter.after_count, waiter.taken_before = run_id, after_count, None
        self.waiters.setdefault(run_id, []).append(waiter)
        self._closings.keep_watch()

    def forget(self, waiter: UpdateWaiter) -> None:
        """They no longer wait."""
        others = self.waiters.get(waiter.run_id)
        if others is not None and waiter in others:
            others.remove(waiter)
            if not others:
                del self.waiters[waiter.run_id]

    # Hearing

    def heard(self, run_id: RunId, data: bytes) -> None:
        """A turn of a run became durable in this process."""
        turn = codec.turns.decode(data)
        for waiter in self.waiters.get(run_id, ()):
            waiter.tell(turn)
            if waiter.taken_before is not None:
                self._look_soon(run_id)

    def closed(self, run_id: RunId) -> None:
        """A run closed, durably: who still waits may have missed a turn, or has to follow the run that goes on."""
        if run_id in self.waiters:
            self._look_soon(run_id)

    def _look_soon(self, run_id: RunId) -> None:
        task = asyncio.get_running_loop().create_task(self._look_surely([run_id]))
        self._looks.add(task)
        task.add_done_callback(self._looks.discard)

    async def _look_surely(self, run_ids: Sequence[RunId]) -> None:
        await surely(lambda: self.look(run_ids), "read")

    @property
    def watched(self) -> Sequence[RunId]:
        """The runs to look at when the store has changed."""
        return tuple(self.waiters)

    async def look(self, run_ids: Sequence[RunId]) -> None:
        """Look for answers in what these runs did since the last look."""
        while run_ids:
            records = await self._store.read_runs(run_ids)
            await self._read({record.run_id: record.turns_count for record in records})
            followed: list[RunId] = []
            for record in records:
                await self._look_before(record.run_id)
                if record.status is RunStatus.RUNNING:
                    continue
                for waiter in tuple(self.waiters.get(record.run_id, ())):
                    if waiter.future.done():
                        continue
                    if record.successor is None or waiter.accepted:
                        waiter.settle(None)
                    else:
                        self.place(waiter, record.successor, 0)
                        followed.append(record.successor)
            run_ids = followed

    async def _look_before(self, run_id: RunId) -> None:
        """Answer those whose update was taken by a run before this one."""
        for waiter in tuple(self.waiters.get(run_id, ())):
            while not waiter.future.done() and (previous := waiter.taken_before) is not None:
                waiter.taken_before = None
                await self._tell_all(waiter, previous)
                if waiter.taken_before is None:
                    # It was not answered there, or that run was deleted: nobody will answer it any more.
                    waiter.accepted = True
                    waiter.settle(None)

    async def _tell_all(self, waiter: UpdateWaiter, run_id: RunId) -> None:
        """Let somebody look through the history of a closed run."""
        after = 0
        while True:
            (history,) = await self._store.read_turns([(run_id, after)], TURNS_A_LOOK)
            for data in history:
                waiter.tell(codec.turns.decode(data))
            after += len(history)
            if len(history) < TURNS_A_LOOK:
                return

    async def _read(self, counts: dict[RunId, int]) -> None:
        while True:
            wants = [
                (run_id, min(waiter.after_count for waiter in self.waiters[run_id]))
                for run_id in counts
                if run_id in self.waiters
            ]
            wants = [(run_id, after) for run_id, after in wants if after < counts[run_id]]
            if not wants:
                return
            histories = await self._store.read_turns(wants, TURNS_A_LOOK)
            for (run_id, after), history in zip(wants, histories, strict=True):
                turns = [codec.turns.decode(data) for data in history]
                for waiter in self.waiters.get(run_id, ()):
                    for turn in turns:
                        if turn.number > waiter.after_count:
                            waiter.tell(turn)
                    # Those who came meanwhile and want earlier turns are read for in the next round.
                    if waiter.after_count >= after:
                        waiter.after_count = max(waiter.after_count, turns[-1].number if turns else counts[run_id])

    async def stop(self) -> None:
        """Let go; whoever still waits is cancelled."""
        for task in self._looks:
            task.cancel()
        await asyncio.gather(*self._looks, return_exceptions=True)
        for waiters in self.waiters.values():
            for waiter in waiters:
                waiter.future.cancel()
