"""Search attributes: the typed facts by which runs are found.

The kind belongs to the value, not to the name: nothing is registered, and two runs may hold values of different kinds
under one name. A comparison sees those of a kind that it can compare.
"""

from enum import StrEnum
from typing import TypeAlias

import msgspec

from perdure.core.filter.tree import ValueClass
from perdure.core.words import words_of


class AttributeKind(StrEnum):
    """The type of a search attribute."""

    KEYWORD = "keyword"
    """Text that is compared as a whole."""
    TEXT = "text"
    """Text that is found by its words."""
    INT = "int"
    DOUBLE = "double"
    BOOL = "bool"
    DATETIME = "datetime"
    KEYWORD_LIST = "keyword_list"


AttributeValue: TypeAlias = bool | int | float | str | tuple[str, ...] | None
"""Moments are integers in ns since 1970; None takes the attribute away."""


class Attribute(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One search attribute of one run."""

    name: str
    kind: AttributeKind
    value: AttributeValue


Compared: TypeAlias = str | int | float
"""What a comparison sees; true and false as 1 and 0."""


def compared(attribute: Attribute) -> tuple[ValueClass, tuple[Compared, ...]]:
    """The class of an attribute that is there, and the values that comparisons see: never none."""
    value = attribute.value
    match attribute.kind:
        case AttributeKind.TEXT:
            # A text without words is there, and equals nothing.
            return ValueClass.WORD, words_of(str(value)) or ("",)
        case AttributeKind.KEYWORD_LIST:
            assert isinstance(value, tuple)
            return ValueClass.KEYWORD, value
        case AttributeKind.KEYWORD:
            return ValueClass.KEYWORD, (str(value),)
        case AttributeKind.BOOL:
            return ValueClass.BOOL, (int(bool(value)),)
        case AttributeKind.INT | AttributeKind.DOUBLE | AttributeKind.DATETIME:
            assert isinstance(value, (int, float))
            kind = ValueClass.MOMENT if attribute.kind is AttributeKind.DATETIME else ValueClass.NUMBER
            return kind, (value,)
