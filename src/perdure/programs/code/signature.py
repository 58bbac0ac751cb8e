"""Signatures: how the arguments and the result of a definition become payloads and back, by its annotations.

Arguments travel by position, so that a parameter may be renamed while runs are open.
"""

import inspect
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import FrameType
from typing import Any, Never, NoReturn, get_type_hints

from perdure.core.errors import InvalidArguments, UndecodablePayload, UnsupportedDefinition
from perdure.core.payload import JSON, DataConverter, Payload

_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


class Signature:
    """The parameters and the result of one definition."""

    __slots__ = (
        "_decode_rest",
        "_decoders",
        "_name",
        "_signature",
        "_what",
        "converter",
        "count_max",
        "count_min",
        "decode_result",
    )

    def __init__(
        self,
        kind: str,
        name: str,
        fn: Callable[..., Any],
        where: str,
        *,
        converter: DataConverter = JSON,
        method: bool = False,
    ) -> None:
        """`method`: the first parameter of `fn` is its object, and none of the caller's."""
        self._name = name
        self.converter = converter
        """The app's."""
        self._what = f"argument of {kind} {name!r}"
        self._signature = inspect.signature(fn)
        if method:
            parameters = list(self._signature.parameters.values())
            self._signature = self._signature.replace(parameters=parameters[1:])
        refuse = partial(UnsupportedDefinition, kind=kind, name=name, where=where)
        hints = _annotations(fn, refuse)
        self._decoders: list[Callable[[Payload], Any]] = []
        self._decode_rest: Callable[[Payload], Any] | None = None
        self.count_min = 0
        for parameter in self._signature.parameters.values():
            decode = converter.decoder(
                hints.get(parameter.name, Any), f"parameter {parameter.name!r} of {kind} {name!r}"
            )
            if parameter.kind in _POSITIONAL:
                self._decoders.append(decode)
                self.count_min += parameter.default is inspect.Parameter.empty
            elif parameter.kind is inspect.Parameter.VAR_POSITIONAL:
                self._decode_rest = decode
            else:
                raise refuse(
                    fact=f"parameter {parameter.name!r} can only be given by keyword",
                    remedy="make it positional; arguments are recorded by position",
                )
        self.count_max = len(self._decoders) if self._decode_rest is None else sys.maxsize
        returned = hints.get("return", Any)
        # A function that never returns still has a result type as far as decoding goes.
        expected = Any if returned in (NoReturn, Never) else returned
        self.decode_result = converter.decoder(expected, f"result of {kind} {name!r}")
        """Decodes a result; raises `UndecodablePayload`."""

    def __str__(self) -> str:
        return f"{self._name}{self._signature}"

    def bind(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> tuple[Payload, ...]:
        """The arguments as payloads by position, with defaults filled in between; raises `InvalidArguments`."""
        count = len(args)
        if kwargs or not self.count_min <= count <= self.count_max:
            args = self._by_position(args, kwargs)
        elif count == 1:
            return (self.converter.to_payload(args[0], what=self._what),)
        return self.converter.to_payloads(args, what=self._what)

    def _by_position(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> tuple[Any, ...]:
        try:
            bound = self._signature.bind(*args, **kwargs)
        except TypeError as error:
            raise InvalidArguments(name=self._name, signature=str(self), reason=str(error)) from error
        positions = list(self._signature.parameters)
        given = [positions.index(name) for name in bound.arguments]
        last = max(given, default=-1)
        bound.apply_defaults()
        values: list[Any] = []
        for position, parameter in enumerate(self._signature.parameters.values()):
            if position > last:
                break
            value = bound.arguments[parameter.name]
            values += value if parameter.kind is inspect.Parameter.VAR_POSITIONAL else (value,)
        return tuple(values)

    def decode(self, payloads: Sequence[Payload]) -> list[Any]:
        """The arguments by annotation; raises `UndecodablePayload`, also where their number does not fit."""
        count = len(payloads)
        if not self.count_min <= count <= self.count_max:
            raise UndecodablePayload(what=f"{self._what}s", expected=str(self), reason=f"{count} were sent")
        values = [decode(payload) for decode, payload in zip(self._decoders, payloads, strict=False)]
        if self._decode_rest is not None:
            values += [self._decode_rest(payload) for payload in payloads[len(self._decoders) :]]
        return values


def _annotations(fn: Callable[..., Any], refuse: Callable[..., UnsupportedDefinition]) -> dict[str, Any]:
    """The annotations of `fn`, those written as text resolved, also against the function around it."""
    target: Any = fn if inspect.isroutine(fn) else type(fn).__call__
    local = _enclosing_names(target)
    try:
        return get_type_hints(target, localns=local, include_extras=True)
    except NameError as error:
        raise refuse(
            fact=f"annotation {error.name!r} cannot be resolved",
            remedy="import it at run time, outside `if TYPE_CHECKING:`, or annotate with Any",
        ) from error
    except TypeError as error:
        raise refuse(
            fact=f"annotations cannot be resolved: {error}", remedy="mend them or annotate with Any"
        ) from error


def _enclosing_names(fn: Any) -> dict[str, Any] | None:
    # With `from __future__ import annotations` the annotations of a local function may name local classes, which no
    # closure holds; the function around it is still running while it is decorated.
    around, found, _ = getattr(fn, "__qualname__", "").rpartition(".<locals>.")
    if not found:
        return None
    frame: FrameType | None = sys._getframe(1)  # pyright: ignore[reportPrivateUsage]
    while frame is not None:
        if frame.f_code.co_qualname == around:
            return {**fn.__globals__, **frame.f_locals} if hasattr(fn, "__globals__") else dict(frame.f_locals)
        frame = frame.f_back
    return None
