"""A queue that takes nothing: it stands where a run keeps what its code asks for, while nothing may be asked for."""

from collections.abc import Callable
from typing import Any, NoReturn


class RefusedList(list[Any]):
    """Stands for a queue that takes nothing."""

    def __init__(self, refusal: Callable[[], BaseException]) -> None:
        super().__init__()
        self._refusal = refusal

    def append(self, _item: Any) -> NoReturn:
        raise self._refusal()

    def __setitem__(self, _index: Any, _item: Any) -> NoReturn:
        raise self._refusal()
