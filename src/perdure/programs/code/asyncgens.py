"""Asynchronous generators of workflow code: when one is dropped half-way, its clean-up runs in its own run or nowhere.

Python hands such a generator to the hooks of the thread, which belong to the loop around us: it would run the clean-up
there, where activities are plain functions.
"""

import sys
import weakref
from collections.abc import Callable
from typing import Any

from perdure.programs.code.loop import WorkflowLoop, close_coroutine, keep_for_ever, running_loop, set_running_loop

Hook = Callable[[Any], None] | None

# By address: weak references to a generator are gone when its last hook is called. Those of generators that ended by
# themselves stay until the address is used again or their loop is gone.
_loops: "dict[int, weakref.ref[WorkflowLoop]]" = {}
_PURGE_COUNT = 10_000


def _remember(generator: Any, loop: WorkflowLoop) -> None:
    if len(_loops) >= _PURGE_COUNT:
        for address, owner in list(_loops.items()):
            if owner() is None:
                _loops.pop(address, None)
    _loops[id(generator)] = weakref.ref(loop)


class _Hooks:
    """The hooks of one thread, around those that it had."""

    def __init__(self, first: Hook, last: Hook) -> None:
        self._first = first
        self._last = last

    def first(self, generator: Any) -> None:
        """A generator is iterated for the first time."""
        loop = running_loop()
        if type(loop) is WorkflowLoop:
            _remember(generator, loop)
            return
        _loops.pop(id(generator), None)
        if self._first is not None:
            self._first(generator)

    def last(self, generator: Any) -> None:
        """A generator was dropped half-way."""
        owner = _loops.pop(id(generator), None)
        if owner is None:
            if self._last is not None:
                self._last(generator)
            return
        loop = owner()
        if loop is None:
            # Its run is gone, and with it the place where its clean-up could be refused anything.
            keep_for_ever(generator)
        elif running_loop() is loop and not loop.ended and loop.refusal is None:
            loop.create_task(generator.aclose())
        else:
            _close(loop, generator)


def _close(loop: WorkflowLoop, generator: Any) -> None:
    before, closing, refusal = running_loop(), loop.closing, loop.refusal
    loop.refuse_all()
    set_running_loop(loop)
    try:
        closer = generator.aclose()
        try:
            closer.send(None)
        except BaseException:  # user code that is being dropped; nobody is left to hear it
            return
        close_coroutine(closer)
    finally:
        set_running_loop(before)
        loop.closing, loop.refusal = closing, refusal


def watch() -> None:
    """Set the hooks of this thread, unless they are set already."""
    first, last = sys.get_asyncgen_hooks()
    if type(getattr(first, "__self__", None)) is not _Hooks:
        hooks = _Hooks(first, last)
        sys.set_asyncgen_hooks(hooks.first, hooks.last)
