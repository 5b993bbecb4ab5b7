"""A filter over metadata. In: `price < 40 and product == "mug"`. Out: a frozen tree.

The tree is all that leaves this module: nothing a person typed reaches a database as it stands.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, cast

from mmrag.errors import QueryError

__all__ = ["WORDS", "Comparison", "Filter", "Junction", "Operator", "Scalar", "parse_filter"]

Scalar = str | int | float | bool
Operator = Literal["==", "!=", "<", "<=", ">", ">=", "in", "not in"]

WORDS = frozenset({"and", "or", "not", "in", "true", "false"})
"""Words of the language, which no field can be called."""

EXAMPLE = 'price < 40 and product in ["mug", "tote bag"]'


@dataclass(frozen=True)
class Comparison:
    """One field compared with a value, or with a list of them (`in`, `not in`)."""

    key: str
    operator: Operator
    value: Scalar | tuple[Scalar, ...]

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[A-Za-z_]\w*", self.key, re.ASCII) or self.key in WORDS:
            raise QueryError(f"{self.key!r} is no field name: use letters, digits and '_'")
        if isinstance(self.value, tuple) != (self.operator in ("in", "not in")):
            raise QueryError(f"{self.key} {self.operator} {self.value!r}: 'in' takes a list, others one value")

    def __str__(self) -> str:
        return f"{self.key} {self.operator} {_written(self.value)}"


@dataclass(frozen=True)
class Junction:
    """Several filters, of which all (`and`) or any (`or`) must hold."""

    word: Literal["and", "or"]
    terms: tuple[Filter, ...]

    def __str__(self) -> str:
        nested = [f"({term})" if isinstance(term, Junction) else str(term) for term in self.terms]
        return f" {self.word} ".join(nested)


Filter = Comparison | Junction


def parse_filter(text: str) -> Filter:
    """Read a filter; `and` binds tighter than `or`, parentheses group.

    Raises
    ------
    QueryError
        Names the place, what stands there, and what was expected.

    Examples
    --------
    >>> parse_filter('price < 40')
    Comparison(key='price', operator='<', value=40)
    >>> str(parse_filter("a == 1 or (b == 'x' and c not in [2, 3])"))
    'a == 1 or (b == "x" and c not in [2, 3])'
    >>> parse_filter('price <')
    Traceback (most recent call last):
    mmrag.errors.QueryError: filter, column 8: expected a value, found the end. ...
    """
    reader = _Reader(text)
    found = reader.either()
    reader.expect("the end", kind="end")
    return found


MAX_DEPTH = 32

TOKEN = re.compile(
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


class _Reader:
    """Recursive descent, one token ahead."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.depth = 0
        self.token = self._match(0)

    def either(self) -> Filter:
        return self._joined("or", self._both)

    def expect(self, what: str, *, kind: str, among: tuple[str, ...] = ()) -> str:
        token = self.token
        if token.lastgroup != kind or (among and token[kind] not in among):
            raise self._error(what)
        self.token = self._match(token.end())
        return token[kind]

    def _both(self) -> Filter:
        return self._joined("and", self._term)

    def _joined(self, word: Literal["and", "or"], part: Callable[[], Filter]) -> Filter:
        terms = [part()]
        while self._sees("word", word):
            self.expect(word, kind="word")
            terms.append(part())
        return terms[0] if len(terms) == 1 else Junction(word, tuple(terms))

    def _term(self) -> Filter:
        if not self._sees("sign", "("):
            return self._comparison()
        if self.depth == MAX_DEPTH:
            raise self._error(f"at most {MAX_DEPTH} nested parentheses")
        self.depth += 1
        self.expect("'('", kind="sign")
        inside = self.either()
        self.expect("')'", kind="sign", among=(")",))
        self.depth -= 1
        return inside

    def _comparison(self) -> Comparison:
        if self.token.lastgroup == "word" and self.token["word"] in WORDS:
            raise self._error("a field name")
        key = self.expect("a field name", kind="word")
        operator = self._operator()
        value = self._list() if operator in ("in", "not in") else self._value()
        return Comparison(key, operator, value)

    def _operator(self) -> Operator:
        what = "one of == != < <= > >= in, not in"
        if self.token.lastgroup == "sign":
            signs = ("==", "!=", "<", "<=", ">", ">=")
            return cast(Operator, self.expect(what, kind="sign", among=signs))
        if self.expect(what, kind="word", among=("in", "not")) == "in":
            return "in"
        self.expect("'in' after 'not'", kind="word", among=("in",))
        return "not in"

    def _list(self) -> tuple[Scalar, ...]:
        self.expect("a list such as [1, 2]", kind="sign", among=("[",))
        values = [self._value()]
        while self.expect("',' or ']'", kind="sign", among=(",", "]")) == ",":
            values.append(self._value())
        return tuple(values)

    def _value(self) -> Scalar:
        what = "a value"
        if self.token.lastgroup == "number":
            number = self.expect(what, kind="number")
            return int(number) if re.fullmatch(r"-?\d{1,18}", number) else float(number)
        if self.token.lastgroup == "string":
            return re.sub(r"\\(.)", r"\1", self.expect(what, kind="string")[1:-1], flags=re.DOTALL)
        if self.token.lastgroup == "word" and self.token["word"] not in ("true", "false"):
            raise self._error(f'a value (text stands in quotes: "{self.token["word"]}")')
        return self.expect(what, kind="word") == "true"

    def _sees(self, kind: str, token: str) -> bool:
        return self.token.lastgroup == kind and self.token[kind] == token

    def _match(self, start: int) -> re.Match[str]:
        return cast("re.Match[str]", TOKEN.match(self.text, start))  # `unknown` takes anything

    def _error(self, expected: str) -> QueryError:
        kind = self.token.lastgroup or "end"
        found = "the end" if kind == "end" else repr(self.token[kind])
        column = self.token.start(kind) + 1
        return QueryError(f"filter, column {column}: expected {expected}, found {found}. For example: {EXAMPLE}")


def _written(value: Scalar | tuple[Scalar, ...]) -> str:
    match value:
        case tuple():
            return f"[{', '.join(map(_written, value))}]"
        case bool():
            return "true" if value else "false"
        case str():
            return '"' + re.sub(r'(["\\])', r"\\\1", value) + '"'
        case _:
            return repr(value)
