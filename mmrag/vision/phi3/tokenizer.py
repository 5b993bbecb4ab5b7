"""Tokenizer of Phi-3 Vision, with the ids of its special tokens and of JSON strings."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cached_property, lru_cache
from pathlib import Path

import torch
from tokenizers import Tokenizer
from torch import Tensor

from mmrag.errors import CheckpointError

__all__ = ["TOKENIZER_FILE", "Phi3Tokenizer"]

TOKENIZER_FILE = "tokenizer.json"
_IMAGE_TAG = r"<\|image_\d+\|>"
# Texts that a piece of an answer can follow without merging with them, most likely first.
_PREFIXES = ("\n", "|", "x", "0")


class Phi3Tokenizer:
    """Tokenizer for prompts, and for the pieces of an answer.

    ``backend`` has Phi-3's special tokens. To rank, it must write digits (and capitals, past nine candidates) as single
    tokens, and decode what it encoded.
    """

    def __init__(self, backend: Tokenizer) -> None:
        self.backend = backend
        self.image_token_id = self.token_id("<|image|>")
        self.pad_token_id = self.token_id("<|endoftext|>")
        # id 2, the eos token of config.json, ends no turn; these three do
        self.stop_token_ids = frozenset(map(self.token_id, ("<|endoftext|>", "<|assistant|>", "<|end|>")))
        self._cached_continuation = lru_cache(maxsize=4096)(self._encode_continuation)

    @classmethod
    def from_folder(cls, folder: Path) -> Phi3Tokenizer:
        """Read the `tokenizer.json` of a checkpoint."""
        file = folder / TOKENIZER_FILE
        if not file.is_file():
            raise CheckpointError(f"{folder} holds no {TOKENIZER_FILE}: download it again")
        try:
            backend = Tokenizer.from_file(str(file))
        except Exception as error:  # tokenizers raises bare exceptions
            raise CheckpointError(f"{file} cannot be read ({error}): download it again") from error
        return cls(backend)

    def token_id(self, token: str) -> int:
        """Return the id of a token, given its exact text."""
        token_id = self.backend.token_to_id(token)
        if token_id is None:
            raise CheckpointError(
                f"the vocabulary has no token {token!r}, which Phi-3 Vision needs: "
                f"use the {TOKENIZER_FILE} of a Phi-3 Vision checkpoint"
            )
        return token_id

    def encode(self, text: str) -> list[int]:
        """Encode a part of a prompt as published: special tokens are active, `<s>` comes first."""
        return self.backend.encode(text).ids

    def encode_start(self, text: str) -> list[int]:
        """Encode the start of an answer; it begins with the mark of a new word, if there is one."""
        return self.backend.encode(text, add_special_tokens=False).ids

    def encode_continuation(self, text: str) -> list[int]:
        """Encode text in the middle of an answer, where no new word begins."""
        return list(self._cached_continuation(text))

    def single_token_id(self, text: str) -> int:
        """Return the id of the one token that writes ``text`` in the middle of an answer."""
        ids = self._cached_continuation(text)
        if len(ids) != 1:
            raise CheckpointError(
                f"{text!r} is {len(ids)} tokens in this vocabulary and must be one: "
                "rank by another method, or with a tokenizer that writes it as one"
            )
        return ids[0]

    def decode(self, ids: Sequence[int]) -> str:
        """Decode an answer, without special tokens."""
        return self.backend.decode(list(ids), skip_special_tokens=True)

    def decode_continuation(self, ids: Sequence[int]) -> str:
        """Decode ids in the middle of an answer."""
        prefix, prefix_ids = self._prefix
        return self.decode([*prefix_ids, *ids]).removeprefix(prefix)

    def escape_special_tokens(self, text: str) -> str:
        """Break up special tokens and image tags in untrusted text; a lone surrogate becomes a question mark."""
        text = text.encode(errors="replace").decode()
        while self._special_pattern.search(text):  # again: breaking one up can reveal another
            text = self._special_pattern.sub(lambda found: f"{found[0][0]} {found[0][1:]}", text)
        return text

    @cached_property
    def string_token_ids(self) -> Tensor:
        """Tokens that a JSON string holds unescaped: no quote, backslash or control character."""
        special = self.backend.get_added_tokens_decoder()
        is_string = re.compile(r'[^"\\\x00-\x1f]+').fullmatch
        texts = enumerate(self._token_texts)
        return torch.tensor([token_id for token_id, text in texts if token_id not in special and is_string(text)])

    @cached_property
    def string_end_ids(self) -> Tensor:
        """Tokens that end a JSON string: those that begin with a quote, and those that end a turn."""
        quotes = (token_id for token_id, text in enumerate(self._token_texts) if text.startswith('"'))
        return torch.tensor([*quotes, *sorted(self.stop_token_ids)])

    @cached_property
    def _token_texts(self) -> list[str]:
        return [self.decode_continuation([token_id]) for token_id in range(self.backend.get_vocab_size())]

    @cached_property
    def _special_pattern(self) -> re.Pattern[str]:
        special = [token.content for token in self.backend.get_added_tokens_decoder().values()]
        longest_first = sorted((text for text in special if len(text) > 1), key=len, reverse=True)
        return re.compile("|".join([_IMAGE_TAG, *map(re.escape, longest_first)]))

    @cached_property
    def _prefix(self) -> tuple[str, list[int]]:
        # a line break comes last: as a byte it would merge with the bytes of an incomplete character
        for prefix in reversed(_PREFIXES):
            ids = self.encode_start(prefix)
            if self.decode(ids) == prefix:
                return prefix, ids
        raise CheckpointError(f"the tokenizer decodes none of {_PREFIXES} to itself: use one that does")

    def _encode_continuation(self, text: str) -> tuple[int, ...]:
        # a tokenizer marks the start of its input: encode behind a prefix, and remove the prefix
        for prefix in _PREFIXES:
            prefix_ids = self.encode_start(prefix)
            ids = self.encode_start(prefix + text)
            if ids[: len(prefix_ids)] == prefix_ids:
                return tuple(ids[len(prefix_ids) :])
        raise CheckpointError(f"the tokenizer merges {text!r} with any text before it: use another tokenizer")
