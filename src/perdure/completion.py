"""`app.activities`: activities completed from outside, by their token or by name, from any process with the store."""

from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, TypeAlias

from perdure.core.errors import InvalidArguments, UndecodablePayload
from perdure.core.failure import Failure, cancelled, to_failure
from perdure.core.ids import checked_id
from perdure.core.message import Cancelled, Completed, Failed, Outcome
from perdure.core.payload import Payload
from perdure.engine.completing import ActivityRef, Completing
from perdure.engine.later import Token, parsed_token

if TYPE_CHECKING:
    from perdure.app import Perdure

Target: TypeAlias = "str | ActivityRef"
"""An activity's token, or its workflow with its name or call id."""


class Completions:
    """Ends activities that wait for it, and any other one by hand. Each call is durable when it returns."""

    def __init__(self, app: "Perdure") -> None:
        self._app = app

    async def complete(self, target: Target, result: Any = None) -> None:
        """Give an activity its result. Raises `ActivityNotOpen`; `InvalidArguments` for a result that does not fit."""
        payload = self._app.converter.to_payload(result, what="result of an activity")

        def outcome(name: str) -> Outcome:
            self._check(name, payload)
            return Completed(payload)

        await self._end(target, outcome)

    async def fail(self, target: Target, error: BaseException | str) -> None:
        """Say that an activity failed; what follows is up to its retry policy. Raises `ActivityNotOpen`."""
        failure = (
            Failure("ApplicationError", error) if isinstance(error, str) else to_failure(error, self._app.converter)
        )
        await self._end(target, lambda _: Failed(failure))

    async def cancelled(self, target: Target, reason: str = "") -> None:
        """Say that an activity has ended because it was cancelled. Raises `ActivityNotOpen`."""
        await self._end(target, lambda _: Cancelled(cancelled(reason)))

    async def heartbeat(self, target: Target, *details: Any) -> None:
        """Say that work on an activity goes on, as `activity.heartbeat` does inside of it.

        Raises `ActivityNotOpen` where nobody waits for it any more: stop working on it.
        """
        payloads = self._app.converter.to_payloads(details, what="heartbeat detail")
        found, clock = _parsed(target), self._app.clock
        await self._app.call(lambda engine: Completing(engine, clock).beat(found, payloads))

    async def _end(self, target: Target, outcome: Callable[[str], Outcome]) -> None:
        found, clock = _parsed(target), self._app.clock
        await self._app.call(lambda engine: Completing(engine, clock).end(found, outcome))

    def _check(self, name: str, payload: Payload) -> None:
        # Where the activity is known here, its annotations are: a result that does not fit would park the run.
        known = self._app.registry.activity(name)
        if known is not None:
            try:
                known.decode_result(payload)
            except UndecodablePayload as error:
                signature, reason = str(known.signature), f"its result {error.facts['reason']}"
                raise InvalidArguments(name=name, signature=signature, reason=reason) from error


class BlockingCompletions:
    """The same calls for code without a loop; each does what its namesake of `Completions` does."""

    def __init__(self, inner: Completions, wait: Callable[[Coroutine[Any, Any, None]], None]) -> None:
        self._inner = inner
        self._wait = wait

    def complete(self, target: Target, result: Any = None) -> None:
        """As `Completions.complete`."""
        self._wait(self._inner.complete(target, result))

    def fail(self, target: Target, error: BaseException | str) -> None:
        """As `Completions.fail`."""
        self._wait(self._inner.fail(target, error))

    def cancelled(self, target: Target, reason: str = "") -> None:
        """As `Completions.cancelled`."""
        self._wait(self._inner.cancelled(target, reason))

    def heartbeat(self, target: Target, *details: Any) -> None:
        """As `Completions.heartbeat`."""
        self._wait(self._inner.heartbeat(target, *details))


def _parsed(target: Target) -> Token | ActivityRef:
    if isinstance(target, ActivityRef):
        checked_id("workflow id", target.workflow_id)
        return target
    return parsed_token(target)
