"""An image as its description: what to draw, not yet drawn."""

from __future__ import annotations

from dataclasses import dataclass

from PIL import Image

from .render import draw_product, draw_swatch

__all__ = ["Depiction"]


@dataclass(frozen=True)
class Depiction:
    """A product, or without one a swatch, in a pattern and color; the seed decides the rest."""

    product: str | None
    pattern: str
    color: str
    seed: str

    def draw(self, size: int = 192) -> Image.Image:
        """Draw it: the same image every time."""
        if self.product is None:
            return draw_swatch(self.pattern, self.color, self.seed, size)
        return draw_product(self.product, self.pattern, self.color, self.seed, size)
