"""What a vision LLM meant. In: its raw answer, JSON or not, whole or cut off. Out: a Ranking.

Only numbers that stand where a label can stand count: "[5] > [3], item costs $9" names 5 and 3.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, cast

from pydantic_core import from_json

from mmrag.errors import AnswerError
from mmrag.ranking import Ranking, ranking_from_labels

__all__ = ["LONGEST_REASON", "Reading", "ranking_from_answer", "read_answer"]

LONGEST_REASON = 500

_LONGEST_ANSWER = 50_000  # characters; no ranking of 25 candidates needs a tenth of it
_MOST_STARTS = 40  # places where JSON may begin that are tried, so that "[[[[…" costs nothing
_DEEPEST = 5  # objects in objects; more is no answer, and Python's stack has an end
# All repetitions are bounded: an answer of 50,000 spaces must not cost a minute.
_NUMBER = r"(-?\d{1,4})(?!\.?\d)"
_THING = r"(?:candidate|item|image|image|photo|document|doc|option|cell|label|number|no\.|#)s?"
_NAMED = re.compile(rf"(?i)(?<![a-z]){_THING}[\s:#\[(*\"']{{0,4}}{_NUMBER}")
_GRADED = re.compile(r"(?i)[^\n\d]{0,40}?(?:relevance|score|grade|rating)[\s:=*\"']{1,4}(-?\d{1,4}(?:\.\d{1,9})?)")
_BRACKETED = re.compile(r"\[\s{0,3}(-?\d{1,4})\s{0,3}\]")
_LINK = r"\s{0,5}(?:[>,;≻\n]|->)\s{0,5}"
_CHAIN = re.compile(rf"(?<![\w.$€£-])-?\d{{1,4}}(?:{_LINK}-?\d{{1,4}})+(?![\w%]|\.\d)")
_PAIR = re.compile(
    r"(?m)(?:^|[{,])\s{0,9}[\"'\[]?(-?\d{1,4})[\"'\]]?\s{0,9}:\s{0,9}"
    r"[\"']?(-?\d{1,4}(?:\.\d{1,9})?)(?![\w.])"
)
_KEY = re.compile(rf"(?i)[\s\[(#]{{0,3}}(?:{_THING}[\s_#:]{{0,3}})?(-?\d{{1,9}})[\s\])]{{0,3}}")
_HALF_A_NUMBER = re.compile(r"-?[\d.]+\s*$")
_LABEL_KEYS = ("label", "id", "index", "candidate", "item", "number", "image", "doc")
_GRADE_KEYS = ("grade", "score", "relevance", "rating", "value")
_REASON_KEYS = ("reason", "explanation", "why")


@dataclass(frozen=True)
class Reading:
    """What could be read out of one answer; both empty when nothing could.

    Attributes
    ----------
    labels
        As the model ordered them, impossible and repeated ones included.
    grades
        By label, when the model graded instead.
    reason
        In the model's words, at most `LONGEST_REASON` characters.
    """

    labels: tuple[int, ...] = ()
    grades: Mapping[int, float] = field(default_factory=dict[int, float])
    reason: str = ""

    @property
    def best_first(self) -> tuple[int, ...]:
        """Labels, best first; equal grades keep retrieval order."""
        if self.labels:
            return self.labels
        return tuple(sorted(self.grades, key=lambda label: (-self.grades[label], label)))

    def valid(self, n: int) -> int:
        """Count the candidates of 1..n that are named."""
        return len({label for label in self.best_first if 1 <= label <= n})


def ranking_from_answer(answer: str, n: int) -> Ranking:
    r"""Complete whatever order or grades stand in a raw answer; every repair is told.

    Raises
    ------
    AnswerError
        When no candidate of 1..n is named anywhere, as in a refusal.

    Examples
    --------
    >>> ranking_from_answer('```json\n{"1": 2, "2": 9, "reason": "it is spo', n=3).order
    [2, 1, 3]
    >>> ranking_from_answer("[3] > [1]. Item costs $2", n=3).repairs
    ['missing: 2']
    """
    reading = read_answer(answer)
    if not reading.valid(n):
        raise AnswerError(
            f"the vision LLM named none of the {n} candidates in {len(answer)} characters: "
            "it may have refused, or not know the format; try another model or prompt"
        )
    scores = [float(reading.grades.get(label, 0)) for label in range(1, n + 1)]
    return ranking_from_labels(
        reading.best_first, n, reason=reading.reason, scores=scores if reading.grades else (), answer=answer
    )


def read_answer(answer: str) -> Reading:
    """Read labels or grades, and the reason, from JSON where there is some, else from the words."""
    text = answer[:_LONGEST_ANSWER]
    readings = [_from_json(value) for value in _json_values(text)]
    best = max(readings, key=lambda reading: len(set(reading.best_first)), default=Reading())
    if best.grades or len(best.labels) > 1:
        return best
    # A lone [5] is more likely a label in a sentence, as in [5] > [3], than a list of one.
    in_words = _from_words(text)
    return in_words if in_words.best_first else best


def _json_values(text: str) -> Iterator[object]:
    starts = [found.start() for found in islice(re.finditer(r"[{\[]", text), _MOST_STARTS)]
    decoder = json.JSONDecoder()
    end = 0
    for start in starts:
        if start < end:
            continue  # inside of a value that has been read
        try:
            value, end = decoder.raw_decode(text, start)
        except (ValueError, RecursionError):
            continue
        yield value
    if starts and not end:
        # Cut off: a number at the very end may have lost digits, so it goes too.
        body, tail = text[starts[0] : -60], text[max(starts[0], len(text) - 60) :]
        try:
            yield from_json(body + _HALF_A_NUMBER.sub("", tail), allow_partial="trailing-strings")
        except ValueError:
            return


def _from_json(value: object, depth: int = 0) -> Reading:
    if isinstance(value, list):
        return _from_list(cast("list[Any]", value))
    if isinstance(value, dict) and depth < _DEEPEST:
        return _from_object(cast("dict[str, Any]", value), depth)
    return Reading()


def _from_object(value: dict[str, Any], depth: int) -> Reading:
    reason = next((value[key] for key in _REASON_KEYS if isinstance(value.get(key), str)), "")
    reason = reason.strip()[:LONGEST_REASON]
    grades: dict[int, float] = {}
    for key, given in value.items():
        label, grade = _label(key), _grade(given)
        if label is not None and grade is not None:
            grades.setdefault(label, grade)
    if grades:
        return Reading(grades=grades, reason=reason)
    for inner in value.values():  # {"ranking": […]}, {"grades": {…}}
        reading = _from_json(inner, depth + 1)
        if reading.best_first:
            return Reading(reading.labels, reading.grades, reason or reading.reason)
    return Reading(reason=reason)


def _from_list(values: list[Any]) -> Reading:
    entries = [_entry(value) for value in values]
    labels = tuple(label for label, _ in entries if label is not None)
    grades = {label: grade for label, grade in entries if label is not None and grade is not None}
    return Reading(grades=grades) if set(labels) == set(grades) else Reading(labels=labels)


def _entry(value: Any) -> tuple[int | None, float | None]:
    if isinstance(value, dict):
        entry = cast("dict[str, Any]", value)
        label = next((entry[key] for key in _LABEL_KEYS if key in entry), None)
        return _label(label), _grade(entry)
    if isinstance(value, list):
        values = cast("list[Any]", value)
        return (_label(values[0]) if len(values) == 1 else None), None
    return _label(value), None


def _label(value: object) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int | str):
        return None
    found = _KEY.fullmatch(str(value))
    return int(found[1]) if found else None


def _grade(value: object) -> float | None:
    if isinstance(value, dict):
        entry = cast("dict[str, Any]", value)
        return next((_grade(entry[key]) for key in _GRADE_KEYS if key in entry), None)
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        grade = float(value)
    except (ValueError, OverflowError):
        return None
    return grade if math.isfinite(grade) else None


def _from_words(text: str) -> Reading:
    pairs = _PAIR.findall(text)
    if len(pairs) > 1:
        return _graded(pairs)
    named = list(_NAMED.finditer(text))
    grades = [_GRADED.match(text, found.end()) for found in named]
    if named and all(grades):
        return _graded((n[1], g[1]) for n, g in zip(named, grades, strict=True) if g)
    places = {found.start(1): int(found[1]) for found in (*named, *_BRACKETED.finditer(text))}
    if not places:
        numbers = (re.findall(r"-?\d{1,4}", chain[0]) for chain in _CHAIN.finditer(text))
        return Reading(labels=tuple(int(number) for chain in numbers for number in chain))
    return Reading(labels=tuple(places[place] for place in sorted(places)))


def _graded(pairs: Iterable[tuple[str, str]]) -> Reading:
    grades: dict[int, float] = {}
    for label, grade in pairs:
        grades.setdefault(int(label), float(grade))
    return Reading(grades=grades)
