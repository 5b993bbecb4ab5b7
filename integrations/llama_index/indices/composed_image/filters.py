"""Translation of metadata filters to Milvus expressions, with every name and literal escaped."""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Sequence
from typing import Any, cast

from llama_index.core.vector_stores.types import FilterCondition, FilterOperator, MetadataFilter, MetadataFilters

from mmrag.errors import QueryError
from mmrag.filters import RESERVED_WORDS, BooleanFilter, FieldComparison, Filter, parse_filter

__all__ = ["expression", "metadata_filters"]

# LlamaIndex's own translation does not escape lists, prefixes and ids.
KEY = re.compile(r"[A-Za-z_]\w*", re.ASCII)
ESCAPES = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n", "\r": r"\r"})
OPERATORS = {"not in": FilterOperator.NIN}
TEMPLATES = {
    FilterOperator.EQ: "{} == {}",
    FilterOperator.NE: "{} != {}",
    FilterOperator.GT: "{} > {}",
    FilterOperator.LT: "{} < {}",
    FilterOperator.GTE: "{} >= {}",
    FilterOperator.LTE: "{} <= {}",
    FilterOperator.IN: "{} in {}",
    FilterOperator.NIN: "{} not in {}",
    FilterOperator.CONTAINS: "array_contains({}, {})",
    FilterOperator.ANY: "array_contains_any({}, {})",
    FilterOperator.ALL: "array_contains_all({}, {})",
}


def metadata_filters(filters: str | Filter) -> MetadataFilters:
    """Convert ``price < 40 and product == "mug"`` to LlamaIndex filters.

    Examples
    --------
    >>> metadata_filters("price < 40").filters
    [MetadataFilter(key='price', value=40, operator=<FilterOperator.LT: '<'>)]
    """
    tree = parse_filter(filters) if isinstance(filters, str) else filters
    if isinstance(tree, BooleanFilter):
        terms = [_to_term(term) for term in tree.operands]
        return MetadataFilters(filters=terms, condition=FilterCondition(tree.operator))
    return MetadataFilters(filters=[_to_term(tree)])


def expression(filters: MetadataFilters | None = None, **allowed: Sequence[str] | None) -> str:
    r"""Translate filters, and allowed values of columns, to a Milvus expression; empty if there is nothing to filter.

    Raises `QueryError` if a key is no field name, or Milvus cannot compare with a value.

    >>> expression(metadata_filters("price < 40 or sold == true"), id=["a", 'b"'])
    '(price < 40 or sold == true) and id in ["a", "b\\""]'
    """
    memberships = [f"{key} in {_literal(list(values))}" for key, values in allowed.items() if values]
    return " and ".join(filter(None, [_translate_group(filters), *memberships]))


def _translate_group(filters: MetadataFilters | None) -> str:
    if filters is None:
        return ""
    word = filters.condition
    if word is None or word == FilterCondition.NOT:
        raise QueryError(f"filters cannot be joined by {word!r}: use AND or OR")
    terms = (_translate_group(t) if isinstance(t, MetadataFilters) else _translate_term(t) for t in filters.filters)
    parts = list(filter(None, terms))
    joined = f" {word.value} ".join(parts)
    return f"({joined})" if len(parts) > 1 else joined


def _translate_term(term: MetadataFilter) -> str:
    if not KEY.fullmatch(term.key) or term.key in RESERVED_WORDS:
        raise QueryError(f"filter key {term.key!r} is no field name: use letters, digits and '_'")
    if term.operator == FilterOperator.IS_EMPTY:
        return f"array_length({term.key}) == 0"
    if term.operator == FilterOperator.TEXT_MATCH:
        return _prefix_range(term.key, str(term.value))
    if term.operator not in TEMPLATES:
        raise QueryError(f"Milvus has no {term.operator.value!r}: filter by one of ==, <, in, …")
    return TEMPLATES[term.operator].format(term.key, _literal(term.value))


def _prefix_range(key: str, prefix: str) -> str:
    # Not by `like`: Milvus Lite cannot escape a literal % or _ in it.
    head = prefix.rstrip(chr(sys.maxunicode))
    if not head:
        return f"{key} >= {_literal(prefix)}"
    following = ord(head[-1]) + 1
    after = head[:-1] + chr(0xE000 if following == 0xD800 else following)  # no surrogate is text
    return f"({key} >= {_literal(prefix)} and {key} < {_literal(after)})"


def _literal(value: Any) -> str:
    if isinstance(value, str):
        return f'"{value.translate(ESCAPES)}"'
    if isinstance(value, list):
        return f"[{', '.join(map(_literal, cast('list[Any]', value)))}]"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (int, float)) and math.isfinite(value):
        return repr(value)
    raise QueryError(f"a filter cannot compare with {value!r}: give text, a number or a boolean")


def _to_term(tree: Filter) -> MetadataFilter | MetadataFilters:
    if isinstance(tree, FieldComparison):
        value = list(tree.value) if isinstance(tree.value, tuple) else tree.value
        operator = OPERATORS.get(tree.operator) or FilterOperator(tree.operator)
        # not validated: LlamaIndex's class knows no booleans, and the tree is sound already
        return MetadataFilter.model_construct(key=tree.key, value=value, operator=operator)
    return metadata_filters(tree)
