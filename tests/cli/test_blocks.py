"""Terminals that can show colors show small images; pipes and files get none."""

from __future__ import annotations

import io

from PIL import Image
from rich.console import Console

from mmrag.cli.blocks import image_row, shows_images


def test_each_character_shows_two_pixels():
    image = Image.new("RGB", (4, 4), (255, 0, 0))
    image.paste((0, 0, 255), (0, 2, 4, 4))
    row = image_row([image], width=5)
    assert row.plain == "▀▀▀▀ \n▀▀▀▀ \n"
    colors = [(span.style.color.triplet, span.style.bgcolor.triplet) for span in row.spans]
    assert colors[0] == ((255, 0, 0), (255, 0, 0))
    assert colors[-1] == ((0, 0, 255), (0, 0, 255))


def test_nine_images_fit_eighty_columns():
    row = image_row([Image.new("RGB", (30, 50))] * 9, width=80)
    assert {len(line) for line in row.plain.splitlines()} == {9 * (6 + 1)}


def test_only_colorful_terminals_show_images():
    colorful = Console(file=io.StringIO(), force_terminal=True, color_system="truecolor")
    plain = Console(file=io.StringIO(), force_terminal=True, color_system="standard")
    assert shows_images(colorful)
    assert not shows_images(plain)
    assert not shows_images(Console(file=io.StringIO()))


def test_who_wants_no_color_gets_no_images():
    console = Console(file=io.StringIO(), force_terminal=True, color_system="truecolor", no_color=True)
    assert not shows_images(console)
