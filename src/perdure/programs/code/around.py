"""What is around everything of one app: the context that goes along, and its interceptors."""

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from perdure.core.message import Headers
from perdure.programs.code.interceptors import ClientCall, Interceptor, Interceptors, around
from perdure.programs.code.propagation import Propagation, Propagator

T = TypeVar("T")


class Around:
    """Empty where the app has neither."""

    def __init__(self, propagators: Sequence[Propagator], interceptors: Sequence[Interceptor]) -> None:
        self.propagation = Propagation(propagators) if propagators else None
        self.interceptors = Interceptors(interceptors) if interceptors else None

    @property
    def headers(self) -> Headers | None:
        """What goes along with a call that is made here."""
        return None if self.propagation is None else self.propagation.headers()

    async def client(self, call: ClientCall, verb: Callable[[], Awaitable[T]]) -> T:
        """The answer of a client's call, with the interceptors around it."""
        if self.interceptors is None or self.interceptors.client is None:
            return await verb()
        answer: T = await around(self.interceptors.client, call, verb)
        return answer
