"""Target answers of the demo reranker as token ids, for teacher forcing."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from examples.train_demo_models.vocabulary import ANY_COLOR, compound
from mmrag.datasets.attributes import COLORS, PATTERNS, PRODUCTS
from mmrag.vision import RankingConfig
from mmrag.vision.phi3.ranking_template import RankingTemplate
from mmrag.vision.phi3.template import encode_template
from mmrag.vision.phi3.tokenizer import Phi3Tokenizer

__all__ = ["GRADES", "AttributeTargets", "TargetTemplate"]

GRADES = (0, 3, 6, 9)
"""What the finer grades none, print, item and full are called in an answer."""


@dataclass(frozen=True)
class AttributeTargets:
    """Attributes as numbers, in the order of the answer: color, pattern, product."""

    target: Tensor  # (lists, 3); the last color number means any
    candidates: Tensor  # (lists, n, 3)
    grades: Tensor  # (lists, n), 0..3
    best: Tensor  # (lists,), the place of the candidate that the reason is about


class TargetTemplate:
    """The answer about n candidates, with blanks."""

    def __init__(self, n: int, ranking_config: RankingConfig, tokenizer: Phi3Tokenizer) -> None:
        self.n, self.tokenizer = n, tokenizer
        template = RankingTemplate(n, ranking_config).build()
        blanks = {f"description {label}": " red plain mug" for label in range(1, n + 1)}
        blanks |= {f"grade {label}": "0" for label in range(1, n + 1)}
        blanks |= {"query": " any plain mug", "reason": " matches"}
        answer = encode_template(template, blanks, tokenizer)
        self.ids = torch.tensor(answer.ids)  # (tokens,)
        spans = answer.spans
        self.target = torch.tensor(spans["query"])  # (3,)
        self.shows = torch.tensor([list(spans[f"description {label}"]) for label in range(1, n + 1)])
        self.grades = torch.tensor([spans[f"grade {label}"].start for label in range(1, n + 1)])
        self.reason = spans["reason"].start  # one word, behind the description that we repeat
        self.best = self.reason - 5  # then comes the opening of the reason, and the description

    def fill(self, words: AttributeTargets) -> Tensor:
        """Fill in many at once: (lists, tokens)."""
        lists = torch.arange(len(words.target))
        ids = self.ids.repeat(len(lists), 1)
        ids[:, self.target] = self._token_ids(words.target)
        ids[:, self.shows] = self._token_ids(words.candidates)  # (lists, n, 3)
        ids[:, self.grades] = self.digits[words.grades]
        ids[:, self.reason - 3 : self.reason] = self._token_ids(words.candidates[lists, words.best])
        ids[:, self.best] = self.labels[words.best]
        return ids

    @cached_property
    def digits(self) -> Tensor:
        """The ids of the four grades."""
        return torch.tensor([self.tokenizer.single_token_id(str(grade)) for grade in GRADES])

    def _token_ids(self, attributes: Tensor) -> Tensor:
        parts = zip(self.names, attributes.unbind(-1), strict=True)
        return torch.stack([names[part] for names, part in parts], dim=-1)

    @cached_property
    def names(self) -> list[Tensor]:
        """The ids of all colors (and any), patterns and products."""
        return [self._ids((*COLORS, ANY_COLOR)), self._ids(PATTERNS), self._ids(PRODUCTS)]

    @cached_property
    def labels(self) -> Tensor:
        """The ids of the labels 1 to n."""
        return torch.tensor([self.tokenizer.single_token_id(str(place + 1)) for place in range(self.n)])

    def _ids(self, names: tuple[str, ...] | list[str]) -> Tensor:
        return torch.tensor([self.tokenizer.single_token_id(f" {compound(name)}") for name in names])
