"""Metadata filters that cannot say more than they mean. In: filters. Out: safe ones."""

from __future__ import annotations

import re

from llama_index.core.vector_stores.types import (
    FilterCondition,
    FilterOperator,
    MetadataFilter,
    MetadataFilters,
)

from mmrag.errors import QueryError
from mmrag.filters import Comparison, Filter, Junction, parse_filter

__all__ = ["checked", "metadata_filters"]

KEY = re.compile(r"[A-Za-z_]\w*", re.ASCII)
ESCAPES = str.maketrans({"\\": r"\\", "\n": r"\n", "\r": r"\r"})
OPERATORS = {"not in": FilterOperator.NIN}


def metadata_filters(filters: str | Filter) -> MetadataFilters:
    """Turn ``price < 40 and product == "mug"`` into what LlamaIndex retrievers take.

    Examples
    --------
    >>> metadata_filters("price < 40").filters
    [MetadataFilter(key='price', value=40, operator=<FilterOperator.LT: '<'>)]
    """
    tree = parse_filter(filters) if isinstance(filters, str) else filters
    if isinstance(tree, Junction):
        terms = [_term(term) for term in tree.terms]
        return MetadataFilters(filters=terms, condition=FilterCondition(tree.word))
    return MetadataFilters(filters=[_term(tree)])


def checked(filters: MetadataFilters | None) -> MetadataFilters | None:
    """Refuse keys that are no names, and escape what the stock Milvus expression leaves bare.

    Raises
    ------
    QueryError
        When a key could be read as more than the name of a field.
    """
    if filters is None:
        return None
    if filters.condition not in (FilterCondition.AND, FilterCondition.OR):
        raise QueryError(f"filters cannot be joined by {filters.condition!r}: use AND or OR")
    terms = [
        checked(term) or term if isinstance(term, MetadataFilters) else _checked(term)
        for term in filters.filters
    ]
    return MetadataFilters(filters=terms, condition=filters.condition)


def _checked(term: MetadataFilter) -> MetadataFilter:
    if not KEY.fullmatch(term.key):
        raise QueryError(f"filter key {term.key!r} is no field name: use letters, digits and '_'")
    if not isinstance(term.value, str):
        return term
    value = term.value.translate(ESCAPES)
    if term.operator == FilterOperator.TEXT_MATCH:  # the stock code escapes quotes in all but this
        value = value.replace("'", "\\'")
    return term.model_copy(update={"value": value})


def _term(tree: Filter) -> MetadataFilter | MetadataFilters:
    if isinstance(tree, Comparison):
        value = list(tree.value) if isinstance(tree.value, tuple) else tree.value
        operator = OPERATORS.get(tree.operator) or FilterOperator(tree.operator)
        # not validated: LlamaIndex's class knows no booleans, and the tree is sound already
        return MetadataFilter.model_construct(key=tree.key, value=value, operator=operator)
    return metadata_filters(tree)
