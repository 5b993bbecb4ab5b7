"""The products of a catalog: planned by seed, written as JPEG files and one `catalog.jsonl`."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from itertools import product as every
from pathlib import Path
from random import Random

from mmrag.errors import MMRagError

from .attributes import PATTERNS, PRODUCTS, colors_of
from .depiction import Depiction
from .studio import Progress, draw_files

__all__ = ["Item", "plan_catalog", "read_catalog", "write_catalog"]


@dataclass(frozen=True)
class Item:
    """One product of a catalog; ``file`` lies in the catalog's folder."""

    id: str
    file: str
    title: str
    product: str
    pattern: str
    color: str
    price: float


def write_catalog(
    folder: str | Path, n: int = 900, seed: int = 0, workers: int | None = None, on_progress: Progress | None = None
) -> list[Item]:
    """Draw a catalog into a folder: n JPEG files and ``catalog.jsonl``.

    Parameters
    ----------
    folder
        Made when missing; files of the same name are replaced.
    n
        How many products. The 144 pairs of product and pattern come equally often, give or take 1.
    seed
        Decides everything: the same seed gives the same files.
    workers
        Processes at most; by default one for each core.
    on_progress
        Called as ``on_progress(done, total)`` after each image.

    Returns
    -------
    list[Item]
        What was drawn, in the order of ``catalog.jsonl``.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    items = plan_catalog(n, seed)
    images = {
        folder / item.file: Depiction(item.product, item.pattern, item.color, f"catalogue {seed} {item.id}")
        for item in items
    }
    draw_files(images, workers=workers, on_progress=on_progress)
    lines = [json.dumps(asdict(item)) + "\n" for item in items]
    (folder / _LIST).write_text("".join(lines), encoding="utf-8")
    return items


def read_catalog(folder: str | Path) -> list[Item]:
    """Read the items that `write_catalog` wrote.

    Raises
    ------
    MMRagError
        When the folder holds no catalog, or a line of it is damaged.
    """
    path = Path(folder) / _LIST
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
        return [Item(**json.loads(line)) for line in lines]
    except (OSError, ValueError, TypeError) as error:
        raise MMRagError(f"{path} is no catalog ({error}). Write one: mmrag.datasets.write_catalog(folder)") from error


def plan_catalog(n: int, seed: int = 0) -> list[Item]:
    """Decide what a catalog holds, without drawing it.

    Examples
    --------
    >>> item = plan_catalog(900)[0]
    >>> item.id, item.file
    ('item-0000', 'item-0000.jpg')
    """
    dice = Random(f"catalogue {seed}")  # the old spelling: another seed draws another catalog
    pairs = list(every(PRODUCTS, PATTERNS))
    colors = {pair: dice.sample(colors_of(pair[1]), len(colors_of(pair[1]))) for pair in pairs}
    items: list[Item] = []
    for number in range(n):
        turn, place = divmod(number, len(pairs))
        if place == 0:
            dice.shuffle(pairs)
        product, pattern = pairs[place]
        of_pair = colors[product, pattern]
        items.append(_item(number, product, pattern, of_pair[turn % len(of_pair)], dice))
    return items


def _item(number: int, product: str, pattern: str, color: str, dice: Random) -> Item:
    low, high = _PRICES[product]
    name = f"item-{number:04d}"
    title = f"{color} {pattern} {product}".capitalize()
    price = dice.randint(low, high) + dice.choice([0.49, 0.95, 0.99])
    return Item(name, f"{name}.jpg", title, product, pattern, color, round(price, 2))


_LIST = "catalog.jsonl"

_PRICES = {
    "phone case": (9, 24),
    "mug": (6, 16),
    "t-shirt": (12, 29),
    "tote bag": (10, 27),
    "sneaker": (34, 89),
    "backpack": (29, 79),
    "lamp": (24, 69),
    "cushion": (11, 29),
    "watch": (39, 149),
    "dress": (29, 89),
    "umbrella": (14, 34),
    "notebook": (4, 14),
}
