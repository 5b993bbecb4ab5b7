"""How a checkpoint wants to be asked to rank. In: `rerank.json` beside its weights. Out: a noun."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal, get_args

from mmrag.errors import CheckpointError
from mmrag.vision.phi3.files import read_object

__all__ = ["RECIPE_FILE", "Method", "RankingRecipe"]

Method = Literal["permutation", "grades", "first"]
"""The three ways to a ranking: choose label after label, grade each label, or read one place."""

RECIPE_FILE = "rerank.json"


@dataclass(frozen=True)
class RankingRecipe:
    """How a vision LLM is asked for a ranking.

    Attributes
    ----------
    method
        See `Method`.
    describe
        Let the model put each candidate into words before it grades it.
    prompt
        Template with ``{query}`` and ``{n}``; None leaves the wording to the reranker.
    cell, columns
        Side of a composite's cell in pixels, and how many cells stand in a row.
    num_crops
        Upper bound of the image's crops; None takes the one of the checkpoint's preprocessor.
    words
        Most tokens of one description, and of the wish.
    reason_tokens
        Most tokens of the reason.

    Examples
    --------
    >>> recipe = RankingRecipe(method="grades", describe=True)
    >>> RankingRecipe.from_fields(json.loads(recipe.to_json())) == recipe
    True
    """

    method: Method = "permutation"
    describe: bool = False
    prompt: str | None = None
    cell: int = 336
    columns: int = 4
    num_crops: int | None = None
    words: int = 16
    reason_tokens: int = 60

    def __post_init__(self) -> None:
        if self.method not in get_args(Method):
            raise CheckpointError(f"no ranking method {self.method!r}; take one of {', '.join(get_args(Method))}")
        for name in ("cell", "columns", "words", "reason_tokens"):
            if getattr(self, name) < 1:
                raise CheckpointError(f"a recipe's {name} is at least 1, not {getattr(self, name)}")

    def to_json(self) -> str:
        """Write the recipe as the text of `rerank.json`."""
        return json.dumps(asdict(self), indent=2) + "\n"

    @classmethod
    def from_fields(cls, given: Mapping[str, Any]) -> RankingRecipe:
        """Make a recipe of what a `rerank.json` holds; a field it does not name has its default."""
        unknown = set(given) - {field.name for field in fields(cls)}
        if unknown:
            raise CheckpointError(
                f"{RECIPE_FILE} has unknown fields {sorted(unknown)}; known are {[field.name for field in fields(cls)]}"
            )
        return cls(**given)

    @classmethod
    def of_folder(cls, folder: Path) -> RankingRecipe:
        """Read the recipe of a checkpoint's folder; a folder without one wants the defaults."""
        file = folder / RECIPE_FILE
        return cls.from_fields(read_object(file)) if file.is_file() else cls()
