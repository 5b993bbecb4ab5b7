"""Reads items for the network: texts, images and queries in, token ids within limits out."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from threading import Lock

from transformers import PreTrainedTokenizerBase

from mmrag.embedding.batching import Request
from mmrag.errors import EncodeError
from mmrag.images import ImageSource
from mmrag.query import Query

__all__ = ["Item", "Reader"]

Item = Query | str | ImageSource

_SHOWN = 10

_log = logging.getLogger(__name__)


class Reader:
    """Turns items into requests; several threads may share it.

    Parameters
    ----------
    tokenizer
        Of the text model.
    text_limit, composed_limit
        Most tokens of a text alone, and of one beside an image, special ones included.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, *, text_limit: int, composed_limit: int) -> None:
        self._tokenizer = tokenizer
        self._text_limit = text_limit
        self._composed_limit = composed_limit
        # The tokenizer resets its truncation settings on a call, and panics when two do at once.
        self._lock = Lock()

    def requests(self, items: Sequence[Item]) -> list[Request]:
        """Tokenize items, cut those over the limit, and warn once of each kind of loss.

        Raises
        ------
        EncodeError
            When an item is an empty text.
        """
        if not items:
            return []
        parts = [_parts(index, item) for index, item in enumerate(items)]
        texts = [text for text, _ in parts]
        tokenized = self._tokenize(texts)
        requests = [
            Request(self._within_limit(ids, image), image, (index,))
            for index, (ids, (_, image)) in enumerate(zip(tokenized, parts, strict=True))
        ]
        self._warn_of_cuts(
            index
            for index, (request, ids) in enumerate(zip(requests, tokenized, strict=True))
            if len(request.ids) < len(ids)
        )
        self._warn_of_unknown_words(
            text for text, ids in zip(texts, tokenized, strict=True) if self._tokenizer.unk_token_id in ids
        )
        return requests

    def unknown_words(self, text: str) -> list[str]:
        """List the words the vocabulary cannot spell, each once, as they stand in the text."""
        with self._lock:
            read = self._tokenizer(text, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
        words = [
            text[start:end].strip()
            for token, (start, end) in zip(read["input_ids"], read["offset_mapping"], strict=True)
            if token == self._tokenizer.unk_token_id
        ]
        return list(dict.fromkeys(words))

    def _tokenize(self, texts: list[str]) -> list[list[int]]:
        with self._lock:
            return self._tokenizer(texts, verbose=False)["input_ids"]

    def _within_limit(self, ids: list[int], image: ImageSource | None) -> tuple[int, ...]:
        limit = self._text_limit if image is None else self._composed_limit
        return tuple(ids if len(ids) <= limit else [*ids[: limit - 1], ids[-1]])  # [SEP] stays

    def _warn_of_cuts(self, indices: Iterable[int]) -> None:
        if cut := list(indices):
            _log.warning(
                "%s longer than this encoder reads (%d tokens, %d beside an image) and cut there: item %s",
                f"{len(cut)} texts were" if len(cut) > 1 else "a text was",
                self._text_limit,
                self._composed_limit,
                _listed(map(str, cut)),
            )

    def _warn_of_unknown_words(self, texts: Iterable[str]) -> None:
        words = dict.fromkeys(word for text in texts for word in self.unknown_words(text))
        if words:
            _log.warning(
                "this encoder's vocabulary lacks %s: say it in other words, or the search goes without",
                _listed(map(repr, words)),
            )


def _parts(index: int, item: Item | None) -> tuple[str, ImageSource | None]:
    if isinstance(item, Query):
        return item.text, item.image
    if item is None or (isinstance(item, str) and not item.strip()):
        raise EncodeError(f"item {index} is empty ({item!r}): leave it out", index)
    return (item, None) if isinstance(item, str) else ("", item)


def _listed(names: Iterable[str]) -> str:
    found = list(names)
    more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    return ", ".join(found[:_SHOWN]) + more
