"""Text to ids and back, special tokens by their names. In: a `tokenizer.json`. Out: ids."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cached_property, lru_cache
from pathlib import Path

from tokenizers import Tokenizer

from mmrag.errors import CheckpointError

__all__ = ["TOKENIZER_FILE", "Vocabulary"]

TOKENIZER_FILE = "tokenizer.json"
_IMAGE = r"<\|image_\d+\|>"
# Text that may stand before a piece of an answer without melting into it, the likeliest first.
_ANCHORS = ("\n", "|", "x", "0")


class Vocabulary:
    """A tokenizer, and what its special tokens mean to Phi-3 Vision.

    Parameters
    ----------
    tokenizer
        Any vocabulary that knows ``<|user|>``, ``<|assistant|>``, ``<|end|>``, ``<|endoftext|>``
        and ``<|image|>``; ``<|system|>`` where system turns are wanted. To rank, it must write
        digits (and capitals, past nine candidates) as single tokens, and decode what it encoded.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.tokenizer = tokenizer
        self.placeholder = self.id("<|image|>")
        self.padding = self.id("<|endoftext|>")
        # config.json's eos id 2 ends no turn; these three do
        self.ends = frozenset(map(self.id, ("<|endoftext|>", "<|assistant|>", "<|end|>")))
        self._cached_inside = lru_cache(maxsize=4096)(self._encode_inside)

    @classmethod
    def of_folder(cls, folder: Path) -> Vocabulary:
        """Read a checkpoint's `tokenizer.json`."""
        file = folder / TOKENIZER_FILE
        if not file.is_file():
            raise CheckpointError(f"{folder} holds no {TOKENIZER_FILE}: fetch it again")
        try:
            tokenizer = Tokenizer.from_file(str(file))
        except Exception as error:  # the tokenizers' core raises bare exceptions
            raise CheckpointError(f"{file} cannot be read ({error}): fetch it again") from error
        return cls(tokenizer)

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

    def opening(self, text: str) -> list[int]:
        """Ids of ``text`` where a turn begins: with the mark of a new word, where there is one."""
        return self.tokenizer.encode(text, add_special_tokens=False).ids

    def inside(self, text: str) -> list[int]:
        """Ids of ``text`` in the middle of an answer, where no word need begin."""
        return list(self._cached_inside(text))

    def single(self, text: str) -> int:
        """Look up the one token that writes ``text`` in the middle of an answer."""
        ids = self._cached_inside(text)
        if len(ids) != 1:
            raise CheckpointError(
                f"{text!r} is {len(ids)} tokens in this vocabulary and must be one: "
                "rank by another method, or with a tokenizer that writes it as one"
            )
        return ids[0]

    def text_inside(self, ids: Sequence[int]) -> str:
        """Text that ``ids`` add in the middle of an answer."""
        anchor, anchor_ids = self._anchor
        return self.decode([*anchor_ids, *ids]).removeprefix(anchor)

    def defuse(self, text: str) -> str:
        """Make a stranger's text harmless: no special token, no image tag survives in it.

        A space goes behind the first character of each, so that it reads almost the same and is
        ordinary text to the tokenizer. Half a letter (a lone surrogate) becomes a question mark.
        """
        text = text.encode(errors="replace").decode()
        while self._live.search(text):  # again: what is broken up may have hidden another
            text = self._live.sub(lambda found: f"{found[0][0]} {found[0][1:]}", text)
        return text

    @cached_property
    def plain(self) -> tuple[int, ...]:
        """Tokens that a JSON string holds unescaped: no quote, backslash or control character."""
        special = self.tokenizer.get_added_tokens_decoder()
        return tuple(
            token
            for token, text in enumerate(self._texts)
            if token not in special and text and not re.search(r'["\\\x00-\x1f]', text)
        )

    @cached_property
    def closing(self) -> tuple[int, ...]:
        """Tokens that end a JSON string: those that begin with a quote, and the ends of a turn."""
        quotes = (token for token, text in enumerate(self._texts) if text.startswith('"'))
        return (*quotes, *sorted(self.ends))

    @cached_property
    def _texts(self) -> list[str]:
        return [self.text_inside([token]) for token in range(self.tokenizer.get_vocab_size())]

    @cached_property
    def _live(self) -> re.Pattern[str]:
        special = [token.content for token in self.tokenizer.get_added_tokens_decoder().values()]
        longest_first = sorted((s for s in special if len(s) > 1), key=len, reverse=True)
        return re.compile("|".join([_IMAGE, *map(re.escape, longest_first)]))

    @cached_property
    def _anchor(self) -> tuple[str, list[int]]:
        # a line break comes last: as a byte it would fuse with the bytes of half a letter
        for anchor in reversed(_ANCHORS):
            ids = self.opening(anchor)
            if self.decode(ids) == anchor:
                return anchor, ids
        raise CheckpointError(f"the tokenizer gives none of {_ANCHORS} back: it must decode what it encoded")

    def _encode_inside(self, text: str) -> tuple[int, ...]:
        # a tokenizer marks the start of what it is given: put something before, and take it away
        for anchor in _ANCHORS:
            before = self.opening(anchor)
            ids = self.opening(anchor + text)
            if ids[: len(before)] == before:
                return tuple(ids[len(before) :])
        raise CheckpointError(f"the tokenizer melts {text!r} into whatever stands before it: its ids are not its own")
