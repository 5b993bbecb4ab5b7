"""The answers a ranking is read from. In: n and a method. Out: the script, and its `Ranking`.

Complete by construction: every label has its own slot, or is chosen exactly once.
"""

from __future__ import annotations

from collections.abc import Sequence
from string import ascii_lowercase, ascii_uppercase

from mmrag.errors import QueryError
from mmrag.ranking import Ranking, ranking_from_grades, ranking_from_labels
from mmrag.vision.config import Method
from mmrag.vision.phi3.template import Answer, Choice, Computed, Free, Grade, Piece, Script, Text

__all__ = ["answer_script", "read_ranking"]

_LETTERS = ascii_uppercase + ascii_lowercase


def answer_script(
    n: int, method: Method = "permutation", describe: bool = False, *, words: int = 16, reason_tokens: int = 60
) -> Script:
    """Write the script of an answer about candidates 1..n.

    Slots: ``wish``, ``shows 1`` … ``shows n`` where it describes; ``grade 1`` … ``grade n``, or
    ``place 1`` … ``place n`` (only the first for ``"first"``); ``reason`` but for ``"first"``.

    Parameters
    ----------
    n
        Number of candidates.
    method
        ``"grades"``: each label is graded. ``"permutation"``: label after label is chosen among
        those unused. ``"first"``: only the first place is asked.
    describe
        Put the wish and each candidate into words first.
    words
        Most tokens of the wish, and of one description.
    reason_tokens
        Most tokens of the reason, beyond the description that it begins with.
    """
    if n < 1 or (method != "grades" and n > len(_LETTERS)):
        raise QueryError(f"{n} candidates cannot be ranked at once: give 1 to {len(_LETTERS)}, more in windows")
    body: Script = (*_wish(words), *_candidates(n, words, method)) if describe else ()
    if method == "grades":
        body = body or _grades(n)
        return (Text("{"), *body, *_reason(n, method, describe, words, reason_tokens))
    if method == "first":
        return (Text("{"), *body, *_first(n), Text("}"))
    return (Text("{"), *body, *_places(n), *_reason(n, method, describe, words, reason_tokens))


def read_ranking(answer: Answer, n: int, method: Method = "permutation") -> Ranking:
    """Read the ranking out of a finished answer.

    Scores are the expected grade (0 to 10) for ``"grades"``, otherwise the probability with which
    the label was the first choice; the latter sum to 1.
    """
    shown = [answer.texts.get(f"shows {label}") for label in range(1, n + 1)]
    reason = answer.texts.get("reason", "")
    if method != "first" and shown[0] is not None:
        reason = _seen(answer, n, method) + reason
    reason = reason.strip()
    if method == "grades":
        grades = _expected_grades(answer, n)
        ranking = ranking_from_grades(grades, n, reason=reason, answer=answer.text)
    else:
        odds = answer.odds["place 1"]
        scores = [odds.get(label, 0.0) for label in _labels(n)]
        order = _order(answer, n, method)
        ranking = ranking_from_labels(order, n, reason=reason, scores=scores, answer=answer.text)
    described = [text.strip() for text in shown if text is not None]
    return ranking.model_copy(update={"descriptions": described})


def _wish(words: int) -> Script:
    return Text('"wish": "'), Free("wish", words), Text('", ')


def _candidates(n: int, words: int, method: Method) -> Script:
    def shown(label: int) -> Script:
        grade = Text(', "grade": '), Grade(f"grade {label}")
        shows = Text('{"shows": "'), Free(f"shows {label}", words), Text('"')
        return (*shows, *(grade if method == "grades" else ()), Text("}"))

    return _by_label("candidates", [shown(label) for label in range(1, n + 1)])


def _grades(n: int) -> Script:
    return _by_label("grades", [(Grade(f"grade {label}"),) for label in range(1, n + 1)])


def _by_label(name: str, entries: Sequence[Script]) -> Script:
    pieces: list[Piece] = [Text(f'"{name}": {{')]
    for label, entry in enumerate(entries, start=1):
        pieces += [Text(f'"{label}": '), *entry, Text(", " if label < len(entries) else "}, ")]
    return tuple(pieces)


def _places(n: int) -> Script:
    names = [f"place {place}" for place in range(1, n + 1)]
    opening, between, closing = _brackets(n)
    pieces: list[Piece] = [Text(opening)]
    for place, name in enumerate(names):
        pieces += [Choice(name, _labels(n), unlike=tuple(names[:place])), Text(between)]
    return (*pieces[:-1], Text(f"{closing}, "))


def _first(n: int) -> Script:
    opening, between, closing = _brackets(n)

    def rest(answer: Answer) -> str:
        labels = [_labels(n)[label - 1] for label in _order(answer, n, "first")]
        return between.join(["", *labels[1:]]) + closing

    return Text(opening), Choice("place 1", _labels(n)), Computed(rest)


def _reason(n: int, method: Method, describe: bool, words: int, tokens: int) -> Script:
    # We name the best, and begin with what the model said of it, so that the reason is about it.
    best = Computed(lambda answer: str(_order(answer, n, method)[0]))
    opening: Script = (Text('"best": '), best, Text(', "reason": "'))
    if describe:
        opening = (*opening, Computed(lambda answer: _seen(answer, n, method), words))
    return (*opening, Free("reason", tokens), Text('"}'))


def _seen(answer: Answer, n: int, method: Method) -> str:
    return answer.texts[f"shows {_order(answer, n, method)[0]}"]


def _labels(n: int) -> tuple[str, ...]:
    # numbers past 9 are two tokens, and "1" would be half of "12": such lists go by letters
    return tuple(map(str, range(1, n + 1))) if n <= 9 else tuple(_LETTERS[:n])


def _brackets(n: int) -> tuple[str, str, str]:
    if n <= 9:
        return '"order": [', ", ", "]"
    # the image's plates show numbers, so the answer begins with what each letter stands for
    names = ", ".join(f'"{name}": {label}' for label, name in enumerate(_labels(n), start=1))
    return f'"names": {{{names}}}, "order": ["', '", "', '"]'


def _order(answer: Answer, n: int, method: Method) -> list[int]:
    if method == "permutation":
        return [_labels(n).index(answer.texts[f"place {place}"]) + 1 for place in range(1, n + 1)]
    if method == "grades":
        worth = _expected_grades(answer, n)
    else:
        odds = answer.odds["place 1"]
        worth = {label: odds.get(name, 0.0) for label, name in enumerate(_labels(n), start=1)}
    return sorted(worth, key=lambda label: (-worth[label], label))


def _expected_grades(answer: Answer, n: int) -> dict[int, float]:
    return {
        label: sum(int(grade) * p for grade, p in answer.odds[f"grade {label}"].items()) for label in range(1, n + 1)
    }
