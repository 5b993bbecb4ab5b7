"""Self-contained HTML report of searches, with images as data URIs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from mmrag.images import ImagePolicy
from mmrag.images.encode import data_uri, thumbnail
from mmrag.query import Query
from mmrag.results import RankedImages

__all__ = ["Figure", "render", "report_page", "section", "small", "write_report"]

SIDE = 192
QUERY_SIDE = 288


@dataclass(frozen=True)
class Figure:
    """A metric before and after reranking."""

    name: str
    before: float
    after: float | None = None


def write_report(
    file: Path, searches: Sequence[RankedImages], *, title: str, figures: Sequence[Figure] = (), note: str = ""
) -> None:
    """Write `report_page` to a file; creates the folder."""
    file.parent.mkdir(parents=True, exist_ok=True)
    page = report_page(searches, title=title, figures=figures, note=note)
    file.write_text(page, encoding="utf-8")


def report_page(searches: Sequence[RankedImages], *, title: str, figures: Sequence[Figure] = (), note: str = "") -> str:
    """Render searches as one HTML page: before and after reranking, rank changes, and the calls of the model.

    Parameters
    ----------
    searches : sequence of RankedImages
        One section each.
    title : str
        Title of the page.
    figures : sequence of Figure, optional
        Table above the sections. Default: none.
    note : str, optional
        Sentence below the table.
    """
    return render(
        "report.html", title=title, figures=figures, note=note, searches=[section(found) for found in searches]
    )


def render(template: str, **values: Any) -> str:
    """Render one of the page templates."""
    return _templates().get_template(template).render(values)


def section(found: RankedImages) -> dict[str, Any]:
    """Collect what the page's template needs for one search."""
    query = found.query or Query("?")
    image = query.image
    return {
        "found": found,
        "text": query.text or "(an image alone)",
        "image": data_uri(thumbnail(image, QUERY_SIDE, found.policy)) if image is not None else None,
        "thumbnails": {result.id: small(result.path, found.policy) for result in found.results},
        "composites": [data_uri(call.composite) for call in found.calls],
        "total": sum(found.timings_ms.values()),
    }


def small(image: str, policy: ImagePolicy | None = None) -> str:
    """Return the thumbnail of an image as a `data:` URI."""
    return data_uri(thumbnail(image, SIDE, policy))


@lru_cache(maxsize=1)
def _templates() -> Environment:
    return Environment(
        loader=PackageLoader("mmrag.reports"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
