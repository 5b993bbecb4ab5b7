"""Self-contained HTML report of searches, with images as data URIs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from mmrag.images import ImagePolicy, ImageSource
from mmrag.images.encode import data_uri, thumbnail
from mmrag.query import Query
from mmrag.results import RankedImages

__all__ = ["Figure", "render", "report_page", "section", "small", "write_report"]

SIDE, QUERY_SIDE = 192, 288  # pixels
TEMPLATES = Environment(
    loader=PackageLoader("mmrag.reports"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


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
    file.write_text(report_page(searches, title=title, figures=figures, note=note), encoding="utf-8")


def report_page(searches: Sequence[RankedImages], *, title: str, figures: Sequence[Figure] = (), note: str = "") -> str:
    """Render searches as one HTML page: before and after reranking, rank changes, and the calls of the model.

    The figures are a table above the sections, one section a search; the note stands below the table.
    """
    sections = [section(found) for found in searches]
    return render("report.html", title=title, figures=figures, note=note, searches=sections)


def render(template: str, **values: Any) -> str:
    """Render one of the page templates."""
    return TEMPLATES.get_template(template).render(values)


def section(found: RankedImages) -> dict[str, Any]:
    """Collect what the page's template needs for one search."""
    query = found.query or Query("?")
    return {
        "found": found,
        "text": query.text or "(an image alone)",
        "image": small(query.image, found.policy, QUERY_SIDE) if query.image is not None else None,
        "thumbnails": {result.id: small(result.path, found.policy) for result in found.results},
        "composites": [data_uri(call.composite) for call in found.calls],
        "total": sum(found.timings_ms.values()),
    }


def small(image: ImageSource, policy: ImagePolicy | None = None, side: int = SIDE) -> str:
    """Return the thumbnail of an image as a `data:` URI."""
    return data_uri(thumbnail(image, side, policy))
