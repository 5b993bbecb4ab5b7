"""What a query wishes for, and how well a product answers it."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["GRADE_NAMES", "Wish"]

GRADE_NAMES = ("none", "print", "item", "full")
"""The finer grades 0..3 in words."""


@dataclass(frozen=True)
class Wish:
    """A product, pattern and color; ``None`` leaves an attribute free.

    A product answers a wish in full when it misses nothing of it, and partly when it misses
    exactly one of several things; one that misses more is no answer.
    """

    product: str | None = None
    pattern: str | None = None
    color: str | None = None

    def finer_grade(self, product: str, pattern: str, color: str) -> int:
        """Grade an answer 3 (full), 2 (item), 1 (print) or 0 (none).

        A partial answer is an "item" when it is the product wished for in the wrong pattern or
        color, and a "print" when only the product is wrong.

        Examples
        --------
        >>> wish = Wish("mug", "zebra")
        >>> wish.finer_grade("mug", "zebra", "pink"), wish.finer_grade("mug", "star", "pink")
        (3, 2)
        >>> wish.finer_grade("lamp", "zebra", "pink"), wish.finer_grade("lamp", "star", "pink")
        (1, 0)
        """
        wanted = (self.product, self.pattern, self.color)
        answer = (product, pattern, color)
        matches = [want == got for want, got in zip(wanted, answer, strict=True) if want]
        missed = matches.count(False)
        if missed == 0:
            return 3
        if missed > 1 or len(matches) == 1:
            return 0
        return 2 if self.product in (None, product) else 1

    def grade(self, product: str, pattern: str, color: str) -> int:
        """Grade an answer 2 (exact), 1 (partial: finer grade 1 or 2) or 0.

        Examples
        --------
        >>> wish = Wish("mug", "zebra", "black")
        >>> wish.grade("mug", "zebra", "black"), wish.grade("mug", "zebra", "pink")
        (2, 1)
        >>> wish.grade("lamp", "zebra", "black"), wish.grade("mug", "star", "pink")
        (1, 0)
        """
        return (self.finer_grade(product, pattern, color) + 1) // 2
