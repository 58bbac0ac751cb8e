"""From the text of a filter to its tree. By recursive descent, with a limit on everything."""

from collections.abc import Callable
from math import isfinite
from typing import TypeVar

from perdure.core.errors import InvalidFilter
from perdure.core.filter.lexer import Token, TokenKind, refusal, tokens
from perdure.core.filter.terms import Unfit, Written, compare
from perdure.core.filter.tree import And, AttributeField, Field, Filter, IsNull, Node, Op, Or, Order, SystemField, Term

DEPTH_MAX = 50
"""Most parentheses and `not`s around one comparison."""
TERMS_MAX = 100
"""Most comparisons of a filter."""
VALUES_MAX = 1_000
"""Most values of a filter, those of lists counted one by one."""
ORDER_MAX = 5
"""Most fields to sort by."""

_LANGUAGE = "and or not in between starts_with is null order by asc desc true false group limit"
_KEYWORDS = frozenset(_LANGUAGE.split())
_SYSTEM = {field.value: field for field in SystemField}
_SYSTEM_FOLDED = {field.value.casefold(): field for field in SystemField}
_OPS = {"<": Op.LESS, "<=": Op.AT_MOST, ">": Op.MORE, ">=": Op.AT_LEAST}
_CONSTANTS = {"true": True, "false": False}

T = TypeVar("T")


def parse_filter(text: str) -> Filter:
    """The filter that a text says; an empty one says everything. Raises `InvalidFilter`."""
    return _Parser(text).filter()


def is_reserved(name: str) -> bool:
    """Whether no search attribute can have this name: it is a field of every run, if case is not regarded."""
    return name.casefold() in _SYSTEM_FOLDED


