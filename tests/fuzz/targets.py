"""The fuzz targets: each parser of untrusted bytes, with its seeds and the errors it may raise."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from malformed_images import EXTENSIONS, encoded, sample_image

from mmrag.errors import AnswerError, ImageError, QueryError
from mmrag.filters import parse_filter
from mmrag.images import ImagePolicy, load_image
from mmrag.query import Query
from mmrag.vision.parsing import ranking_from_answer

__all__ = ["TARGETS", "Target"]

SMALL = ImagePolicy(max_pixels=250_000)
CANDIDATES = 9


@dataclass(frozen=True)
class Target:
    """A reader; any error but ``refusal`` is a bug, and so is a broken promise."""

    read: Callable[[bytes], None]
    refusal: type[Exception]
    seeds: tuple[bytes, ...]

    def __call__(self, data: bytes) -> None:
        try:
            self.read(data)
        except self.refusal as refused:
            assert str(refused)


def _image(data: bytes) -> None:
    image = load_image(data, SMALL)
    assert 0 < image.width * image.height <= SMALL.max_pixels


def _query(data: bytes) -> None:
    query = Query.parse(data.decode(errors="replace"))
    assert Query.parse(str(query)) == query


def _answer(data: bytes) -> None:
    ranking = ranking_from_answer(data.decode(errors="replace"), CANDIDATES)
    assert sorted(ranking.order) == list(range(1, CANDIDATES + 1))


def _filter(data: bytes) -> None:
    tree = parse_filter(data.decode(errors="replace"))
    assert parse_filter(str(tree)) == tree


TARGETS = {
    "image": Target(_image, ImageError, tuple(encoded(sample_image(), f) for f in EXTENSIONS)),
    "query": Target(
        _query,
        QueryError,
        (b"phone case with this ![a leopard](leopard (1).jpg)", b'\\![](a) ![](<b c> "d")'),
    ),
    "answer": Target(
        _answer,
        AnswerError,
        (b'{"1": 8, "2": 3, "reason": "spotted"}', b"[5] > [3] > [1]", b"```json\n[3, 1, 2]\n```"),
    ),
    "filter": Target(
        _filter,
        QueryError,
        (b'price < 40 and kind in ["mug", "bag"]', b"a == 'x' or (b != -1e3 and c not in [true])"),
    ),
}  # fmt: skip
