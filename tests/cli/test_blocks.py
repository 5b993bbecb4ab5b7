"""Terminals that can show colours show small pictures; pipes and files get none."""

from __future__ import annotations

import io

from PIL import Image
from rich.console import Console

from mmrag.cli.blocks import picture_row, shows_pictures


def test_each_character_shows_two_pixels():
    picture = Image.new("RGB", (4, 4), (255, 0, 0))
    picture.paste((0, 0, 255), (0, 2, 4, 4))
    row = picture_row([picture], width=5)
    assert row.plain == "▀▀▀▀ \n▀▀▀▀ \n"
    colours = [(span.style.color.triplet, span.style.bgcolor.triplet) for span in row.spans]
    assert colours[0] == ((255, 0, 0), (255, 0, 0))
    assert colours[-1] == ((0, 0, 255), (0, 0, 255))


def test_nine_pictures_fit_eighty_columns():
    row = picture_row([Image.new("RGB", (30, 50))] * 9, width=80)
    assert {len(line) for line in row.plain.splitlines()} == {9 * (6 + 1)}


def test_only_colourful_terminals_show_pictures():
    colourful = Console(file=io.StringIO(), force_terminal=True, color_system="truecolor")
    plain = Console(file=io.StringIO(), force_terminal=True, color_system="standard")
    assert shows_pictures(colourful)
    assert not shows_pictures(plain)
    assert not shows_pictures(Console(file=io.StringIO()))


def test_who_wants_no_colour_gets_no_pictures():
    console = Console(file=io.StringIO(), force_terminal=True, color_system="truecolor", no_color=True)
    assert not shows_pictures(console)