class _Parser:
    """Reads the tokens of one text from left to right."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = tokens(text)
        self._index = 0
        self._depth = 0
        self._terms_count = 0
        self._values_count = 0

    # Tokens

    @property
    def _next(self) -> Token:
        return self._tokens[self._index]

    def _take(self) -> Token:
        token = self._next
        self._index += token.kind is not TokenKind.END
        return token

    def _takes(self, *keywords: str) -> bool:
        """Take these keywords, if they are next."""
        ahead = self._tokens[self._index : self._index + len(keywords)]
        fits = [token.value.lower() for token in ahead if token.kind is TokenKind.WORD] == list(keywords)
        self._index += len(keywords) if fits else 0
        return fits

    def _takes_symbol(self, *symbols: str) -> str | None:
        token = self._next
        if token.kind is not TokenKind.SYMBOL or token.value not in symbols:
            return None
        return self._take().value

    def _must(self, symbol: str, remedy: str) -> None:
        if self._takes_symbol(symbol) is None:
            raise self._unexpected(f"{symbol!r}", remedy)

    def _refusal(self, at: int, fact: str, remedy: str) -> InvalidFilter:
        return refusal(self._text, at, fact, remedy)

    def _unexpected(self, wanted: str, remedy: str) -> InvalidFilter:
        token = self._next
        found = "the filter ends" if token.kind is TokenKind.END else f"{token.value[:40]!r} stands"
        return self._refusal(token.at, f"{found} where {wanted} is expected", remedy)

    def _counted(self, count: int, most: int, what: str) -> int:
        if count >= most:
            raise self._refusal(self._next.at, f"there are more than {most} {what}", "ask for less at once")
        return count + 1

    # The language

    def filter(self) -> Filter:
        where = None
        if self._next.kind is not TokenKind.END and not self._at_order():
            where = self._any(negated=False)
        order: tuple[Order, ...] = ()
        if self._takes("order", "by"):
            order = self._order()
        if self._next.kind is not TokenKind.END:
            wanted = "',' or the end" if order else "'and', 'or', 'order by' or the end"
            raise self._unexpected(wanted, "join comparisons with and, or")
        return Filter(where, order)

    def _at_order(self) -> bool:
        index = self._index
        found = self._takes("order", "by")
        self._index = index
        return found

    def _any(self, *, negated: bool) -> Node:
        return self._joined("or", lambda: self._all(negated=negated), And if negated else Or)

    def _all(self, *, negated: bool) -> Node:
        return self._joined("and", lambda: self._factor(negated=negated), Or if negated else And)

    def _joined(self, word: str, read: Callable[[], Node], kind: type[And] | type[Or]) -> Node:
        nodes = [read()]
        while self._takes(word):
            nodes.append(read())
        return nodes[0] if len(nodes) == 1 else kind(tuple(nodes))

    def _factor(self, *, negated: bool) -> Node:
        if self._takes("not"):
            return self._deeper(lambda: self._factor(negated=not negated))
        if self._takes_symbol("("):
            node = self._deeper(lambda: self._any(negated=negated))
            self._must(")", "close the parenthesis")
            return node
        return self._term(negated=negated)

    def _deeper(self, read: Callable[[], T]) -> T:
        self._depth = self._counted(self._depth, DEPTH_MAX, "parentheses and nots within each other")
        found = read()
        self._depth -= 1
        return found

    def _term(self, *, negated: bool) -> Term:
        self._terms_count = self._counted(self._terms_count, TERMS_MAX, "comparisons")
        field = self._field()
        at = self._next.at
        if self._takes("is"):
            negated = negated != self._takes("not")
            if not self._takes("null"):
                raise self._unexpected("'null'", "write is null or is not null")
            return IsNull(field, negated)
        op, values, turned = self._comparison()
        made = compare(field, op, values, negated=negated != turned)
        if isinstance(made, Unfit):
            raise self._refusal(at, made.fact, made.remedy)
        return made

    def _comparison(self) -> tuple[Op, list[Written], bool]:
        """The operator, its values, and whether it says that they do not fit."""
        symbol = self._takes_symbol("=", "!=", "<>", *_OPS)
        if symbol is not None:
            return _OPS.get(symbol, Op.IN), [self._value()], symbol in ("!=", "<>")
        turned = self._takes("not")
        if self._takes("in"):
            return Op.IN, self._list(), turned
        if self._takes("starts_with"):
            return Op.STARTS_WITH, [self._value()], turned
        if self._takes("between"):
            first = self._value()
            if not self._takes("and"):
                raise self._unexpected("'and'", "write between 1 and 5")
            return Op.BETWEEN, [first, self._value()], turned
        known = "= != < <= > >= in, not in, between, starts_with, is null"
        raise self._unexpected("an operator", f"use one of {known}")

    def _list(self) -> list[Written]:
        self._must("(", "write in ('a', 'b')")
        values = [self._value()]
        while self._takes_symbol(","):
            values.append(self._value())
        self._must(")", "close the list")
        return values

    def _value(self) -> Written:
        self._values_count = self._counted(self._values_count, VALUES_MAX, "values")
        token = self._next
        if token.kind is TokenKind.TEXT:
            return self._take().value
        if token.kind is TokenKind.NUMBER:
            return self._number(self._take())
        if token.kind is TokenKind.WORD and token.value.lower() in _CONSTANTS:
            return _CONSTANTS[self._take().value.lower()]
        if token.kind is TokenKind.WORD and token.value.lower() == "null":
            raise self._unexpected("a value", "nothing equals null: write is null or is not null")
        raise self._unexpected("a value", "give text in quotes, a number, true or false")

    def _number(self, token: Token) -> int | float:
        try:
            number = int(token.value) if token.value.lstrip("+-").isdigit() else float(token.value)
            if isfinite(number):
                return number
        except (ValueError, OverflowError):
            # Python reads no integers of thousands of digits, and a float ends near 1e308.
            pass
        raise self._refusal(token.at, "the number is too large", "give one below 1e308")

    def _field(self) -> Field:
        token = self._next
        if token.kind is TokenKind.QUOTED_NAME:
            if not token.value:
                raise self._refusal(token.at, "the quoted name is empty", "put a name between the backquotes")
            return self._named(self._take())
        if token.kind is TokenKind.WORD and token.value.lower() not in _KEYWORDS:
            return self._named(self._take())
        remedy = "begin with a field, such as WorkflowType = 'Order'"
        if token.kind is TokenKind.WORD:
            remedy = f"put it in backquotes if a search attribute is named {token.value!r}"
        raise self._unexpected("a field", remedy)

    def _named(self, token: Token) -> Field:
        if token.value in _SYSTEM:
            return _SYSTEM[token.value]
        meant = _SYSTEM_FOLDED.get(token.value.casefold())
        if meant is not None:
            raise self._refusal(token.at, f"there is no field {token.value!r}", f"write {meant}")
        return AttributeField(token.value)

    def _order(self) -> tuple[Order, ...]:
        keys = [self._key()]
        while self._takes_symbol(","):
            if len(keys) >= ORDER_MAX:
                raise self._refusal(
                    self._next.at, f"there are more than {ORDER_MAX} fields to sort by", "leave some out"
                )
            keys.append(self._key())
        return tuple(keys)

    def _key(self) -> Order:
        field = self._field()
        descending = self._takes("desc")
        if not descending:
            self._takes("asc")
        return Order(field, descending)
