"""From the text of a filter to its tokens."""

import re
from enum import Enum
from typing import NamedTuple

from perdure.core.errors import InvalidFilter

FILTER_CHARS_MAX = 100_000
"""Longest text of a filter."""


class TokenKind(Enum):
    """What a token is."""

    WORD = "a name"
    """A keyword of the language, or a name."""
    QUOTED_NAME = "a quoted name"
    TEXT = "text"
    NUMBER = "a number"
    SYMBOL = "a symbol"
    END = "the end"


class Token(NamedTuple):
    """One token; `at` is its position in the text, counted from 0."""

    kind: TokenKind
    value: str
    at: int


_TOKEN = re.compile(
    r"""(?P<space>\s+)
      | (?P<NUMBER>[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)
      | (?P<WORD>[^\W\d]\w*)
      | (?P<TEXT>'(?:[^']|'')*+'|"(?:[^"]|"")*+")
      | (?P<QUOTED_NAME>`(?:[^`]|``)*+`)
      | (?P<SYMBOL>!=|<>|<=|>=|[=<>(),])""",
    re.VERBOSE,
)


def refusal(text: str, at: int, fact: str, remedy: str) -> InvalidFilter:
    """The error that says where a filter is wrong; positions are shown counted from 1."""
    near = text[max(0, at - 10) : at + 20]
    return InvalidFilter(position=at + 1, near=repr(near), fact=fact, remedy=remedy)


def tokens(text: str) -> list[Token]:
    """The tokens of a filter, with an END. Raises `InvalidFilter`."""
    if len(text) > FILTER_CHARS_MAX:
        fact = f"the filter has {len(text)} characters, more than {FILTER_CHARS_MAX}"
        raise refusal(text, FILTER_CHARS_MAX, fact, "ask for less at once")
    found: list[Token] = []
    at = 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise _unreadable(text, at)
        if match.lastgroup != "space":
            found.append(_token(text, TokenKind[str(match.lastgroup)], match[0], at))
        at = match.end()
    found.append(Token(TokenKind.END, "", len(text)))
    return found


def _token(text: str, kind: TokenKind, raw: str, at: int) -> Token:
    if kind is TokenKind.TEXT or kind is TokenKind.QUOTED_NAME:
        value = raw[1:-1].replace(raw[0] * 2, raw[0])
    else:
        value = raw
    if "\0" in value:
        raise refusal(text, at, "there is a NUL character", "leave it out; no value holds one")
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError as error:
            raise refusal(text, at, "there is a lone surrogate", "give valid Unicode text") from error
    return Token(kind, value, at)


def _unreadable(text: str, at: int) -> InvalidFilter:
    char = text[at]
    if char in "'\"`":
        what = "name" if char == "`" else "text"
        return refusal(text, at, f"the quoted {what} does not end", f"close it with {char}; within it, write it twice")
    return refusal(
        text, at, f"{char!r} means nothing here", "put text in single quotes and unusual names in backquotes"
    )
