"""Word-level tokenizers with the catalog's vocabulary."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import chain

from tokenizers import AddedToken, Regex, Tokenizer, decoders, normalizers, pre_tokenizers
from tokenizers.models import Unigram, WordPiece
from tokenizers.processors import TemplateProcessing
from transformers import PreTrainedTokenizerFast

from mmrag.datasets.attributes import COLORS, PATTERNS, PRODUCTS
from mmrag.datasets.wording import (
    COLOR_WORDS,
    PATTERN_ADJECTIVES,
    PATTERN_NOUNS,
    PRODUCT_WORDS,
    TEMPLATES,
    TEXT_WITH_COLOR,
    plural,
)

__all__ = ["ANY_COLOR", "compound", "encoder_tokenizer", "reranker_tokenizer", "vocabulary", "words_of"]

ANY_COLOR = "any"
"""What the demo reranker says of a color that nobody asked for."""

_BERT_SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
_PHI_SPECIAL = ("<unk>", "<s>", "<|endoftext|>", "<|user|>", "<|assistant|>", "<|system|>", "<|end|>", "<|image|>")
_SAYS = ("it", "is", "a", "an", ANY_COLOR)
_NO_WISH = ("something", "like", "the", "query", "picture")  # see `mmrag.rerank.prompts`
# The frame of an answer, cut where the model chooses: see `mmrag.vision.phi3.ranking_template`.
_FRAME = (
    ' {"wish": "',  # an answer begins with the mark of a new word
    '", "candidates": {"1": {"shows": "',
    '", "grade": ',
    *(f'}}, "{label}": {{"shows": "' for label in range(2, 26)),
    '}}, "best": ',
    ', "reason": "',
    '"}',
)


def vocabulary() -> list[str]:
    """List every word that a query or a product's title can contain, sorted.

    Examples
    --------
    >>> words = vocabulary()
    >>> {"sneakers", "rucksack", "camo", "tartan", "gray", "?"} <= set(words)
    True
    """
    return sorted({word for text in _phrases() for word in words_of(text)})


def words_of(text: str) -> list[str]:
    """Split a text into lower-case words and punctuation marks, as BERT does before word pieces.

    Examples
    --------
    >>> words_of("T-shirt with this?")
    ['t', '-', 'shirt', 'with', 'this', '?']
    """
    return re.findall(r"\w+|[^\w\s]", text.lower())


def encoder_tokenizer(words: Iterable[str], *, longest: int) -> PreTrainedTokenizerFast:
    """Make a BERT tokenizer of whole words: anything else is ``[UNK]``, so it can be named.

    Parameters
    ----------
    words
        Lower-cased or not; split like any text.
    longest
        Most tokens of a text.
    """
    split = pre_tokenizers.BertPreTokenizer()
    pieces = {piece for word in words for piece, _ in split.pre_tokenize_str(word.lower())}
    ids = {token: place for place, token in enumerate([*_BERT_SPECIAL, *sorted(pieces)])}
    tokenizer = Tokenizer(WordPiece(ids, unk_token="[UNK]"))  # type: ignore[call-arg]
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = split
    tokenizer.post_processor = TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[(token, ids[token]) for token in ("[CLS]", "[SEP]")]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        model_max_length=longest,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
    )


def reranker_tokenizer() -> Tokenizer:
    r"""Make a tokenizer in Phi-3's manner: whole words, and the frame of an answer, are one token.

    Examples
    --------
    >>> tokenizer = reranker_tokenizer()
    >>> tokenizer.encode("Phone case with this?", add_special_tokens=False).tokens
    ['▁phone', '▁case', '▁with', '▁this', '?']
    >>> tokenizer.encode("<|user|>\nmug").tokens
    ['<s>', '<|user|>', '\n', '▁mug']
    """
    words = dict.fromkeys(f"▁{word}" for word in _words())
    figures = (*"0123456789", *"?,:.!-", "\n", "x", "▁x")
    frame = (piece.replace(" ", "▁") for piece in _FRAME)
    pieces = dict.fromkeys((*_PHI_SPECIAL, *frame, *figures, *words))
    # Equal scores: the fewest pieces win, so words and frame are never cut up.
    tokenizer = Tokenizer(Unigram([(piece, -1.0) for piece in pieces], unk_id=0))
    # A line's first word is a word like any other, though no space marks it.
    marked = normalizers.Replace(Regex(r"\n(?=\p{L})"), "\n ")
    tokenizer.normalizer = normalizers.Sequence([normalizers.Lowercase(), marked])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    tokenizer.decoder = decoders.Metaspace(prepend_scheme="first")
    tokenizer.add_special_tokens([AddedToken(name, normalized=False) for name in _PHI_SPECIAL])
    start = tokenizer.token_to_id("<s>")
    tokenizer.post_processor = TemplateProcessing(single="<s> $A", special_tokens=[("<s>", start)])
    return tokenizer


def compound(name: str) -> str:
    """Write a name as one word.

    Examples
    --------
    >>> compound("phone case")
    'phone-case'
    """
    return name.replace(" ", "-")


def _words() -> Iterator[str]:
    yield from (*_SAYS, *_NO_WISH)
    yield from map(compound, chain(COLORS, PATTERNS, PRODUCTS))
    for names in (COLOR_WORDS, PATTERN_ADJECTIVES, PATTERN_NOUNS, PRODUCT_WORDS):
        yield from (word for name in chain(*names.values()) for word in name.split())
    yield from (word for item in chain(*PRODUCT_WORDS.values()) for word in plural(item).split())
    yield from vocabulary()


def _phrases() -> Iterator[str]:
    yield "an"
    for template in chain(TEXT_WITH_COLOR, *TEMPLATES.values()):
        yield re.sub(r"{\w+}", "", template)
    for item in chain(*PRODUCT_WORDS.values()):
        yield from (item, plural(item))
    for names in (PATTERN_ADJECTIVES, PATTERN_NOUNS, COLOR_WORDS):
        yield from chain(*names.values())
