"""Text to ids and back, special tokens by their names. In: a `tokenizer.json`. Out: ids."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

from tokenizers import Tokenizer

from mmrag.errors import CheckpointError

__all__ = ["TOKENIZER_FILE", "Vocabulary"]

TOKENIZER_FILE = "tokenizer.json"
_PICTURE = r"<\|image_\d+\|>"


class Vocabulary:
    """A tokenizer, and what its special tokens mean to Phi-3 Vision.

    Parameters
    ----------
    tokenizer
        Any vocabulary that knows ``<|user|>``, ``<|assistant|>``, ``<|end|>``, ``<|endoftext|>``
        and ``<|image|>``; ``<|system|>`` where system turns are wanted.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.tokenizer = tokenizer
        self.placeholder = self.id("<|image|>")
        self.padding = self.id("<|endoftext|>")
        # config.json's eos id 2 ends no turn; these three do
        self.ends = frozenset(map(self.id, ("<|endoftext|>", "<|assistant|>", "<|end|>")))

    @classmethod
    def of_folder(cls, folder: Path) -> Vocabulary:
        """Read a checkpoint's `tokenizer.json`."""
        file = folder / TOKENIZER_FILE
        if not file.is_file():
            raise CheckpointError(f"{folder} holds no {TOKENIZER_FILE}: fetch it again")
        return cls(Tokenizer.from_file(str(file)))

    def id(self, token: str) -> int:
        """Look a token up by its exact name."""
        found = self.tokenizer.token_to_id(token)
        if found is None:
            raise CheckpointError(
                f"the vocabulary has no token {token!r}, which Phi-3 Vision needs: "
                f"take the {TOKENIZER_FILE} of a Phi-3 Vision checkpoint"
            )
        return found

    def encode(self, chunk: str) -> list[int]:
        """Ids of one chunk of a prompt, as published: special tokens live, `<s>` first."""
        return self.tokenizer.encode(chunk).ids

    def decode(self, ids: Sequence[int]) -> str:
        """Text of an answer's ids, special tokens left out."""
        return self.tokenizer.decode(list(ids), skip_special_tokens=True)

    def defuse(self, text: str) -> str:
        """Make a stranger's text harmless: no special token, no picture tag survives in it.

        A space goes behind the first character of each, so that it reads almost the same and is
        ordinary text to the tokenizer.
        """
        while found := self._live.search(text):
            text = f"{text[: found.start() + 1]} {text[found.start() + 1 :]}"
        return text

    @cached_property
    def _live(self) -> re.Pattern[str]:
        special = [token.content for token in self.tokenizer.get_added_tokens_decoder().values()]
        longest_first = sorted((s for s in special if len(s) > 1), key=len, reverse=True)
        return re.compile("|".join([_PICTURE, *map(re.escape, longest_first)]))
