"""`--input`: JSON on the command line to arguments, checked against a signature before anything is stored."""

import sys
from pathlib import Path
from typing import Any, cast

import msgspec

from perdure.core.errors import InvalidArguments, InvalidOption
from perdure.programs.code.definition import Workflow


def value_of(text: str | None) -> Any:
    """The JSON value of an option, None if it was not given. Raises `InvalidOption`."""
    return None if text is None else _decoded(_read(text))


def arguments_of(text: str | None) -> tuple[Any, ...]:
    """Positional arguments: an array holds all, any other value is the only one, without the option there are none."""
    if text is None:
        return ()
    value = value_of(text)
    return tuple(cast(list[Any], value)) if isinstance(value, list) else (value,)


def check_arguments(workflow: "Workflow[..., Any]", args: tuple[Any, ...]) -> None:
    """Raise `InvalidArguments` unless the workflow can take them."""
    try:
        workflow.bind_checked(args, {})
    except InvalidArguments as error:
        if len(args) == 1 or workflow.signature.count_max != 1:
            raise
        reason = f"{error.facts['reason']} (--input [..] holds all arguments: a single list is written [[..]])"
        raise InvalidArguments(**{**error.facts, "reason": reason}) from error


def _read(text: str) -> bytes | str:
    if text == "-":
        return sys.stdin.buffer.read()
    if not text.startswith("@"):
        return text
    try:
        return Path(text[1:]).read_bytes()
    except OSError as error:
        fact = f"cannot be read: {error.strerror}"
        raise InvalidOption(name="--input", value=text, fact=fact, remedy="name a file of JSON") from error


def _decoded(data: bytes | str) -> Any:
    try:
        return msgspec.json.decode(data)
    except (msgspec.MsgspecError, UnicodeError, RecursionError, ValueError) as error:
        shown = repr(data[:60])
        remedy = """quote it, such as --input '["tok_1", 4200]'"""
        raise InvalidOption(name="--input", value=shown, fact=f"is not JSON: {error}", remedy=remedy) from error
