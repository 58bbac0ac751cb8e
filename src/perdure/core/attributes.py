"""Search attributes: named, typed values of a run by which runs can be found.

The kind belongs to the value, not to the name: nothing is registered, and two runs may hold values of different kinds
under one name. A comparison sees those of a kind that it can compare.
"""

from enum import IntEnum
from typing import TypeAlias

import msgspec

from perdure.core.filter.tree import ValueClass
from perdure.core.words import words_of


class AttributeKind(IntEnum):
    """What a value is. The numbers are stored: never changed, never used again."""

    KEYWORD = 1
    """Text that is compared as a whole."""
    TEXT = 2
    """Text that is found by its words."""
    INT = 3
    DOUBLE = 4
    BOOL = 5
    DATETIME = 6
    """In ns since 1970."""
    KEYWORD_LIST = 7


class Attribute(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One value with its kind."""

    kind: AttributeKind
    value: str | int | float | bool | tuple[str, ...]


Attributes: TypeAlias = dict[str, Attribute]
"""The search attributes of a run by their names."""

Compared: TypeAlias = str | int | float
"""What a comparison sees; true and false as 1 and 0."""


def compared(attribute: Attribute) -> tuple[ValueClass, tuple[Compared, ...]]:
    """The class of an attribute and the values that comparisons see: never none."""
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
        case _:
            assert isinstance(value, (int, float))
            kind = ValueClass.MOMENT if attribute.kind is AttributeKind.DATETIME else ValueClass.NUMBER
            return kind, (value,)
