"""The contact sheet shows the query and every hit, best first, whatever their number and shape."""

from __future__ import annotations

import pytest
from image_bytes import encoded
from image_server import serving
from made_results import made_image, made_results
from PIL import Image, ImageDraw

from mmrag.images import ImagePolicy
from mmrag.images.encode import thumbnail
from mmrag.query import Query
from mmrag.ranking import Ranking
from mmrag.reports.contact_sheet import contact_sheet
from mmrag.results import RankedImages

COLORS = ["#d02020", "#20d020", "#2020d0", "#d0d020", "#20d0d0", "#d020d0", "#808080", "#402000"]


@pytest.fixture
def hits(tmp_path):
    for number, color in enumerate(COLORS):
        Image.new("RGB", (40 + 9 * number, 60), color).save(tmp_path / f"{number}.png")
    return tuple(made_image(str(n), str(tmp_path / f"{n}.png"), 1 - n / 10) for n in range(len(COLORS)))


def places_of(color: str, sheet: Image.Image) -> list[tuple[int, int]]:
    wanted = Image.new("RGB", (1, 1), color).getpixel((0, 0))
    pixels = sheet.load()
    assert pixels is not None
    return [(y, x) for y in range(0, sheet.height, 4) for x in range(0, sheet.width, 4) if pixels[x, y] == wanted]


def in_reading_order(sheet: Image.Image) -> list[int]:
    def middle(number: int) -> tuple[int, int]:
        places = places_of(COLORS[number], sheet)
        y, x = places[len(places) // 2]
        return round(y / 200), x

    return sorted(range(len(COLORS)), key=middle)


def test_every_hit_is_shown_best_first(hits):
    assert in_reading_order(contact_sheet(made_results(hits))) == list(range(8))


def test_a_reranked_sheet_shows_every_hit_twice(hits):
    order = [8, 7, 6, 5, 4, 3, 2, 1]
    sheet = contact_sheet(made_results(hits, ranking=Ranking(order=order)))
    upper = sheet.crop((0, 0, sheet.width, sheet.height // 2))
    lower = sheet.crop((0, sheet.height // 2, sheet.width, sheet.height))
    assert in_reading_order(upper) == list(range(8))
    assert in_reading_order(lower) == list(range(7, -1, -1))


def test_the_querys_image_is_shown(hits):
    query = Query("mug", Image.new("RGB", (10, 10), "#12fe34"))
    assert places_of("#12fe34", contact_sheet(made_results(hits, query=query)))


@pytest.mark.parametrize("count", [0, 1, 2, 5])
def test_any_number_of_hits_fits(hits, count):
    sheet = contact_sheet(made_results(hits[:count], query=Query("a very long wish " * 20)))
    shown = [color for color in COLORS if places_of(color, sheet)]
    assert shown == COLORS[:count]


def test_a_query_too_long_for_the_sheet_ends_in_dots():
    short, long = (made_results((), query=Query("very " * times + "long")) for times in (2, 200))
    said = [text for found in (short, long) for text in drawn(found)]
    assert [text.endswith("…") for text in said if "very" in text][-1]
    assert not any(text.endswith("…") for text in drawn(short))


def drawn(found: RankedImages) -> list[str]:
    """All that is written on a sheet, piece by piece."""
    with pytest.MonkeyPatch.context() as patch:
        written: list[str] = []
        text = ImageDraw.ImageDraw.text
        patch.setattr(
            ImageDraw.ImageDraw,
            "text",
            lambda self, place, words, *rest, **more: (written.append(words), text(self, place, words, *rest, **more)),
        )
        contact_sheet(found)
    return written


def test_an_image_on_an_allowed_host_is_shown():
    with serving() as server:
        server.images["/a.png"] = encoded(Image.new("RGB", (40, 40), COLORS[0]), "PNG")
        hits = (made_image("a", f"http://127.0.0.1:{server.server_port}/a.png", 1.0),)
        allowed = ImagePolicy(hosts=["127.0.0.1"])
        shown = contact_sheet(made_results(hits, policy=allowed))
        assert places_of(COLORS[0], shown)
        assert not places_of(COLORS[0], contact_sheet(made_results(hits)))


def test_an_image_that_is_gone_is_said_to_be_missing(tmp_path):
    gone = thumbnail(tmp_path / "gone.png", 80)
    assert gone.size == (80, 80)
    assert len(gone.getcolors() or []) > 1


def test_a_thumbnail_is_letterboxed_over_white():
    wide = Image.new("RGBA", (100, 20), (0, 0, 0, 0))
    wide.paste((255, 0, 0, 255), (50, 0, 100, 20))
    small = thumbnail(wide, 50)
    assert small.getpixel((5, 25)) == (255, 255, 255)
    assert small.getpixel((40, 25)) == (255, 0, 0)
    assert small.getpixel((40, 5)) == (255, 255, 255)
