"""Parsing of free-form answers into rankings: only numbers in the position of a label count."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any, cast

from pydantic_core import from_json

from mmrag.errors import AnswerError
from mmrag.ranking import Ranking, ranking_from_labels

__all__ = ["MAX_REASON_CHARS", "ParsedAnswer", "parse_answer", "ranking_from_answer"]

MAX_REASON_CHARS = 500

_MAX_ANSWER_CHARS = 50_000  # no ranking of 25 candidates needs a tenth of it
_MAX_JSON_STARTS = 40  # positions at which JSON may begin, so that "[[[[…" costs nothing
_MAX_DEPTH = 5  # of objects within objects
# All repetitions are bounded: an answer of 50,000 spaces must not take a minute.
_NUMBER = r"(-?\d{1,4})(?!\.?\d)"
_NOUN = r"(?:candidate|item|image|image|photo|document|doc|option|cell|label|number|no\.|#)s?"
_NAMED_LABEL = re.compile(rf"(?i)(?<![a-z]){_NOUN}[\s:#\[(*\"']{{0,4}}{_NUMBER}")
_GRADE = re.compile(r"(?i)[^\n\d]{0,40}?(?:relevance|score|grade|rating)[\s:=*\"']{1,4}(-?\d{1,4}(?:\.\d{1,9})?)")
_BRACKETED_LABEL = re.compile(r"\[\s{0,3}(-?\d{1,4})\s{0,3}\]")
_SEPARATOR = r"\s{0,5}(?:[>,;≻\n]|->)\s{0,5}"
_CHAIN = re.compile(rf"(?<![\w.$€£-])-?\d{{1,4}}(?:{_SEPARATOR}-?\d{{1,4}})+(?![\w%]|\.\d)")
_GRADED_LABEL = re.compile(
    r"(?m)(?:^|[{,])\s{0,9}[\"'\[]?(-?\d{1,4})[\"'\]]?\s{0,9}:\s{0,9}"
    r"[\"']?(-?\d{1,4}(?:\.\d{1,9})?)(?![\w.])"
)
_LABEL = re.compile(rf"(?i)[\s\[(#]{{0,3}}(?:{_NOUN}[\s_#:]{{0,3}})?(-?\d{{1,9}})[\s\])]{{0,3}}")
_TRAILING_NUMBER = re.compile(r"-?[\d.]+\s*$")
_LABEL_KEYS = ("label", "id", "index", "candidate", "item", "number", "image", "doc")
_GRADE_KEYS = ("grade", "score", "relevance", "rating", "value")
_REASON_KEYS = ("reason", "explanation", "why")


@dataclass(frozen=True)
class ParsedAnswer:
    """Labels, best first (repeated and out-of-range ones included), grades if there are any, and reason."""

    labels: tuple[int, ...] = ()
    grades: Mapping[int, float] = field(default_factory=dict[int, float])
    reason: str = ""

    def num_valid(self, n: int) -> int:
        """Count the candidates of 1..n that are named."""
        return len({label for label in self.labels if 1 <= label <= n})


def ranking_from_answer(answer: str, n: int, earlier: Sequence[str] = ()) -> Ranking:
    """Build a ranking of 1..n from an answer, or an earlier one that names more; if none does, raise `AnswerError`.

    >>> ranking_from_answer("[3] > [1]. Item costs $2", n=3).repairs
    ['missing: 2']
    """
    parsed_answers = [(parse_answer(answer), answer) for answer in (answer, *reversed(earlier))]
    parsed, answer = max(parsed_answers, key=lambda pair: pair[0].num_valid(n))
    if not parsed.num_valid(n):
        raise AnswerError(
            f"the vision LLM named none of the {n} candidates in {len(answer)} characters: "
            "it may have refused, or not know the format; try another model or prompt"
        )
    scores = [float(parsed.grades.get(label, 0)) for label in range(1, n + 1)] if parsed.grades else ()
    return ranking_from_labels(parsed.labels, n, reason=parsed.reason, scores=scores, answer=answer)


def parse_answer(answer: str) -> ParsedAnswer:
    """Parse labels or grades, and the reason, from JSON if there is any, else from prose."""
    text = answer[:_MAX_ANSWER_CHARS]
    candidates = [_parse_json(value) for value in _json_values(text)]
    best = max(candidates, key=lambda parsed: len(set(parsed.labels)), default=ParsedAnswer())
    if best.grades or len(best.labels) > 1:
        return best
    # A lone [5] is more likely a label in a sentence, as in [5] > [3], than a list of one.
    in_prose = _parse_prose(text)
    return in_prose if in_prose.labels else best


def _json_values(text: str) -> list[object]:
    starts = [match.start() for match in islice(re.finditer(r"[{\[]", text), _MAX_JSON_STARTS)]
    decoder = json.JSONDecoder()
    values: list[object] = []
    end = 0
    for start in starts:
        if start < end:
            continue  # inside a value that is parsed already
        try:
            value, end = decoder.raw_decode(text, start)
        except (ValueError, RecursionError):
            continue
        values.append(value)
    if starts and not values:
        # Truncated: a number at the very end may have lost digits, so it is dropped too.
        tail = max(starts[0], len(text) - 60)
        try:
            whole = text[starts[0] : tail] + _TRAILING_NUMBER.sub("", text[tail:])
            values.append(from_json(whole, allow_partial="trailing-strings"))
        except ValueError:
            pass
    return values


def _parse_json(value: object, depth: int = 0) -> ParsedAnswer:
    if isinstance(value, list):
        return _parse_list(cast("list[Any]", value))
    if isinstance(value, dict) and depth < _MAX_DEPTH:
        return _parse_object(cast("dict[str, Any]", value), depth)
    return ParsedAnswer()


def _parse_object(value: dict[str, Any], depth: int) -> ParsedAnswer:
    reason = next((value[key] for key in _REASON_KEYS if isinstance(value.get(key), str)), "")
    reason = reason.strip()[:MAX_REASON_CHARS]
    pairs = ((_parse_label(key), _parse_grade(grade)) for key, grade in value.items())
    graded = _from_grades((label, grade) for label, grade in pairs if label is not None and grade is not None)
    if graded.labels:
        return replace(graded, reason=reason)
    for inner in value.values():  # {"ranking": […]}, {"grades": {…}}
        parsed = _parse_json(inner, depth + 1)
        if parsed.labels:
            return replace(parsed, reason=reason or parsed.reason)
    return ParsedAnswer(reason=reason)


def _parse_list(values: list[Any]) -> ParsedAnswer:
    if all(type(value) is int and abs(value) < 10**9 for value in values):
        return ParsedAnswer(tuple(values))
    labels: list[int] = []
    grades: dict[int, float] = {}
    for value in values:
        entry, grade = value, None
        if isinstance(value, dict):
            fields = cast("dict[str, Any]", value)
            entry, grade = next((fields[key] for key in _LABEL_KEYS if key in fields), None), _parse_grade(fields)
        elif isinstance(value, list) and len(cast("list[Any]", value)) == 1:
            entry = value[0]
        if (label := _parse_label(entry)) is not None:
            labels.append(label)
            if grade is not None:
                grades[label] = grade
    return _from_grades(grades.items()) if set(labels) == set(grades) else ParsedAnswer(tuple(labels))


def _parse_label(value: object) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int | str):
        return None
    match = _LABEL.fullmatch(str(value))
    return int(match[1]) if match else None


def _parse_grade(value: object) -> float | None:
    if isinstance(value, dict):
        fields = cast("dict[str, Any]", value)
        return next((_parse_grade(fields[key]) for key in _GRADE_KEYS if key in fields), None)
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        grade = float(value)
    except (ValueError, OverflowError):
        return None
    return grade if math.isfinite(grade) else None


def _parse_prose(text: str) -> ParsedAnswer:
    pairs = _GRADED_LABEL.findall(text)
    if len(pairs) > 1:
        return _from_grades((int(label), float(grade)) for label, grade in pairs)
    named = list(_NAMED_LABEL.finditer(text))
    grades = [_GRADE.match(text, match.end()) for match in named]
    if named and all(grades):
        graded = zip(named, grades, strict=True)
        return _from_grades((int(label[1]), float(grade[1])) for label, grade in graded if grade)
    labels = {match.start(1): int(match[1]) for match in (*named, *_BRACKETED_LABEL.finditer(text))}
    if labels:
        return ParsedAnswer(tuple(labels[position] for position in sorted(labels)))
    chains = (re.findall(r"-?\d{1,4}", match[0]) for match in _CHAIN.finditer(text))
    return ParsedAnswer(tuple(int(label) for chain in chains for label in chain))


def _from_grades(pairs: Iterable[tuple[int, float]]) -> ParsedAnswer:
    """Sort labels by grade, highest first; of a repeated label, the first grade counts."""
    grades: dict[int, float] = {}
    for label, grade in pairs:
        grades.setdefault(label, grade)
    return ParsedAnswer(tuple(sorted(grades, key=lambda label: (-grades[label], label))), grades)
