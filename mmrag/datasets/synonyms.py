"""How people call products, patterns and colors. The first word of each is the catalog's own."""

from __future__ import annotations

__all__ = ["COLOR_WORDS", "PATTERN_ADJECTIVES", "PATTERN_NOUNS", "PLURALS", "PRODUCT_WORDS"]

PRODUCT_WORDS: dict[str, tuple[str, ...]] = {
    "phone case": (
        "phone case",
        "phone cover",
        "case",
        "cover",
        "mobile case",
        "mobile phone case",
        "smartphone case",
        "smartphone cover",
        "phone shell",
    ),
    "mug": ("mug", "cup", "coffee mug", "coffee cup", "tea cup", "teacup"),
    "t-shirt": ("t-shirt", "tee", "shirt", "tee shirt", "tshirt", "top"),
    "tote bag": ("tote bag", "tote", "shopping bag", "shopper", "handbag", "carrier bag"),
    "sneaker": ("sneaker", "shoe", "trainer", "sports shoe", "running shoe", "gym shoe"),
    "backpack": ("backpack", "rucksack", "school bag", "knapsack", "back pack"),
    "lamp": ("lamp", "table lamp", "desk lamp", "bedside lamp", "night lamp"),
    "cushion": ("cushion", "pillow", "throw pillow", "sofa cushion", "scatter cushion"),
    "watch": ("watch", "wristwatch", "wrist watch"),
    "dress": ("dress", "frock", "gown", "summer dress", "sundress"),
    "umbrella": ("umbrella", "parasol", "brolly"),
    "notebook": ("notebook", "journal", "notepad", "note book", "exercise book", "diary"),
}

PLURALS = {
    "watch": "watches",
    "wristwatch": "wristwatches",
    "wrist watch": "wrist watches",
    "dress": "dresses",
    "summer dress": "summer dresses",
    "sundress": "sundresses",
    "brolly": "brollies",
    "diary": "diaries",
}
"""Those that do not simply take an s."""

PATTERN_ADJECTIVES: dict[str, tuple[str, ...]] = {
    "leopard": ("leopard", "leopard print", "leopard spotted", "leopard pattern"),
    "zebra": ("zebra", "zebra print", "zebra striped", "zebra pattern"),
    "tiger": ("tiger", "tiger print", "tiger striped", "tiger pattern"),
    "camouflage": ("camouflage", "camo", "army", "military", "camouflaged", "camo print"),
    "polka dot": ("polka dot", "dotted", "dotty", "polka dotted", "polka"),
    "striped": ("striped", "stripy", "stripey", "stripe", "stripes print"),
    "plaid": ("plaid", "checked", "tartan", "chequered", "checkered", "check"),
    "floral": ("floral", "flowery", "flower", "flowered", "floral print", "flower print"),
    "star": ("star", "starry", "star print", "star pattern"),
    "heart": ("heart", "heart print", "heart pattern"),
    "chevron": ("chevron", "zigzag", "zig-zag", "zig zag", "zigzagged"),
    "plain": ("plain", "solid", "unpatterned", "simple", "patternless"),
}

PATTERN_NOUNS: dict[str, tuple[str, ...]] = {
    "leopard": ("leopard print", "leopard spots", "leopard fur", "a leopard pattern", "leopard"),
    "zebra": ("zebra stripes", "zebra print", "zebra fur", "a zebra pattern", "zebra"),
    "tiger": ("tiger stripes", "tiger print", "tiger fur", "a tiger pattern", "tiger"),
    "camouflage": ("camouflage", "camo", "camo print", "a camouflage pattern", "an army print"),
    "polka dot": ("polka dots", "dots", "a polka dot pattern", "little dots", "a dotted pattern"),
    "striped": ("stripes", "lines", "a striped pattern", "a stripe", "many stripes"),
    "plaid": ("checks", "plaid", "tartan", "a checked pattern", "squares", "a plaid pattern"),
    "floral": ("flowers", "a floral print", "a floral pattern", "a flower print", "blossoms"),
    "star": ("stars", "a star pattern", "little stars", "a star print"),
    "heart": ("hearts", "a heart pattern", "little hearts", "a heart print"),
    "chevron": ("zigzags", "chevrons", "a zigzag pattern", "a chevron pattern", "zig-zags"),
    "plain": ("no pattern", "no print", "nothing on it", "no pattern at all", "a plain colour"),
}
"""What follows "with"."""

COLOR_WORDS: dict[str, tuple[str, ...]] = {
    "red": ("red",),
    "blue": ("blue",),
    "green": ("green",),
    "yellow": ("yellow",),
    "pink": ("pink",),
    "purple": ("purple", "violet"),
    "orange": ("orange",),
    "black": ("black",),
    "brown": ("brown",),
    "grey": ("grey", "gray"),
    "tan": ("tan", "beige", "sand"),
}
