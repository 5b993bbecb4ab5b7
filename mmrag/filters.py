"""The filter language: `price < 40 and product == "mug"` parsed to a frozen tree, never passed on as text."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal, cast

from mmrag.errors import QueryError

__all__ = ["RESERVED_WORDS", "BooleanFilter", "FieldComparison", "Filter", "Operator", "Scalar", "parse_filter"]

Scalar = str | int | float | bool
Operator = Literal["==", "!=", "<", "<=", ">", ">=", "in", "not in"]

RESERVED_WORDS = frozenset({"and", "or", "not", "in", "true", "false"})
"""Keywords of the language, which cannot name a field."""

_EXAMPLE = 'price < 40 and product in ["mug", "tote bag"]'


@dataclass(frozen=True)
class FieldComparison:
    """A comparison of one field with a value, or with a list of values (`in`, `not in`)."""

    key: str
    operator: Operator
    value: Scalar | tuple[Scalar, ...]

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[A-Za-z_]\w*", self.key, re.ASCII) or self.key in RESERVED_WORDS:
            raise QueryError(f"{self.key!r} is no field name: use letters, digits and '_'")
        if isinstance(self.value, tuple) != (self.operator in ("in", "not in")):
            raise QueryError(f"{self.key} {self.operator} {self.value!r}: 'in' takes a list, others one value")

    def __str__(self) -> str:
        return f"{self.key} {self.operator} {_format_value(self.value)}"


@dataclass(frozen=True)
class BooleanFilter:
    """Several filters, of which all (`and`) or any (`or`) must hold."""

    operator: Literal["and", "or"]
    operands: tuple[Filter, ...]

    def __str__(self) -> str:
        nested = [f"({part})" if isinstance(part, BooleanFilter) else str(part) for part in self.operands]
        return f" {self.operator} ".join(nested)


Filter = FieldComparison | BooleanFilter


def parse_filter(text: str) -> Filter:
    """Parse a filter; `and` binds tighter than `or`, parentheses group.

    Raises `QueryError` with the column, what was found and what was expected.

    >>> parse_filter('price < 40')
    FieldComparison(key='price', operator='<', value=40)
    """
    parser = _Parser(text)
    tree = parser.parse_or()
    parser.expect("the end", kind="end")
    return tree


MAX_DEPTH = 32

_TOKEN = re.compile(
    r"""\s*(?:
        (?P<number>-?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?(?![\w.]))
      | (?P<string>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')
      | (?P<word>[A-Za-z_]\w*)
      | (?P<sign>==|!=|<=|>=|<|>|\(|\)|\[|\]|,)
      | (?P<end>\Z)
      | (?P<unknown>.)
    )""",
    re.VERBOSE | re.DOTALL | re.ASCII,
)


class _Parser:
    """Recursive descent parser with one token of lookahead."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.depth = 0
        self.token = self._match(0)

    def parse_or(self) -> Filter:
        return self._parse_joined("or", partial(self._parse_joined, "and", self._parse_term))

    def expect(self, what: str, *, kind: str, among: tuple[str, ...] = ()) -> str:
        token = self.token
        if token.lastgroup != kind or (among and token[kind] not in among):
            raise self._error(what)
        self.token = self._match(token.end())
        return token[kind]

    def _parse_joined(self, operator: Literal["and", "or"], parse_operand: Callable[[], Filter]) -> Filter:
        operands = [parse_operand()]
        while self._next_is("word", operator):
            self.expect(operator, kind="word")
            operands.append(parse_operand())
        return operands[0] if len(operands) == 1 else BooleanFilter(operator, tuple(operands))

    def _parse_term(self) -> Filter:
        if not self._next_is("sign", "("):
            return self._parse_comparison()
        if self.depth == MAX_DEPTH:
            raise self._error(f"at most {MAX_DEPTH} nested parentheses")
        self.depth += 1
        self.expect("'('", kind="sign")
        inside = self.parse_or()
        self.expect("')'", kind="sign", among=(")",))
        self.depth -= 1
        return inside

    def _parse_comparison(self) -> FieldComparison:
        if self.token.lastgroup == "word" and self.token["word"] in RESERVED_WORDS:
            raise self._error("a field name")
        key = self.expect("a field name", kind="word")
        operator = self._parse_operator()
        value = self._parse_list() if operator in ("in", "not in") else self._parse_value()
        return FieldComparison(key, operator, value)

    def _parse_operator(self) -> Operator:
        what = "one of == != < <= > >= in, not in"
        if self.token.lastgroup == "sign":
            return cast(Operator, self.expect(what, kind="sign", among=("==", "!=", "<", "<=", ">", ">=")))
        if self.expect(what, kind="word", among=("in", "not")) == "in":
            return "in"
        self.expect("'in' after 'not'", kind="word", among=("in",))
        return "not in"

    def _parse_list(self) -> tuple[Scalar, ...]:
        self.expect("a list such as [1, 2]", kind="sign", among=("[",))
        values = [self._parse_value()]
        while self.expect("',' or ']'", kind="sign", among=(",", "]")) == ",":
            values.append(self._parse_value())
        return tuple(values)

    def _parse_value(self) -> Scalar:
        what = "a value"
        if self.token.lastgroup == "number":
            number = self.expect(what, kind="number")
            return int(number) if re.fullmatch(r"-?\d{1,18}", number) else float(number)
        if self.token.lastgroup == "string":
            return re.sub(r"\\(.)", r"\1", self.expect(what, kind="string")[1:-1], flags=re.DOTALL)
        if self.token.lastgroup == "word" and self.token["word"] not in ("true", "false"):
            raise self._error(f'a value (text stands in quotes: "{self.token["word"]}")')
        return self.expect(what, kind="word") == "true"

    def _next_is(self, kind: str, token: str) -> bool:
        return self.token.lastgroup == kind and self.token[kind] == token

    def _match(self, start: int) -> re.Match[str]:
        return cast("re.Match[str]", _TOKEN.match(self.text, start))  # `unknown` takes anything

    def _error(self, expected: str) -> QueryError:
        kind = self.token.lastgroup or "end"
        found = "the end" if kind == "end" else repr(self.token[kind])
        column = self.token.start(kind) + 1
        return QueryError(f"filter, column {column}: expected {expected}, found {found}. For example: {_EXAMPLE}")


def _format_value(value: Scalar | tuple[Scalar, ...]) -> str:
    match value:
        case tuple():
            return f"[{', '.join(map(_format_value, value))}]"
        case bool():
            return "true" if value else "false"
        case str():
            return '"' + re.sub(r'(["\\])', r"\\\1", value) + '"'
        case _:
            return repr(value)
